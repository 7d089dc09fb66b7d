"""Which runs a table of the paper needs: one cell is one trained model on one test set. Chapter: the tables."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from upcrack_lite.baselines.registry import (
    CRACKNET,
    FAMILIES,
    METHODS,
    AnyPreset,
    after_training,
    preset_from,
    preset_of,
)
from upcrack_lite.errors import UserError
from upcrack_lite.recipes import PAPER, SCALES
from upcrack_lite.reproduction import published
from upcrack_lite.versions import testing_version, training_version

TRAIN_SETS = ("deepcrack", "crack500_kept", "crack500", "synthetic")
TEST_SETS = ("deepcrack", "cfd_patches", "crack500_heldout", "crack500", "synthetic")

_SETS = {"DeepCrack": "deepcrack", "Crack500": "crack500", "CFD": "cfd_patches"}  # paper's name to the kit's

PAIRS = MappingProxyType(
    {n: (_SETS[facts.train_set], _SETS[facts.test_set]) for n, facts in published.TABLES.items()}
)
"""For each table the training set and the test set as printed."""

STAND_INS = MappingProxyType({"crack500": ("crack500_kept", "crack500_heldout")})
"""What to train on and to test on where a set cannot be had. Results on these carry their own names."""

_LEAKS = {
    (
        "crack500",
        "crack500_heldout",
    ): "the held-out crops are training crops of crack500; train on crack500_kept"
}

_TERMS = {"mae": "mae", "ssim": "ssim", "msgms": "gms", "style": "style", "adv": "adv"}
"""Name of a loss in Table I to its weight's name in the presets."""


def _losses(row: str) -> dict[str, Any]:
    named = row.split("+")
    weights = {f"lambda_{name}": PAPER[f"lambda_{name}"][0] for name in _TERMS.values()}
    return {
        name: weights[name] if name in {f"lambda_{_TERMS[n]}" for n in named} else 0.0 for name in weights
    }


LOSSES = MappingProxyType({row.key: _losses(row.key) for row in published.rows(1)})
"""Table I: for each row, in its order, the weights of the five losses; a loss that is not named has weight 0.

The style loss has the paper's weight 10 at either scale, although the lite preset leaves it out.
"""

MASKS = MappingProxyType({row.key: {"mask_family": row.key} for row in published.rows(2)})
"""Table II: for each row, in its order, the family of masks."""


@dataclass(frozen=True)
class Cell:
    """One trained model on one test set.

    A detector without training draws nothing and looks at 256 px: its scale is full, its seed 0, whatever is asked.

    overrides: (name, value) pairs of preset values. They are sorted, and those that the preset has anyway are
    dropped, so that equal choices make equal cells.

    Raises UserError for an unknown method, recipe, scale, set or preset value (it lists the known ones), a
    seed below 0, or a pair of sets that share photos.
    """

    method: str = "upcracknet"
    recipe: str = "paper"
    scale: str = "lite"
    overrides: tuple[tuple[str, Any], ...] = ()
    train_set: str = "deepcrack"
    test_set: str = "deepcrack"
    seed: int = 0

    def __post_init__(self) -> None:
        for what, value, known in (
            ("method", self.method, METHODS),
            ("training set", self.train_set, TRAIN_SETS),
            ("test set", self.test_set, TEST_SETS),
        ):
            if value not in known:
                raise UserError(f"unknown {what} {value!r}; choose one of {', '.join(known)}")
        if type(self.seed) is not int or self.seed < 0:
            raise UserError(f"the seed must be a whole number, 0 or more, not {self.seed!r}")
        if (self.train_set, self.test_set) in _LEAKS:
            raise UserError(
                f"{self.train_set} and {self.test_set} share photos: {_LEAKS[self.train_set, self.test_set]}"
            )
        if self.scale not in SCALES:
            raise UserError(f"unknown scale {self.scale!r}; choose one of {', '.join(SCALES)}")
        if self.method in FAMILIES:
            object.__setattr__(self, "scale", "full")
            object.__setattr__(self, "seed", 0)
        chosen = dict(self.overrides)
        for name in {"method", "recipe", "scale"} & chosen.keys():
            raise UserError(f"{name} is an option of its own: --{name} {chosen[name]}")
        given = preset_of(self.method, self.recipe, self.scale, **chosen).overrides()
        pairs = ((name, tuple(v) if isinstance(v, list) else v) for name, v in sorted(given.items()))
        object.__setattr__(self, "overrides", tuple(pairs))

    @classmethod
    def from_key(cls, key: Mapping[str, Any]) -> Cell:
        """Make the cell again from what `key` gave. Raises UserError as above."""
        return cls(**{**key, "overrides": tuple(key["overrides"].items())})

    def key(self) -> dict[str, Any]:
        """What names this cell, as plain values that JSON can hold; `overrides` is a dict."""
        plain = {name: list(v) if isinstance(v, tuple) else v for name, v in self.overrides}
        return {
            "method": self.method,
            "recipe": self.recipe,
            "scale": self.scale,
            "overrides": plain,
            "train_set": self.train_set,
            "test_set": self.test_set,
            "seed": self.seed,
        }

    def slug(self) -> str:
        """A name for files: `upcracknet-paper-lite-deepcrack-to-cfd_patches-s0`.

        Overrides add eight digits of their hash.
        """
        return self._slug(f"{self.train_set}-to-{self.test_set}", self.overrides)

    def run_slug(self) -> str:
        """The same without the test set and without what can be changed after training.

        Cells that share a trained model share it.
        """
        return self._slug(self.train_set, self._training_overrides())

    def preset(self) -> AnyPreset:
        """All values to train and to test with."""
        return preset_of(self.method, self.recipe, self.scale, **dict(self.overrides))

    def training_preset(self) -> AnyPreset:
        """The values to train with: overrides of the detection are left out, for they do not shape the model."""
        return preset_of(self.method, self.recipe, self.scale, **dict(self._training_overrides()))

    def changed_since(self, values: Mapping[str, Any], versions: Mapping[str, int]) -> str | None:
        """What has changed since a record of this cell was made; None: nothing.

        values: the record's preset. versions: `training` and `testing`, as in the record.
        """
        said = [
            f"{what} by version {versions[name]} of the numbers of {self.method}, which are at version {now}"
            for name, what, now in (
                ("training", "trained", training_version(self.method)),
                ("testing", "tested", testing_version(self.method)),
            )
            if versions[name] < now
        ]
        try:
            before = preset_from(self.method, values).to_dict()
        except UserError as error:
            return "; ".join([*said, str(error)])
        now = self.preset().to_dict()
        said += [f"{name} {before[name]!r} is now {now[name]!r}" for name in now if before[name] != now[name]]
        return "; ".join(said) or None

    def command(self) -> str:
        """The words that make this cell's record, for folders `data`, `runs` and `results` as by default."""
        words = ["upcrack cell", f"--method {self.method}", f"--recipe {self.recipe} --scale {self.scale}"]
        words.append(f"--train-set {self.train_set} --test-set {self.test_set} --seed {self.seed}")
        for name, value in self.key()["overrides"].items():
            words.append(f"--set {name}={json.dumps(value, separators=(',', ':')).strip(chr(34))}")
        return " ".join(words)

    def _training_overrides(self) -> tuple[tuple[str, Any], ...]:
        return tuple(
            (name, value) for name, value in self.overrides if name not in after_training(self.method)
        )

    def _slug(self, sets: str, overrides: tuple[tuple[str, Any], ...]) -> str:
        name = f"{self.method}-{self.recipe}-{self.scale}-{sets}-s{self.seed}"
        if not overrides:
            return name
        return f"{name}-{hashlib.sha256(json.dumps(overrides).encode()).hexdigest()[:8]}"


def cells(
    table: int | str,
    recipe: str = "paper",
    scale: str = "lite",
    seeds: Iterable[int] = (0,),
    train_set: str | None = None,
    test_set: str | None = None,
    rows: Sequence[str] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> list[Cell]:
    """List the cells of a table, row by row, and within a row seed by seed.

    Args:
        table: 1 to 8, or "I" to "VIII".
        train_set, test_set: None takes the printed one.
        rows: losses, mask modes or methods as `published.rows` names them, or detectors without training; None
            takes all. With a recipe that is UP-CrackNet's alone, None takes UP-CrackNet.
        settings: preset values set otherwise in every row; the row's own values win. In a table of methods, whose
            presets differ, they need `rows`.

    A detector without training draws nothing, so it has one cell, of seed 0.

    Raises:
        UserError: unknown table, row, recipe, scale or set (it lists the valid names), a recipe that a method does
            not have, settings for no named row, or no seed.
    """
    facts = published.rows(table)[0]
    number, seeds = facts.table, tuple(seeds)
    if not seeds:
        raise UserError("give at least one seed")
    train, test = PAIRS[number]
    chosen = _rows(number, rows)
    if rows is None and number not in BY_CHOICE:
        if settings:
            roman = published.TABLES[number].roman
            raise UserError(
                f"{', '.join(settings)}: the rows of Table {roman} have presets of their own; name the row that is "
                f"meant, such as {CRACKNET}"
            )
        chosen = [one for one in chosen if recipe == "paper" or one[0] == CRACKNET]
    return [
        Cell(
            method=method,
            recipe=recipe,
            scale=scale,
            overrides=tuple({**(settings or {}), **values}.items()),
            train_set=train_set or train,
            test_set=test_set or test,
            seed=seed,
        )
        for method, values in chosen
        for seed in (seeds[:1] if method in FAMILIES else seeds)
    ]


def row_overrides(table: int | str, row: str) -> tuple[str, dict[str, Any]]:
    """The method and the preset values of one row of a table, or of a detector that stands beside it.

    Raises UserError for an unknown table or row.
    """
    return _rows(published.rows(table)[0].table, [row])[0]


BY_CHOICE: Mapping[int, Mapping[str, dict[str, Any]]] = MappingProxyType({1: LOSSES, 2: MASKS})
"""Tables that compare choices of UP-CrackNet: row to preset values. The others compare methods."""


def row_names(number: int) -> tuple[str, ...]:
    """The rows of a table, and after them the detectors without training that stand beside its methods."""
    return tuple(BY_CHOICE.get(number, METHODS))


def _rows(number: int, rows: Sequence[str] | None) -> list[tuple[str, dict[str, Any]]]:
    valid = row_names(number)
    named = valid if rows is None else tuple(dict.fromkeys(row.lower() for row in rows))
    for row in named:
        if row not in valid:
            raise UserError(
                f"Table {published.TABLES[number].roman} has no row {row!r}; choose {', '.join(valid)}"
            )
    if not named:
        raise UserError(f"name at least one row of {', '.join(valid)}")
    choices = BY_CHOICE.get(number)
    return [(CRACKNET, dict(choices[row])) if choices else (row, {}) for row in named]
