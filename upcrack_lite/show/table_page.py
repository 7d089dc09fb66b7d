"""Table pages: printed rows, ours beside them, verdicts and their reasons, as HTML for a notebook.

Nothing is computed here that is not in `reproduction.tables`, so that `upcrack verify` sees what a reader sees.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from upcrack_lite.errors import UserError
from upcrack_lite.metrics import METRICS
from upcrack_lite.reproduction import experiments, published, record_files, tables
from upcrack_lite.reproduction.conditions import count
from upcrack_lite.reproduction.experiments import Selection
from upcrack_lite.reproduction.records import load
from upcrack_lite.reproduction.tables import Ours, nearest_by_scale
from upcrack_lite.reproduction.verdicts import COMPARED, MARGIN, NAMES, RULE, reading
from upcrack_lite.show import table_picture
from upcrack_lite.show.markup import folded, items, part, table
from upcrack_lite.show.table_made import commands, label, made
from upcrack_lite.show.table_picture import SCALES
from upcrack_lite.show.table_words import baselines, orders, printed_says, summary, title

WORTH = (
    "Best F1: with the one threshold that is best for all photos, which takes their labels to choose. AP: average "
    "precision, the area under the curve of precision over recall, which needs no threshold. Both are of the raw "
    "map, before any filter, so where a filter helps the best F1 may lie below F1."
)


def names(what: str, value: Any) -> tuple[str, ...]:
    """A list of names from a list, or from text such as "unet, enet", which is what `papermill -p` passes.

    Raises UserError for anything else.
    """
    if isinstance(value, str):
        value = [part for part in value.strip("[]").split(",") if part.strip()]
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        raise UserError(f"{what}: must be names, such as unet,enet, not {value!r}")
    return tuple(one.strip("'\" ") for one in value)


def numbers(what: str, value: Any) -> tuple[int, ...]:
    """A list of whole numbers, 0 or more, from a list, from one number, or from text such as "0,1,2".

    Raises UserError for anything else.
    """
    given = value if isinstance(value, str | list | tuple) else [value]
    texts = names(what, given if isinstance(given, str) else [str(one) for one in given])
    if not all(text.isdecimal() for text in texts):
        raise UserError(f"{what}: must be whole numbers, such as 0,1,2, not {value!r}")
    return tuple(map(int, texts))


def select(
    number: int,
    recipe: str = "paper",
    scale: str = "",
    train_set: str = "",
    test_set: str = "",
    methods: Sequence[str] | str = (),
    seeds: Sequence[int] | int | str = (),
) -> Selection:
    """The rows of a page by the parameters of its notebook. Raises UserError for unknown names."""
    methods, seeds = names("methods", methods), numbers("seeds", seeds)
    return Selection(number, recipe, scale, train_set, test_set, methods, seeds)


class TablePage:
    """One table page: what `select` gave, from records, which a live run makes first.

    run: "recorded" reads the records; "live" makes them first, with `data_root` and `device`.
    results, runs: folders; empty: those of the repository.
    Raises UserError for another run, and for what a live run lacks.
    """

    def __init__(
        self,
        selection: Selection,
        data_root: str = "",
        device: str = "auto",
        run: str = "recorded",
        results: Path | str = "",
        runs: Path | str = "",
    ) -> None:
        if run not in ("recorded", "live"):
            raise UserError(f"unknown run {run!r}; choose recorded or live")
        results, runs = record_files.folder("results", results), record_files.folder("runs", runs)
        records = {record.slug: record for record in tables.recorded(results)}
        if run == "live":
            from upcrack_lite.reproduction.run import run_table  # brings torch: pages of records do without

            made = map(load, run_table(selection, data_root, runs, results, device, say=print))
            records |= {record.slug: record for record in made}
        self.selection, self.number = selection, selection.table
        self.facts = published.TABLES[self.number]
        self.rows, self.beside = tables.divided(tables.table(selection, records.values()))
        """Printed rows, and those that are not in the paper."""

    def summary(self) -> Any:
        """The verdict and the reading of UP-CrackNet's row, and how many rows have each."""
        first, *more = (html.escape(line) for line in summary(self.rows))
        return items([f"<strong>{first}</strong>", *more])

    def picture(self) -> Figure:
        """Printed and ours, a line for each printed row; see `table_picture`."""
        return table_picture.picture(self.rows, self.beside, self.selection.recipe)

    def alt(self) -> str:
        """The picture in words, with its numbers."""
        return table_picture.alt(self.rows, self.beside, self.selection.recipe)

    def ours(self) -> Any:
        """One line for each printed row: verdict, reading, F1 and IoU printed and ours at each scale.

        Where a table compares choices, ours on other photos than the printed ones stand in `others`.
        """
        if not self.rows:
            return items(["The paper has none of these rows."])
        here = [nearest_by_scale(row, self.selection.recipe) for row in self.rows]
        scales = [scale for scale in SCALES if any(scale in one for one in here)]
        lines = []
        for row, ours in zip(self.rows, here, strict=True):
            first = next(iter(ours.values()), None)
            line = {"": title(row.printed), "verdict": str(row.verdict)}
            line["reading"] = reading(row.printed.f1, first.f1) if first else "–"
            for metric in COMPARED:
                line[f"{metric}_printed"] = _one(getattr(row.printed, metric))
                for scale in scales:
                    line |= _ours(ours.get(scale), metric, scale)
            lines.append(line | _worth(first))
        labels = {"": "row", "verdict": "verdict", "reading": "reading of F1"}
        for metric in COMPARED:
            labels[f"{metric}_printed"] = f"{NAMES[metric]}, printed"
            for scale in scales:
                labels[f"{metric}_{scale}"] = f"{NAMES[metric]}, {scale}"
                labels |= {f"{metric}_{scale}_95": "95 %"} if metric == "f1" else {}
        labels |= {"best": "best F1", "ap": "AP"} if scales else {}
        lines = [{name: line[name] for name in labels} for line in lines]
        heading = f"Table {self.facts.roman}: printed, and ours"
        note = self._note(scales)
        return table(heading, lines, labels, note, f"ours-{self.number}", text=("verdict", "reading"))

    def _note(self, scales: Sequence[str]) -> str:
        """What the columns of `ours` mean, and what is missing."""
        sets = {
            (one.train_set, one.test_set)
            for row in self.rows
            for one in nearest_by_scale(row, self.selection.recipe).values()
        }
        photos = "; ".join(sorted(f"{train} → {test}" for train, test in sets))
        note = "In percent; touch a heading to sort."
        if not sets:
            return f"{note} No record of ours is on the printed photos, {self.facts.sets}."
        if "full" not in scales:
            note += " No printed row has a record at full scale yet."
        return (
            f"{note} Printed: {self.facts.sets}. Ours: {photos}, recipe {self.selection.recipe}; mean over seeds ± "
            "standard deviation; 95 %: bootstrap interval of the mean over images (each seed is scored on the images "
            f"drawn, then the mean is taken). Reading: “near” is within {MARGIN:g} points. {WORTH}"
        )

    def others(self) -> Any:
        """What stands beside the printed rows: sentences, and a table.

        For a table of methods these are the methods that are not in the paper; for one of choices, the same choices
        on photos that are not the printed ones.
        """
        shown = self._elsewhere() if self.number in experiments.CHOICES else self._absent()
        if not shown:
            return items(["There is no record of them yet."])
        said = [html.escape(line) for line in (*orders(self.rows), *baselines(self.rows, self.beside))]
        return part((items(said).data if said else "") + shown)

    def _absent(self) -> str:
        """One line for each method that is not in the paper and has a record, the highest F1 first."""
        lines = []
        for row in sorted((row for row in self.beside if row.ours), key=lambda row: -row.ours[0].f1):
            ours = row.ours[0]
            line = {"": title(row.printed)} | _ours(ours, "f1", "own")
            lines.append(line | _worth(ours) | {"how": label(row, ours)})
        if not lines:
            return ""
        note = (
            "In percent, each with the records nearest to the paper's conditions; others are folded below. The "
            "variant of a training-free baseline was chosen on the training photos; “median” is what its family's "
            "variants give on the test photos. The others learn from undamaged crops."
        )
        labels = {"": "method", "f1_own": "F1", "f1_own_95": "95 %"}
        labels |= {"best": "best F1", "ap": "AP", "how": "how"}
        return table("Not in the paper", lines, labels, note, f"others-{self.number}", text=("how",)).data

    def _elsewhere(self) -> str:
        """Rows of choices on photos that are not the printed ones: F1, a column for each pair of sets and recipe."""
        found = {(o.train_set, o.test_set, o.recipe, o.scale): o for row in self.rows for o in row.ours}
        groups = [one for one in found if one[:2] != experiments.PAIRS[self.number]]
        lines = []
        for row in self.rows:
            own = {(o.train_set, o.test_set, o.recipe, o.scale): o for o in row.ours}
            line = {"": title(row.printed)}
            for place, group in enumerate(groups):
                line |= _ours(own.get(group), "f1", str(place))
            lines.append(line)
        if not groups:
            return ""
        labels = {"": "row"}
        for place, (train, test, recipe, scale) in enumerate(groups):
            sets = test if train == test else f"{train} → {test}"
            labels |= {f"f1_{place}": f"{sets}, {recipe}, {scale}", f"f1_{place}_95": "95 %"}
        note = (
            "F1 of ours in percent, mean over seeds ± standard deviation, and 95 % bootstrap interval over images. "
            f"These photos are not the printed ones ({self.facts.sets}): only the order of the rows can be compared."
        )
        heading = f"Table {self.facts.roman}: ours on other photos"
        return table(heading, lines, labels, note, f"others-{self.number}").data

    def printed(self) -> Any:
        """The printed table, its columns corrected, with the printed precision and recall beside them; folded."""
        if not (rows := self.rows):
            return items(["The paper has none of these rows."])
        known = [name for name in METRICS if any(getattr(row.printed, name) is not None for row in rows)]
        columns = {f"right_{name}": (NAMES[name], "corrected", name) for name in known}
        spanners, note = {}, "In percent."
        if "precision" in known:
            columns |= {f"was_{name}": (f"“{NAMES[name]}”", "printed", name) for name in known[:2]}
            spanners["corrected"] = ["right_precision", "right_recall"]
            spanners["as printed"] = ["was_precision", "was_recall"]
            note += " The paper prints precision and recall swapped; F1, IoU and accuracy stand as they are."
        if inferred := sum(row.printed.key_source == "inferred" for row in rows):
            note += f" Which losses {inferred} of the rows have is our reading of the table's marks."
        lines = [
            {"": title(row.printed)}
            | {
                column: _three(getattr(getattr(row, kind), name))
                for column, (_, kind, name) in columns.items()
            }
            for row in rows
        ]
        heading = f"Table {self.facts.roman} of the paper: {self.facts.title}, {self.facts.sets}"
        labels = {column: label for column, (label, _, _) in columns.items()}
        shown = table(heading, lines, labels, note, f"printed-{self.number}", spanners)
        return part(folded(heading, shown.data))

    def rule(self) -> Any:
        """What each verdict asks for; folded."""
        asked = items([f"<em>{verdict}</em>: {html.escape(asks)}" for verdict, asks in RULE.items()])
        return part(folded("What each verdict asks for", asked.data))

    def made(self) -> Any:
        """Each row folded: why it has its verdict, how its records were made, and the command for what is missing."""
        absent = [made(row) for row in self.beside if row.ours]
        more = folded(f"Not in the paper: {count(len(absent), 'method')}", "".join(absent)) if absent else ""
        return part("".join(map(made, self.rows)) + more)

    def commands(self) -> Any:
        """The commands that make the records which the verdicts need, and smaller ones for a laptop; folded."""
        text = "\n".join(commands(self.number, [*self.rows, *self.beside]))
        return part(folded("The commands", f"<pre tabindex='0'><code>{html.escape(text)}</code></pre>"))

    def says(self) -> Any:
        """What the printed table says, in sentences whose numbers are computed from it."""
        return items([html.escape(line) for line in printed_says(self.number)])


def _ours(ours: Ours | None, metric: str, name: str) -> dict[str, str]:
    """Two cells: the mean over seeds with its standard deviation, and the interval; dashes without a record."""
    if ours is None:
        return {f"{metric}_{name}": "–", f"{metric}_{name}_95": "–"}
    score = ours.scores[metric]
    mean = "undefined" if math.isnan(score.mean) else f"{score.mean:.1f}"
    mean += "" if math.isnan(score.sd) else f" ± {score.sd:.1f}"
    mean += f"\n{ours.sound[metric].mean:.1f} without\nfailed runs" if ours.sound else ""
    interval = "–" if math.isnan(score.low) else f"{score.low:.1f} to {score.high:.1f}"
    return {f"{metric}_{name}": mean, f"{metric}_{name}_95": interval}


def _worth(ours: Ours | None) -> dict[str, str]:
    return {
        "best": _one(ours.worth.f1) if ours else "–",
        "ap": _one(ours.worth.average_precision) if ours else "–",
    }


def _three(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.3f}"


def _one(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.1f}"
