"""All methods that were trained on one set, side by side on every test set. Page: all methods side by side.

Tables III to VIII each hold one pair of sets. Here a method's records of three tables stand in one line, so that one
sees who is good at home and away. Numbers are those of the table pages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from upcrack_lite.baselines.registry import DRAWN, EXTRA, FAMILIES
from upcrack_lite.errors import UserError
from upcrack_lite.reproduction import experiments, published
from upcrack_lite.reproduction.experiments import Selection
from upcrack_lite.reproduction.records import Record
from upcrack_lite.reproduction.tables import Ours, table

TABLES = tuple(number for number, facts in published.TABLES.items() if facts.key == "method")
"""The tables that compare methods."""

GROUPS = {
    "supervised": ("general_supervised", "crack_supervised"),
    "unsupervised": ("unsupervised", "proposed"),
    "drawn cracks": (),
    "training-free": (),
}
"""Kinds of methods, and the strategies of the printed tables that are of each; what is not in the paper has none."""


@dataclass(frozen=True, eq=False)
class Standing:
    """One method: its row's key, recipe, kind (a key of `GROUPS`), and records on each test set."""

    key: str
    recipe: str
    kind: str
    ours: Mapping[str, Ours]

    def f1(self, test_set: str) -> float:
        """Mean F1 in percent, as `Ours.f1`."""
        return self.ours[test_set].f1

    @property
    def epochs(self) -> int:
        """The epochs that its preset says. Raises KeyError for what does not train by epochs."""
        return next(iter(self.ours.values())).records[0].preset["epochs"]


def standings(
    given: Iterable[Record], train_set: str = "deepcrack", scale: str = "lite", epochs: int | None = None
) -> list[Standing]:
    """Every method and recipe with a record: the kinds in the order of `GROUPS`, in each the best F1 at home first.

    Training-free baselines have one scale and are always in. A record with other preset values than its row's
    (another encoder's weights, say) is left out. epochs: of trainings of this length; None: the preset's.

    Raises UserError for an unknown name, listing the valid ones, or for an empty scale or set.
    """
    if not scale or not train_set:
        raise UserError("name one scale and one training set")
    overrides = () if epochs is None else (("epochs", epochs),)
    plain = [record for record in given if record.experiment.overrides == overrides]
    by_method: dict[tuple[str, str, str], dict[str, Ours]] = {}
    for number in TABLES:
        for row in table(Selection(number, scale=scale, train_set=train_set), plain):
            for ours in row.ours:
                name = (row.printed.key, ours.recipe, _kind(row.printed))
                by_method.setdefault(name, {})[ours.test_set] = ours
    lines = [Standing(*name, ours) for name, ours in by_method.items()]
    home = test_sets(lines, train_set)[:1]

    def place(one: Standing) -> tuple[int, float]:
        return list(GROUPS).index(one.kind), -max(
            (one.f1(name) for name in home if name in one.ours), default=0.0
        )

    return sorted(lines, key=place)


def lengths(
    lines: Iterable[Standing], given: Sequence[Record], train_set: str = "deepcrack", scale: str = "lite"
) -> list[Standing]:
    """Methods that were trained for more than one number of epochs: a line each, a method's shortest first.

    lines: of `standings` for the same set and scale, those of the preset's length. Raises UserError as `standings`.
    """
    told = {dict(record.experiment.overrides).get("epochs") for record in given} - {None}
    others = [one for epochs in sorted(told) for one in standings(given, train_set, scale, epochs)]
    by_method: dict[tuple[str, str], list[Standing]] = {}
    for one in [*lines, *others]:
        by_method.setdefault((one.key, one.recipe), []).append(one)
    return [
        one for same in by_method.values() if len(same) > 1 for one in sorted(same, key=lambda s: s.epochs)
    ]


def test_sets(lines: Sequence[Standing], train_set: str) -> list[str]:
    """The test sets that some method has a record on: the training set's own first."""
    own = {train_set, *(held for kept, held in experiments.PROXIES.values() if kept == train_set)}
    return sorted(
        {name for one in lines for name in one.ours},
        key=lambda n: (n not in own, experiments.TEST_SETS.index(n)),
    )


def all_marked(ours: Ours) -> float:
    """F1 in percent of calling every pixel crack: 2π / (1 + π), with π the prevalence of the test set."""
    prevalence = ours.records[0].test.crack_share / 100
    return 100 * 2 * prevalence / (1 + prevalence)


def _kind(row: published.Row) -> str:
    if row.key in FAMILIES:
        return "training-free"
    if row.key in EXTRA:
        return "drawn cracks" if row.key == DRAWN else "unsupervised"
    return next(kind for kind, strategies in GROUPS.items() if row.strategy in strategies)
