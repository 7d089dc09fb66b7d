"""Which packages a part of the kit, or a chapter, imports: read from the source, not from a list kept by hand.

Imports at the top of a module count, and those of the modules of the kit that it imports. Imports inside of functions
do not: `LATER` names those that a part is sure to reach.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KIT = "upcrack_lite"

TRAINING, SCORING = f"{KIT}.training", f"{KIT}.reproduction.run"
LATER = {SCORING: {"skimage"}}  # thin lines of clDice

# A package's name where it is not the module's.
WHEELS = {
    "cv2": "opencv-python-headless",
    "skimage": "scikit-image",
    "PIL": "pillow",
    "yaml": "pyyaml",
    "great_tables": "great-tables",
    "imagehash": "imagehash pywavelets",
    "pydantic": "pydantic pydantic-core annotated-types typing-inspection",
}


def missing(names: set[str]) -> list[str]:
    """Those of the modules that cannot be found here, sorted."""
    return sorted(name for name in names if not is_there(name))


def is_there(name: str) -> bool:
    """True if a module can be found; it is not imported."""
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def of_module(name: str) -> set[str]:
    """The packages that importing a module of the kit brings, and those of `LATER`."""
    return _reached(frozenset({name})) | LATER.get(name, set())


def of_notebook(path: Path, stand_ins: frozenset[str] = frozenset()) -> set[str]:
    """The packages that the cells of a notebook import. stand_ins: modules that are replaced, so not followed."""
    found: set[str] = set()
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            tree = ast.parse("".join(cell["source"]))
            found |= set(_imported(ast.walk(tree), KIT))
    return _reached(frozenset(found - stand_ins), stand_ins) - {name.split(".")[0] for name in stand_ins}


def _reached(start: frozenset[str], stand_ins: frozenset[str] = frozenset()) -> set[str]:
    todo, seen, packages = list(start), set(stand_ins), set()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        first = name.split(".")[0]
        if first == KIT:
            todo += _of_file(name)
        elif first not in sys.stdlib_module_names:
            packages.add(first)
    return packages - {"__future__"}


@cache
def _of_file(name: str) -> tuple[str, ...]:
    """What one module of the kit imports at its top; nothing for a name inside of a module."""
    base = ROOT / Path(*name.split("."))
    files = [file for file in (base.with_suffix(".py"), base / "__init__.py") if file.is_file()]
    if not files:
        return ()
    try:
        tree = ast.parse(files[0].read_text(encoding="utf-8"))
    except SyntaxError:  # whoever imports it will be told
        return ()
    return tuple(_imported(_top(tree), name))


def _top(tree: ast.Module) -> Iterator[ast.AST]:
    """All nodes outside of functions."""
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            todo += list(ast.iter_child_nodes(node))


def _imported(nodes: Iterator[ast.AST], where: str) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            if node.module.split(".")[0] == KIT:  # `from upcrack_lite import masks` names a module
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
