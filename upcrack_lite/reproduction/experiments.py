"""What a table of the paper needs: one experiment is one trained model on one test set. Chapter: the tables.

PyTorch is not imported, so that pages and plans are quick.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from upcrack_lite.baselines import registry
from upcrack_lite.baselines.registry import CRACKNET, FAMILIES, METHODS, preset_of
from upcrack_lite.errors import UserError
from upcrack_lite.recipes import PAPER, PRECISIONS, RECIPES, SCALES, check_value
from upcrack_lite.reproduction import published
from upcrack_lite.versions import testing_version, training_version

TRAIN_SETS = ("deepcrack", "crack500_kept", "crack500", "synthetic")
TEST_SETS = ("deepcrack", "cfd_patches", "crack500_heldout", "crack500", "cfd", "synthetic")
DEVICES = ("auto", "cpu", "cuda")

_SETS = {"DeepCrack": "deepcrack", "Crack500": "crack500", "CFD": "cfd_patches"}  # paper's name to the kit's

PAIRS = MappingProxyType(
    {n: (_SETS[facts.train_set], _SETS[facts.test_set]) for n, facts in published.TABLES.items()}
)
"""For each table the training set and the test set as printed."""

PROXIES = MappingProxyType({"crack500": ("crack500_kept", "crack500_heldout")})
"""What to train on and to test on where a set cannot be had. Results on these carry their own names."""

_TERMS = {"mae": "mae", "ssim": "ssim", "msgms": "gms", "style": "style", "adv": "adv"}
"""Name of a loss in Table I to its weight's name in the presets."""


def _losses(row: str) -> dict[str, Any]:
    weights = {term: f"lambda_{name}" for term, name in _TERMS.items()}
    return {name: PAPER[name][0] if term in row.split("+") else 0.0 for term, name in weights.items()}


CHOICES: Mapping[int, Mapping[str, dict[str, Any]]] = MappingProxyType(
    {
        1: {row.key: _losses(row.key) for row in published.rows(1)},
        2: {row.key: {"mask_family": row.key} for row in published.rows(2)},
    }
)
"""Tables that compare choices of UP-CrackNet: row to preset values. The others compare methods.

Table I: a loss that is not named has weight 0. The style loss has the paper's weight 10 at either scale, although
the lite preset leaves it out.
"""


@dataclass(frozen=True)
class Experiment:
    """One trained model on one test set.

    A training-free baseline draws nothing and sees 256 px: its scale is full, its seed 0, whatever is asked. The
    scale of all of `ONE_SCALE` is full.

    overrides: (name, value) pairs of preset values. They are sorted, and those that the preset has anyway are
    dropped, so that equal choices make equal experiments.

    Raises UserError for an unknown method, recipe, scale, set or preset value (it lists the known ones), a
    seed below 0, or a pair of sets that share photos.
    """

    method: str = CRACKNET
    recipe: str = "paper"
    scale: str = "lite"
    overrides: tuple[tuple[str, Any], ...] = ()
    train_set: str = "deepcrack"
    test_set: str = "deepcrack"
    seed: int = 0

    def __post_init__(self) -> None:
        check_value("method", self.method, METHODS)
        _check_conditions(self)
        if type(self.seed) is not int or self.seed < 0:
            raise UserError(f"the seed must be a whole number, 0 or more, not {self.seed!r}")
        if why := shared_photos(self.train_set, self.test_set):
            raise UserError(why)
        if self.method in registry.ONE_SCALE:
            object.__setattr__(self, "scale", "full")
        if self.method in FAMILIES:
            object.__setattr__(self, "seed", 0)
        chosen = dict(self.overrides)
        for name in {"method", "recipe", "scale"} & chosen.keys():
            raise UserError(f"{name} is an option of its own: --{name} {chosen[name]}")
        given = preset_of(self.method, self.recipe, self.scale, **chosen).overrides()
        pairs = ((name, tuple(v) if isinstance(v, list) else v) for name, v in sorted(given.items()))
        object.__setattr__(self, "overrides", tuple(pairs))

    @classmethod
    def from_key(cls, key: Mapping[str, Any]) -> Experiment:
        """Make the experiment again from what `key` gave. Raises UserError as above."""
        return cls(**{**key, "overrides": tuple(key["overrides"].items())})

    def key(self) -> dict[str, Any]:
        """What names this experiment, as plain values that JSON can hold; `overrides` is a dict."""
        plain = {name: list(v) if isinstance(v, tuple) else v for name, v in self.overrides}
        return {**vars(self), "overrides": plain}

    def slug(self) -> str:
        """A name for files: `upcracknet-paper-lite-deepcrack-to-cfd_patches-s0`.

        Overrides add eight digits of their hash.
        """
        return self._slug(f"{self.train_set}-to-{self.test_set}", self.overrides)

    def run_slug(self) -> str:
        """The same without the test set and without what can be changed after training.

        Experiments that share a trained model share it.
        """
        return self._slug(self.train_set, self._training_overrides())

    def preset(self) -> registry.AnyPreset:
        """All values to train and to test with."""
        return preset_of(self.method, self.recipe, self.scale, **dict(self.overrides))

    def training_preset(self) -> registry.AnyPreset:
        """The values to train with: overrides of the detection are left out, for they do not shape the model."""
        return preset_of(self.method, self.recipe, self.scale, **dict(self._training_overrides()))

    def changed_since(self, values: Mapping[str, Any], versions: Mapping[str, int]) -> str | None:
        """What has changed since a record of this experiment was made; None: nothing.

        values: the record's preset. versions: `training` and `testing`, as in the record.
        """
        said = [
            f"{what} by version {versions[name]} of the numbers of {self.method}, which are at version {now}"
            for what, name, now in (
                ("trained", "training", training_version(self.method)),
                ("tested", "testing", testing_version(self.method)),
            )
            if versions[name] < now
        ]
        try:
            before = registry.preset_from(self.method, values).to_dict()
        except UserError as error:
            return "; ".join([*said, str(error)])
        now = self.preset().to_dict()
        said += [f"{name} {before[name]!r} is now {now[name]!r}" for name in now if before[name] != now[name]]
        return "; ".join(said) or None

    def command(self, options: RunOptions | None = None) -> str:
        """The words that make the record again, for folders `data`, `runs` and `results` as by default.

        Of a file of weights only the name is given, and the device is left out.
        """
        key = self.key()
        settings = key.pop("overrides")
        words = ["upcrack cell", *(f"--{name.replace('_', '-')} {value}" for name, value in key.items())]
        for name, value in settings.items():
            words.append(f"--set {name}={json.dumps(value, separators=(',', ':')).strip(chr(34))}")
        own = dataclasses.replace((options or RunOptions()).usable(self), device="auto", allow_dirty=False)
        if own.vgg_weights:
            own = dataclasses.replace(own, vgg_weights=Path(own.vgg_weights).name)
        return " ".join([*words, *own.words()])

    def _training_overrides(self) -> tuple[tuple[str, Any], ...]:
        later = registry.after_training(self.method)
        return tuple(pair for pair in self.overrides if pair[0] not in later)

    def _slug(self, sets: str, overrides: tuple[tuple[str, Any], ...]) -> str:
        name = f"{self.method}-{self.recipe}-{self.scale}-{sets}-s{self.seed}"
        if not overrides:
            return name
        return f"{name}-{hashlib.sha256(json.dumps(overrides).encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class RunOptions:
    """How an experiment is made, beside what it is. Raises UserError for an unknown device or precision."""

    device: str = "auto"  # or "cpu" or "cuda"
    precision: str = "32-true"  # Fabric's name
    vgg_weights: str | None = None  # of the style loss, a file or "random"
    max_steps: int | None = None  # stop after so many batches
    allow_dirty: bool = False  # write a record that must not be committed, as a draft

    def __post_init__(self) -> None:
        check_value("device", self.device, DEVICES)
        check_value("precision", self.precision, PRECISIONS)

    def usable(self, experiment: Experiment) -> RunOptions:
        """Options of many experiments for this one: those that its method has no use for are as usual."""
        unused, usual = registry.unused_options(experiment.method), RunOptions.__dataclass_fields__
        return dataclasses.replace(self, **{name: usual[name].default for name in unused})

    def check(self, experiment: Experiment) -> None:
        """Raise UserError for an option that the experiment has no use for."""
        usual = vars(self.usable(experiment))
        if wrong := [name for name, value in vars(self).items() if value != usual[name]]:
            named = ", --".join(wrong).replace("_", "-")
            raise UserError(f"{experiment.method} has no use for --{named}: leave it out")

    def words(self) -> list[str]:
        """The options that differ from the usual, as words of `upcrack cell`."""
        words = []
        for one in dataclasses.fields(self):
            value = getattr(self, one.name)
            if value != one.default:
                words += [f"--{one.name.replace('_', '-')}", *([] if value is True else [str(value)])]
        return words

    def run_name(self, experiment: Experiment) -> str:
        """The name of the folder of an experiment's run; a training that is cut short has one of its own."""
        steps = self.usable(experiment).max_steps
        return experiment.run_slug() + (f"-{steps}steps" if steps is not None else "")


def shared_photos(train_set: str, test_set: str) -> str:
    """Why a model trained on one set must not be tested on the other; empty where it may."""
    if (train_set, test_set) != ("crack500", "crack500_heldout"):
        return ""
    return (
        "crack500 and crack500_heldout share photos: the held-out crops are training crops of crack500; "
        "train on crack500_kept"
    )


@dataclass(frozen=True)
class Selection:
    """Which rows of a table, made under which conditions; empty values stand for all or for the usual.

    Raises UserError for an unknown table, row, recipe, scale or set (it lists the valid names).
    """

    table: int | str  # 1 to 8, or "I" to "VIII"
    recipe: str = "paper"
    scale: str = ""
    train_set: str = ""
    test_set: str = ""
    # As `published.rows` names them, or methods that stand beside the printed ones.
    rows: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "table", published.rows(self.table)[0].table)
        object.__setattr__(self, "rows", tuple(dict.fromkeys(row.lower() for row in self.rows)))
        object.__setattr__(self, "seeds", tuple(self.seeds))
        _check_conditions(self, all_where_empty=True)
        for row in self.rows:
            row_overrides(self.table, row)

    @property
    def row_names(self) -> tuple[str, ...]:
        """The rows that are meant."""
        return self.rows or row_names(self.table)

    @property
    def sets(self) -> tuple[str, str]:
        """Training set and test set: the printed ones where none is named."""
        train, test = PAIRS[self.table]
        return self.train_set or train, self.test_set or test


def experiments(
    selections: Iterable[Selection], settings: Mapping[str, Any] | None = None
) -> list[Experiment]:
    """List the experiments of selections, row by row, and within a row seed by seed; each once.

    Without a scale they are lite, without seeds they have seed 0. A training-free baseline draws nothing, so it has
    one experiment. With a recipe that is UP-CrackNet's alone, the rows of other methods are left out unless named.

    settings: preset values set otherwise, in each row that has them; the row's own values win.

    Raises UserError for a setting that no row has, or a width for two kinds of networks; and as `Experiment`.
    """
    settings, made = dict(settings or {}), []
    rows = [(one, row, *row_overrides(one.table, row)) for one in selections for row in one.row_names]
    if settings:
        _check_settings([(method, own) for _, _, method, own in rows], settings)
    for one, row, method, own in rows:
        if one.recipe != "paper" and method != CRACKNET and not one.rows:
            continue
        known = settable(method) if settings else ()
        values = {name: value for name, value in settings.items() if name in known} | own
        for seed in one.seeds or (0,):
            try:
                pairs = tuple(values.items())
                made.append(Experiment(method, one.recipe, one.scale or "lite", pairs, *one.sets, seed))
            except UserError as error:
                raise UserError(f"{row}: {error}") from None
    return list(dict.fromkeys(made))


def row_names(table: int) -> tuple[str, ...]:
    """The rows of a table, and after them the methods that stand beside them."""
    return tuple(CHOICES.get(table, METHODS))


def row_overrides(table: int | str, row: str) -> tuple[str, dict[str, Any]]:
    """The method and the preset values of a row of a table, or beside it. Raises UserError for an unknown one."""
    number = published.rows(table)[0].table
    valid = row_names(number)
    if row not in valid:
        raise UserError(
            f"Table {published.TABLES[number].roman} has no row {row!r}; choose {', '.join(valid)}"
        )
    return (CRACKNET, dict(CHOICES[number][row])) if number in CHOICES else (row, {})


def settable(method: str) -> set[str]:
    """The preset values of a method that can be set otherwise; encoder weights only where it has such an encoder."""
    if method in FAMILIES:
        return set()
    known = set(preset_of(method, "paper", "full").to_dict()) - {"method", "recipe", "scale"}
    # The network brings torch: only where there are settings.
    has_encoder = method in registry.COMPARED and registry.network(method).encoder != "none"
    return known if has_encoder else known - {"encoder_weights"}


def _check_settings(rows: list[tuple[str, Mapping[str, Any]]], settings: Mapping[str, Any]) -> None:
    """Refuse a setting that no row has, and one width for channels of one network and a share of another.

    rows: pairs of a method and what the row itself sets.
    """
    methods = {method for method, _ in rows}
    known = set().union(*(settable(method) - set(own) for method, own in rows))
    if unused := [name for name in settings if name not in known]:
        raise UserError(f"no row has {', '.join(unused)}; choose from {', '.join(sorted(known))}")
    if "width" in settings and CRACKNET in methods and methods & set(registry.COMPARED):
        raise UserError(
            f"width is a number of channels for {CRACKNET} and a share of them for the other networks; "
            "name the rows that are meant"
        )


def _check_conditions(one: Experiment | Selection, all_where_empty: bool = False) -> None:
    """Refuse unknown names; an empty one, except the recipe's, may stand for all."""
    check_value("recipe", one.recipe, tuple(RECIPES))
    for what, value, known in (
        ("scale", one.scale, tuple(SCALES)),
        ("training set", one.train_set, TRAIN_SETS),
        ("test set", one.test_set, TEST_SETS),
    ):
        if value or not all_where_empty:
            check_value(what, value, known)


def check_proxies(wanted: list[Experiment], data_root: Path) -> None:
    """Raise UserError, before any work, where a set that only its owners give out is needed and not there."""
    for name, (kept, held) in PROXIES.items():
        needed = {one.train_set for one in wanted} | {one.test_set for one in wanted}
        there = [(data_root / one).is_dir() for one in (name, f"{name}_undamaged")]
        if name in needed and not any(there):
            raise UserError(
                f"{name} is not in {data_root}: `upcrack data fetch {name}` says how to get it by hand. "
                f"Or use its proxies: --train-set {kept} --test-set {held}, each where the table has {name}"
            )
