"""The ladder: each released choice on one rung, and effects only between records that differ in that alone."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from small_records import small_record

from upcrack_lite.presets import PAPER, RELEASED, preset
from upcrack_lite.repro import ladder
from upcrack_lite.repro.cells import Cell
from upcrack_lite.repro.records import scores

STRETCH = Cell(overrides=(("input_stretch", True),))


def made(*cells: Cell, contrast: float = 0.3) -> list:
    """Records whose scores rise from one to the next."""
    return [small_record(cell, contrast=contrast + 0.03 * i)[0] for i, cell in enumerate(cells)]


def step(given, key: str) -> ladder.Step:
    (found,) = [one for one in ladder.ladder(given) if one.key == key]
    return found


def test_each_released_choice_is_on_one_rung_or_named_as_unseen():
    differ = {name for name, (value, _) in RELEASED.items() if value != PAPER[name][0]}
    climbed = [name for rung in ladder.RUNGS for name in rung.names]
    assert len(climbed) == len(set(climbed))
    assert set(climbed) | set(ladder.UNSEEN) == differ
    assert not set(climbed) & set(ladder.UNSEEN)
    for rung in ladder.RUNGS:
        assert preset("paper", **rung.values).overrides() == rung.values, "each value is a change"


def test_the_other_rungs_leave_the_released_choices_alone():
    for rung in ladder.OTHERS:
        assert preset("paper", **rung.values).overrides() == rung.values
        assert not {name for name in rung.names if name in RELEASED and RELEASED[name] == rung.values[name]}


def test_without_records_nothing_is_claimed():
    for one in ladder.ladder([]):
        assert (one.seeds, one.verdict) == ((), "not measured")
        assert math.isnan(one.change("iou"))
    assert ladder.numbers(ladder.ladder([])) == []


def test_the_change_is_that_of_the_same_seed():
    given = made(*(Cell(seed=s) for s in (0, 1, 2)), *(replace(STRETCH, seed=s) for s in (1, 2, 7)))
    found = step(given, "input_stretch")
    assert found.seeds == (1, 2)
    wanted = [scores(given[3 + i])["iou"] - scores(given[1 + i])["iou"] for i in (0, 1)]
    assert found.changes["iou"] == pytest.approx(wanted)
    assert found.change("iou") == pytest.approx(sum(wanted) / 2)
    assert found.after["iou"] - found.before["iou"] == pytest.approx(found.change("iou"))


@pytest.mark.parametrize(
    "other",
    [
        Cell(overrides=(("input_stretch", True), ("test_dropout", False))),
        replace(STRETCH, test_set="crack500_heldout"),
        replace(STRETCH, scale="full"),
        Cell(recipe="released"),
    ],
)
def test_a_record_that_differs_in_more_measures_nothing(other):
    assert step(made(Cell(), other), "input_stretch").verdict == "not measured"


def test_the_verdict_weighs_the_change_against_the_spread():
    many = made(*(Cell(seed=s) for s in (0, 1, 2)))
    spread = step(many, "released").spread
    assert spread > 0
    far = [small_record(replace(STRETCH, seed=0), contrast=0.0)[0]]
    near = [small_record(replace(STRETCH, seed=0), contrast=0.31)[0]]
    assert step([*many, *near], "input_stretch").verdict == "within the spread over seeds"
    assert step([*many, *far], "input_stretch").verdict.startswith("lower, marks ")
    assert step([*many[:1], *near], "input_stretch").spread is None


def test_all_released_choices_together_are_the_other_recipe():
    found = step(made(Cell(), Cell(recipe="released")), "released")
    assert found.seeds == (0,)
    assert found.rung is None


def test_marked_is_the_share_of_pixels_called_crack():
    (one,) = made(Cell())
    found = step([one, *made(STRETCH)], "input_stretch")
    counts = [(i.tp + i.fp, i.tp + i.fp + i.fn + i.tn) for i in one.images]
    assert found.before["marked"] == pytest.approx(
        100 * sum(a for a, _ in counts) / sum(b for _, b in counts)
    )


def test_a_command_makes_the_records_of_its_rung():
    rung = ladder.RUNGS[0]
    assert ladder.command(rung).endswith("--seed 0 --seed 1 --seed 2 --set error_variant=released")
    assert "--recipe released" in ladder.command(None)
    (rung,) = [one for one in ladder.RUNGS if "mask_before_resize" in one.names]
    assert ladder.command(rung).endswith("--set mask_before_resize=true")


def test_every_number_is_listed_with_its_records():
    given = made(Cell(), STRETCH)
    listed = ladder.numbers(ladder.ladder(given))
    assert {one["row"] for one in listed} == {"input_stretch"}
    assert all(one["records"] == [f"{r.slug}.json" for r in given] for one in listed)
    values = {(one["what"], one["metric"]): one["value"] for one in listed}
    assert values["changed", "iou"] == pytest.approx(scores(given[1])["iou"])
