""" "Check my run" in the built book against `upcrack audit`, in a browser. After `make book`: `make site-test`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from site_browser import SITE
from test_audit import averaged, clean, metrics_of, printed, swapped

from upcrack_lite.metrics import METRICS, Confusion
from upcrack_lite.reproduction.audit import audit_rows
from upcrack_lite.reproduction.audit_table import ALIASES, read_table

pytestmark = pytest.mark.site

ROWS = "#check [role=status] li"


@pytest.fixture
def page(desktop, address):
    desktop.page.goto(f"{address}/book/check_run.html")
    desktop.page.wait_for_selector("#check textarea")
    return desktop.page


def without(rows, *metrics):
    return [replace(row, cells={m: v for m, v in row.cells.items() if m not in metrics}) for row in rows]


def planted(case: int) -> dict[str, list]:
    """Tables with one fault each, and without."""
    rng = np.random.default_rng([16, case])
    rows, digits = int(rng.integers(3, 15)), 1 + case % 3
    good = clean(rng, rows, digits)
    metric = METRICS[case % 5]
    other = float(good[0].cells[metric])
    wrong = f"{other + (7 if other < 90 else -7):.{digits}f}"
    return {
        "clean": good,
        "fractions": clean(rng, rows, digits, fractions=True),
        "swapped": [swapped(row) for row in good],
        "one row swapped": [swapped(good[0]), *good[1:]],
        "averaged": averaged(rng, rows, digits),
        "two sets": clean(rng, rows, digits, 0.02) + clean(rng, rows, digits, 0.15),
        "a wrong digit": [good[0].changed(**{metric: wrong}), *good[1:]],
        "without a column": without(good, metric),
        "two columns": without(good, *METRICS[:3]),
        "one row": good[:1],
    }


@pytest.mark.parametrize("case", range(6))
def test_the_page_finds_what_the_audit_finds(page, tmp_path, case):
    verdicts = set()
    for name, rows in planted(case).items():
        metrics = [m for m in METRICS if m in rows[0].cells]
        lines = [",".join(["run", *metrics])] + [
            ",".join([f"r{i}", *(row.cells[m] for m in metrics)]) for i, row in enumerate(rows)
        ]
        (tmp_path / "table.csv").write_text("\n".join(lines), encoding="utf-8")
        page.get_by_label("Or paste a table").fill("\n".join(lines))
        got = page.evaluate(
            "(({verdict, prevalences, swapped, wrong}) => ({verdict, prevalences, swapped, wrong}))(check.found)"
        )
        result = audit_rows(read_table(tmp_path / "table.csv")[0])
        (group,) = result.groups
        assert (got["verdict"], got["swapped"]) == (group.verdict, group.swapped), name
        assert got["prevalences"] == pytest.approx(list(group.prevalences)), name
        faults = {(one.row, one.kind) for one in result.findings if one.row}
        assert {(one["row"] + 1, one["kind"]) for one in got["wrong"]} == faults, name
        verdicts.add(group.verdict)
    assert {"constant", "swapped", "averaged", "mixed", "unknown"} <= verdicts


def test_the_example_is_swapped_and_leads_to_a_chapter(page):
    page.get_by_role("button", name="An example").click()
    assert page.evaluate("check.found.verdict") == "swapped"
    link = page.locator(f"{ROWS} a").first
    assert (SITE / "book" / link.get_attribute("href")).resolve().is_file()


def typed(page, confusion: Confusion, share: float | None = None) -> str:
    """Type one run, and return what the page says."""
    for metric, text in printed(1, metrics_of(confusion), 2).cells.items():
        title = {"f1": "F1", "iou": "IoU"}.get(metric, metric)
        page.get_by_role("spinbutton", name=title, exact=True).fill(text)
    page.get_by_role("spinbutton", name="prevalence").fill("" if share is None else f"{share:.2f}")
    return page.locator("#check [role=status]").inner_text()


def test_one_run_is_typed(page):
    good = Confusion(tp=24_000, fp=6_000, fn=8_000, tn=962_000)
    assert "this is the prevalence that you gave" in typed(page, good, good.prevalence)
    assert "this is not yours" in typed(page, good, 5.0)
    other = Confusion(tp=24_000, fp=8_000, fn=6_000, tn=962_000)  # what swapped columns look like
    assert "swapped it would be yours" in typed(page, other, good.prevalence)
    assert "times as many pixels" not in typed(page, good)
    assert "4.0 times as many pixels are marked as are crack" in typed(
        page, Confusion(24_000, 104_000, 8_000, 864_000)
    )
    assert "contrast-inverted" in typed(page, Confusion(8_000, 962_000, 24_000, 6_000))
    page.get_by_role("spinbutton", name="F1", exact=True).fill("50.00")
    assert "contradict each other" in page.locator("#check [role=status]").inner_text()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("run,speed\nA,3", "names no column"),
        ("precision,prec\n1,2", "two columns"),
        ("run,precision\nA,high", "is no number"),
        ("run,precision\nA,1,2", "not as many cells"),
    ],
)
def test_a_bad_table_is_refused_with_a_reason(page, table, message):
    page.get_by_label("Or paste a table").fill(table)
    assert message in page.locator("#check [role=status]").inner_text()


def test_the_usual_names_of_columns_are_known(page):
    for metric, names in ALIASES.items():
        for name in names.split():
            page.get_by_label("Or paste a table").fill(f"run,{name.upper()} (%)\nA,12.3")
            assert page.evaluate("Object.keys(check.found.checks[0].known)") == [metric], name
