"""The check on a graphics card: rehearsed on a CPU, whole and in parts."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from test_notebooks import small_notebook
from test_run import write_sets

from upcrack_lite.reproduction import records

ROOT = Path(__file__).resolve().parents[1]
# What a bare machine lacks. `PathFinder` finds modules on disk; here it does not find these.
BLOCKER = """
from importlib.machinery import PathFinder
real = PathFinder.find_spec
def find(name, path=None, target=None):
    return None if name.split(".")[0] in {names!r} else real(name, path, target)
PathFinder.find_spec = staticmethod(find)
"""


def without(folder: Path, *names: str) -> dict[str, str]:
    """The environment of a process in which the named packages are not installed."""
    (folder / "sitecustomize.py").write_text(BLOCKER.format(names=set(names)), encoding="utf-8")
    return os.environ | {"PYTHONPATH": os.pathsep.join((str(folder), str(ROOT))), "OMP_NUM_THREADS": "1"}


def run(script: str, *words: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a script of `ci/`."""
    env = env or os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, str(ROOT / "ci" / script), *map(str, words)], capture_output=True, text=True, env=env
    )


def gpu_sh(**settings: object) -> subprocess.CompletedProcess[str]:
    """Run `ci/gpu.sh` with this Python."""
    env = os.environ | {"PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    env |= {name: str(value) for name, value in settings.items()}
    return subprocess.run([str(ROOT / "ci/gpu.sh")], capture_output=True, text=True, env=env)


@pytest.fixture
def ci(monkeypatch):
    """The folder `ci` on the path of imports, for the modules whose names nothing else has."""
    monkeypatch.syspath_prepend(str(ROOT / "ci"))


@pytest.mark.slow
def test_a_rehearsal_on_a_machine_without_jupyter(tmp_path):
    bare = without(tmp_path, "papermill", "ipykernel", "nbformat", "IPython", "ipywidgets", "great_tables")
    out = tmp_path / "out"
    got = gpu_sh(
        DEVICE="cpu",
        STEPS="preflight,tests,compare,chapters,real",
        ONLY="04_masking",
        OUT=out,
        PACK=1,
        PYTHONPATH=bare["PYTHONPATH"],
    )
    assert got.returncode == 0, got.stdout[-3000:] + got.stderr[-3000:]
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    verdicts = {part["part"]: part["verdict"] for part in report["parts"]}
    assert verdicts == {
        "preflight": "passed", "tests": "skipped", "compare": "passed", "chapters": "passed", "real": "skipped",
    }  # fmt: skip
    far = {
        row["quantity"]: row["value"]
        for row in report["parts"][2]["facts"]["table"]
        if "oneDNN" in row["mode"]
    }
    assert 0 < far["gradient of G"] < 2e-3, "two programs for the same sums: near, but not the same"
    log = (out / "notebooks/04_masking.log").read_text("utf-8")
    assert re.search(r"SKIPPED cell \d+: the widget MaskExplorer", log)
    shown = (out / "report.md").read_text(encoding="utf-8")
    assert "real photos: no DATA= is given" in shown
    assert str(tmp_path) not in shown
    assert "NOT CHECKED: preflight, papermill" in got.stdout
    assert out.with_name("out.tar.gz").is_file()


@pytest.mark.slow
def test_a_row_is_made_twice_and_compared(tmp_path):
    got = run("rows.py", "--device", "cpu", "--tables", "5", "--roads", "6,2", "--out", tmp_path)
    assert got.returncode == 0, got.stdout + got.stderr
    (check,) = json.loads((tmp_path / "parts/rows.json").read_text(encoding="utf-8"))["checks"]
    assert check["verdict"] == "passed"
    assert "--recipe released" in check["said"]
    assert len(list(tmp_path.glob("rows/*/records/*-draft.npz"))) == 2
    assert not list(tmp_path.glob("rows/*/runs/*/*.safetensors"))


@pytest.mark.slow
def test_full_scale_is_rehearsed_in_two_calls_without_pydantic(tmp_path):
    data = write_sets(tmp_path / "data")
    bare = without(tmp_path, "pydantic", "pooch", "typer", "great_tables", "papermill", "IPython")
    rest = {
        "DATA": data,
        "OUT": tmp_path / "out",
        "RUNS": tmp_path / "runs",
        "PYTHONPATH": bare["PYTHONPATH"],
    }
    call = {
        "DEVICE": "cpu",
        "STEPS": "real",
        "BUDGET": "full",
        "TINY": 1,
        "MAX_STEPS": 1,
        "VGG_WEIGHTS": "random",
    }

    def checks(**more: object) -> list[dict]:
        got = gpu_sh(**call, **rest, **more)
        assert got.returncode == 0, got.stdout[-3000:] + got.stderr[-3000:]
        return json.loads((tmp_path / "out/parts/real.json").read_text(encoding="utf-8"))["checks"]

    first = checks(SECONDS_LEFT=0.001)
    assert first[-1]["said"].endswith("the same command goes on")
    second = [one for one in checks() if one["name"].startswith("upcracknet")]
    assert [one["verdict"] for one in second] == ["passed"] * 4
    jobs = [re.fullmatch(r"upcracknet-(\w+)-full-.*-s(\d)-\w{8}", one["name"]).groups() for one in second]
    assert jobs == [("paper", "0"), ("paper", "1"), ("paper", "2"), ("released", "0")]
    with tarfile.open(tmp_path / "out/records.tar.gz") as archive:
        archive.extractall(tmp_path / "home", filter="data")
    (home,) = {path.parent for path in (tmp_path / "home").rglob("*.json")}
    made = [records.load(path) for path in sorted(home.glob("*.json"))]
    assert len(made) == 4
    assert {record.preset["style_network"] for record in made} == {"vgg16"}
    assert all("cut short" in "; ".join(record.unfit()) for record in made)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out/records").iterdir()}
    checks()
    after = {path.name: path.read_bytes() for path in (tmp_path / "out/records").iterdir()}
    assert after == before, "what is recorded is left as it is"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "full scale needs the weights of vgg16"),
        ({"VGG_WEIGHTS": "nowhere.safetensors"}, "no such file of weights"),
        ({"VGG_WEIGHTS": "random", "SECONDS_LEFT": 9}, "name it with RUNS="),
        ({"VGG_WEIGHTS": "random"}, "has no deepcrack_undamaged/"),
    ],
)
def test_what_full_scale_lacks_is_said_before_any_work(tmp_path, settings, said):
    (tmp_path / "data").mkdir()
    places = {"DATA": tmp_path / "data", "OUT": tmp_path / "out"}
    got = gpu_sh(DEVICE="cpu", STEPS="real", BUDGET="full", **places, **settings)
    assert got.returncode == 1
    assert said in got.stdout


def test_data_travel_in_pieces_and_come_together_byte_for_byte(ci, tmp_path):
    import pieces

    data, rng = tmp_path / "data", np.random.default_rng(0)
    for number, name in enumerate(pieces.NEEDED):
        inside = data / name if name.endswith(".csv") else data / name / "image" / f"{number}.png"
        inside.parent.mkdir(parents=True, exist_ok=True)
        inside.write_bytes(rng.bytes(60_000 + number))
    made = pieces.pack(data, tmp_path / "pieces", 200_000)
    assert len(made) == 3
    assert all(path.stat().st_size <= 200_000 for path in made)
    first = tmp_path / "carried" / made[0].name
    first.parent.mkdir()
    first.write_bytes(made[0].read_bytes())
    missing = pieces.unpack(first.parent, tmp_path / "there")
    assert 0 < len(missing) < len(pieces.NEEDED), "one piece alone says what is still to come"
    assert pieces.unpack(tmp_path / "pieces", tmp_path / "there") == []
    for path in pieces.files_of(data):
        assert (tmp_path / "there" / path.relative_to(data)).read_bytes() == path.read_bytes()
    whole = first.read_bytes()
    for broken in (whole[: len(whole) // 2], whole.replace(b"\0" * 64, b"\1" * 64, 1)):
        first.write_bytes(broken)
        with pytest.raises(SystemExit, match="carry"):
            pieces.unpack(first.parent, tmp_path / "elsewhere")
    with pytest.raises(SystemExit, match="is not empty"):
        pieces.pack(data, tmp_path / "pieces", 200_000)
    with pytest.raises(SystemExit, match="larger than a piece"):
        pieces.pack(data, tmp_path / "small", 70_000)
    shutil.rmtree(data / "cfd_patches")
    with pytest.raises(SystemExit, match="has no cfd_patches"):
        pieces.pack(data, tmp_path / "new", 200_000)


def test_rows_that_differ_are_told(ci):
    import rows

    one = {"content": "a", "crops": "b", "crack": [1], "log": {"mae": 0.5}, "mean error": 9.0}
    one |= {"threshold": 0.5, "F1": 20.0}
    assert rows.compared(one, one)[0]
    for other in ({"content": "c"}, {"log": {"mae": 0.6}}, {"log": {"mae": float("nan")}}, {"F1": 30.0}):
        good, said = rows.compared(one | other, one)
        assert not good
        assert any("MORE" in line or "differs" in line for line in said)
    assert not rows.compared(one | {"log": {}}, one)[0]


def test_what_is_imported_is_read_from_the_source(ci):
    import needs

    assert {"torch", "lightning", "cv2", "safetensors"} <= needs.of_module(needs.TRAINING)
    assert "skimage" in needs.of_module(needs.SCORING) - needs.of_module(needs.TRAINING)
    assert needs.of_module("upcrack_lite.errors") == set()
    assert {"skimage", "matplotlib", "pandas"} <= needs.of_notebook(ROOT / "notebooks/03_data.ipynb")
    assert needs.missing({"json", "no_such_package"}) == ["no_such_package"]


def test_training_testing_and_records_need_what_a_machine_for_gpus_has(ci):
    import needs

    has = {"torch", "torchvision", "numpy", "cv2", "skimage", "safetensors", "lightning", "tqdm"}
    with_them = {"scipy", "PIL", "filelock"}  # what scikit-image, torchvision and torch bring
    assert needs.of_module(needs.SCORING) <= has | with_them


def test_a_missing_package_is_named_with_what_to_install(tmp_path):
    got = run("preflight.py", "--device", "cpu", "--out", tmp_path, env=without(tmp_path, "skimage"))
    assert got.returncode == 1
    assert "failed   scoring and records: not installed here: skimage" in got.stdout
    assert "GPU_WHEELS=wheels" in got.stdout
    assert "passed   training" in got.stdout


def test_without_a_card_it_refuses(tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a card")
    got = gpu_sh(OUT=tmp_path / "out", STEPS="preflight")
    assert got.returncode == 2
    assert "DEVICE=cpu rehearses" in got.stderr
    assert not (tmp_path / "out/report.md").exists()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"STEPS": "prefligth"}, "no step named prefligth: choose from preflight"),
        ({"DATA": "/no/such/folder"}, "is not a folder"),
        ({"GPU_WHEELS": "/no/such/folder"}, "holds no wheels"),
    ],
)
def test_wrong_settings_are_refused_before_any_work(tmp_path, settings, said):
    got = gpu_sh(DEVICE="cpu", OUT=tmp_path / "out", **settings)
    assert got.returncode == 2
    assert said in got.stderr


def test_a_chapter_as_a_plain_script(tmp_path):
    cells = (
        "from IPython.display import HTML\nfrom great_tables import GT",
        "HTML('<p>one</p><p>t&amp;wo</p>')",
        "from upcrack_lite.show.widgets import MaskExplorer\nMaskExplorer(seed)",
        "seed + 1",
    )
    path = small_notebook(tmp_path, *cells)
    got = run(
        "plain_run.py", path, tmp_path / "out.log", "-p", "seed", "41", env=without(tmp_path, "IPython")
    )
    assert got.returncode == 0, got.stdout
    log = (tmp_path / "out.log").read_text(encoding="utf-8")
    assert "one\nt&wo\n" in log
    assert "SKIPPED cell 4: the widget MaskExplorer" in log
    assert log.splitlines()[-2:][0] == "42"


@pytest.mark.parametrize(
    ("cell", "words", "code", "said"),
    [
        ("1 / 0", (), 1, "cell 2: ZeroDivisionError"),
        ("seed", ("-p", "sede", "1"), 1, "no parameter named sede; there are seed"),
        ("import no_such_package", (), 3, "not installed here: no_such_package"),
        ("__import__('no_such_package')", (), 3, "not installed here: no_such_package, for cell 2"),
        ("import upcrack_lite.no_such_module", (), 1, "cell 2: No module named"),
    ],
)
def test_a_chapter_that_cannot_run(tmp_path, cell, words, code, said):
    got = run("plain_run.py", small_notebook(tmp_path, cell), tmp_path / "out.log", *words)
    assert got.returncode == code
    assert said in (tmp_path / "out.log").read_text(encoding="utf-8")


def part(name: str, *verdicts: str, ended: bool = True) -> dict:
    """What a part writes."""
    checks = [{"name": "a", "verdict": v, "said": "b", "seconds": 1} for v in verdicts]
    return {"part": name, "ended": ended, "seconds": 1, "checks": checks, "facts": {}}


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([part("compare", "passed"), part("rows", "skipped")], 0),
        ([part("compare", "passed"), part("rows", "passed", "failed")], 1),
        ([part("compare", "passed"), part("rows", "passed", ended=False)], 1),  # killed
        ([part("preflight", "passed"), part("rows", "skipped")], 1),  # nothing was tried
    ],
)
def test_the_verdict(tmp_path, parts, code):
    (tmp_path / "parts").mkdir()
    for one in parts:
        (tmp_path / "parts" / f"{one['part']}.json").write_text(json.dumps(one), encoding="utf-8")
    assert run("report.py", "--out", tmp_path).returncode == code
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["verdict"] == ("failed" if code else "passed")


def test_the_workflow_calls_the_script_and_keeps_its_files():
    (job,) = yaml.safe_load((ROOT / ".github/workflows/gpu.yml").read_text(encoding="utf-8"))["jobs"].values()
    assert job["runs-on"] == ["self-hosted", "gpu"]
    assert any(step.get("run") == "ci/gpu.sh" for step in job["steps"])
    assert any("upload-artifact" in step.get("uses", "") for step in job["steps"])
