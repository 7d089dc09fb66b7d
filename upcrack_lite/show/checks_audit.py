"""Checks of the exercises in the audit: rounding, and the counts behind a row. Import them from `checks`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from upcrack_lite.show.checking import array, check, close, need

Answer = Callable[..., Any]


@check("it holds every F1 that the digits allow, and no other.")
def check_f1_range(fn: Answer) -> None:
    """fn(precision, recall, half, all in percent) -> (lowest, highest) F1: each may be wrong by up to half."""
    low, high = array(fn(60.0, 60.0, 0.0), (2,), "the range")
    need(close((low, high), 60), "equal precision and recall, known exactly, are F1 too: (60, 60)")
    low, high = array(fn(60.0, 60.0, 0.5), (2,), "the range")
    need(low <= high, "give the lowest value first")
    need(close((low, high), (59.5, 60.5)), "60 and 60, each wrong by up to 0.5, allow F1 from 59.5 to 60.5")
    for p, r, half in ((75.0, 60.0, 0.05), (8.3, 85.0, 0.05), (63.412, 88.852, 0.0005)):
        low, high = array(fn(p, r, half), (2,), "the range")
        for sign, found in ((-1, low), (1, high)):
            a, b = p + sign * half, r + sign * half
            need(
                close(found, 2 * a * b / (a + b), 1e-7),
                f"P {p}, R {r}, half {half}: F1 grows with both, so its ends lie where both are lowest or both are "
                f"highest; expected {2 * a * b / (a + b):.5f}, got {found:.5f}",
            )


@check("the four parts add up to 100 and give precision, recall and crack share back.")
def check_rebuilt(fn: Answer) -> None:
    """fn(precision, recall, crack share, all in percent) -> (TP, FP, FN, TN) in percent of all pixels."""
    for tp, fp, fn_, tn in ((3.0, 1.0, 2.0, 94.0), (10.0, 30.0, 5.0, 55.0), (0.7, 0.1, 1.0, 98.2)):
        p, r, share = 100 * tp / (tp + fp), 100 * tp / (tp + fn_), tp + fn_
        found = array(fn(p, r, share), (4,), "the answer")
        need(close(found.sum(), 100), f"TP, FP, FN and TN should add up to 100 %, not {found.sum():g}")
        need(close(found[0] + found[2], share), "TP + FN is all crack: the crack share")
        need(
            close(found[0], tp), f"recall says which part of the crack is found: TP {tp:g}, not {found[0]:g}"
        )
        need(close(found[1], fp), f"precision says TP / (TP + FP): FP {fp:g}, not {found[1]:g}")
        need(close(found[3], tn), f"TN is the rest: {tn:g}, not {found[3]:g}")
