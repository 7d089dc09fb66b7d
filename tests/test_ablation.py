"""The one-factor ablation: each released choice in one step, and effects only between records that differ in it."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT
from small_records import small_record, small_values
from test_table_pages import lines

from upcrack_lite.recipes import PAPER, RELEASED, preset
from upcrack_lite.reproduction import ablation, published, records
from upcrack_lite.reproduction.experiments import Experiment
from upcrack_lite.reproduction.record_files import MapCounts
from upcrack_lite.reproduction.records import scores
from upcrack_lite.show import ablation as page

STRETCH = Experiment(overrides=(("input_stretch", True),))


def made(*experiments: Experiment, contrast: float = 0.3) -> list:
    """Records whose scores rise from one to the next."""
    return [
        small_record(experiment, contrast=contrast + 0.03 * i)[0] for i, experiment in enumerate(experiments)
    ]


def step(given, key: str) -> ablation.Step:
    (one,) = [one for one in ablation.ablation(given) if one.key == key]
    return one


def test_each_released_choice_is_in_one_step():
    differ = {name for name, (value, _) in RELEASED.items() if value != PAPER[name][0]}
    names = [name for choice in ablation.CHOICES for name in choice.names]
    assert len(names) == len(set(names))
    assert set(names) == differ
    for choice in ablation.CHOICES:
        assert preset("paper", "full", **choice.values).overrides() == choice.values, "each value is a change"


def test_what_the_lite_scale_cannot_show_is_left_to_full():
    lite, full = ablation.choices("lite"), ablation.choices("full")
    assert list(ablation.CHOICES) == full
    left = {name for choice in full if choice not in lite for name in choice.names}
    assert left == {"style_normalize", "style_channels", "epochs"}
    assert preset("paper", "lite").lambda_style == 0


def test_the_change_is_that_of_the_same_seed():
    given = made(*(Experiment(seed=s) for s in (0, 1, 2)), *(replace(STRETCH, seed=s) for s in (1, 2, 7)))
    one = step(given, "input_stretch")
    assert [pair[0].key.seed for pair in one.pairs] == [1, 2]
    wanted = [scores(given[3 + i])["iou"] - scores(given[1 + i])["iou"] for i in (0, 1)]
    assert one.changes("iou") == pytest.approx(wanted)
    assert one.change("iou") == pytest.approx(sum(wanted) / 2)
    counts = [(i.tp + i.fp, i.tp + i.fp + i.fn + i.tn) for i in given[1].images]
    marked = 100 * sum(a for a, _ in counts) / sum(b for _, b in counts)
    assert one.before[0]["marked"] == pytest.approx(marked)


@pytest.mark.parametrize(
    "other",
    [
        Experiment(overrides=(("input_stretch", True), ("test_dropout", False))),
        replace(STRETCH, test_set="crack500_heldout"),
        replace(STRETCH, scale="full"),
        Experiment(recipe="released"),
    ],
)
def test_a_record_that_differs_in_more_measures_nothing(other):
    assert step(made(Experiment(), other), "input_stretch").seeds == 0


def changed(*iou) -> ablation.Step:
    """A step with these changes of IoU, seed by seed."""
    values = tuple({"iou": one} for one in iou)
    return ablation.Step(ablation.CHOICES[0], tuple({"iou": 0.0} for _ in iou), values)


def test_p_is_corrected_for_all_that_was_tested():
    """Holm: the smallest p times the number of tests, the next times one fewer, never falling, at most 1."""
    some = [changed(1.0, 2.0, 3.0), changed(9.0, 9.1, 9.2), changed(1.0, -1.0, 0.1), changed(9.0, 9.1)]
    plain = [one.p for one in some]
    assert plain[0] == pytest.approx(0.0742, abs=1e-4), "t = 3.46 with two degrees of freedom"
    corrected = ablation.holm(some)
    assert corrected[:3] == pytest.approx([2 * plain[0], 3 * plain[1], plain[2]])
    assert math.isnan(plain[3])
    assert math.isnan(corrected[3])
    assert ablation.holm([some[2], some[2]]) == [1.0, 1.0]


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
    (plain,) = made(Experiment())
    values, _ = small_values(STRETCH, contrast=0.1)
    values[part][name] = value
    one = step([plain, records.make(values)], "input_stretch")
    assert (one.seeds, one.left_out) == (0, (said,))
    (line,) = [line for line in lines(page.changes([one])) if line[-2] != "not measured"]
    assert line[-2] == f"not measured: {said} differ"


def test_a_command_makes_the_records_of_its_step():
    choice = ablation.CHOICES[0]
    assert ablation.command(choice).endswith("--seed 0 --seed 1 --seed 2 --set error_variant=released")
    full = ablation.command(choice, "full", "crack500")
    assert "--scale full --train-set crack500 --test-set deepcrack" in full
    assert "--recipe released" in ablation.command(None)
    (choice,) = [one for one in ablation.CHOICES if "mask_before_resize" in one.names]
    assert ablation.command(choice).endswith("--set mask_before_resize=true")


def test_every_number_is_listed_with_its_records():
    given = made(Experiment(), STRETCH)
    listed = ablation.numbers(given)
    assert {one["row"] for one in listed} == {"input_stretch, deepcrack"}
    assert all(one["records"] == [f"{r.slug}.json" for r in given] for one in listed)
    values = {one["what"]: one["values"] for one in listed}
    assert values["changed"]["iou"] == pytest.approx(scores(given[1])["iou"])
    before, after = step(given, "input_stretch").map_levels()
    assert values["plain"]["map on crack"] == before["crack"]
    assert values["changed"]["map on sound"] == after["background"]


# The error map before any threshold


def with_raw(hist):
    """What has a raw map with these histograms, `(N, 2, 256)`."""
    return SimpleNamespace(maps={"raw": MapCounts.of(hist)})


def test_levels_are_means_over_pixels_and_a_seed_is_a_vote():
    few = np.zeros((2, 2, 256), np.int64)
    few[0, 0, 0], few[1, 0, 128], few[1, 1, 255] = 30, 10, 5
    many = few.copy()
    many[1, 0, 128] = 1000
    one, other, both = (
        ablation.map_levels([with_raw(c) for c in some]) for some in ([few], [many], [few, many])
    )
    assert one["background"] == pytest.approx((30 * 0.5 + 10 * 128.5) / 40 / 256)
    assert one["crack"] == pytest.approx(255.5 / 256)
    assert both["background"] == pytest.approx((one["background"] + other["background"]) / 2)
    few[:, 1] = 0
    assert math.isnan(ablation.map_levels([with_raw(few)])["crack"]), "a set without cracks"


# The page


def test_without_records_nothing_is_claimed_and_the_page_says_so():
    nothing = ablation.ablation([])
    assert all(one.seeds == 0 and math.isnan(one.change("iou")) for one in nothing)
    assert ablation.numbers([]) == []
    assert {line[-2] for line in lines(page.changes(nothing))} == {"not measured"}
    assert page.alt(nothing) == page.levels_alt(nothing) == "No step is measured yet."
    assert not page.levels_picture(nothing).axes[0].get_yticks().size
    assert "No set has records" in page.recipes([]).data


def test_the_page_shows_the_change():
    steps = ablation.ablation(made(Experiment(), STRETCH, contrast=0.2))
    (one,) = [one for one in steps if one.seeds]
    (shown,) = [line for line in lines(page.changes(steps)) if line[-2] != "not measured"]
    assert shown[-2:] == ["too few seeds: 1", "–"]
    assert shown[5] == f"{one.change('iou'):+.2f}"
    assert f"{one.change('iou'):+.1f}" in page.alt(steps)
    assert len(page.picture(steps).axes[0].patches) == 1, "one bar"
    assert len(lines(page.reasons(steps))) == len(steps)
    before, after = one.map_levels()
    axes = page.levels_picture(steps).axes[0]
    drawn = {round(float(x), 6) for line in axes.lines for x in np.atleast_1d(line.get_xdata())}
    assert {round(x, 6) for x in (*before.values(), *after.values())} <= drawn
    assert f"crack {before['crack']:.2f} to {after['crack']:.2f}" in page.levels_alt(steps)


def test_the_two_recipes_side_by_side():
    both = made(Experiment(recipe="released"), Experiment())
    shown = lines(page.recipes(both))
    assert [line[:3] for line in shown] == [["deepcrack", "paper", "1"], ["deepcrack", "released", "1"]]
    assert shown[0][6] == f"{scores(both[1])['iou']:.2f}"


def test_the_report_beside_the_printed_row():
    shown = lines(page.report())
    assert shown[0][1:3] == shown[1][2:0:-1], "precision and recall change places"
    assert shown[2][1:] == ["29.9", "89.4", "44.8", "33.3"]


# What chapter 21 says is what the committed records say


PAGE = (ROOT / "notebooks/21_why_33.ipynb").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def committed() -> dict[tuple[str, str], ablation.Step]:
    """Each step of the committed records, by its key and test set."""
    given = records.load_all(ROOT / "results")
    sets = ("deepcrack", "crack500_heldout")
    return {(one.key, name): one for name in sets for one in ablation.ablation(given, test_set=name)}


def test_what_the_page_says_of_the_stretching(committed):
    points = []
    for test_set in ("deepcrack", "crack500_heldout"):
        one = committed["error_variant", test_set]
        assert max(one.changes("iou")) < 0 < one.change("marked")
        assert one.change("recall") < 0
        points.append(-round(one.change("iou")))
    assert f"takes {points[0]} points of IoU on DeepCrack and {points[1]} on" in PAGE
    assert f"takes {points[0]} points of IoU on\\n" in PAGE, "the first screen too"
    unstretched, gains = (("error_variant", "absolute"),), []
    for seed in range(3):
        pair = [Experiment(recipe="released", overrides=given, seed=seed) for given in ((), unstretched)]
        before, after = (scores(records.load(ROOT / f"results/{one.slug()}.json"))["iou"] for one in pair)
        gains.append(after - before)
    assert min(gains) > 15
    assert f"the released recipe gains {sum(gains) / 3:.0f} on DeepCrack" in PAGE
    assert max(committed["released", "deepcrack"].changes("iou")) < 0
    assert min(committed["released", "crack500_heldout"].changes("iou")) > 0


def test_what_the_page_says_of_masking_first(committed):
    points = []
    for test_set in ("deepcrack", "crack500_heldout"):
        one = committed["mask_before_resize", test_set]
        assert min(one.changes("iou")) > 0
        points.append(round(one.change("iou")))
    assert f"gives {points[0]} points on DeepCrack and {points[1]} on the proxy set" in PAGE


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
        slugs = [Experiment(overrides=overrides, test_set=test_set, seed=seed).slug() for seed in (0, 1, 2)]
        values = [scores(records.load(ROOT / "results" / f"{slug}.json"))["f1"] for slug in slugs]
        said.append(", ".join(f"{f1:.1f}" for f1 in values))
    assert f"| {' | '.join(said)} |" in PAGE


def test_the_two_choices_weigh_most_of_the_released_ones(committed):
    for test_set in ("deepcrack", "crack500_heldout"):
        steps = [committed[choice.key, test_set] for choice in ablation.choices("lite")]
        assert all(step.seeds == 3 for step in steps)
        sizes = {step.key: abs(step.change("iou")) for step in steps}
        first, second = sorted(sizes, key=sizes.__getitem__, reverse=True)[:2]
        assert (first, second) == ("error_variant", "mask_before_resize")
        assert max(size for key, size in sizes.items() if key not in (first, second)) < 4, "as the page says"


def test_what_the_page_says_of_the_error_before_any_threshold(committed):
    stretched, masked, both = (
        committed[key, "deepcrack"].map_levels()
        for key in ("error_variant", "mask_before_resize", "released")
    )
    assert stretched[1]["background"] > 2 * stretched[0]["background"]
    assert stretched[1]["crack"] == pytest.approx(stretched[0]["crack"], abs=0.02)
    assert masked[1]["crack"] > 1.3 * masked[0]["crack"]
    assert masked[1]["background"] == pytest.approx(masked[0]["background"], abs=0.02)
    assert both[1]["background"] > 2 * both[0]["background"]
    assert both[1]["crack"] > 1.3 * both[0]["crack"]


def test_a_known_null_is_not_called_an_effect(committed):
    """Adam divides `disc_loss_factor` out; looked at alone, its interval on the proxy set leaves out 0."""
    p = dict(zip(committed, ablation.holm(list(committed.values())), strict=True))
    assert committed["disc_loss_factor", "crack500_heldout"].interval("iou")[0] > 0
    assert min(p["disc_loss_factor", name] for name in ("deepcrack", "crack500_heldout")) > 0.2
    assert sum(not math.isnan(one) for one in p.values()) == 21, "about twenty, as the page says"


def test_the_first_screen_says_what_the_report_gives():
    fractions = published.marked()
    assert f"{fractions['reported']:.1f} % of the pixels, where {fractions['crack']:.1f} % are crack" in PAGE
    assert f"precision and recall give {published.reported_f1_iou()[1]:.1f} %" in PAGE


def test_what_the_page_says_of_where_the_points_go(committed):
    rows = page.stages_of([one for (_, name), one in committed.items() if name == "deepcrack"])
    printed = published.row(4, published.OWN).f1
    plain, released = rows["recipe paper"], rows["all released choices together"]
    assert plain["raw"] - plain["mask"] > printed - plain["raw"] > 0
    assert rows["the photo is masked before it is enlarged"]["raw"] > printed
    assert released["raw"] > plain["raw"]
    assert released["mask"] == pytest.approx(plain["mask"] / 2, abs=1)
    assert f"recipe paper {plain['raw']:.1f}, " in page.stages_alt(rows, printed)
    lines_drawn = page.stages_picture(rows, printed).axes[0].lines
    drawn = {line.get_xdata()[0] for line in lines_drawn if len(line.get_xdata())}
    assert {printed, *(one[stage] for one in rows.values() for stage in page.STAGES)} <= drawn
