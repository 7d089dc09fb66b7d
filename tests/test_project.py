"""One version, one list of packages, and nothing of the machine it was made on in what is published."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest
import yaml

import upcrack_lite

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
CONDA_NAMES = {"torch": "pytorch"}
VENDORED = (".mjs", ".woff2")
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


def pins(name: str) -> dict[str, str]:
    """Return the exact versions in a file of `requirements/`."""
    return dict(PIN.findall((ROOT / "requirements" / name).read_text(encoding="utf-8")))


def direct() -> dict[str, str]:
    """Return every package that pyproject.toml names, with the versions it allows."""
    lists = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    return {
        re.match(r"[A-Za-z0-9._-]+", text)[0]: re.sub(r"^[A-Za-z0-9._-]+", "", text)
        for texts in lists
        for text in texts
    }


def tracked_texts() -> dict[str, str]:
    """Return the text of every file under version control, vendored code and pictures left out."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    texts = {}
    for name in filter(None, names.stdout.split("\0")):
        path = ROOT / name
        if "_static/vendor/mathjax/" in name or name.endswith(VENDORED) or not path.is_file():
            continue
        content = path.read_bytes()
        if b"\0" not in content:
            texts[name] = content.decode("utf-8")
    return texts


def test_one_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert PROJECT["version"] == citation["version"] == upcrack_lite.__version__ == version("upcrack-lite")


def test_the_newest_version_is_in_the_change_log():
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert next(name for name in headings if name != "Unreleased") == PROJECT["version"]


def test_the_citation_names_the_same_authors_and_license():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["license"] == PROJECT["license"]
    assert [a["name"] for a in citation["authors"]] == [a["name"] for a in PROJECT["authors"]]


def test_zenodo_is_told_the_same_as_the_citation_file():
    zenodo = json.loads((ROOT / ".zenodo.json").read_text(encoding="utf-8"))
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {name: zenodo[name] for name in ("title", "version", "license")} == {
        name: citation[name] for name in ("title", "version", "license")
    }
    assert zenodo["creators"] == PROJECT["authors"] == citation["authors"]
    assert zenodo["keywords"] == PROJECT["keywords"]


def imported(path: Path) -> set[str]:
    """Return the outermost packages that a Python file imports, wherever in it."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.level == 0]
    return {name.partition(".")[0] for name in names}


def test_every_import_is_of_a_package_that_pyproject_names():
    files = [path for path in map(ROOT.joinpath, tracked_texts()) if path.suffix == ".py"]
    own = {path.stem for path in files} | {"upcrack_lite"} | set(sys.stdlib_module_names)
    known = packages_distributions()
    named = {re.sub(r"[-_.]+", "-", name).lower() for name in direct()}
    loose = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in files
        for name in imported(path) - own
        if not named & {re.sub(r"[-_.]+", "-", one).lower() for one in known.get(name, [])}
    }
    assert not loose


def test_every_direct_package_is_locked():
    locked = pins("lock.txt") | pins("torch.txt") | pins("cluster.txt")
    assert not [name for name in direct() if name not in locked], "run: make lock"


def test_the_chosen_versions_are_the_locked_ones():
    locked, chosen = pins("lock.txt"), pins("constraints.txt")
    assert {name: locked.get(name) for name in chosen} == chosen, "run: make lock"


def test_the_lock_has_hashes_and_leaves_torch_to_the_user():
    text = (ROOT / "requirements/lock.txt").read_text(encoding="utf-8")
    entries = re.split(r"\n(?=[a-z0-9])", text.split("\n", 2)[2])
    assert len(entries) > 150
    assert not [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry]
    unwanted = re.compile(r"torch|torchvision|triton|nvidia-.*|cuda-.*")
    assert not [name for name in pins("lock.txt") if unwanted.fullmatch(name)], (
        "add them to UNLOCKED in the Makefile"
    )


def test_what_a_cluster_needs_is_not_installed_by_default():
    cluster = pins("cluster.txt")
    extra = [re.match(r"[a-z-]+", text)[0] for text in PROJECT["optional-dependencies"]["cluster"]]
    assert set(extra) <= cluster.keys()
    assert not cluster.keys() & (pins("lock.txt").keys() | {"torch", "torchvision"})


def test_what_the_workflows_call_is_there():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z-]+):(?!=)", makefile, re.MULTILINE)
    variables = re.search(r"^VARIABLES :=((?:.*\\\n)*.*)", makefile, re.MULTILINE)[1].split()
    calls = re.findall(r"^make .*", (ROOT / ".ci/run").read_text(encoding="utf-8"), re.MULTILINE)
    versions = set()
    for path in (ROOT / ".github/workflows").glob("*.yml"):
        jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values()
        steps = [step for job in jobs for step in job["steps"]]
        versions |= {step["uses"] for step in steps if "uses" in step}
        calls += [step["run"] for step in steps if "run" in step]
    for call in calls:
        program, *words = call.split()
        if program == "make":
            assert words[0] in targets, call
            assert {word.partition("=")[0] for word in words[1:]} <= set(variables), call
    scripts = {word for call in calls for word in call.split() if re.fullmatch(r"\.?ci/\w+(\.sh)?", word)}
    assert scripts == {".ci/run", "ci/gpu.sh"}
    assert all(os.access(ROOT / script, os.X_OK) for script in scripts)
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+\.\d+\.\d+", version) for version in versions)
    assert len({version.partition("@")[0] for version in versions}) == len(versions)  # one version of each


def test_environment_yml_lists_the_same_packages_and_versions():
    conda = [item for item in ENVIRONMENT["dependencies"] if isinstance(item, str)]
    pip = next(item["pip"] for item in ENVIRONMENT["dependencies"] if isinstance(item, dict))
    listed = dict(re.split(r"==|=|(?= [<>])", item, maxsplit=1) for item in conda if item != "pip")
    listed |= dict(item.split("==") for item in pip if item != "-e .")
    assert listed.pop("python").strip() == PROJECT["requires-python"]
    locked = pins("lock.txt")
    # conda-forge chooses the build of these two, from the oldest version that works on.
    open_ended = {CONDA_NAMES.get(name, name): " " + direct()[name] for name in ("torch", "torchvision")}
    expected = {name: locked[name] for name in direct() if name in locked} | open_ended
    assert listed == expected


@pytest.mark.parametrize(
    ("what", "pattern"),
    [
        ("a path of one machine", r"(?<![\w.])/(?:home|root|Users|work)/[\w.-]+|[A-Z]:\\Users"),
        ("a registry's host", r"[p]ythonhosted\.org|[p]ypi\.org|[r]egistry\.npmjs"),
        ("a merge conflict", r"^(?:<{7}|>{7}) "),
    ],
)
def test_no_tracked_file_holds(what, pattern):
    found = {
        name: match[0]
        for name, text in tracked_texts().items()
        if (match := re.search(pattern, text, re.MULTILINE))
    }
    assert not found, f"{what} in these files"


def test_tracked_files_stay_small():
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    sizes = {n: (ROOT / n).stat().st_size for n in names.stdout.split("\0") if n and (ROOT / n).is_file()}
    assert not {name: size for name, size in sizes.items() if size > 8e6}


def test_the_pages_scripts_are_short():
    own = [*(ROOT / "book/_static").glob("*.js"), *(ROOT / "book/_static/alive").rglob("*.js")]
    lines = [line for path in own for line in path.read_text(encoding="utf-8").splitlines()]
    assert len(own) >= 12
    assert len(lines) <= 1500
    assert not [line for line in lines if len(line) > 120]


def test_training_loads_few_modules_and_no_plotting():
    program = (
        "import sys, upcrack_lite.training\n"
        "print(sum(name.startswith('upcrack_lite') for name in sys.modules), 'upcrack_lite.cli' in sys.modules)\n"
        "import upcrack_lite.reproduction.run\n"
        "print('pydantic' in sys.modules, 'upcrack_lite.show' in sys.modules)"
    )
    got = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    count, *others = got.stdout.split()
    assert int(count) <= 13
    assert others == ["False"] * 3


def test_every_source_in_the_bibliography_is_cited_and_every_citation_is_there():
    text = (ROOT / "book/references.bib").read_text(encoding="utf-8")
    entries = re.findall(r"^@\w+\{([^,]+),", text, re.MULTILINE)
    pages = [*(ROOT / "book").glob("*.md"), *(ROOT / "notebooks").rglob("*.ipynb")]
    cited = {
        name.strip()
        for path in pages
        for names in re.findall(r"\{cite:[pt]\}`([^`]+)`", path.read_text(encoding="utf-8"))
        for name in names.split(",")
    }
    assert sorted(entries) == sorted(cited), "no source twice, none uncited, none missing"
