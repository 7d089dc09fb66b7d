"""The printed numbers: all 96 rows, sums that a typing error would break, and the swapped columns."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest
from test_table_pages import lines

from upcrack_lite.errors import UserError
from upcrack_lite.metrics import METRICS
from upcrack_lite.reproduction import published
from upcrack_lite.show.ledger import sentences

# Sums over all rows of a table in thousandths of a percent, in the order of METRICS.
SUMS = {
    1: (581_477, 432_573, 843_453, 488_455, 338_251),
    2: (0, 0, 284_920, 169_468, 118_714),
    3: (897_108, 807_626, 1_303_933, 818_303, 598_404),
    4: (883_536, 1_028_290, 1_348_766, 897_578, 679_253),
    5: (471_520, 443_187, 1_356_620, 319_313, 196_849),
    6: (868_574, 640_454, 1_297_431, 652_722, 445_480),
    7: (513_187, 600_875, 1_352_012, 434_591, 264_975),
    8: (462_191, 679_392, 1_277_806, 420_585, 259_345),
}


def test_all_rows_are_there():
    assert [len(published.rows(n)) for n in range(1, 9)] == [9, 3, 14, 14, 14, 14, 14, 14]
    everything = published.rows()
    assert len(everything) == 96
    assert sum(row.precision is not None and row.recall is not None for row in everything) == 93
    assert {row.table for row in everything if row.precision is None} == {2}


@pytest.mark.parametrize("table", published.TABLES)
def test_sums_of_the_columns(table):
    def total(metric):
        values = [getattr(row, metric) for row in published.rows(table)]
        return sum(round(1000 * value) for value in values if value is not None)

    assert tuple(total(metric) for metric in METRICS) == SUMS[table]


def test_tables_of_methods_hold_the_same_fourteen():
    keys = [tuple((row.key, row.strategy) for row in published.rows(n)) for n in range(3, 9)]
    assert len(set(keys)) == 1
    assert keys[0][-1] == ("upcracknet", "proposed")


@pytest.mark.parametrize("table", [4, "4", "IV", " iv "])
def test_a_table_by_number_or_roman(table):
    row = published.row(table, "upcracknet")
    assert (row.precision, row.recall, row.f1) == (63.412, 88.852, 74.006)


def test_corrected_swaps_two_columns_and_nothing_else():
    row = published.row("IV", "upcracknet")
    mended = published.corrected(row)
    assert (mended.precision, mended.recall) == (row.recall, row.precision)
    assert dataclasses.replace(mended, precision=row.precision, recall=row.recall) == row
    jumbled = published.row("II", "jumbled")
    assert published.corrected(jumbled) == jumbled


def test_inferred_keys_are_marked():
    sources = [row.key_source for row in published.rows(1)]
    assert sources == ["certain", *["inferred"] * 7, "certain"]


@pytest.mark.parametrize("table", [0, 9, "IX", ""])
def test_an_unknown_table_lists_the_known_ones(table):
    with pytest.raises(UserError, match=r"1 \(I\).*8 \(VIII\)"):
        published.rows(table)


def test_an_unknown_row_lists_the_known_ones():
    with pytest.raises(UserError, match=r"Table III has no row 'resnet'; choose deeplabv3plus, .*upcracknet"):
        published.row("III", "resnet")


SECOND_HAND = {"44.286"}  # a report about the authors' weights, not a printed number


def test_numbers_typed_in_prose_are_printed_ones():
    root = Path(__file__).resolve().parents[1]
    printed = {f"{getattr(row, name) or 0:.3f}" for row in published.rows() for name in METRICS}
    typed = {}
    for path in [root / "README.md", *(root / "book").glob("*.md"), *(root / "notebooks").rglob("*.ipynb")]:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".ipynb":
            cells = json.loads(text)["cells"]
            text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
        typed |= {(path.name, one): one for one in re.findall(r"(?<![\d.])\d\d\.\d{3}(?!\d)", text)}
    assert len(typed) > 5, "no page types a number: this test would test nothing"
    assert not {where for where, one in typed.items() if one not in printed | SECOND_HAND}


# Sentences of the paper against its tables

CLAIMS = published.claims()


@pytest.mark.parametrize(
    ("text", "holds", "says"),
    [
        ("11 general supervised", False, "9 general and 2 crack-specific methods, 11 in all"),
        (
            "reduction in IoU",
            False,
            "1.185 to 6.355 points over 6 of 9 methods; the other 3 (enet, segresnet, ddrnet)",
        ),
        ("all general supervised methods", True, "0.153 points more"),
        ("32.606%", True, "32.606 to 33.739"),
        ("29.544%", True, "29.544 to 38.459"),
        ("Table V,", False, "deepcrack18 is 5.574 points above it"),
        ("Table VI,", True, "deepcrack18, is 3.067 points below"),
        ("Table VII,", False, "deepcrack19 is 3.958 points above it"),
        ("Table VIII,", True, "deepcrack19, is 1.315 points below"),
        ("improvements of 2.876%", True, "13.080 points of F1 and 12.513 of IoU"),
        ("most significant", True, "19.684"),
    ],
)
def test_each_sentence(text, holds, says):
    (claim,) = [one for one in CLAIMS if text in one.phrase or text in one.says]
    assert claim.holds is holds
    assert says in claim.says
    assert len(claim.phrase.split()) < 12, "short quotes only"


def test_a_claim_follows_the_tables(monkeypatch):
    read = published._read.__wrapped__
    monkeypatch.setattr(
        published,
        "_read",
        lambda number: tuple(
            dataclasses.replace(r, iou=99.0) if r.key == "unet" else r for r in read(number)
        ),
    )
    changed = {one.says for one in published.claims() if "generalizability" in one.phrase}
    assert all("unet" in says for says in changed)


def test_the_report_contradicts_itself():
    f1, iou = published.reported_f1_iou()
    assert f1 == pytest.approx(published.REPORTED["f1"], abs=0.05)
    assert abs(iou - published.REPORTED["iou"]) > 4


def test_the_page_shows_every_claim_with_the_names_of_methods():
    shown = lines(sentences())
    assert [line[1] == "holds" for line in shown] == [one.holds for one in CLAIMS]
    assert any("Deepcrack18" in line[2] for line in shown)
