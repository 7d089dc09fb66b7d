"""What `upcrack score` prints beside its numbers: UP-CrackNet's printed rows for a test set, and if they compare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from upcrack_lite.data import manifest as manifests
from upcrack_lite.errors import UserError
from upcrack_lite.metrics import METRICS
from upcrack_lite.recipes import TABLE_SIZE
from upcrack_lite.reproduction.conditions import OFFICIAL, SAME_FRACTION, UNKNOWN_PATCHES, test_shares
from upcrack_lite.reproduction.published import OWN, TABLES, Row, corrected, implied_prevalence, row

SETS = tuple(sorted({facts.test_set.lower() for facts in TABLES.values()}))


def own_rows(test_set: str) -> list[Row]:
    """UP-CrackNet's printed rows of a test set, one a training set; precision and recall are swapped back.

    Raises UserError for a set that the paper does not test on.
    """
    if test_set.lower() not in SETS:
        raise UserError(f"the paper does not test on {test_set!r}; choose {', '.join(SETS)}")
    tables = [number for number, facts in TABLES.items() if facts.key == "method"]
    return [row(n, OWN) for n in tables if TABLES[n].test_set.lower() == test_set.lower()]


def beside(result: Mapping[str, Any], test_set: str) -> dict[str, Any]:
    """The printed rows beside a result of `score_folder`, and in words whether photos and sizes are the paper's."""
    rows = {}
    for one in own_rows(test_set):
        values = {metric: getattr(corrected(one), metric) for metric in METRICS}
        values["prevalence"] = implied_prevalence(one)
        rows[f"Table {TABLES[one.table].roman}, trained on {one.train_set}"] = values
    side, has = f"{TABLE_SIZE}×{TABLE_SIZE}", set(result["sizes"])
    same = has == {side.replace("×", "x")}
    sizes = (
        f"{side}, pooled, as in the paper" if same else f"not {side}, to which the paper squeezes each photo"
    )
    photos = _photos(result["crack_fractions"], test_set.lower())
    return {"test_set": test_set.lower(), "rows": rows, "compares": f"Photos: {photos}. Sizes: {sizes}."}


def as_text(result: Mapping[str, Any]) -> str:
    """A result that holds under "beside" what `beside` returned, as text: pooled metrics, here and as printed."""
    printed, here = result["beside"], result["pooled"] | {"prevalence": result["crack_fraction_percent"]}
    lines = [
        f"UP-CrackNet as the paper prints it for {printed['test_set']}, percent; its precision and recall, which are "
        "printed swapped, are swapped back here",
        f"{'':<18}{'here':>9}" + "".join(f"  {name}" for name in printed["rows"]),
    ]
    for metric in (*METRICS, "prevalence"):
        own = "undefined" if here[metric] is None else f"{here[metric]:9.3f}"
        cells = "".join(f"  {row[metric]:>{len(name)}.3f}" for name, row in printed["rows"].items())
        lines.append(f"{metric:<18}{own}{cells}")
    return "\n".join([*lines, printed["compares"]])


def _photos(shares: Mapping[str, float], test_set: str) -> str:
    """Whether these are the photos that the paper tests on, in words."""
    if test_set not in OFFICIAL:
        return f"not known to be the paper's: {UNKNOWN_PATCHES.split(',')[0]}"
    path, total = manifests.packaged(test_set), OFFICIAL[test_set]
    if path is None:
        return f"{len(shares)}; the paper's are {total}, and the kit has no list to tell whether these are among them"
    fractions = test_shares(manifests.read(path))
    same = sum(abs(fractions.get(name, -1) - share) <= SAME_FRACTION for name, share in shares.items())
    if same == len(shares):
        return f"the paper's {total}" if same == total else f"{same} of the paper's {total}"
    return (
        f"{len(shares) - same} of {len(shares)} are not among the paper's {total}, by name and crack fraction"
    )
