"""Interval arithmetic for rounded metrics: which values lie behind printed digits, and can they all be true?

A printed 61.8 stands for anything from 61.75 to 61.85. Precision P, recall R, accuracy A, F1, IoU and prevalence π
(the fraction of crack pixels) of one pooled confusion matrix are tied by three identities:

    F1 = 2PR / (P + R)        IoU = F1 / (2 - F1)        1 - A = π (R/P + 1 - 2R)

`narrow` reduces intervals to what the identities allow. What it removes is impossible for certain; an empty interval
is a contradiction. All values are fractions of 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

Interval = tuple[float, float]
Box = dict[str, Interval]

NAMES = ("precision", "recall", "accuracy", "f1", "iou", "prevalence")
ROUNDS = 30  # narrowing settles after a few; the rest is a guard


def meet(a: Interval, b: Interval) -> Interval | None:
    """Return what two intervals share, or None. Ends that differ by rounding of the computer's numbers meet."""
    low, high = max(a[0], b[0]), min(a[1], b[1])
    return (low, max(low, high)) if low <= high + 1e-12 else None


def f1_of(precision: Interval, recall: Interval) -> Interval:
    """F1 that precision and recall allow; it grows with both."""
    low, high = (2 * p * r / (p + r) if p + r > 0 else 0.0 for p, r in zip(precision, recall, strict=True))
    return low, high


def iou_of(f1: Interval) -> Interval:
    """IoU that belongs to F1."""
    return f1[0] / (2 - f1[0]), f1[1] / (2 - f1[1])


def f1_of_iou(iou: Interval) -> Interval:
    """F1 that belongs to IoU."""
    return 2 * iou[0] / (1 + iou[0]), 2 * iou[1] / (1 + iou[1])


def prevalence_of(precision: Interval, recall: Interval, accuracy: Interval) -> Interval:
    """Prevalence that precision, recall and accuracy allow.

    It falls with accuracy, grows with precision, and is monotone in recall at each precision: the extremes lie on
    corners.
    """
    wrong = _errors_per_crack(precision, recall)
    return min(1.0, _over(1 - accuracy[1], wrong[1])), min(1.0, _over(1 - accuracy[0], wrong[0]))


def true_positives_of(f1: Interval, accuracy: Interval) -> Interval:
    """Fraction of pixels that are true positives, from F1 = 2 TP / (2 TP + 1 - A)."""
    low = _over((1 - accuracy[1]) * f1[0], 2 * (1 - f1[0]))
    return min(1.0, low), min(1.0, _over((1 - accuracy[0]) * f1[1], 2 * (1 - f1[1])))


def narrow(known: Mapping[str, Interval]) -> Box | None:
    """Reduce the intervals of one row to what the identities allow.

    known: any of `NAMES`; others are free. Returns all six, or None when no values satisfy the identities.
    """
    box = {name: known.get(name, (0.0, 1.0)) for name in NAMES}
    for _ in range(ROUNDS):
        before = dict(box)
        for name, allowed in _allowed(box):
            shared = meet(box[name], allowed)
            if shared is None:
                return None
            box[name] = shared
        if all(box[n][1] - box[n][0] > 0.99 * (before[n][1] - before[n][0]) for n in NAMES):
            break
    return box


def _allowed(box: Box) -> Iterator[tuple[str, Interval]]:
    """Yield (name, interval) for each identity solved for each of its values."""
    yield "f1", f1_of(box["precision"], box["recall"])
    yield "f1", f1_of_iou(box["iou"])
    yield "iou", iou_of(box["f1"])
    for name, other in (("precision", "recall"), ("recall", "precision")):
        (f_low, f_high), (low, high) = box["f1"], box[other]
        # P = F R / (2R - F) grows with F and falls with R; it has no finite top where 2R reaches F.
        bottom = _over(f_low * high, 2 * high - f_low) if 2 * high > f_low else 1.0
        top = _over(f_high * low, 2 * low - f_high) if 2 * low > f_high else 1.0
        yield name, (min(bottom, 1.0), max(0.0, top))
    yield "prevalence", prevalence_of(box["precision"], box["recall"], box["accuracy"])
    if box["recall"][0] > 0:  # accuracy counts the true positives too: A >= π R
        yield "prevalence", (0.0, box["accuracy"][1] / box["recall"][0])
    wrong, (low, high) = _errors_per_crack(box["precision"], box["recall"]), box["prevalence"]
    yield "accuracy", (max(0.0, 1 - (high * wrong[1] if high else 0.0)), 1 - max(0.0, low * wrong[0]))
    # The third identity between F1, accuracy and π is exact: TP <= π <= TP + errors.
    tp = true_positives_of(box["f1"], box["accuracy"])
    yield "prevalence", (tp[0], min(1.0, tp[1] + 1 - box["accuracy"][0]))
    yield "recall", (_over(tp[0], box["prevalence"][1]), _over(tp[1], box["prevalence"][0]))


def _errors_per_crack(precision: Interval, recall: Interval) -> Interval:
    """(FP + FN) / crack pixels = R/P + 1 - 2R, over all corners."""
    values = [(r / p if p > 0 else float("inf")) + 1 - 2 * r for p in precision for r in recall]
    return max(0.0, min(values)), max(values)


def _over(above: float, below: float) -> float:
    return above / below if below > 0 else float("inf")
