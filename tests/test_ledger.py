"""The ledger lists every value that is not simply what the paper says, in the code and on its page."""

from __future__ import annotations

import dataclasses

import pytest
from test_table_pages import lines

from upcrack_lite.recipes import LITE, PAPER, RELEASED, Preset, preset
from upcrack_lite.reproduction import ledger
from upcrack_lite.show import ledger as page

ENTRIES = {entry.name: entry for entry in ledger.ledger()}
FIELDS = [field.name for field in dataclasses.fields(Preset) if field.name not in ("recipe", "scale")]


@pytest.mark.parametrize("name", FIELDS)
def test_each_value_that_differs_is_listed_with_its_reasons(name):
    paper, released = preset("paper", "full"), preset("released", "full")
    lite = preset("paper", "lite")
    kinds = {
        "differs": getattr(paper, name) != getattr(released, name),
        "silent": "silent" in paper.why(name),
        "lite": lite.why(name).startswith("lite"),
    }
    expected = tuple(kind for kind, holds in kinds.items() if holds)
    if not expected:
        assert name not in ENTRIES
        return
    entry = ENTRIES[name]
    assert entry.kinds == expected
    assert entry.kit == getattr(paper, name)
    assert (entry.paper is None) == paper.why(name).startswith("silent")
    assert entry.reasons["kit"] == paper.why(name)
    for kind, side, other in (("differs", "released", released), ("lite", "lite", lite)):
        if kinds[kind]:
            assert entry.reasons[side] == other.why(name)
    if kinds["differs"]:
        assert entry.released == getattr(released, name)
    if kinds["lite"]:
        assert entry.lite == getattr(lite, name)


def test_every_value_has_plain_words_and_no_words_are_left_over():
    assert list(ledger.PLAIN) == FIELDS


def test_a_new_difference_appears_by_itself(monkeypatch):
    assert "beta1" not in ENTRIES
    monkeypatch.setitem(RELEASED, "beta1", (0.9, "released: another rate"))
    (entry,) = [one for one in ledger.ledger() if one.name == "beta1"]
    assert (entry.paper, entry.released, entry.kinds) == (PAPER["beta1"][0], 0.9, ("differs",))
    monkeypatch.setitem(LITE, "flip", (False, "lite: for the test"))
    assert [one.lite for one in ledger.ledger() if one.name == "flip"] == [False]


def test_rows_are_text_without_a_blank():
    rows = {name: entry.row() for name, entry in ENTRIES.items()}
    assert all(all(row.values()) for row in rows.values())
    assert rows["epochs"]["paper"] == "200"
    assert rows["epochs"]["released program"] == "300"
    assert rows["epochs"]["kit, lite scale"] == "60"
    assert rows["batch_size"]["paper"] == ledger.NOT_SAID
    assert rows["mask_before_resize"]["released program"] == "yes"
    assert rows["validation_share"]["released program"] == ledger.NOT_KNOWN


def test_shown():
    assert [ledger.shown(v) for v in (True, (64, 32), 1e-4, "otsu", 300)] == [
        "yes",
        "64, 32",
        "0.0001",
        "otsu",
        "300",
    ]


def test_only_the_reasons_that_are_asked_for():
    assert (
        ENTRIES["epochs"].row(("kit", "released"))["why"] == "section IV-B; released: 300, the paper says 200"
    )


@pytest.mark.parametrize(
    ("kind", "needs"), [("differs", "lr_g"), ("silent", "batch_size"), ("lite", "width")]
)
def test_the_page(kind, needs):
    shown = lines(page.listed(kind))
    assert all(cell for line in shown for cell in line)
    assert any(line[0].endswith(f" {needs}") for line in shown)
