"""What the table pages say in words: names of rows, and sentences whose numbers are computed."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from scipy import stats

from upcrack_lite.baselines.kinds import CRACKNET
from upcrack_lite.reproduction import cells, published
from upcrack_lite.reproduction.conditions import SETS
from upcrack_lite.reproduction.ours import Ours
from upcrack_lite.reproduction.tables import TableRow, Verdict
from upcrack_lite.show.plain_tables import items

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
}
"""Rows in words; the losses of Table I are put together by `title`."""

_LOSSES = {"mae": "MAE", "ssim": "SSIM", "msgms": "MSGMS", "style": "style", "adv": "adversarial"}


def title(row: published.Row) -> str:
    """A row's name as a reader knows it."""
    return TITLES.get(row.key) or " + ".join(_LOSSES[name] for name in row.key.split("+"))


def says(number: int) -> Any:
    """What a printed table says, in sentences whose numbers are computed from it."""
    rows = published.rows(number)
    ranked = sorted(rows, key=lambda row: -row.iou)
    if number in (1, 2):
        first, second = ranked[:2]
        lines = [
            f"Best by IoU: {title(first)}, {first.iou:.3f} %.",
            f"The next, {title(second)}, has {second.iou:.3f} %: {first.iou - second.iou:.3f} points less.",
            f"From the lowest IoU ({ranked[-1].iou:.3f} %) to the highest it is "
            f"{first.iou - ranked[-1].iou:.3f} points.",
        ]
        return items([html.escape(line) for line in lines])
    own = published.row(number, "upcracknet")
    above = [title(row) for row in ranked if row.iou > own.iou]
    place = f"UP-CrackNet has an IoU of {own.iou:.3f} %, place {len(above) + 1} of {len(rows)}."
    better = f"Above it: {', '.join(above)}." if above else "No method is above it."
    labeled = [row for row in rows if row.strategy.endswith("supervised") and row.strategy != "unsupervised"]
    beaten = sum(row.iou < own.iou for row in labeled)
    counts = f"It is above {beaten} of the {len(labeled)} methods that are trained with crack labels."
    other = max((row for row in rows if row.strategy == "unsupervised"), key=lambda row: row.iou)
    alike = (
        f"The better of the two others without labels, {title(other)}, has {other.iou:.3f} %, "
        f"{own.iou - other.iou:.3f} points less."
    )
    return items([html.escape(line) for line in (place, better, counts, alike)])


def beside(rows: Sequence[TableRow]) -> list[str]:
    """How detectors without training stand against the printed UP-CrackNet, one sentence for each test set.

    Empty where none is recorded, or the table has no such row.
    """
    printed = [row.printed for row in rows if row.printed.key == CRACKNET]
    free = [(row, one) for row in rows if row.verdict == Verdict.ABSENT for one in row.ours]
    found = []
    for test_set in dict.fromkeys(ours.test_set for _, ours in free) if printed else ():
        some = [(row, ours) for row, ours in free if ours.test_set == test_set]
        top = printed[0].f1
        above = [title(row.printed) for row, ours in some if ours.scores["f1"].mean > top]
        middle = sum(ours.middle["f1"] > top for _, ours in some)
        best_row, best = max(some, key=lambda pair: pair[1].scores["f1"].mean)
        same = "" if test_set == cells.PAIRS[printed[0].table][1] else ", which is not the printed test set"
        row, sure = max(some, key=lambda pair: pair[1].records[0].train.chosen.training_f1)
        found.append(
            f"Detectors without training on {SETS[test_set]}{same}: the training photos speak for "
            f"{title(row.printed)}, which has F1 {sure.scores['f1'].mean:.1f} %. The highest of {len(some)}, "
            f"known only after the test, is {title(best_row.printed)} with {best.scores['f1'].mean:.1f} %. "
            f"{_many(above, len(some))} above the {top:.1f} % that is printed for UP-CrackNet; by the median of its "
            f"variants, {middle or 'none'} {'are' if middle > 1 else 'is'}."
        )
    return found


def orders(rows: Sequence[TableRow]) -> list[str]:
    """The order of our rows by F1 beside the printed one, one sentence or two for each group of records.

    Only for tables that compare choices of UP-CrackNet; a group counts with three rows or more.
    """
    groups: dict[tuple[str, ...], dict[str, tuple[TableRow, Ours]]] = {}
    for row in rows if rows and rows[0].printed.table in cells.BY_CHOICE else ():
        for ours in row.ours:
            key = (ours.recipe, ours.scale, ours.train_set, ours.test_set)
            groups.setdefault(key, {})[row.printed.key] = (row, ours)
    found = []
    for (recipe, scale, train_set, test_set), pairs in groups.items():
        some = sorted(pairs.values(), key=lambda pair: -pair[1].f1)
        if len(some) < 3:
            continue
        own = [ours.f1 for _, ours in some]
        printed = [row.printed.f1 for row, _ in some]
        names = ", ".join(
            f"{title(row.printed)} ({value:.1f})" for (row, _), value in zip(some, own, strict=True)
        )
        spreads = [ours.scores["f1"].sd for _, ours in some if len(ours.seeds) > 1]
        chance = f" Seeds alone make {max(spreads):.1f} points (standard deviation)." if spreads else ""
        rank = stats.spearmanr(own, printed).statistic
        where = SETS[cells.PAIRS[some[0][0].printed.table][1]]
        found.append(
            f"Our order by F1 ({recipe} recipe, {scale}, {train_set} → {test_set}): {names}. Spearman's rank "
            f"correlation with the printed order, on {where}, is {rank:+.2f}: 1 is the same order, -1 the "
            f"reverse.{chance}"
        )
    return found


def _many(names: list[str], total: int) -> str:
    if not names:
        return f"None of the {total} is"
    return f"{len(names)} of the {total} ({', '.join(names)}) {'is' if len(names) == 1 else 'are'}"


def sentence(text: str) -> str:
    """A sentence as HTML: with a capital letter and a full stop."""
    text = html.escape(text)
    return text[0].upper() + text[1:] + "."
