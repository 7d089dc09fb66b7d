"""The columns of Figures 2 and 3: UP-CrackNet first, then any other run, then detectors that need no run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from upcrack_lite.baselines import variants
from upcrack_lite.baselines.kinds import CRACKNET, FAMILIES, learns_from_masks
from upcrack_lite.baselines.variants import Variant
from upcrack_lite.errors import UserError
from upcrack_lite.reproduction.cells import TEST_SETS, TRAIN_SETS, Cell
from upcrack_lite.reproduction.examples import Method, method_of, shown, trained_on
from upcrack_lite.runs import RunFolder
from upcrack_lite.show import parameters
from upcrack_lite.show.table_words import TITLES


@dataclass(frozen=True, eq=False)
class Column:
    """One method of a figure. name: above its masks; note: one sentence on what it is and what it was trained on."""

    name: str
    note: str
    method: Method


def columns(
    run: RunFolder,
    others: Sequence[str] | str = (),
    detectors: Sequence[str] | str = (),
    photos: str = "",
    seed: int = 0,
) -> list[Column]:
    """Open the methods of a figure: UP-CrackNet, then `others`, then `detectors`, each in the order given.

    Args:
        run: the run of UP-CrackNet.
        others: run folders of any method, detectors without training included; a list, or text with commas.
        detectors: families of detectors without training, as `FAMILIES` names them; the same. Of each the first
            variant is taken: nothing is chosen.
        photos: the set that is shown, for a check that no method was trained on it; empty: no check.
        seed: of dropout noise and masks at test time.

    Returns:
        Columns with different names; a second of the same name gets a number.

    Raises:
        UserError: `run` is of another method, a folder holds no finished run or one whose files do not fit together,
            an unknown family, or a training set that shares photos with the one shown.
    """
    if (method := _method(run)) != CRACKNET:
        raise UserError(f"{run.path} is a run of {method}, not of {CRACKNET}: name it in others")
    _check_sets(run, photos)
    known = trained_on(run)
    found = [Column(TITLES[CRACKNET], known[0].lower() + known[1:], method_of(run, seed))]
    for folder in parameters.texts("others", others):
        try:
            found.append(_of_run(RunFolder.open(folder), photos, seed))
        except UserError as error:
            raise UserError(f"others: {error}") from None
    found += [_of_family(name) for name in parameters.texts("detectors", detectors)]
    return _numbered(found)


def _of_run(run: RunFolder, photos: str, seed: int) -> Column:
    method, place = _method(run), f"run {run.path.name}"
    if not run.finished:
        raise UserError(f"{run.path} is not finished: let its training end first")
    _check_sets(run, photos)
    if method in FAMILIES:
        from upcrack_lite.baselines.choosing import chosen_variant

        variant, judged = chosen_variant(run)
        note = f"{variant.name}, the best of {len(judged)} variants on {_learned_from(run)} ({place})."
        return Column(f"{TITLES[method]}, chosen", note, _marks(variant))
    marks = method_of(run, seed)
    note = (
        f"trained on {_learned_from(run)}, {run.manifest['preset'].get('scale', 'unknown')} scale ({place})."
    )
    if run.manifest.get("max_steps") is not None:
        note = f"{note[:-1]}; its training was cut short, so its masks mean nothing."
    return Column(TITLES[method], note, marks)


def _of_family(name: str) -> Column:
    if name not in FAMILIES:
        raise UserError(f"detectors: unknown detector {name!r}; choose from {', '.join(FAMILIES)}")
    family = variants.FAMILIES[name]
    note = (
        f"{family[0].name}, the first of its family's {len(family)} variants; nothing was chosen on photos."
    )
    return Column(TITLES[name], note, _marks(family[0]))


def _marks(variant: Variant) -> Method:
    def marked(photo: np.ndarray) -> np.ndarray:
        return variants.segment(shown(photo), variant)  # (256, 256)

    return marked


def _method(run: RunFolder) -> str:
    return run.method


def _learned_from(run: RunFolder) -> str:
    name, masks = _set(run), learns_from_masks(_method(run))
    of = "synthetic roads" if name == "synthetic" else name
    return f"the photos of {of} with their crack masks" if masks else f"undamaged crops of {of}"


def _set(run: RunFolder) -> str:
    data: dict[str, Any] = run.manifest.get("data") or {}
    return str(data.get("name", "an unknown set")).removesuffix("_undamaged")


def _check_sets(run: RunFolder, photos: str) -> None:
    """Raise `UserError` where the run was trained on photos that are shown."""
    name = _set(run)
    if name in TRAIN_SETS and photos in TEST_SETS:
        try:
            Cell(train_set=name, test_set=photos)
        except UserError as error:
            raise UserError(f"{run.path} was trained on photos that are shown here: {error}") from None


def _numbered(found: list[Column]) -> list[Column]:
    """Give the second column of the same name a 2, the third a 3, and begin each note with the name."""
    named, seen = [], {}
    for one in found:
        seen[one.name] = seen.get(one.name, 0) + 1
        name = one.name if seen[one.name] == 1 else f"{one.name} {seen[one.name]}"
        named.append(Column(name, f"{name}: {one.note}", one.method))
    return named
