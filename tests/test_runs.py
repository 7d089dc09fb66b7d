"""The run folder: whole or not there, never another's, and true about where it was made."""

from __future__ import annotations

import json
import os
import subprocess

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from upcrack_lite import runs
from upcrack_lite.errors import UserError
from upcrack_lite.runs import RunFolder, data_hash, environment, write_atomically


def listing(folder) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


@pytest.fixture
def run(tmp_path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", {"seed": 3})


# --- Writing aside -------------------------------------------------------------------------------------------


def test_a_writer_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "a.txt"
    write_atomically(path, lambda p: p.write_text("old"))

    def fail(part):
        part.write_text("half")
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        write_atomically(path, fail)
    assert listing(tmp_path) == {"a.txt": b"old"}
    with pytest.raises(RuntimeError, match="disk full"):
        write_atomically(tmp_path / "new.txt", fail)
    assert listing(tmp_path) == {"a.txt": b"old"}


@pytest.mark.parametrize("save", ["weights", "resume", "log", "manifest"])
def test_every_file_of_a_run_survives_a_failing_rewrite(run, save, monkeypatch):
    run.save_weights({"w": torch.ones(2)})
    run.save_resume({"epoch": 1})
    run.save_log([{"epoch": 0}])
    before = listing(run.path)

    def crash(self, target):
        raise OSError("killed just before the rename")

    monkeypatch.setattr("pathlib.Path.replace", crash)
    run.manifest["seed"] = 4
    calls = {
        "weights": lambda: run.save_weights({"w": torch.zeros(2)}),
        "resume": lambda: run.save_resume({"epoch": 2}),
        "log": lambda: run.save_log([{"epoch": 0}, {"epoch": 1}]),
        "manifest": run.save_manifest,
    }
    with pytest.raises(UserError, match="killed"):
        calls[save]()
    assert listing(run.path) == before


# --- Making and opening --------------------------------------------------------------------------------------


def test_a_new_run_says_its_format_and_that_it_is_running(run):
    said = json.loads((run.path / "manifest.json").read_text())
    assert said.pop("started").endswith("+00:00")
    assert said == {"format": 1, "status": "running", "seed": 3}
    assert not run.finished
    assert RunFolder.is_run(run.path)
    opened = RunFolder.open(str(run.path))
    assert opened.manifest == run.manifest
    opened.manifest["status"] = "finished"
    opened.save_manifest()
    assert RunFolder.open(run.path).finished


def test_an_empty_folder_will_do_and_anything_else_is_refused_untouched(tmp_path):
    (tmp_path / "empty").mkdir()
    assert RunFolder.create(tmp_path / "empty", {}).path.is_dir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("mine")
    with pytest.raises(UserError, match="not empty"):
        RunFolder.create(tmp_path / "full", {})
    assert listing(tmp_path / "full") == {"thesis.tex": b"mine"}
    with pytest.raises(UserError, match="not empty"):
        RunFolder.create(tmp_path / "empty", {})


@pytest.mark.parametrize("manifest", ['{"format": 2}', '{"format": "1"}', "{}", "[1]", "null"])
def test_another_format_is_refused_and_left_alone(tmp_path, manifest):
    (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(UserError, match=r"has format 2, this version reads 1|is no run"):
        RunFolder.open(tmp_path)
    assert listing(tmp_path) == {"manifest.json": manifest.encode()}


# --- What a run holds ----------------------------------------------------------------------------------------


def test_weights_come_back_bit_by_bit_whatever_their_layout(run):
    state = {"a": torch.randn(3, 4).T, "b": torch.tensor(5), "c": torch.randn(2, requires_grad=True)}
    run.save_weights(state)
    loaded = run.load_weights()
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[name], state[name]) for name in state)


def test_missing_and_damaged_weights_are_named(run):
    with pytest.raises(UserError, match=r"no checkpoint at .*checkpoint\.safetensors"):
        run.load_weights()
    run.save_weights({"a": torch.zeros(100)})
    file = run.path / "checkpoint.safetensors"
    for content in (file.read_bytes()[:-50], b"", b"garbage" * 20):
        file.write_bytes(content)
        with pytest.raises(UserError, match="is damaged"):
            run.load_weights()


UNSOUND = {
    "nan": (torch.tensor([1.0, float("nan")]), "holds NaN or infinite values"),
    "infinite": (torch.tensor([[1.0], [-float("inf")]]), "holds NaN or infinite values"),
    "infinite half": (torch.tensor([70000.0]).half(), "holds NaN or infinite values"),
    "complex": (torch.zeros(2, dtype=torch.complex64), "is of the type complex64"),
    "bytes": (torch.zeros(2, dtype=torch.uint8), "is of the type uint8"),
}


@pytest.mark.parametrize("name", UNSOUND)
def test_weights_that_are_no_sound_numbers_are_neither_written_nor_read(run, name):
    tensor, message = UNSOUND[name]
    run.save_weights({"good": torch.ones(2)})
    before = listing(run.path)
    named = rf"checkpoint\.safetensors: second {message}"
    with pytest.raises(UserError, match=named):
        run.save_weights({"good": torch.ones(2), "second": tensor})
    assert listing(run.path) == before
    save_file({"good": torch.ones(2), "second": tensor}, run.path / "checkpoint.safetensors")
    with pytest.raises(UserError, match=named):
        run.load_weights()
    torch.save({"second": tensor}, run.path / "vgg.pth")
    with pytest.raises(UserError, match=rf"vgg\.pth: second {message}"):
        runs.read_state(run.path / "vgg.pth", "VGG weights", "fetch it")


def test_integers_do_not_pass_for_weights(run):
    network = torch.nn.BatchNorm1d(2)
    run.save_weights(network.state_dict())
    run.load_into(network, "two features")
    run.save_weights(network.state_dict() | {"weight": torch.ones(2, dtype=torch.int64)})
    with pytest.raises(UserError, match=r"checkpoint\.safetensors: weight is of the type int64"):
        run.load_into(network, "two features")


def test_the_resume_state_comes_back_and_damage_is_named(run):
    got = []
    assert not run.load_resume(got.append)
    state = {"tensor": torch.randn(3), "position": {"epoch": 2, "best": float("inf")}, "none": None}
    run.save_resume(state)
    assert run.load_resume(got.append)
    (loaded,) = got
    assert torch.equal(loaded.pop("tensor"), state.pop("tensor"))
    assert loaded == state
    file = run.path / "resume.pt"
    for content in (file.read_bytes()[:-200], b"", b"garbage" * 20):
        file.write_bytes(content)
        with pytest.raises(UserError, match="is damaged"):
            run.load_resume(got.append)


def test_a_resume_file_runs_no_code(run):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(run.path / "executed"),)

    torch.save({"x": Trap()}, run.path / "resume.pt")
    with pytest.raises(UserError, match="is damaged"):
        run.load_resume(print)
    assert not (run.path / "executed").exists()


def test_the_log_comes_back_exactly_with_gaps_where_nothing_was_measured(run):
    assert run.log() == []
    rows = [
        {"epoch": 0, "mae": 0.1 + 0.2},
        {"epoch": 1, "mae": 1e-17, "valid": 1 / 3},
        {"epoch": 10, "mae": -2.5},
    ]
    run.save_log(rows)
    assert run.log() == rows
    text = (run.path / "log.csv").read_text()
    assert text.splitlines()[0] == "epoch,mae,valid"
    run.save_log(run.log())  # as after a resume
    assert (run.path / "log.csv").read_text() == text


# --- Which data, which machine -------------------------------------------------------------------------------


def test_the_data_hash_feels_every_byte_order_shape_and_type(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (4, 6, 8, 3), dtype=np.uint8)
    base = data_hash(images)
    assert base == data_hash(images.copy())
    assert base == data_hash(np.asfortranarray(images))
    np.save(tmp_path / "a.npy", images)
    assert base == data_hash(np.load(tmp_path / "a.npy", mmap_mode="r"))
    pixel = images.copy()
    pixel[3, 5, 7, 2] ^= 1
    others = [
        pixel, images[::-1], images[:3], images.reshape(4, 8, 6, 3), images.reshape(2, 2 * 6, 8, 3),
        images.view(np.int8), images[:0], np.zeros((0, 1, 1, 3), np.uint8),
    ]  # fmt: skip
    hashes = {base, *map(data_hash, others)}
    assert len(hashes) == len(others) + 1


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository of its own with one commit, which the kit takes for its root."""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for name in ("code.py", "results/a.json", "upcrack_lite/runs.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("one")
    for call in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "one"]):
        subprocess.run(git + call, check=True, capture_output=True)
    monkeypatch.setattr(runs, "_ROOT", tmp_path)
    return tmp_path


def test_the_commit_and_whether_the_code_differs_from_it(repository):
    clean = environment()["commit"]
    head = subprocess.run(["git", "-C", str(repository), "rev-parse", "HEAD"], capture_output=True, text=True)
    assert clean == {"id": head.stdout.strip(), "dirty": False}
    assert environment()["lock_sha256"] is None
    (repository / "notes.txt").write_text("untracked files are not the code")
    (repository / "results/a.json").write_text("nor are records, which the code makes")
    assert environment()["commit"] == clean
    (repository / "code.py").write_text("two")
    assert environment()["commit"] == {"id": clean["id"], "dirty": True}


@pytest.fixture
def without_git(tmp_path, monkeypatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(runs, "_ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    return monkeypatch


def test_without_git_the_variable_tells_the_commit(without_git):
    without_git.setenv("UPCRACK_COMMIT", "abc1234")
    assert environment()["commit"] == {"id": "abc1234", "dirty": None}
    without_git.delenv("UPCRACK_COMMIT")
    assert environment()["commit"] == {"id": None, "dirty": None}


@pytest.mark.parametrize("given", ["main", "abc123", "ABC1234", "a" * 41, "abc1234\n"])
def test_a_variable_that_is_no_commit_is_refused(without_git, given):
    without_git.setenv("UPCRACK_COMMIT", given)
    with pytest.raises(UserError, match=r"UPCRACK_COMMIT is .* no commit: set it to the 7 to 40 digits"):
        environment()


def test_the_repository_that_the_kit_is_installed_in_is_not_its_own(repository, monkeypatch):
    installed = repository / ".venv/lib/site-packages"
    (installed / "upcrack_lite/repro").mkdir(parents=True)
    (installed / "upcrack_lite/runs.py").write_text("the kit")
    monkeypatch.setattr(runs, "_ROOT", installed)
    assert environment()["commit"] == {"id": None, "dirty": None}
    monkeypatch.setenv("UPCRACK_COMMIT", "abc1234")
    assert environment()["commit"] == {"id": "abc1234", "dirty": None}
    subprocess.run(["git", "-C", str(repository), "add", "."], check=True)
    assert len(environment()["commit"]["id"]) == 40, "a copy that the repository tracks is its own"


def started(commit: str, dirty: bool = False, **other) -> dict:
    return {"commit": {"id": commit * 40, "dirty": dirty}, "code_sha256": "c" * 64, "threads": 1} | other


def test_a_run_keeps_the_environments_of_all_starts(tmp_path):
    run = RunFolder.create(tmp_path / "run", {})
    run.begin(started("a", dirty=True), {})
    run.begin(started("a"), {})
    assert (run.manifest["environment"], run.starts()) == (started("a"), []), "nothing was kept of the first"
    run.save_resume({})
    run.begin(started("a", threads=2), {})
    assert "environments" not in run.manifest, "threads alone tell no starts apart"
    assert run.starts() == [started("a", threads=2)]
    others = [
        started("b"),
        started("b", dirty=True),
        started("b", code_sha256="d" * 64),
        started("b", device="x"),
    ]
    for one in (*others, started("b")):
        run.begin(one, {})
    assert run.manifest["environment"] == started("b")
    assert run.manifest["environments"] == [started("a", threads=2), *others]
    run.manifest["status"] = "finished"
    (run.path / "resume.pt").unlink()
    assert run.starts() == [started("a", threads=2), *others]
