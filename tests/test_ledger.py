"""The ledger lists every value that is not simply what the paper says, in the code and on its page."""

from __future__ import annotations

import dataclasses

import pytest
from test_table_pages import lines

from upcrack_lite.recipes import LITE, RELEASED, Preset, preset
from upcrack_lite.reproduction import ledger
from upcrack_lite.show import ledger as page

FIELDS = [field.name for field in dataclasses.fields(Preset) if field.name not in ("recipe", "scale")]


def row(name: str, kind: str) -> dict[str, str]:
    (one,) = [row for row in ledger.rows(kind) if row["name"] == name]
    return one


@pytest.mark.parametrize("name", FIELDS)
def test_each_value_that_differs_is_listed_with_its_reasons(name):
    paper, released, lite = preset("paper", "full"), preset("released", "full"), preset("paper", "lite")
    holds = {
        "differs": getattr(paper, name) != getattr(released, name),
        "silent": "silent" in paper.why(name),
        "lite": lite.why(name).startswith("lite"),
    }
    assert ledger.kinds(name) == [kind for kind, listed in holds.items() if listed]
    for kind, listed in holds.items():
        names = [one["name"] for one in ledger.rows(kind)]
        assert names.count(name) == listed
        if listed:
            one = row(name, kind)
            assert all(one.values())
            assert one["kit"] == ledger.shown(getattr(paper, name))
            assert (one["paper"] == ledger.NOT_SAID) == paper.why(name).startswith("silent")
            why = lite.why(name) if kind == "lite" else paper.why(name)
            assert why.replace("`", "") in one["why"]
    if holds["differs"]:
        assert row(name, "differs")["released_program"] == ledger.shown(getattr(released, name))
    if holds["lite"]:
        assert row(name, "lite")["kit_lite"] == ledger.shown(getattr(lite, name))


def test_every_value_has_plain_words_and_no_words_are_left_over():
    assert list(ledger.PLAIN) == FIELDS


def test_a_new_difference_appears_by_itself(monkeypatch):
    assert ledger.kinds("beta1") == []
    monkeypatch.setitem(RELEASED, "beta1", (0.9, "released: another rate"))
    assert row("beta1", "differs")["released_program"] == "0.9"
    monkeypatch.setitem(LITE, "flip", (False, "lite: for the test"))
    assert row("flip", "lite")["kit_lite"] == "no"


def test_rows_are_what_a_reader_knows():
    epochs = row("epochs", "differs")
    assert (epochs["paper"], epochs["released_program"]) == ("200", "300")
    assert epochs["why"] == "section IV-B; released: 300, the paper says 200"
    assert row("epochs", "lite")["kit_lite"] == "60"
    assert row("mask_before_resize", "differs")["released_program"] == "yes"
    assert row("validation_share", "silent")["released_program"] == ledger.NOT_KNOWN
    values = [ledger.shown(value) for value in (True, (64, 32), 1e-4, "otsu", 300)]
    assert values == ["yes", "64, 32", "0.0001", "otsu", "300"]


@pytest.mark.parametrize(
    ("kind", "needs"), [("differs", "lr_g"), ("silent", "batch_size"), ("lite", "width")]
)
def test_the_page(kind, needs):
    shown = lines(page.listed(kind))
    assert all(cell for line in shown for cell in line)
    assert any(line[0].endswith(f" {needs}") for line in shown)
