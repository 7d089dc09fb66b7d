"""Table pages: printed rows, ours beside them, verdicts and their reasons, as HTML for a notebook.

Nothing is computed here that is not in `reproduction.tables`, so that `upcrack verify` sees what a reader sees.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from upcrack_lite.baselines.registry import CRACKNET, FAMILIES
from upcrack_lite.errors import UserError
from upcrack_lite.metrics import METRICS
from upcrack_lite.reproduction import experiments, published, record_files, tables
from upcrack_lite.reproduction.conditions import OFFICIAL, count
from upcrack_lite.reproduction.experiments import Selection
from upcrack_lite.reproduction.records import load
from upcrack_lite.reproduction.tables import ELSEWHERE, Ours, Score, TableRow
from upcrack_lite.reproduction.verdicts import COMPARED, MARGIN, NAMES, RULE, Verdict, reading
from upcrack_lite.show.markup import items, part, shell, table
from upcrack_lite.show.table_words import baselines, orders, printed_says, summary, title

WORTH = (
    "Best F1: with the one threshold that is best for all photos, which takes their labels to choose. AP: average "
    "precision, the area under the curve of precision over recall, which needs no threshold. A training-free "
    "baseline's map counts there as it is before its filter and before small components go, so its best F1 may lie "
    "below its own."
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
        self.number, self.facts = selection.table, published.TABLES[selection.table]
        self.rows = tables.table(selection, records.values())

    def summary(self) -> Any:
        """The verdict and the reading of UP-CrackNet's row, and how many rows have each."""
        first, *more = (html.escape(line) for line in summary(self.rows))
        return items([f"<strong>{first}</strong>", *more])

    def printed(self) -> Any:
        """The printed table, its columns corrected, with the printed precision and recall beside them."""
        rows = [row for row in self.rows if row.verdict != Verdict.ABSENT]
        if not rows:
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
        return table(heading, lines, labels, note, f"printed-{self.number}", spanners)

    def ours(self) -> Any:
        """F1 and IoU: printed, and ours beside them with verdict and reading; a line for each group of records."""
        lines = []
        for row in self.rows:
            absent = row.verdict == Verdict.ABSENT
            for ours in row.ours or (() if absent else (None,)):
                line = {"": title(row.printed), "verdict": _beside(row, ours)}
                line["reading"] = "–" if absent or not ours else reading(row.printed.f1, ours.f1)
                for metric in COMPARED:
                    line[f"{metric}_printed"] = _three(getattr(row.printed, metric))
                    line[metric] = _both(ours, metric) if ours else "no record"
                line["best"], line["ap"] = (
                    (_one(ours.worth.f1), _one(ours.worth.average_precision)) if ours else ("–", "–")
                )
                lines.append(line)
        labels = {"verdict": "verdict", "reading": "reading of F1", "f1_printed": "printed", "f1": "ours"}
        labels |= {"iou_printed": "printed", "iou": "ours", "best": "best F1", "ap": "AP"}
        spanners = {
            "F1": ["f1_printed", "f1"],
            "IoU": ["iou_printed", "iou"],
            "ours, any threshold": ["best", "ap"],
        }
        note = (
            "In percent. Ours: mean over seeds ± standard deviation, and in brackets the 95 % bootstrap interval of "
            "the mean over images: each seed is scored on the images drawn, then the mean is taken. The verdict is "
            "about the records in its line; “beside it” are others. Reading: “near” is within "
            f"{MARGIN:g} points. {WORTH}"
        )
        if any(row.verdict == Verdict.ABSENT and row.ours for row in self.rows):
            note += (
                " The last rows are not in the paper: methods that learn from undamaged crops too, and training-free "
                "baselines, whose variant was chosen on the training photos; “median” is what the family's variants "
                "give on the test photos. “Own size”: photos are not squeezed to 256 × 256."
            )
        heading = f"Table {self.facts.roman}: ours beside the printed numbers"
        return table(
            heading, lines, labels, note, f"ours-{self.number}", spanners, text=("verdict", "reading")
        )

    def rule(self) -> Any:
        """What each verdict asks for."""
        return items([f"<em>{verdict}</em>: {html.escape(asks)}" for verdict, asks in RULE.items()])

    def verdicts(self) -> Any:
        """Each verdict with its reason; rows that share both stand in one line. Then the orders of the rows."""
        groups: dict[tuple[str, str], list[str]] = {}
        for row in self.rows:
            groups.setdefault((str(row.verdict), row.reason), []).append(title(row.printed))
        lines = []
        for (verdict, reason), titles in groups.items():
            every = len(titles) == len(self.rows) > 1
            who = f"All {len(self.rows)} rows" if every else ", ".join(titles)
            lines.append(f"<strong>{html.escape(who)}: {verdict}.</strong> {_sentence(reason)}")
        return items(lines + [html.escape(line) for line in (*orders(self.rows), *baselines(self.rows))])

    def made(self) -> Any:
        """How each of our groups was made: all five metrics, conditions, and the records' files."""
        groups = [_made(row, ours) for row in self.rows for ours in row.ours]
        if not groups:
            return items(["There is no record of this table in <code>results/</code> yet."])
        return part("".join(groups))

    def commands(self) -> Any:
        """The commands that make the records which the verdicts need, and smaller ones for a laptop."""
        return part(f"<pre><code>{html.escape(chr(10).join(_commands(self.number, self.rows)))}</code></pre>")

    def says(self) -> Any:
        """What the printed table says, in sentences whose numbers are computed from it."""
        return items([html.escape(line) for line in printed_says(self.number)])


def _made(row: TableRow, ours: Ours) -> str:
    """One group of records as a heading and a list."""
    scores = "; ".join(f"{NAMES[metric]} {_spread(ours.scores[metric])}" for metric in METRICS)
    lines = [html.escape(scores + " (percent)"), *map(_sentence, ours.conditions)]
    if not ours.middle:
        lines.append(f"Seeds {', '.join(map(str, ours.seeds))}.")
    if ours.unmet:
        lines.append(f"It earns no verdict, because {html.escape('; '.join(ours.unmet))}.")
    seeds = " ".join(f"--seed {seed}" for seed in ours.seeds)
    lines.append(f"Made with {shell(ours.records[0].command.replace(f'--seed {ours.seeds[0]}', seeds, 1))}")
    # A path that holds for the page in a clone and on the site, which has the records too.
    links = [f'<a href="../../results/{quote(name)}">{html.escape(name)}</a>' for name in ours.files]
    lines.append(f"Records: {', '.join(links)}")
    head = f"<p><strong>{html.escape(title(row.printed))}: {html.escape(ours.label)}</strong></p>"
    return head + "<ul>" + "".join(f"<li>{line}</li>" for line in lines) + "</ul>"


def _commands(number: int, rows: Sequence[TableRow]) -> list[str]:
    """The commands that make the records which the verdicts of a table need, and smaller ones for a laptop.

    A line that begins with # says what the next ones are for.
    """
    made = [row.command for row in rows]
    lines, small = list(made), [one.replace("--scale full", "--scale lite") for one in made]
    if number not in experiments.CHOICES:  # many rows: one command for all, and one for a single row
        first = next((row for row in rows if row.printed.key == CRACKNET), rows[0])
        every = first.command.replace(f" --row {first.printed.key}", "")
        made = [every, first.command]
        lines = ["# all rows, one after the other:", every, "# one row:", first.command]
        small = [first.command.replace("--scale full", "--scale lite")]
        small += [row.command for row in rows if row.printed.key in FAMILIES][:1]
    train, test = experiments.PAIRS[number]
    here = ELSEWHERE.get(number, ((train, test),))[0]
    if not {*here} & {*experiments.PROXIES}:
        sets = "" if here == (train, test) else f" --train-set {here[0]} --test-set {here[1]}"
        lines += ["# on a laptop:", *(f"{one}{sets}" for one in small)]
    if {train, test} & {*experiments.PROXIES}:
        train, test = (
            experiments.PROXIES.get(train, (train, ""))[0],
            experiments.PROXIES.get(test, ("", test))[1],
        )
        sets = f" --train-set {train} --test-set {test}"
        lines += ["# without the sets of the paper, on proxy sets:", *(f"{one}{sets}" for one in made)]
        lines += ["# the same on a laptop:", *(f"{one}{sets}" for one in small)]
    return lines


def _beside(row: TableRow, ours: Ours | None) -> str:
    """The verdict with the records that it is about, or for other records that they stand beside."""
    if ours is None:
        return str(row.verdict)
    verdict = f"{row.verdict}; beside it" if row.verdict == Verdict.CANNOT else str(row.verdict)
    first = ours is row.ours[0] or row.verdict == Verdict.ABSENT
    return f"{verdict if first else 'beside it'}: {_label(row, ours)}"


def _label(row: TableRow, ours: Ours) -> str:
    """How records were made, in as few words as will do: the sets only where they are not the printed ones."""
    printed = (ours.train_set, ours.test_set) == experiments.PAIRS[row.printed.table]
    sets = [] if printed and ours.test_set in OFFICIAL else [f"{ours.train_set} → {ours.test_set}"]
    if chosen := ours.records[0].train.chosen:
        return ", ".join([*sets, f"median of {chosen.variants} variants: F1 {ours.middle['f1']:.1f}"])
    seeds = count(len(ours.seeds), "seed")
    return ", ".join([f"{ours.recipe} recipe", ours.scale, *sets, *ours.substituted, seeds])


def _three(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.3f}"


def _one(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.1f}"


def _both(ours: Ours, metric: str) -> str:
    """A mean with its spread and interval, and below it the mean without failed runs, where there are any."""
    without = f"\n{ours.sound[metric].mean:.2f} without\nfailed runs" if ours.sound else ""
    return _spread(ours.scores[metric], "\n") + without


def _spread(score: Score, between: str = " ") -> str:
    if math.isnan(score.mean):
        return "undefined"
    text = f"{score.mean:.2f}" + ("" if math.isnan(score.sd) else f" ± {score.sd:.2f}")
    return text if math.isnan(score.low) else f"{text}{between}({score.low:.1f} to {score.high:.1f})"


def _sentence(text: str) -> str:
    """A sentence as HTML: with a capital letter and a full stop."""
    text = html.escape(text)
    return text[0].upper() + text[1:] + "."
