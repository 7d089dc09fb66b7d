"""The commands on a table page: those that make the records it lacks, and those that made what it shows."""

from __future__ import annotations

from collections.abc import Sequence

from upcrack_lite.baselines.kinds import CRACKNET
from upcrack_lite.reproduction import cells
from upcrack_lite.reproduction.ours import ELSEWHERE, Ours
from upcrack_lite.reproduction.tables import TableRow, Verdict


def command_lines(number: int, rows: Sequence[TableRow]) -> list[str]:
    """The commands that make the records which the verdicts of a table need, and smaller ones for a laptop.

    A line that begins with # says what the next ones are for.
    """
    made = [row.command for row in rows]
    lines, small = list(made), [one.replace("--scale full", "--scale lite") for one in made]
    if number not in cells.BY_CHOICE:  # many rows: one command for all, and one for a single row
        first = next((row for row in rows if row.printed.key == CRACKNET), rows[0])
        every = first.command.replace(f" --row {first.printed.key}", "")
        made = [every, first.command]
        lines = ["# all rows, one after the other:", every, "# one row:", first.command]
        small = [one.replace("--scale full", "--scale lite") for one in made[1:]]
        small += [row.command for row in rows if row.verdict == Verdict.ABSENT][:1]
    train, test = cells.PAIRS[number]
    here = ELSEWHERE.get(number, ((train, test),))[0]
    if not {*here} & {*cells.STAND_INS}:
        sets = "" if here == (train, test) else f" --train-set {here[0]} --test-set {here[1]}"
        lines += ["# on a laptop:", *(f"{one}{sets}" for one in small)]
    if train in cells.STAND_INS or test in cells.STAND_INS:
        kept = cells.STAND_INS.get(train, (train, ""))[0]
        held = cells.STAND_INS.get(test, ("", test))[1]
        sets = f" --train-set {kept} --test-set {held}"
        lines += ["# without the sets of the paper, on stand-ins:", *(f"{one}{sets}" for one in made)]
        lines += ["# the same on a laptop:", *(f"{one}{sets}" for one in small)]
    return lines


def command_of(ours: Ours) -> str:
    """The command that made a group of records: the first one's, with the seeds of all."""
    seeds = " ".join(f"--seed {seed}" for seed in ours.seeds)
    return ours.records[0].command.replace(f"--seed {ours.seeds[0]}", seeds, 1)
