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
from upcrack_lite.show.markup import folded, items, part, sentences, table
from upcrack_lite.show.table_made import commands, label, made
from upcrack_lite.show.table_picture import SCALES
from upcrack_lite.show.table_words import NO_ROWS, baselines, orders, printed_says, summary, title

WORTH = (
    "Best F1: with the one threshold that is best for all photos, which takes their labels to choose. AP: average "
    "precision, the area under the curve of precision over recall, which needs no threshold. Both are of the raw "
    "map, before any filter, so where a filter helps the best F1 may lie below F1."
)


def names(value: Any) -> tuple[str, ...]:
    """The names in a list, in text such as "unet, enet", which is what `papermill -p` passes, or in one value."""
    if isinstance(value, str):
        value = value.strip("[]").split(",")
    some = value if isinstance(value, list | tuple) else [value]
    return tuple(name for one in some if (name := str(one).strip("'\" ")))


def select(
    number: int,
    recipe: str = "paper",
    scale: str = "",
    train_set: str = "",
    test_set: str = "",
    methods: Sequence[str] | str = (),
    seeds: Sequence[int] | int | str = (),
) -> Selection:
    """The rows of a page by the parameters of its notebook. Raises UserError for what is unknown or no number."""
    if not all(map(str.isdecimal, whole := names(seeds))):
        raise UserError(f"seeds: must be whole numbers, such as 0,1,2, not {seeds!r}")
    return Selection(number, recipe, scale, train_set, test_set, names(methods), tuple(map(int, whole)))


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
        self.number, self.recipe = selection.table, selection.recipe
        self.facts = published.TABLES[self.number]
        self.rows, self.beside = tables.divided(tables.table(selection, records.values()))
        """Printed rows, and those that are not in the paper."""
        self.nearest = [nearest_by_scale(row, self.recipe) for row in self.rows]

    def summary(self) -> Any:
        """The verdict and the reading of UP-CrackNet's row, and how many rows have each."""
        first, *more = (html.escape(line) for line in summary(self.rows))
        return items([f"<strong>{first}</strong>", *more])

    def picture(self) -> Figure:
        """Printed and ours, a line for each printed row; see `table_picture`."""
        return table_picture.picture(self.rows, self.beside, self.recipe)

    def alt(self) -> str:
        """The picture in words, with its numbers."""
        return table_picture.alt(self.rows, self.beside, self.recipe)

    def ours(self) -> Any:
        """One line for each printed row: verdict, reading, F1 and IoU printed and ours at each scale.

        Where a table compares choices, ours on other photos than the printed ones stand in `others`.
        """
        if not self.rows:
            return items([NO_ROWS])
        scales = [scale for scale in SCALES if any(scale in one for one in self.nearest)]
        labels = {"": "row", "verdict": "verdict", "reading": "reading of F1"}
        for metric in COMPARED:
            labels[f"{metric}_printed"] = f"{NAMES[metric]}, printed"
            for scale in scales:
                labels[f"{metric}_{scale}"] = f"{NAMES[metric]}, {scale}"
                labels |= {f"{metric}_{scale}_95": "95 %"} if metric == "f1" else {}
        labels |= {"best": "best F1", "ap": "AP"} if scales else {}
        lines = []
        for row, ours in zip(self.rows, self.nearest, strict=True):
            first = next(iter(ours.values()), None)
            line = {"": title(row.printed), "verdict": str(row.verdict)} | _worth(first)
            line["reading"] = reading(row.printed.f1, row.ours[0].f1) if row.ours else "–"
            for metric in COMPARED:
                line[f"{metric}_printed"] = _number(getattr(row.printed, metric))
                for scale in scales:
                    line |= _ours(ours.get(scale), metric, scale)
            lines.append(line)
        heading = f"Table {self.facts.roman}: printed, and ours"
        note = self._note("full" in scales)
        return table(heading, lines, labels, note, f"ours-{self.number}", text=("verdict", "reading"))

    def _note(self, full: bool) -> str:
        """What the columns of `ours` mean, and what is missing. full: whether there is a record of that scale."""
        sets = {f"{ours.train_set} → {ours.test_set}" for one in self.nearest for ours in one.values()}
        note = "In percent; touch a heading to sort."
        if not sets:
            return f"{note} No record of ours is on the printed photos, {self.facts.sets}."
        note += "" if full else " No printed row has a record at full scale yet."
        return (
            f"{note} Printed: {self.facts.sets}. Ours: {'; '.join(sorted(sets))}, recipe {self.recipe}; mean over "
            "seeds ± standard deviation; 95 %: bootstrap interval of the mean over photos (images cut from one photo "
            "are drawn together; each seed is scored on what is drawn, then the mean is taken). "
            f"Reading: “near” is within {MARGIN:g} points. {WORTH}"
        )

    def others(self) -> Any:
        """What stands beside the printed rows: sentences, and a table.

        For a table of methods these are the methods that are not in the paper; for one of choices, the same choices
        on photos that are not the printed ones.
        """
        shown = self._elsewhere() if self.number in experiments.CHOICES else self._absent()
        if not shown:
            return items(["There is no record of them yet."])
        said = [*orders(self.rows), *baselines(self.rows, self.beside)]
        return part((sentences(said).data if said else "") + shown)

    def _absent(self) -> str:
        """One line for each method that is not in the paper and has a record, the highest F1 first."""
        lines = []
        for row in sorted((row for row in self.beside if row.ours), key=lambda row: -row.ours[0].f1):
            ours = row.ours[0]
            how = {"": title(row.printed), "how": label(row, ours)}
            lines.append(how | _ours(ours, "f1", "own") | _worth(ours))
        if not lines:
            return ""
        note = (
            "In percent, each with the records nearest to the paper's conditions; others are folded below. The "
            "variant of a training-free baseline was chosen on the training photos; “median” is what its family's "
            "variants give on the test photos. The others learn from undamaged crops or synthetic roads."
        )
        labels = {"": "method", "f1_own": "F1", "f1_own_95": "95 %"}
        labels |= {"best": "best F1", "ap": "AP", "how": "how"}
        return table("Not in the paper", lines, labels, note, f"others-{self.number}", text=("how",)).data

    def _elsewhere(self) -> str:
        """Rows of choices on photos that are not the printed ones: F1, a column for each pair of sets and recipe."""
        every = [{(o.train_set, o.test_set, o.recipe, o.scale): o for o in row.ours} for row in self.rows]
        groups = dict.fromkeys(group for own in every for group in own)
        groups = [group for group in groups if group[:2] != experiments.PAIRS[self.number]]
        if not groups:
            return ""
        labels, lines = {"": "row"}, [{"": title(row.printed)} for row in self.rows]
        for place, group in enumerate(groups):
            train, test, recipe, scale = group
            sets = test if train == test else f"{train} → {test}"
            labels |= {f"f1_{place}": f"{sets}, {recipe}, {scale}", f"f1_{place}_95": "95 %"}
            for line, own in zip(lines, every, strict=True):
                line |= _ours(own.get(group), "f1", str(place))
        note = (
            "F1 of ours in percent, mean over seeds ± standard deviation, and 95 % bootstrap interval over photos. "
            f"These photos are not the printed ones ({self.facts.sets}): only the order of the rows can be compared."
        )
        heading = f"Table {self.facts.roman}: ours on other photos"
        return table(heading, lines, labels, note, f"others-{self.number}").data

    def printed(self) -> Any:
        """The printed table, its columns corrected, with the printed precision and recall beside them; folded."""
        if not (rows := self.rows):
            return items([NO_ROWS])
        known = [name for name in METRICS if any(getattr(row.printed, name) is not None for row in rows)]
        labels = {f"right_{name}": NAMES[name] for name in known}
        spanners, note = {}, "In percent."
        if "precision" in known:
            swapped = known[:2]
            labels |= {f"was_{name}": f"“{NAMES[name]}”" for name in swapped}
            spanners["corrected"] = [f"right_{name}" for name in swapped]
            spanners["as printed"] = [f"was_{name}" for name in swapped]
            note += " The paper prints precision and recall swapped; F1, IoU and accuracy stand as they are."
        if inferred := sum(row.printed.key_source == "inferred" for row in rows):
            note += f" Which losses {inferred} of the rows have is our reading of the table's marks."
        lines = []
        for row in rows:
            values = {"right": row.corrected, "was": row.printed}
            parts = {column: column.split("_") for column in labels}
            cells = {column: _number(getattr(values[of], name), 3) for column, (of, name) in parts.items()}
            lines.append({"": title(row.printed)} | cells)
        heading = f"Table {self.facts.roman} of the paper: {self.facts.title}, {self.facts.sets}"
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
        return sentences(printed_says(self.number))


def _ours(ours: Ours | None, metric: str, name: str) -> dict[str, str]:
    """Two cells: the mean over seeds with its standard deviation, and the interval; dashes without a record."""
    mean = interval = "–"
    if ours:
        score = ours.scores[metric]
        mean = "undefined" if math.isnan(score.mean) else f"{score.mean:.1f}"
        mean += "" if math.isnan(score.sd) else f" ± {score.sd:.1f}"
        mean += f"\n{ours.sound[metric].mean:.1f} without\nfailed runs" if ours.sound else ""
        interval = "–" if math.isnan(score.low) else f"{score.low:.1f} to {score.high:.1f}"
    return {f"{metric}_{name}": mean, f"{metric}_{name}_95": interval}


def _worth(ours: Ours | None) -> dict[str, str]:
    worth = ours.worth if ours else None
    return {"best": _number(worth and worth.f1), "ap": _number(worth and worth.average_precision)}


def _number(value: float | None, digits: int = 1) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.{digits}f}"
