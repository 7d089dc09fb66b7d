"""Table pages: printed rows, ours beside them, verdicts and their reasons, as HTML for a notebook.

A page takes its parameters once (`Page`); each method then gives one part of it. Nothing is computed here that is
not in `repro.tables`, so that `upcrack verify` sees what a reader sees.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from upcrack_lite.errors import UserError
from upcrack_lite.metrics import METRICS
from upcrack_lite.reproduction import cells, failures, live, places, published, tables
from upcrack_lite.reproduction.conditions import count
from upcrack_lite.reproduction.ours import Ours, Score, belongs
from upcrack_lite.reproduction.standings import map_worth
from upcrack_lite.reproduction.tables import COMPARED, NAMES, TableRow, Verdict
from upcrack_lite.show import parameters
from upcrack_lite.show.plain_tables import great, items, part, shell
from upcrack_lite.show.table_commands import command_lines, command_of
from upcrack_lite.show.table_words import beside, orders, sentence, title
from upcrack_lite.show.table_words import says as says


class Page:
    """One table page. The parameters are those of the notebook; see `repro.tables.table` and `repro.live`.

    run: "recorded" reads the records; "live" makes the cells first, with `data_root` and `device`.
    results, runs: folders; empty: those of the repository.
    Raises UserError for unknown names, and for what a live run lacks.
    """

    def __init__(
        self,
        number: int,
        recipe: str = "paper",
        scale: str = "",
        train_set: str = "",
        test_set: str = "",
        methods: Sequence[str] | str = (),
        seeds: Sequence[int] | int | str = (),
        data_root: str = "",
        device: str = "auto",
        run: str = "recorded",
        results: Path | str = "",
        runs: Path | str = "",
    ) -> None:
        if run not in ("recorded", "live"):
            raise UserError(f"unknown run {run!r}; choose recorded or live")
        results, runs = places.folder("results", results), places.folder("runs", runs)
        self.number, self.facts = published.rows(number)[0].table, published.TABLES[number]
        methods, seeds = parameters.texts("methods", methods), parameters.numbers("seeds", seeds)
        chosen = (recipe, scale, train_set, test_set, methods, seeds)
        tables.table(number, (), *chosen)  # a wrong name is found before any work
        given = {record.slug: record for record in tables.recorded(results)}
        if run == "live":
            made = live.run_table(number, *chosen, data_root, device, results, runs, say=print)
            given |= {record.slug: record for record in made}
        self.rows = tables.table(number, given.values(), *chosen)
        made_at = {slug: record.finished for slug, record in given.items()}
        wanted = {"scale": scale, "train_set": train_set, "test_set": test_set}
        self.failed = [
            one
            for one in failures.load_all(results)
            if all(one.key[name] == value for name, value in wanted.items() if value)
            and (not seeds or one.key["seed"] in seeds)
            and one.when > made_at.get(one.cell.slug(), "")  # a later record makes up for it
        ]

    def printed(self) -> Any:
        """The printed table, its columns put right, with the printed precision and recall beside them."""
        rows = [row for row in self.rows if row.verdict != Verdict.ABSENT]
        if not rows:
            return items(["The paper has none of these rows."])
        named = [name for name in METRICS if any(getattr(row.printed, name) is not None for row in rows)]
        both = "precision" in named
        lines = []
        for row in rows:
            line = {"": title(row.printed)}
            line |= {f"right_{name}": _three(getattr(row.corrected, name)) for name in named}
            if both:
                line |= {f"was_{name}": _three(getattr(row.printed, name)) for name in named[:2]}
            lines.append(line)
        labels = {f"right_{name}": NAMES[name] for name in named}
        if both:
            labels |= {f"was_{name}": f"“{NAMES[name]}”" for name in named[:2]}
        spanners = {"put right": ["right_precision", "right_recall"]} if both else {}
        spanners |= {"as printed": ["was_precision", "was_recall"]} if both else {}
        note = "In percent."
        if both:
            note += (
                " The paper prints precision and recall exchanged; F1, IoU and accuracy stand as they are."
            )
        inferred = sum(row.printed.key_source == "inferred" for row in rows)
        if inferred:
            note += f" Which losses {inferred} of the rows have is our reading of the table's marks."
        return great(f"Table {self.facts.roman} of the paper: {self.facts.title}, {self.facts.sets}", lines)(
            labels, spanners, note, f"printed-{self.number}"
        )

    def ours(self) -> Any:
        """F1 and IoU: printed, and ours beside them; a line for each group of records."""
        lines = []
        for row in self.rows:
            absent = row.verdict == Verdict.ABSENT
            compared = row.ours[0] if row.tolerance else None
            beside = [one for one in row.ours if one is not compared]
            for ours in beside if absent else (compared, *beside):
                line = {"": title(row.printed)}
                what = "not in the paper" if absent else "beside it"
                line["verdict"] = str(row.verdict) if ours is compared else f"{what}: {_label(row, ours)}"
                nothing = "see below" if row.ours else "no record"
                for metric in COMPARED:
                    line[f"{metric}_printed"] = _three(getattr(row.printed, metric))
                    line[metric] = _spread(ours.scores[metric], "\n") if ours else nothing
                lines.append(line)
        labels = {"verdict": "verdict", "f1_printed": "printed", "f1": "ours"}
        labels |= {"iou_printed": "printed", "iou": "ours"}
        spanners = {"F1": ["f1_printed", "f1"], "IoU": ["iou_printed", "iou"]}
        note = (
            "In percent. Ours: mean over seeds ± standard deviation, and in brackets the 95 % bootstrap interval "
            "over images, for which the counts of all seeds are added up image by image; it need not hold the mean "
            "of seeds that lie far apart. “Beside it” says how records were made that cannot be compared with the "
            "printed row."
        )
        if any(row.verdict == Verdict.ABSENT and row.ours for row in self.rows):
            note += (
                " The last rows are detectors without training: their variant was chosen on the training photos, and "
                "“median” is what the family's variants give on the test photos."
            )
        heading = f"Table {self.facts.roman}: ours beside the printed numbers"
        return great(heading, lines)(labels, spanners, note, f"ours-{self.number}", text=("verdict",))

    def verdicts(self) -> Any:
        """Each verdict with its reason; rows that share both stand in one line. Then the order, and what failed."""
        groups: dict[tuple[str, str], list[str]] = {}
        for row in self.rows:
            groups.setdefault((str(row.verdict), row.reason), []).append(title(row.printed))
        return items(
            [
                f"<strong>{html.escape(_together(names, len(self.rows)))}: {verdict}.</strong> {sentence(reason)}"
                for (verdict, reason), names in groups.items()
            ]
            + [html.escape(line) for line in (*orders(self.rows), *beside(self.rows))]
            + [
                _failed(row, one)
                for row in self.rows
                for one in self.failed
                if belongs(row.printed, one.cell)
            ]
        )

    def made(self) -> Any:
        """How each of our groups was made: all five metrics, conditions, tolerance, and the records' files."""
        found = [(row, ours) for row in self.rows for ours in row.ours]
        if not found:
            return items(["There is no record of this table in <code>results/</code> yet."])
        return part("".join(_made(row, ours) for row, ours in found))

    def commands(self) -> Any:
        """The commands that make the records which the verdicts need, and smaller ones for a laptop."""
        lines = command_lines(self.number, self.rows)
        return part(f"<pre><code>{html.escape(chr(10).join(lines))}</code></pre>")

    def tiny(self, seed: int = 0) -> Any:
        """Make one row live from synthetic roads in seconds. Its numbers mean nothing."""
        tried = live.tiny_row(self.number, seed)
        row = published.row(self.number, tried.row)
        facts, got = tried.record, tried.scores
        numbers = ", ".join(f"{NAMES[name]} {got[name]:.1f}" for name in METRICS)
        return items(
            [
                f"Row: {html.escape(title(row))}, trained for {facts.train.steps} steps on "
                f"{facts.train.crops} synthetic roads of {facts.preset['size']} px.",
                f"Tested on {facts.test.images} synthetic roads with cracks; {facts.test.crack_share:.2f} % of their "
                "pixels are crack.",
                f"From the record, in percent: {numbers}.",
                f"From its histograms: average precision {got['smoothed']['average_precision']:.1f} %.",
                "<strong>These numbers mean nothing:</strong> the network is tiny and has hardly learned.",
            ]
        )


def _failed(row: TableRow, one: failures.Failure) -> str:
    log = f" Its log: {one.log}." if one.log else ""
    text = f"{one.cell.slug()}, on {one.when[:10]}: {one.error.rstrip('.')}.{log} Try it again with"
    return (
        f"<strong>{html.escape(title(row.printed))}: tried here and failed.</strong> {html.escape(text)} "
        + shell(one.command)
    )


def _best(ours: Ours) -> str:
    """What the map itself is worth, whatever cuts it."""
    worth = map_worth(ours)
    return (
        "with the one threshold that is best for all photos, which takes their labels to choose: "
        f"F1 {worth.f1:.2f} %; average precision {worth.average_precision:.2f} %"
    )


def _made(row: TableRow, ours: Ours) -> str:
    numbers = "; ".join(f"{NAMES[metric]} {_spread(ours.scores[metric])}" for metric in METRICS)
    lines = [html.escape(numbers + " (percent)"), *map(sentence, ours.conditions)]
    lines.append(sentence(_best(ours)))
    if not ours.middle:
        lines.append(f"Seeds {', '.join(map(str, ours.seeds))}.")
    if not ours.unmet:
        lines += [
            f"Tolerance of {NAMES[metric]}: {one.points:.2f} points, which is {html.escape(one.reason)}."
            for metric, one in row.tolerance.items()
            if ours is row.ours[0]
        ]
    else:
        lines.append(f"Not compared, because {html.escape('; '.join(ours.unmet))}.")
    lines.append(f"Made with {shell(command_of(ours))}")
    # A path that holds for the page in a clone and on the site, which has the records too.
    links = [f'<a href="../../results/{quote(name)}">{html.escape(name)}</a>' for name in ours.files]
    lines.append(f"Records: {', '.join(links)}")
    head = f"<p><strong>{html.escape(title(row.printed))}: {html.escape(ours.label)}</strong></p>"
    return head + "<ul>" + "".join(f"<li>{line}</li>" for line in lines) + "</ul>"


def _together(names: list[str], all_rows: int) -> str:
    return f"All {all_rows} rows" if len(names) == all_rows > 1 else ", ".join(names)


def _label(row: TableRow, ours: Ours) -> str:
    """How records were made, in as few words as will do: the sets only where they are not the printed ones."""
    words = [f"{ours.recipe} recipe", ours.scale]
    if (ours.train_set, ours.test_set) != cells.PAIRS[row.printed.table]:
        words.append(f"{ours.train_set} → {ours.test_set}")
    if chosen := ours.records[0].train.chosen:
        return ", ".join([*words[2:], f"median of {chosen.variants} variants: F1 {ours.middle['f1']:.1f}"])
    return ", ".join([*words, *ours.substituted, count(len(ours.seeds), "seed")])


def _three(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.3f}"


def _spread(score: Score, between: str = " ") -> str:
    if math.isnan(score.mean):
        return "undefined"
    text = f"{score.mean:.2f}" + ("" if math.isnan(score.sd) else f" ± {score.sd:.2f}")
    return text if math.isnan(score.low) else f"{text}{between}({score.low:.1f} to {score.high:.1f})"
