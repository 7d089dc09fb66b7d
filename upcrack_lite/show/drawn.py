"""What the records say about the drawn-crack detector, beside paper, baselines and UP-CrackNet."""

from __future__ import annotations

import html
import itertools
import json
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from upcrack_lite.baselines.registry import CRACKNET, DRAWN, ONE_SCALE
from upcrack_lite.drawn.recipe import DrawnPreset
from upcrack_lite.metrics import Confusion, average_precision
from upcrack_lite.recipes import RECIPES
from upcrack_lite.reproduction import published, record_files
from upcrack_lite.reproduction.conditions import SETS
from upcrack_lite.reproduction.records import Record, scores
from upcrack_lite.reproduction.tables import recorded
from upcrack_lite.show.markup import items, table
from upcrack_lite.show.table_words import TITLES, spread

TESTS = ("deepcrack", "cfd", "cfd_patches", "crack500_heldout")
PRINTED = {"deepcrack": 4, "cfd_patches": 7, "crack500_heldout": 8}
"""Test set to the printed table whose row stands beside it; only DeepCrack's photos are the paper's."""

OTHERS = ("upcracknet", "patchcore", "deepcrack18", "unet")
OTHERS += ("tf_global_darkness", "tf_global_darkness_paper", "tf_frangi_otsu")
"""Other methods trained, or chosen, on DeepCrack: ours, a memory, two that learn from masks, three training-free."""

FIRST = dict(DrawnPreset.BEFORE)
"""What the first recipe was, where the second one is another."""


class Transfer:
    """The records of the detector. results: the folder of records; empty: the kit's."""

    def __init__(self, results: Path | str = "") -> None:
        every = recorded(record_files.folder("results", results))
        self.drawn = [record for record in every if record.key.method == DRAWN]
        self.others: dict[str, list[Record]] = {}
        """The other methods' records of their usual scale, trained on DeepCrack; UP-CrackNet by recipe."""
        for name, recipe in itertools.product(OTHERS, RECIPES):
            usual = (name, recipe, "deepcrack", "full" if name in ONE_SCALE else "lite")
            label = TITLES[name] + (f", {recipe}" if name == CRACKNET else "")
            for r in every:
                key = r.key.method, r.key.recipe, r.key.train_set, r.key.scale
                if key == usual and not r.experiment.overrides:
                    self.others.setdefault(label, []).append(r)

    def table(self) -> Any:
        """F1, mean and spread over seeds, for each training set: at own size, by the tables' protocol, and others."""
        groups: dict[tuple[bool, bool, str, str], list[Record]] = {}
        for record in self.drawn:
            settings = dict(record.key.overrides)
            native = bool(settings.pop("native", False))
            if settings in ({}, FIRST):
                key = bool(settings), native, record.key.train_set, record.key.scale
                groups.setdefault(key, []).append(record)
        lines = []
        for (first, native, train_set, scale), some in sorted(groups.items()):
            name = f"drawn cracks, {scale}" + (", first recipe" if first else "")
            learned = html.escape(SETS[train_set]) if train_set == "synthetic" else train_set
            about = {"": name, "train": learned, "size": "own size" if native else "256 × 256"}
            lines.append(about | {test: spread(_f1(some, test)) for test in TESTS})
        small = {"size": "256 × 256"}
        lines += [
            {"": name, "train": "deepcrack"} | small | {test: spread(_f1(some, test)) for test in TESTS}
            for name, some in self.others.items()
        ]
        printed = {test: f"{published.row(number, CRACKNET).f1:.1f}" for test, number in PRINTED.items()}
        line = {"": "printed: UP-CrackNet", "train": "its own"} | small
        lines.append(line | dict.fromkeys(TESTS, "–") | printed)
        note = (
            "F1 in percent, pixels pooled over the photos, strict; mean ± standard deviation over seeds, where there "
            "are several. Trained on synthetic: no pixel of a real photo. The printed row is of Tables IV, VII and "
            "VIII; only DeepCrack's photos are the same there."
        )
        labels = {"train": "trained on", "size": "tested at"} | {name: name for name in TESTS}
        return table("F1 on four test sets", lines, labels, note, "drawn-transfer", text=("train", "size"))

    def says(self) -> Any:
        """Where the detector stands on each test set, in sentences that are computed from the records."""
        said = [self._place(test) for test in PRINTED if self._own(test, {})]
        if some := self._own("deepcrack", {"native": True}):
            worth = statistics.fmean(average_precision(r.maps["raw"].pooled) for r in some)
            said.append(
                f"At the photos' own size it has {statistics.fmean(_f1(some)):.1f} % on DeepCrack; its map's average "
                f"precision is {worth:.1f} %."
            )
        return items([html.escape(line) for line in said])

    def _own(self, test: str, settings: Mapping[str, Any]) -> list[Record]:
        """The stored detector's records on a test set: scale full, no real photo in training."""
        wanted = ("synthetic", test, "full", settings)
        return [
            r for r in self.drawn if (r.key.train_set, r.key.test_set, r.key.scale, r.key.overrides) == wanted
        ]

    def _place(self, test: str) -> str:
        """Who is ahead of the stored detector on a test set by the tables' protocol, and who behind."""
        own = statistics.fmean(_f1(self._own(test, {})))
        there = {"UP-CrackNet, printed": published.row(PRINTED[test], CRACKNET).f1}
        there |= {name: statistics.fmean(f1) for name, some in self.others.items() if (f1 := _f1(some, test))}
        best_first = sorted(there.items(), key=lambda one: -one[1])
        ahead, behind = (
            "; ".join(f"{name} {f1:.1f}" for name, f1 in best_first if (f1 > own) == better) or "none"
            for better in (True, False)
        )
        return (
            f"{test}: without any real photo in training, by the tables' protocol, F1 is {own:.1f} %. Ahead of it: "
            f"{ahead}. Behind it: {behind}."
        )


def _f1(some: Iterable[Record], test: str = "") -> list[float]:
    """F1 of some records, in percent. test: of those on this test set; empty: of all."""
    return [scores(record)["f1"] for record in some if test in ("", record.key.test_set)]


ABLATION = "drawn_ablation.json"
BASE = "as it is"
_SHOWN = {
    "synthetic": "F1, synthetic roads",
    "undamaged": "marked of undamaged crops",
    "deepcrack": "F1, DeepCrack",
    "cfd": "F1, CFD",
}


class Ablation:
    """What one change of the recipe does, from `benchmarks/drawn_ablation.py`. results: as for `Transfer`."""

    def __init__(self, results: Path | str = "") -> None:
        file = record_files.folder("results", results) / ABLATION
        lines = json.loads(file.read_text(encoding="utf-8"))
        self.values = {(line["change"], line["seed"]): _in_percent(line["counts"]) for line in lines}
        self.changes = list(dict.fromkeys(change for change, _ in self.values))

    def table(self) -> Any:
        """For each change the mean over seeds; behind it what the change does to the same seed, with its spread."""
        lines = []
        for change in self.changes:
            some = [value for (name, _), value in self.values.items() if name == change]
            line = {"": change, "seeds": str(len(some))}
            for test in _SHOWN:
                line[test] = f"{statistics.fmean(value[test] for value in some):.1f}"
                if differences := self._differences(change, test):
                    spread = f" ± {statistics.stdev(differences):.1f}" if len(differences) > 1 else ""
                    line[test] += f" ({statistics.fmean(differences):+.1f}{spread})"
            lines.append(line)
        note = (
            "Percent, pixels pooled; in brackets the difference to the same seed as it is, mean ± spread. "
            "Scale lite, trained on synthetic roads alone; every fourth test photo of DeepCrack and CFD, own size."
        )
        labels = {"seeds": "seeds"} | _SHOWN
        return table("One change at a time", lines, labels, note, "drawn-ablation", text=("seeds",))

    def says(self) -> Any:
        """The changes whose effect on a test has one sign with all of at least three seeds."""
        said = []
        for test, name in _SHOWN.items():
            found = ", ".join(f"{change} {mean:+.1f}" for change, mean in self.one_sign(test).items())
            said.append(f"{name}: {found or 'no change has the same sign with all seeds'}.")
        return items([html.escape(line) for line in said])

    def one_sign(self, test: str) -> dict[str, float]:
        """Those changes, and the mean over their seeds."""
        every = {change: self._differences(change, test) for change in self.changes}
        return {
            change: statistics.fmean(some)
            for change, some in every.items()
            if len(some) >= 3 and (min(some) > 0 or max(some) < 0)
        }

    def _differences(self, change: str, test: str) -> list[float]:
        """Of each seed that has both; empty for what is as it is."""
        return [
            value[test] - self.values[BASE, seed][test]
            for (name, seed), value in self.values.items()
            if name == change != BASE and (BASE, seed) in self.values
        ]


def _in_percent(counts: Mapping[str, list[int]]) -> dict[str, float]:
    totals = {name: Confusion(*four) for name, four in counts.items()}
    marked = totals["undamaged"]
    return {name: total.f1 for name, total in totals.items()} | {
        "undamaged": 100 * marked.fp / (marked.fp + marked.tn)
    }
