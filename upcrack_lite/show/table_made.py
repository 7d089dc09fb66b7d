"""How the numbers of a table page were made: verdict's reason, records and commands of each row, as HTML."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from urllib.parse import quote

from upcrack_lite.baselines.registry import CRACKNET, FAMILIES
from upcrack_lite.metrics import METRICS
from upcrack_lite.reproduction.conditions import OFFICIAL, count
from upcrack_lite.reproduction.experiments import CHOICES, PAIRS, PROXIES
from upcrack_lite.reproduction.tables import ELSEWHERE, Ours, Score, TableRow
from upcrack_lite.reproduction.verdicts import NAMES
from upcrack_lite.show.markup import folded, items, shell
from upcrack_lite.show.table_words import title


def made(row: TableRow) -> str:
    """A row, folded: verdict and reason, each group of its records, and the command that the verdict asks for."""
    head = f"<strong>{html.escape(title(row.printed))}</strong>: {row.verdict}"
    head += f"; {count(len(row.ours), 'group')} of records" if row.ours else ""
    command = f"<p>What the verdict asks for: {shell(row.command)}</p>"
    return folded(head, f"<p>{_sentence(row.reason)}</p>" + "".join(map(_group, row.ours)) + command)


def _group(ours: Ours) -> str:
    """One group of records as a heading and a list."""
    scores = "; ".join(f"{NAMES[metric]} {_spread(ours.scores[metric])}" for metric in METRICS)
    lines = [html.escape(scores + " (percent)"), *map(_sentence, ours.conditions)]
    if not ours.middle:
        lines.append(f"Seeds {', '.join(map(str, ours.seeds))}.")
    if ours.unmet:
        lines.append(f"It earns no verdict, because {html.escape('; '.join(ours.unmet))}.")
    words = " ".join(f"--seed {seed}" for seed in ours.seeds)
    lines.append(f"Made with {shell(ours.records[0].command.replace(f'--seed {ours.seeds[0]}', words, 1))}")
    # A path that holds for the page in a clone and on the site, which has the records too.
    links = [f'<a href="../../results/{quote(name)}">{html.escape(name)}</a>' for name in ours.files]
    lines.append(f"Records: {', '.join(links)}")
    return f"<p><strong>{html.escape(ours.label)}</strong></p>{items(lines).data}"


def commands(number: int, rows: Sequence[TableRow]) -> list[str]:
    """The commands that make the records which the verdicts of a table need, and smaller ones for a laptop.

    A line that begins with # says what the next ones are for.
    """
    lines = full = [row.command for row in rows]
    small = [one.replace("--scale full", "--scale lite") for one in full]
    if number not in CHOICES:  # many rows: one command for all, and one for a single row
        first = next((row for row in rows if row.printed.key == CRACKNET), rows[0])
        full = [first.command.replace(f" --row {first.printed.key}", ""), first.command]
        lines = ["# all rows, one after the other:", full[0], "# one row:", full[1]]
        small = [first.command.replace("--scale full", "--scale lite")]
        small += [row.command for row in rows if row.printed.key in FAMILIES][:1]
    train, test = PAIRS[number]
    here = ELSEWHERE.get(number, ((train, test),))[0]
    if not {*here} & {*PROXIES}:
        sets = "" if here == (train, test) else f" --train-set {here[0]} --test-set {here[1]}"
        lines = [*lines, "# on a laptop:", *(f"{one}{sets}" for one in small)]
    if {train, test} & {*PROXIES}:
        sets = f" --train-set {PROXIES.get(train, (train,))[0]} --test-set {PROXIES.get(test, (test,))[-1]}"
        lines = [*lines, "# without the sets of the paper, on proxy sets:", *(f"{one}{sets}" for one in full)]
        lines += ["# the same on a laptop:", *(f"{one}{sets}" for one in small)]
    return lines


def label(row: TableRow, ours: Ours) -> str:
    """How records were made, in as few words as will do: the sets only where they are not the printed ones."""
    printed = (ours.train_set, ours.test_set) == PAIRS[row.printed.table]
    sets = [] if printed and ours.test_set in OFFICIAL else [f"{ours.train_set} → {ours.test_set}"]
    if chosen := ours.records[0].train.chosen:
        return ", ".join([*sets, f"median of {chosen.variants} variants: F1 {ours.middle['f1']:.1f}"])
    seeds = count(len(ours.seeds), "seed")
    return ", ".join([f"{ours.recipe} recipe", ours.scale, *sets, *ours.substituted, seeds])


def _spread(score: Score) -> str:
    if math.isnan(score.mean):
        return "undefined"
    text = f"{score.mean:.2f}" + ("" if math.isnan(score.sd) else f" ± {score.sd:.2f}")
    return text if math.isnan(score.low) else f"{text} ({score.low:.1f} to {score.high:.1f})"


def _sentence(text: str) -> str:
    """A sentence as HTML: with a capital letter and a full stop."""
    text = html.escape(text)
    return text[0].upper() + text[1:] + "."
