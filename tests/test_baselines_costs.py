"""What a compared method costs: counts by hand, the counts of the sources, and what the chapter's table says."""

from __future__ import annotations

import pytest
from baselines_sources import DIFFERENCES, NONE

from upcrack_lite.baselines.cost import cost
from upcrack_lite.baselines.registry import COMPARED, CRACKNET, network
from upcrack_lite.reproduction import published
from upcrack_lite.show import methods
from upcrack_lite.show.methods import SOURCE_PASS

# Multiply-adds over 256 × 256 px where the source's network is another, or has no count: a change must be noticed.
PINNED = {
    "deeplabv3plus": 15_747_065_856,
    "enet": 472_694_784,
    "pspnet": 44_301_811_712,
    "upernet": 63_727_206_400,
    "unet": 55_683_579_904,
    "bisenetv2": 3_122_614_272,
}


@pytest.mark.parametrize("name", SOURCE_PASS)
def test_the_multiply_adds_are_those_of_the_source(name):
    difference = DIFFERENCES.get(name, NONE)
    billions = (cost(name).multiply_adds + difference.more[1]) / 1e9
    assert billions == pytest.approx(SOURCE_PASS[name], rel=difference.multiply_adds)


def test_the_multiply_adds_of_changed_networks_stay():
    assert {name: cost(name).multiply_adds for name in PINNED} == PINNED


def test_every_printed_method_has_a_count_to_be_held_to():
    printed = {row.key for row in published.rows("III")} - {CRACKNET}
    assert printed == set(SOURCE_PASS) | set(PINNED)
    assert set(DIFFERENCES) == set(PINNED)


# --- The table ---


def test_the_table_says_why_wherever_a_count_is_not_the_sources():
    found = methods.lines()
    apart = {
        name
        for name in COMPARED
        if abs(found[name].parameters / 1e6 / network(name).parameters - 1) > 0.01
        or (name in SOURCE_PASS and abs(found[name].one_pass / 1e9 / SOURCE_PASS[name] - 1) > 0.01)
    }
    assert set(methods.DIFFERENCES) == apart
    text = methods.cost_table().data
    for name, why in methods.DIFFERENCES.items():
        assert f"{network(name).title}: {why}." in text


def test_what_the_chapter_says_about_costs_is_so():
    lines = methods.lines()
    own = lines["upcracknet"]
    assert own.parameters == pytest.approx(lines["segresnet"].parameters, rel=0.05)
    assert own.parameters / lines["unet"].parameters == pytest.approx(1.7, abs=0.1)
    assert lines["unet"].one_photo / own.one_photo == pytest.approx(9, abs=0.5)
    assert own.parameters / lines["enet"].parameters == pytest.approx(150, abs=5)
    assert {name: one.passes for name, one in lines.items() if one.passes > 1} == {"scadn": 12, "riad": 12}
    assert lines["riad"].one_photo == 12 * lines["riad"].one_pass
    assert lines["riad"].one_photo / own.one_photo > 100
    once = {name: one.one_pass for name, one in lines.items() if one.passes == 1}
    assert max(once, key=once.get) == "deepcrack18"
