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

from scipy import stats

from upcrack_lite.baselines.registry import CRACKNET, FAMILIES
from upcrack_lite.errors import UserError
from upcrack_lite.metrics import METRICS
from upcrack_lite.reproduction import experiments, published, record_files, tables
from upcrack_lite.reproduction.comparison import map_worth
from upcrack_lite.reproduction.conditions import SETS, count
from upcrack_lite.reproduction.experiments import Selection
from upcrack_lite.reproduction.records import load
from upcrack_lite.reproduction.tables import COMPARED, ELSEWHERE, NAMES, Ours, Score, TableRow, Verdict
from upcrack_lite.show.markup import items, part, shell, table

TITLES = {
    "deeplabv3plus": "DeepLabv3+",
    "enet": "ENet",
    "pspnet": "PSPNet",
    "upernet": "UPerNet",
    "segresnet": "SegResNet",
    "unet": "U-Net",
    "bisenetv2": "BiSeNetv2",
    "ddrnet": "DDRNet",
    "lawin": "Lawin",
    "deepcrack19": "Deepcrack19",
    "deepcrack18": "Deepcrack18",
    "scadn": "SCADN",
    "riad": "RIAD",
    "upcracknet": "UP-CrackNet",
    "drawn": "drawn cracks",
    "patchcore": "PatchCore",
    "tf_global_darkness": "darkness",
    "tf_local_darkness": "local darkness",
    "tf_global_darkness_otsu": "darkness + Otsu",
    "tf_global_darkness_paper": "darkness + filter + Otsu",
    "tf_local_darkness_otsu": "local darkness + Otsu",
    "tf_local_darkness_paper": "local darkness + filter + Otsu",
    "tf_black_tophat_otsu": "black top-hat + Otsu",
    "tf_black_tophat_paper": "black top-hat + filter + Otsu",
    "tf_frangi_otsu": "Frangi + Otsu",
    "tf_frangi_paper": "Frangi + filter + Otsu",
    "tf_sato_otsu": "Sato + Otsu",
    "tf_sato_paper": "Sato + filter + Otsu",
    "tf_gabor_otsu": "Gabor + Otsu",
    "tf_gabor_paper": "Gabor + filter + Otsu",
    "jumbled": "jumbled small squares",
    "striped": "stripes",
    "multi_scale_square": "multi-scale squares",
    "mae": "MAE",
    "ssim": "SSIM",
    "msgms": "MSGMS",
    "style": "style",
    "adv": "adversarial",
}
"""Methods, mask modes and losses in words."""


def title(row: published.Row) -> str:
    """A row's name as a reader knows it; a row of Table I has several losses."""
    return " + ".join(TITLES[name] for name in row.key.split("+"))


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
        """F1 and IoU: printed, and ours beside them; a line for each group of records."""
        lines = []
        for row in self.rows:
            absent = row.verdict == Verdict.ABSENT
            compared = row.ours[0] if row.tolerance else None
            others = [one for one in row.ours if one is not compared]
            for ours in others if absent else (compared, *others):
                what = f"{'not in the paper' if absent else 'beside it'}: {_label(row, ours)}" if ours else ""
                line = {"": title(row.printed), "verdict": str(row.verdict) if ours is compared else what}
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
                " The last rows are not in the paper: methods that learn from undamaged crops too, and training-free "
                "baselines, whose variant was chosen on the training photos; “median” is what the family's variants "
                "give on the test photos. “Own size”: photos are not squeezed to 256 × 256."
            )
        heading = f"Table {self.facts.roman}: ours beside the printed numbers"
        return table(heading, lines, labels, note, f"ours-{self.number}", spanners, text=("verdict",))

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
        return items(lines + [html.escape(line) for line in (*_orders(self.rows), *_baselines(self.rows))])

    def made(self) -> Any:
        """How each of our groups was made: all five metrics, conditions, tolerance, and the records' files."""
        groups = [_made(row, ours) for row in self.rows for ours in row.ours]
        if not groups:
            return items(["There is no record of this table in <code>results/</code> yet."])
        return part("".join(groups))

    def commands(self) -> Any:
        """The commands that make the records which the verdicts need, and smaller ones for a laptop."""
        return part(f"<pre><code>{html.escape(chr(10).join(_commands(self.number, self.rows)))}</code></pre>")

    def says(self) -> Any:
        """What the printed table says, in sentences whose numbers are computed from it."""
        rows = published.rows(self.number)
        ranked = sorted(rows, key=lambda row: -row.iou)
        first, second, last = ranked[0], ranked[1], ranked[-1]
        if self.number in experiments.CHOICES:
            lines = [
                f"Best by IoU: {title(first)}, {first.iou:.3f} %.",
                f"The next, {title(second)}, has {second.iou:.3f} %: {first.iou - second.iou:.3f} points less.",
                f"From the lowest IoU ({last.iou:.3f} %) to the highest it is {first.iou - last.iou:.3f} points.",
            ]
            return items([html.escape(line) for line in lines])
        own = published.row(self.number, CRACKNET)
        above = [title(row) for row in ranked if row.iou > own.iou]
        labeled = [
            row for row in rows if row.strategy.endswith("supervised") and row.strategy != "unsupervised"
        ]
        beaten = sum(row.iou < own.iou for row in labeled)
        other = max((row for row in rows if row.strategy == "unsupervised"), key=lambda row: row.iou)
        lines = [
            f"UP-CrackNet has an IoU of {own.iou:.3f} %, place {len(above) + 1} of {len(rows)}.",
            f"Above it: {', '.join(above)}." if above else "No method is above it.",
            f"It is above {beaten} of the {len(labeled)} methods that are trained with crack labels.",
            f"The better of the two others without labels, {title(other)}, has {other.iou:.3f} %, "
            f"{own.iou - other.iou:.3f} points less.",
        ]
        return items([html.escape(line) for line in lines])


def _baselines(rows: Sequence[TableRow]) -> list[str]:
    """How training-free baselines stand against the printed UP-CrackNet, one sentence for each test set.

    Empty where none is recorded, or the table has no such row.
    """
    top = next((row.printed.f1 for row in rows if row.printed.key == CRACKNET), None)
    free = [(row, one) for row in rows if row.printed.key in FAMILIES for one in row.ours]
    lines = []
    for test_set in dict.fromkeys(ours.test_set for _, ours in free) if top else ():
        pairs = [(row, ours) for row, ours in free if ours.test_set == test_set]
        above = [title(row.printed) for row, ours in pairs if ours.scores["f1"].mean > top]
        middle = sum(ours.middle["f1"] > top for _, ours in pairs)
        best_row, best = max(pairs, key=lambda pair: pair[1].scores["f1"].mean)
        row, sure = max(pairs, key=lambda pair: pair[1].records[0].train.chosen.training_f1)
        printed_set = experiments.PAIRS[row.printed.table][1]
        same = "" if test_set == printed_set else ", which is not the printed test set"
        which = f" ({', '.join(above)})" if above else ""
        lines.append(
            f"Training-free baselines on {SETS[test_set]}{same}: the training photos speak for "
            f"{title(row.printed)}, which has F1 {sure.scores['f1'].mean:.1f} %. The highest of {len(pairs)}, "
            f"known only after the test, is {title(best_row.printed)} with {best.scores['f1'].mean:.1f} %. "
            f"{len(above) or 'None'} of the {len(pairs)}{which} {'are' if len(above) > 1 else 'is'} above the "
            f"{top:.1f} % that is printed for UP-CrackNet; by the median of its variants, {middle or 'none'} "
            f"{'are' if middle > 1 else 'is'}."
        )
    return lines


def _orders(rows: Sequence[TableRow]) -> list[str]:
    """The order of our rows by F1 beside the printed one, one sentence or two for each group of records.

    Only for tables that compare choices of UP-CrackNet; a group counts with three rows or more.
    """
    groups: dict[tuple[str, ...], dict[str, tuple[TableRow, Ours]]] = {}
    for row in rows if rows and rows[0].printed.table in experiments.CHOICES else ():
        for ours in row.ours:
            key = (ours.recipe, ours.scale, ours.train_set, ours.test_set)
            groups.setdefault(key, {})[row.printed.key] = (row, ours)
    lines = []
    for (recipe, scale, train_set, test_set), group in groups.items():
        pairs = sorted(group.values(), key=lambda pair: -pair[1].f1)
        if len(pairs) < 3:
            continue
        ranked = ", ".join(f"{title(row.printed)} ({ours.f1:.1f})" for row, ours in pairs)
        spreads = [ours.scores["f1"].sd for _, ours in pairs if len(ours.seeds) > 1]
        chance = f" Seeds alone make {max(spreads):.1f} points (standard deviation)." if spreads else ""
        rank = stats.spearmanr([ours.f1 for _, ours in pairs], [row.printed.f1 for row, _ in pairs]).statistic
        where = SETS[experiments.PAIRS[rows[0].printed.table][1]]
        lines.append(
            f"Our order by F1 ({recipe} recipe, {scale}, {train_set} → {test_set}): {ranked}. Spearman's rank "
            f"correlation with the printed order, on {where}, is {rank:+.2f}: 1 is the same order, -1 the "
            f"reverse.{chance}"
        )
    return lines


def _made(row: TableRow, ours: Ours) -> str:
    """One group of records as a heading and a list."""
    scores = "; ".join(f"{NAMES[metric]} {_spread(ours.scores[metric])}" for metric in METRICS)
    worth = map_worth(ours)
    lines = [html.escape(scores + " (percent)"), *map(_sentence, ours.conditions)]
    lines.append(
        "With the one threshold that is best for all photos, which takes their labels to choose: "
        f"F1 {worth.f1:.2f} %; average precision {worth.average_precision:.2f} %."
    )
    if not ours.middle:
        lines.append(f"Seeds {', '.join(map(str, ours.seeds))}.")
    if ours.unmet:
        lines.append(f"Not compared, because {html.escape('; '.join(ours.unmet))}.")
    elif ours is row.ours[0]:
        lines += [
            f"Tolerance of {NAMES[metric]}: {one.points:.2f} points, which is {html.escape(one.reason)}."
            for metric, one in row.tolerance.items()
        ]
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


def _label(row: TableRow, ours: Ours) -> str:
    """How records were made, in as few words as will do: the sets only where they are not the printed ones."""
    elsewhere = (ours.train_set, ours.test_set) != experiments.PAIRS[row.printed.table]
    sets = [f"{ours.train_set} → {ours.test_set}"] if elsewhere else []
    if chosen := ours.records[0].train.chosen:
        return ", ".join([*sets, f"median of {chosen.variants} variants: F1 {ours.middle['f1']:.1f}"])
    seeds = count(len(ours.seeds), "seed")
    return ", ".join([f"{ours.recipe} recipe", ours.scale, *sets, *ours.substituted, seeds])


def _three(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.3f}"


def _spread(score: Score, between: str = " ") -> str:
    if math.isnan(score.mean):
        return "undefined"
    text = f"{score.mean:.2f}" + ("" if math.isnan(score.sd) else f" ± {score.sd:.2f}")
    return text if math.isnan(score.low) else f"{text}{between}({score.low:.1f} to {score.high:.1f})"


def _sentence(text: str) -> str:
    """A sentence as HTML: with a capital letter and a full stop."""
    text = html.escape(text)
    return text[0].upper() + text[1:] + "."
