"""Sentences of the paper against its tables, and the page that quotes the same numbers."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from small_records import small_record

from upcrack_lite.presets import PAPER, RELEASED, preset
from upcrack_lite.repro import claims, published
from upcrack_lite.repro.cells import Cell

ROOT = Path(__file__).resolve().parents[1]
PAGE = " ".join((ROOT / "book/why_33.md").read_text(encoding="utf-8").split())
CLAIMS = claims.claims()


def claim(text: str) -> claims.Claim:
    (found,) = [one for one in CLAIMS if text in one.phrase or text in one.finds]
    return found


@pytest.mark.parametrize(
    ("text", "holds", "finds"),
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
def test_each_sentence(text, holds, finds):
    found = claim(text)
    assert found.holds is holds
    assert finds in found.finds
    assert len(found.phrase.split()) < 12, "short quotes only"


def test_a_claim_follows_the_tables(monkeypatch):
    read = published._read.__wrapped__
    monkeypatch.setattr(
        published,
        "_read",
        lambda number: tuple(replace(r, iou=99.0) if r.key == "unet" else r for r in read(number)),
    )
    changed = {one.finds for one in claims.claims() if "generalizability" in one.phrase}
    assert all("unet" in finds for finds in changed)


def test_the_report_contradicts_itself():
    f1, iou = claims.reported_f1_iou()
    assert f1 == pytest.approx(claims.REPORTED["f1"], abs=0.05)
    assert abs(iou - claims.REPORTED["iou"]) > 4


def test_the_page_has_the_computed_numbers():
    row, marked = published.row(3, "upcracknet"), claims.marked()
    mended = published.corrected(row)
    for one in (row, mended):
        assert f"| {one.precision} | {one.recall} | {one.f1} | {one.iou} |" in PAGE
    reported = claims.REPORTED
    assert (
        f"| {reported['precision']} | {reported['recall']} | {reported['f1']} | {reported['iou']} |" in PAGE
    )
    assert f"They give an IoU of {claims.reported_f1_iou()[1]:.1f} %" in PAGE
    assert f"About {marked['crack']:.2f} %" in PAGE
    for name in ("printed", "reported", "reported, exchanged"):
        assert f"| {marked[name]:.2f} |" in PAGE
    assert 2.9 < marked["reported"] / marked["crack"] < 3, "nearly three times"
    for phrase in ("11 general supervised", "reduction in IoU"):
        assert phrase in PAGE
        assert phrase in claim(phrase).phrase
    assert "1.185 to 6.355 points, is over 6 of the 9 general methods. ENet, SegResNet and DDRNet" in PAGE
    assert "DeepCrack18 is 5.574 points above it, nor in Table VII, where DeepCrack19 is 3.958" in PAGE


def test_the_page_names_the_suspects_and_their_values():
    third = PAGE[PAGE.index("## Third") : PAGE.index("## What else")]
    assert set(re.findall(r"`(\w+)`", third)) == set(claims.SUSPECTS)
    for name in ("lr_g", "lr_d", "validate_every"):
        assert f"`{name}` ({RELEASED[name][0]} instead of {PAPER[name][0]})" in third


def test_each_suspect_differs_between_the_recipes():
    for name in claims.SUSPECTS:
        assert getattr(preset("paper"), name) != getattr(preset("released"), name)


def test_a_suspect_is_measured_only_by_records_that_differ_in_it_alone():
    def effect(*cells):
        given = [small_record(cell, contrast=0.2 + 0.1 * i)[0] for i, cell in enumerate(cells)]
        return {row["name"]: row["effect"] for row in claims.suspects(given)}

    none = effect(Cell())
    assert set(none.values()) == {"not measured yet here"}
    variant = Cell(overrides=(("error_variant", "released"),))
    found = effect(Cell(), variant)
    assert re.fullmatch(r"IoU [+-]\d+\.\d\d points \(lite, deepcrack, seed 0\)", found.pop("error_variant"))
    assert set(found.values()) == {"not measured yet here"}
    two = Cell(overrides=(("error_variant", "released"), ("input_stretch", True)))
    assert set(effect(Cell(), two, replace(variant, seed=1)).values()) == {"not measured yet here"}
