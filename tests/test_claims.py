"""Sentences of the paper against its tables, and the page that quotes the same numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from test_table_pages import lines

from upcrack_lite.reproduction import claims, published
from upcrack_lite.show.ledger import sentences

CLAIMS = claims.claims()


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
        lambda number: tuple(replace(r, iou=99.0) if r.key == "unet" else r for r in read(number)),
    )
    changed = {one.says for one in claims.claims() if "generalizability" in one.phrase}
    assert all("unet" in says for says in changed)


def test_the_report_contradicts_itself():
    f1, iou = claims.reported_f1_iou()
    assert f1 == pytest.approx(claims.REPORTED["f1"], abs=0.05)
    assert abs(iou - claims.REPORTED["iou"]) > 4


def test_the_page_shows_every_claim_with_the_names_of_methods():
    shown = lines(sentences())
    assert [line[1] == "holds" for line in shown] == [one.holds for one in CLAIMS]
    assert any("Deepcrack18" in line[2] for line in shown)
