"""What a table page says: titles, and sentences whose numbers are computed from printed rows and records."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence

from scipy import stats

from upcrack_lite.baselines.registry import CRACKNET, FAMILIES
from upcrack_lite.reproduction import experiments, published
from upcrack_lite.reproduction.conditions import SETS, count
from upcrack_lite.reproduction.tables import Ours, TableRow
from upcrack_lite.reproduction.verdicts import Verdict, reading

NO_ROWS = "The paper has none of these rows."
_MAPS = {
    "global_darkness": "darkness",
    "local_darkness": "local darkness",
    "black_tophat": "black top-hat",
    "frangi": "Frangi",
    "sato": "Sato",
    "gabor": "Gabor",
}
_RULES = {"": "", "_otsu": " + Otsu", "_paper": " + filter + Otsu"}

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
    **{f"tf_{name}{rule}": map_ + end for name, map_ in _MAPS.items() for rule, end in _RULES.items()},
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


def summary(rows: Sequence[TableRow]) -> list[str]:
    """The verdict and the reading of the last printed row, UP-CrackNet itself, and how many rows have each."""
    if not rows:
        return [NO_ROWS]
    own, read = rows[-1], [reading_word(row) for row in rows if row.ours]
    lines = [f"{title(own.printed)}: {own.reading or own.reason}. Verdict: {own.verdict}."]
    lines += [f"Why: {own.reason}."] if own.reading else []
    lines.append(f"Of {count(len(rows), 'printed row')}: {_counted(row.verdict for row in rows)}.")
    return lines + ([f"Readings of F1, whatever scale and photos: {_counted(read)}."] if read else [])


def reading_word(row: TableRow) -> str:
    """Where F1 of the nearest records lies: below, near or above; empty without a record."""
    return reading(row.printed.f1, row.ours[0].f1).partition(" ")[0] if row.ours else ""


def spread(values: Sequence[float]) -> str:
    """Mean and standard deviation of some numbers; one number alone, a dash for none."""
    if not values:
        return "–"
    sd = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.1f}{sd}"


def _counted(words: Iterable[str]) -> str:
    counts = Counter(map(str, words))
    return ", ".join(f"{counts[one]} {one}" for one in (*Verdict, "below", "near", "above") if counts[one])


def printed_says(number: int) -> list[str]:
    """What the printed table says, in sentences whose numbers are computed from it."""
    rows = published.rows(number)
    ranked = sorted(rows, key=lambda row: -row.iou)
    if number in experiments.CHOICES:
        first, second, last = ranked[0], ranked[1], ranked[-1]
        return [
            f"Best by IoU: {title(first)}, {first.iou:.3f} %.",
            f"The next, {title(second)}, has {second.iou:.3f} %: {first.iou - second.iou:.3f} points less.",
            f"From the lowest IoU ({last.iou:.3f} %) to the highest it is {first.iou - last.iou:.3f} points.",
        ]
    own = published.row(number, CRACKNET)
    above = [title(row) for row in ranked if row.iou > own.iou]
    labeled = [row for row in rows if row.strategy in ("general_supervised", "crack_supervised")]
    beaten = sum(row.iou < own.iou for row in labeled)
    other = next(row for row in ranked if row.strategy == "unsupervised")
    return [
        f"UP-CrackNet has an IoU of {own.iou:.3f} %, place {len(above) + 1} of {len(rows)}.",
        f"Above it: {', '.join(above)}." if above else "No method is above it.",
        f"It is above {beaten} of the {len(labeled)} methods that are trained with crack labels.",
        f"The better of the two others without labels, {title(other)}, has {other.iou:.3f} %, "
        f"{own.iou - other.iou:.3f} points less.",
    ]


def speaking_for(beside: Sequence[TableRow], test_set: str = "") -> tuple[TableRow, Ours] | None:
    """The training-free baseline that the training photos speak for; None where none is recorded on that test set."""
    free = [pair for pair in _training_free(beside) if test_set in ("", pair[1].test_set)]
    return max(free, key=lambda pair: pair[1].records[0].train.chosen.training_f1, default=None)


def _training_free(beside: Sequence[TableRow]) -> list[tuple[TableRow, Ours]]:
    return [(row, ours) for row in beside if row.printed.key in FAMILIES for ours in row.ours]


def baselines(rows: Sequence[TableRow], beside: Sequence[TableRow]) -> list[str]:
    """How training-free baselines stand against the printed UP-CrackNet, one sentence for each test set.

    Empty where none is recorded, or UP-CrackNet's row is not among the rows.
    """
    top = next((row.printed.f1 for row in rows if row.printed.key == CRACKNET), None)
    free, lines = _training_free(beside), []
    for test_set in dict.fromkeys(ours.test_set for _, ours in free) if top else ():
        pairs = [pair for pair in free if pair[1].test_set == test_set]
        above = [title(row.printed) for row, ours in pairs if ours.f1 > top]
        middle = sum(ours.middle["f1"] > top for _, ours in pairs)
        best_row, best = max(pairs, key=lambda pair: pair[1].f1)
        row, sure = speaking_for(beside, test_set)
        printed_set = experiments.PAIRS[row.printed.table][1]
        same = "" if test_set == printed_set else ", which is not the printed test set"
        which = f" ({', '.join(above)})" if above else ""
        lines.append(
            f"Training-free baselines on {SETS[test_set]}{same}: the training photos speak for "
            f"{title(row.printed)}, which has F1 {sure.f1:.1f} %. The highest of {len(pairs)}, "
            f"known only after the test, is {title(best_row.printed)} with {best.f1:.1f} %. "
            f"{len(above) or 'None'} of the {len(pairs)}{which} {'are' if len(above) > 1 else 'is'} above the "
            f"{top:.1f} % that is printed for UP-CrackNet; by the median of its variants, {middle or 'none'} "
            f"{'are' if middle > 1 else 'is'}."
        )
    return lines


def orders(rows: Sequence[TableRow]) -> list[str]:
    """The order of our rows by F1 beside the printed one, one sentence or two for each group of records.

    Only for tables that compare choices of UP-CrackNet; a group counts with three rows or more.
    """
    groups: dict[tuple[str, ...], dict[str, tuple[TableRow, Ours]]] = {}
    for row in rows if rows and rows[0].printed.table in experiments.CHOICES else ():
        for ours in row.ours:
            group = (ours.recipe, ours.scale, ours.train_set, ours.test_set)
            groups.setdefault(group, {})[row.printed.key] = (row, ours)
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
