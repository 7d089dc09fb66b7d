"""The ladder: each released choice on one rung, and effects only between records that differ in that alone."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from conftest import ROOT
from small_records import small_record, small_values

from upcrack_lite.recipes import PAPER, RELEASED, preset
from upcrack_lite.reproduction import ladder, records
from upcrack_lite.reproduction.cells import Cell
from upcrack_lite.reproduction.map_levels import step_levels
from upcrack_lite.reproduction.records import scores

STRETCH = Cell(overrides=(("input_stretch", True),))


def made(*cells: Cell, contrast: float = 0.3) -> list:
    """Records whose scores rise from one to the next."""
    return [small_record(cell, contrast=contrast + 0.03 * i)[0] for i, cell in enumerate(cells)]


def step(given, key: str) -> ladder.Step:
    (found,) = [one for one in ladder.ladder(given) if one.key == key]
    return found


def test_each_released_choice_is_on_one_rung():
    differ = {name for name, (value, _) in RELEASED.items() if value != PAPER[name][0]}
    climbed = [name for rung in ladder.RUNGS for name in rung.names]
    assert len(climbed) == len(set(climbed))
    assert set(climbed) == differ
    for rung in ladder.RUNGS:
        assert preset("paper", "full", **rung.values).overrides() == rung.values, "each value is a change"


def test_what_the_lite_scale_cannot_show_is_left_to_full():
    lite, full = ladder.rungs("lite"), ladder.rungs("full")
    assert list(ladder.RUNGS) == full
    left = {name for rung in full if rung not in lite for name in rung.names}
    assert left == {"style_normalize", "style_channels", "epochs"}
    assert preset("paper", "lite").lambda_style == 0


def test_the_other_rungs_leave_the_released_choices_alone():
    for rung in ladder.OTHERS:
        assert preset("paper", **rung.values).overrides() == rung.values
        assert not {name for name in rung.names if RELEASED.get(name, (None,))[0] == rung.values[name]}


def test_without_records_nothing_is_claimed():
    for one in ladder.ladder([]):
        assert (one.seeds, one.verdict) == ((), "not measured")
        assert math.isnan(one.change("iou"))
    assert ladder.numbers([]) == []


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


@pytest.mark.parametrize(
    ("changes", "marked", "verdict"),
    [
        ((-4.0, -4.2, -4.1), (1.0, 1.0, 1.0), "lower, marks more"),
        ((2.0, 2.2, 2.1), (-1.0, -1.0, -1.0), "higher, marks less"),
        ((-1.0, -1.1, -1.05), (0.0, 0.0, 0.0), "lower, marks as much"),
        ((-4.0, 0.5, -1.0), (1.0, 1.0, 1.0), "not clear"),
        ((-4.0, -4.2), (1.0, 1.0), "too few seeds: 2"),
        ((), (), "not measured"),
    ],
)
def test_a_change_is_clear_only_where_three_pairs_agree(changes, marked, verdict):
    values = dict.fromkeys(("precision", "recall", "accuracy", "f1", "iou"), changes) | {"marked": marked}
    one = ladder.Step(ladder.RUNGS[0], tuple(range(len(changes))), {}, {}, values, (), None)
    assert one.verdict == verdict


def test_the_interval_is_students():
    values = {"iou": (1.0, 2.0, 3.0)}
    low, high = ladder.Step(None, (0, 1, 2), {}, {}, values, (), None).interval("iou")
    assert (low, high) == pytest.approx((2 - 4.3027 / 3**0.5, 2 + 4.3027 / 3**0.5), abs=1e-3)
    single = ladder.Step(None, (0,), {}, {}, {"iou": (1.0,)}, (), None)
    assert all(math.isnan(value) for value in single.interval("iou"))


@pytest.mark.parametrize(
    ("part", "name", "value", "said"),
    [
        ("train", "crops_sha256", "9" * 64, "crops"),
        ("test", "content_sha256", "9" * 64, "photos"),
        ("test", "digest", "9" * 64, "photos"),
        ("train", "precision", "bf16-mixed", "precision"),
        ("versions", "training", 2, "versions"),
        ("versions", "testing", 2, "versions"),
        ("environment", "training", {"commit": {"id": "0" * 40, "dirty": False}, "processes": 2}, "devices"),
    ],
)
def test_records_that_differ_in_anything_else_are_left_out(part, name, value, said):
    (plain,) = made(Cell())
    values, _ = small_values(STRETCH, contrast=0.1)
    values[part][name] = value
    found = step([plain, records.make(values)], "input_stretch")
    assert found.seeds == ()
    assert found.verdict == f"not measured: {said} differ"


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
    assert "--scale full --train-set crack500 --test-set deepcrack" in ladder.command(
        rung, "full", "crack500"
    )
    assert "--recipe released" in ladder.command(None)
    (rung,) = [one for one in ladder.RUNGS if "mask_before_resize" in one.names]
    assert ladder.command(rung).endswith("--set mask_before_resize=true")


def test_every_number_is_listed_with_its_records():
    given = made(Cell(), STRETCH)
    listed = ladder.numbers(given)
    assert {one["row"] for one in listed} == {"input_stretch, deepcrack"}
    assert all(one["records"] == [f"{r.slug}.json" for r in given] for one in listed)
    values = {(one["what"], one["metric"]): one["value"] for one in listed}
    assert values["changed", "iou"] == pytest.approx(scores(given[1])["iou"])


PAGE = (ROOT / "notebooks/18_why_33.ipynb").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def committed() -> dict[tuple[str, str], ladder.Step]:
    """Each step of the committed records, by its key and test set."""
    given = records.load_all(ROOT / "results")
    sets = ("deepcrack", "crack500_heldout")
    return {(one.key, name): one for name in sets for one in ladder.ladder(given, test_set=name)}


def test_what_the_page_says_of_the_stretching(committed):
    points = []
    for test_set in ("deepcrack", "crack500_heldout"):
        found = committed["error_variant", test_set]
        assert found.verdict == "lower, marks more"
        assert found.change("recall") < 0
        points.append(-round(found.change("iou")))
    assert f"takes {points[0]} points of IoU on DeepCrack and {points[1]} on" in PAGE
    assert committed["released", "deepcrack"].verdict.startswith("lower")
    assert committed["released", "crack500_heldout"].verdict == "higher, marks less"


def test_what_the_page_says_of_the_mask_that_is_cut_in_first(committed):
    points = []
    for test_set in ("deepcrack", "crack500_heldout"):
        found = committed["mask_before_resize", test_set]
        assert found.verdict == "higher, marks less"
        points.append(round(found.change("iou")))
    assert f"gives {points[0]} points on DeepCrack and {points[1]} on the stand-in" in PAGE


@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("in their places, sharp (plain)", ()),
        ("moved, soft (`mask_before_resize`)", (("mask_before_resize", True),)),
    ],
)
def test_the_exercise_shows_the_recorded_scores(name, overrides):
    said = [name]
    for test_set in ("deepcrack", "crack500_heldout"):
        slugs = [Cell(overrides=overrides, test_set=test_set, seed=seed).slug() for seed in (0, 1, 2)]
        found = [scores(records.load(ROOT / "results" / f"{slug}.json"))["f1"] for slug in slugs]
        said.append(", ".join(f"{f1:.1f}" for f1 in found))
    assert f"| {' | '.join(said)} |" in PAGE


def test_jumbled_masks_lie_above_the_squares():
    jumbled = Cell(overrides=(("mask_family", "jumbled"),)).slug()
    squares = [Cell(seed=seed).slug() for seed in (0, 1, 2)]
    first, *others = (scores(records.load(ROOT / "results" / f"{s}.json"))["f1"] for s in (jumbled, *squares))
    assert first > max(others)


def test_the_two_choices_weigh_most_of_the_released_ones(committed):
    for test_set in ("deepcrack", "crack500_heldout"):
        sizes = {rung.key: abs(committed[rung.key, test_set].change("iou")) for rung in ladder.rungs("lite")}
        first, second = sorted(sizes, key=sizes.__getitem__, reverse=True)[:2]
        assert (first, second) == ("error_variant", "mask_before_resize")
        assert max(size for key, size in sizes.items() if key not in (first, second)) < 4, "as the page says"


def test_what_the_page_says_of_the_error_before_any_cut(committed):
    stretched, masked, both = (
        step_levels(committed[key, "deepcrack"])
        for key in ("error_variant", "mask_before_resize", "released")
    )
    assert stretched[1].sound > 2 * stretched[0].sound
    assert stretched[1].crack == pytest.approx(stretched[0].crack, abs=0.02)
    assert masked[1].crack > 1.3 * masked[0].crack
    assert masked[1].sound == pytest.approx(masked[0].sound, abs=0.02)
    assert both[1].sound > 2 * both[0].sound
    assert both[1].crack > 1.3 * both[0].crack


def test_every_rung_of_the_lite_scale_is_measured_three_times(committed):
    for test_set in ("deepcrack", "crack500_heldout"):
        assert all(committed[rung.key, test_set].seeds == (0, 1, 2) for rung in ladder.rungs("lite"))
