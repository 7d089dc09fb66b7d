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


def summary(rows: Sequence[TableRow]) -> list[str]:
    """The verdict and the reading of the last printed row, UP-CrackNet itself, and how many rows have each."""
    if not rows:
        return ["The paper has none of these rows."]
    own = rows[-1]
    lines = [f"{title(own.printed)}: {own.reading or own.reason}. Verdict: {own.verdict}."]
    if own.reading:
        lines.append(f"Why: {own.reason}.")
    lines.append(f"Of {count(len(rows), 'printed row')}: {_counted(row.verdict for row in rows)}.")
    read = [reading_word(row) for row in rows if row.ours]
    if read:
        lines.append(f"Readings of F1, whatever scale and photos: {_counted(read)}.")
    return lines


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
    return ", ".join(
        f"{counts[word]} {word}" for word in (*Verdict, "below", "near", "above") if counts[word]
    )


def printed_says(number: int) -> list[str]:
    """What the printed table says, in sentences whose numbers are computed from it."""
    rows = published.rows(number)
    ranked = sorted(rows, key=lambda row: -row.iou)
    first, second, last = ranked[0], ranked[1], ranked[-1]
    if number in experiments.CHOICES:
        lines = [
            f"Best by IoU: {title(first)}, {first.iou:.3f} %.",
            f"The next, {title(second)}, has {second.iou:.3f} %: {first.iou - second.iou:.3f} points less.",
            f"From the lowest IoU ({last.iou:.3f} %) to the highest it is {first.iou - last.iou:.3f} points.",
        ]
        return lines
    own = published.row(number, CRACKNET)
    above = [title(row) for row in ranked if row.iou > own.iou]
    labeled = [row for row in rows if row.strategy.endswith("supervised") and row.strategy != "unsupervised"]
    beaten = sum(row.iou < own.iou for row in labeled)
    other = max((row for row in rows if row.strategy == "unsupervised"), key=lambda row: row.iou)
    lines = [
        f"UP-CrackNet has an IoU of {own.iou:.3f} %, place {len(above) + 1} of {len(rows)}.",
        f"Above it: {', '.join(above)}." if above else "No method is above it.",
        f"It is above {beaten} of the {len(labeled)} methods that are trained with crack labels.",
        f"The better of the two others without labels, {title(other)}, has {other.iou:.3f} %, "
        f"{own.iou - other.iou:.3f} points less.",
    ]
    return lines


def speaking_for(beside: Sequence[TableRow], test_set: str = "") -> tuple[TableRow, Ours] | None:
    """The training-free baseline that the training photos speak for; None where none is recorded on that test set."""
    free = [(row, one) for row in beside if row.printed.key in FAMILIES for one in row.ours]
    free = [(row, ours) for row, ours in free if test_set in ("", ours.test_set)]
    return max(free, key=lambda pair: pair[1].records[0].train.chosen.training_f1, default=None)


def baselines(rows: Sequence[TableRow], beside: Sequence[TableRow]) -> list[str]:
    """How training-free baselines stand against the printed UP-CrackNet, one sentence for each test set.

    Empty where none is recorded, or UP-CrackNet's row is not among the rows.
    """
    top = next((row.printed.f1 for row in rows if row.printed.key == CRACKNET), None)
    free = [(row, one) for row in beside if row.printed.key in FAMILIES for one in row.ours]
    lines = []
    for test_set in dict.fromkeys(ours.test_set for _, ours in free) if top else ():
        pairs = [(row, ours) for row, ours in free if ours.test_set == test_set]
        above = [title(row.printed) for row, ours in pairs if ours.scores["f1"].mean > top]
        middle = sum(ours.middle["f1"] > top for _, ours in pairs)
        best_row, best = max(pairs, key=lambda pair: pair[1].scores["f1"].mean)
        row, sure = speaking_for(beside, test_set)
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


def orders(rows: Sequence[TableRow]) -> list[str]:
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
