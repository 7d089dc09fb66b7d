"""Ours beside the printed rows: groups of records, verdicts and readings."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats
from small_records import chosen, official_values, small_values

from upcrack_lite import versions
from upcrack_lite.baselines.registry import BESIDE
from upcrack_lite.reproduction import conditions, published, records, tables, verdicts
from upcrack_lite.reproduction.experiments import Experiment, Selection
from upcrack_lite.reproduction.published import implied_prevalence
from upcrack_lite.reproduction.tables import group
from upcrack_lite.reproduction.verdicts import Verdict

ROW = published.row(4, "upcracknet")


def record(experiment: Experiment, images: int | None = None, changes=(), **options) -> records.Record:
    """A made-up record; one on DeepCrack has the official photos unless told otherwise."""
    if images is None and experiment.test_set == "deepcrack":
        values = official_values(experiment, **options)
    else:
        values, _ = small_values(experiment, n=images or 5, **options)
    for part, name, value in changes:
        values[part][name] = value
    return records.make(values)


@pytest.fixture(scope="module")
def full() -> list[records.Record]:
    """Table IV, full scale, three seeds: all that a verdict asks for."""
    return [
        record(experiment, seed=experiment.seed)
        for experiment in chosen(4, rows=["upcracknet"], scale="full", seeds=(0, 1, 2))
    ]


def verdict(row: published.Row, given: list[records.Record]) -> tuple[Verdict, str]:
    return tables.verdict(row, group(row, given))


def judged(values: list[float], printed: float = 60.0) -> Verdict:
    """The verdict where F1 and IoU both have these values over seeds."""
    row = replace(ROW, f1=printed, iou=printed)
    return verdicts.compare(row, {"f1": values, "iou": values})[0]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([60.0, 60.0, 60.0], Verdict.MATCHES),
        ([58.1, 58.0, 57.9], Verdict.MATCHES),  # the mean on the margin's edge
        ([56.1, 62.0, 63.9], Verdict.MATCHES),
        ([57.9, 57.9, 58.0], Verdict.OPEN),  # the mean outside, the interval not
        ([55.9, 62.0, 62.0], Verdict.OPEN),  # the mean inside, a seed beyond twice the margin
        ([50.0, 60.0, 70.0], Verdict.OPEN),  # three whose mean hits by luck
        ([20.0, 60.0, 100.0], Verdict.OPEN),
        ([5.5, 4.4, 64.6], Verdict.OPEN),  # a spread that once matched anything
        ([57.0, 57.1, 56.9], Verdict.DIFFERS),
        ([33.0, 35.7, 32.0], Verdict.DIFFERS),
        ([64.0, 64.0, 64.0], Verdict.DIFFERS),
        ([math.nan, 60.0, 60.0], Verdict.OPEN),
    ],
)
def test_the_rule_of_all_verdicts(values, expected):
    assert judged(values) is expected
    assert judged([value - 60 + 24.8 for value in values], 24.8) is expected, "whatever is printed"
    row = replace(ROW, f1=60.0, iou=60.0)
    other = verdicts.compare(row, {"f1": values, "iou": [60.0] * 3})[0]
    assert other is expected, "one metric is enough to fail"


def test_a_wider_spread_never_turns_another_verdict_into_a_match():
    for away in np.arange(-8, 8.1, 0.5):
        for spread in (0.1, 1, 3, 9):
            narrow, wide = ([60 + away + k * s for k in (-1, 0, 1)] for s in (spread, 2 * spread))
            assert judged(wide) is not Verdict.MATCHES or judged(narrow) is Verdict.MATCHES


@pytest.mark.parametrize(
    ("mean", "said"),
    [
        (33.6, "below by 26.4"),
        (58.0, "near"),
        (62.0, "near"),
        (62.1, "above by 2.1"),
        (math.nan, "undefined"),
    ],
)
def test_a_reading(mean, said):
    assert verdicts.reading(60.0, mean) == said


def test_the_interval_of_a_mean_is_students():
    low, high = verdicts.mean_interval([1.0, 2.0, 3.0])
    assert (low, high) == pytest.approx(stats.t.interval(0.95, 2, 2.0, 1 / 3**0.5))
    assert np.isnan(verdicts.mean_interval([1.0])).all()


def test_a_verdict_of_records_says_how_the_crops_were_cut(full):
    (ours,) = group(ROW, full)
    assert ours.unmet == ()
    assert ours.seeds == (0, 1, 2)
    same = replace(ROW, **{metric: ours.scores[metric].mean for metric in ("f1", "iou")})
    found, reason = verdict(same, full)
    assert found is Verdict.MATCHES
    assert reason.endswith(
        "the undamaged crops are cut by the kit's rule, because the paper's is not published"
    )
    assert verdict(replace(same, iou=same.iou + 9), full)[0] is Verdict.DIFFERS


def test_a_failed_run_leaves_its_row_open_and_is_not_picked_out(full):
    def seed(number: int, contrast: float) -> records.Record:
        values, maps = small_values(Experiment(scale="full", seed=number), contrast=contrast)
        return records.make(values, maps)

    away = small_values(Experiment(scale="full", test_set="cfd_patches", seed=1), contrast=-0.2)
    for bad in (seed(1, -0.2), records.make(*away)):
        failed = conditions.failed_runs([bad, seed(0, 0.5)])
        assert failed == {full[1].train.checkpoint_sha256}, "known by the run, on whatever set it was tested"
        (ours,) = group(ROW, full, failed=failed)
        assert (ours.failed, verdict_of(ours)) == ((1,), Verdict.OPEN)
        means = [records.scores(one)["f1"] for one in full]
        assert ours.scores["f1"].mean == pytest.approx(np.mean(means))
        assert ours.sound["f1"].mean == pytest.approx((means[0] + means[2]) / 2)
        said = f"mean F1 is {np.mean(means):.2f} with, {(means[0] + means[2]) / 2:.2f} without"
        assert said in tables.verdict(ROW, [ours])[1]
    (ours,) = group(ROW, full)
    assert (ours.failed, ours.sound) == ((), {})


def verdict_of(ours: tables.Ours) -> Verdict:
    return tables.verdict(ROW, [ours])[0]


def test_three_seeds_may_not_be_picked_from_four(full):
    four = [*full, record(Experiment(scale="full", seed=3), seed=3)]
    (row,) = tables.table(Selection(4, rows=["upcracknet"], seeds=[0, 1, 2]), four)
    assert (row.verdict, row.ours[0].seeds) == (Verdict.OPEN, (0, 1, 2))
    assert "1 more seed that have records are left out" in row.reason
    (row,) = tables.table(Selection(4, rows=["upcracknet"]), four)
    assert row.ours[0].unmet == ()


def test_mean_spread_and_interval_come_from_the_records(full):
    (ours,) = group(ROW, full)
    photos = sorted({re.sub(r"-\d+$", "", image.name) for image in full[0].images})
    assert len(photos) == 60, "DeepCrack's 237 images were cut from these"
    draws = np.random.default_rng(0).multinomial(60, np.full(60, 1 / 60), size=1000)
    counts = np.zeros((3, 60, 2))
    for run, of_run in zip(full, counts, strict=True):
        for image, one in zip(run.images, run.confusions, strict=True):
            of_run[photos.index(re.sub(r"-\d+$", "", image.name))] += one.tp, one.tp + one.fp + one.fn
    means = [np.mean([100 * tp / all_ for tp, all_ in draw @ counts]) for draw in draws]
    assert (ours.scores["iou"].low, ours.scores["iou"].high) == pytest.approx(
        np.quantile(means, [0.025, 0.975])
    )
    values = [records.scores(one)["iou"] for one in full]
    assert ours.scores["iou"].mean == pytest.approx(np.mean(values))
    assert ours.scores["iou"].sd == pytest.approx(np.std(values, ddof=1))
    assert ours.scores["iou"].low < ours.scores["iou"].mean < ours.scores["iou"].high
    (single,) = group(ROW, full[:1])
    assert (single.scores["iou"].low, single.scores["iou"].high) == records.scores(full[0])["interval_95"][
        "iou"
    ]
    assert np.isnan(single.scores["iou"].sd)
    (mixed,) = group(ROW, [full[0], record(Experiment(scale="full", seed=1), 9)])
    assert np.isnan(mixed.scores["iou"].low), "no interval where the seeds have other images"


@pytest.mark.parametrize(
    ("table", "options", "changes", "missing"),
    [
        (4, {"scale": "lite"}, (), "its scale is lite, not full"),
        (4, {"scale": "full", "seeds": (0, 1)}, (), "2 seeds, and 3 are needed"),
        (4, {"scale": "full"}, (("train", "max_steps", 9),), "cut short at 9 steps"),
        (4, {"scale": "full"}, (("preset", "epochs", 9),), "epochs 9 is now 200"),
        (4, {"scale": "full", "test_set": "synthetic"}, (), "tested on synthetic roads, not on DeepCrack"),
        (7, {"scale": "full"}, (), "not published"),
        (
            3,
            {"scale": "full", "train_set": "crack500_kept", "test_set": "crack500_heldout"},
            (),
            "trained on a proxy set for Crack500",
        ),
        (3, {"scale": "full"}, (), "its test set has 5 images, the official one 1124"),
    ],
)
def test_an_unmet_condition_is_named_and_never_compared(table, options, changes, missing):
    wanted = chosen(table, rows=["upcracknet"], **({"seeds": (0, 1, 2)} | options))
    # one image at full size is enough where the number is not what is asked
    given = [record(experiment, changes=changes) for experiment in wanted]
    found, reason = verdict(published.row(table, "upcracknet"), given)
    assert found is Verdict.OPEN
    assert missing in reason
    (row,) = tables.table(Selection(table, rows=["upcracknet"]), given)
    assert row.reading
    assert [len(one.seeds) for one in row.ours] == [len(wanted)], "it stands beside the row"


def test_records_go_to_their_row_alone():
    mae = chosen(1, rows=["mae"])[0]
    both = [record(mae, 3), record(chosen(1, rows=["mae+ssim+msgms+style+adv"])[0], 3)]
    found = {row.printed.key: [one.files for one in row.ours] for row in tables.table(Selection(1), both)}
    assert found.pop("mae") == [(f"{mae.slug()}.json",)]
    assert found.pop("mae+ssim+msgms+style+adv") == [(f"{both[1].slug}.json",)]
    assert not any(found.values())
    assert not any(row.ours for row in tables.table(Selection(4), both)), "other sets"
    # at full scale all losses are the paper's own model: Tables I, II and III share its record
    shared = record(Experiment(scale="full", train_set="crack500", test_set="crack500"), 3)
    assert [sum(len(row.ours) for row in tables.table(Selection(n), [shared])) for n in (1, 2, 3)] == [
        1,
        1,
        1,
    ]


def test_no_row_is_blank_without_records():
    for number in published.TABLES:
        for row in tables.table(Selection(number)):
            absent = row.printed.key in BESIDE
            assert (row.verdict is Verdict.ABSENT) == absent
            assert absent or row.verdict in (Verdict.NOT_RUN, Verdict.CANNOT)
            assert row.reason
            assert not row.reading
            assert row.command.startswith(f"upcrack cell --table {number} --row {row.printed.key} ")
    for number in (5, 7):
        assert "not published" in tables.table(Selection(number, rows=["upcracknet"]))[0].reason
    verdicts = {row.printed.key: row for row in tables.table(Selection(4))}
    assert verdicts["riad"].verdict is verdicts["scadn"].verdict is Verdict.CANNOT
    assert "did not share" in verdicts["riad"].reason
    assert verdicts["unet"].reason == "there is no record of it yet"
    assert verdicts["upcracknet"].command == (
        "upcrack cell --table 4 --row upcracknet --recipe paper --scale full --seed 0 --seed 1 --seed 2"
    )


def test_a_compared_method_is_judged_as_any_row():
    three = [record(experiment) for experiment in chosen(4, rows=["unet"], scale="full", seeds=(0, 1, 2))]
    found, reason = verdict(published.row(4, "unet"), three)
    assert found is Verdict.DIFFERS, "three runs of the same numbers"
    assert "cut by the kit's rule" not in reason, "it learns from masks"
    (row,) = tables.table(Selection(4, rows=["unet"]), three)
    said = "; ".join(row.ours[0].conditions)
    assert "trained on 300 photos with crack masks of DeepCrack, 60 epochs" in said
    assert "encoder weights: none, the network starts from nothing" in said
    assert "its threshold is 0.5; the paper does not name its own" in said
    (lite,) = chosen(4, rows=["unet"])
    assert "its scale is lite, not full" in verdict(published.row(4, "unet"), [record(lite)])[1]


def test_a_method_that_marks_nothing_says_so():
    (experiment,) = chosen(4, rows=["enet"])
    values, _ = small_values(experiment)
    for image in values["images"]:
        crack = image["tp"] + image["fn"]
        image |= {"tp": 0, "fp": 0, "fn": crack, "tn": 256 - crack, "tolerance": [0, 0, 0, crack]}
        image["cldice"] = 0.0 if crack else None
    (row,) = tables.table(Selection(4, rows=["enet"]), [records.make(values)])
    assert any("nothing is marked" in said for said in row.ours[0].conditions)
    (other,) = tables.table(Selection(4, rows=["enet"]), [record(experiment)])
    assert not any("nothing is marked" in said for said in other.ours[0].conditions)


def test_the_two_methods_whose_program_is_not_shared_are_never_compared():
    for name in ("scadn", "riad"):
        three = [record(experiment) for experiment in chosen(4, rows=[name], scale="full", seeds=(0, 1, 2))]
        (row,) = tables.table(Selection(4, rows=[name]), three)
        assert (row.verdict, len(row.ours)) == (Verdict.CANNOT, 1)
        assert "a network of the kit's own" in row.reason
        assert "undamaged crops" in "; ".join(row.ours[0].conditions)


def test_a_detector_without_training_stands_beside_with_its_choice_and_the_median_of_its_family():
    (experiment,) = chosen(4, rows=["tf_sato_otsu"])
    (row,) = tables.table(Selection(4, rows=["tf_sato_otsu"]), [record(experiment)])
    assert row.verdict is Verdict.ABSENT
    assert math.isnan(row.printed.f1)
    (ours,) = row.ours
    assert ours.unmet == ("the paper has no such row",)
    said = "; ".join(ours.conditions)
    assert "no training: of 6 variants, the best on 300 photos with crack masks of DeepCrack" in said
    assert f"median F1 {ours.middle['f1']:.2f} %" in said
    assert 0 < ours.middle["f1"] < ours.scores["f1"].mean, "the others are made worse"
    assert not any(one.ours for one in tables.table(Selection(3), [record(experiment)])), "other sets"


def test_the_other_recipe_stands_beside(full):
    released = record(Experiment(recipe="released", seed=0), 4)
    (row,) = tables.table(Selection(4, rows=["upcracknet"]), [*full, released])
    assert [one.recipe for one in row.ours] == ["paper", "released"]
    assert "against the printed" in row.reason
    found, reason = verdict(ROW, [released])
    assert found is Verdict.OPEN
    assert "there is no record with the recipe paper" in reason


def test_the_command_line_has_verdict_and_reading(full):
    (line,) = tables.told(Selection(4, rows=["upcracknet", "tf_sato_otsu"]), full)
    (ours,) = group(ROW, full)
    assert line.startswith(f"Table IV upcracknet: differs; F1 {ours.f1:.1f} %, printed 74.0 %: below by")
    assert line.endswith("(paper recipe, full scale, 3 seeds, trained and tested on DeepCrack).")


def test_implied_prevalence():
    assert implied_prevalence(published.row(3, "upcracknet")) == pytest.approx(5.589, abs=0.002)
    assert implied_prevalence(published.row(2, "striped")) is None


def test_losses_and_masks_on_deepcrack_stand_beside_tables_1_and_2_alone():
    pair = {"train_set": "deepcrack", "test_set": "deepcrack"}
    for number, key in ((1, "mae"), (2, "striped")):
        (experiment,) = chosen(number, rows=[key], **pair)
        given = [record(experiment, images=5)]
        (row,) = tables.table(Selection(number, rows=[key]), given)
        assert len(row.ours) == 1
        assert row.verdict is Verdict.OPEN
        assert "not on Crack500" in row.reason
        assert not any(one.ours for one in tables.table(Selection(3), given))
    swapped = Experiment(train_set="deepcrack", test_set="crack500_heldout", overrides=experiment.overrides)
    assert not group(published.row(2, "striped"), [record(swapped)]), "a pair that is not listed"


def test_methods_of_one_recipe_are_compared_by_it_whatever_is_asked():
    """Their records and their command stand beside a page of the recipe released, too."""
    (experiment,) = chosen(4, rows=["unet"])
    (row,) = tables.table(Selection(4, recipe="released", rows=["unet"]), [record(experiment)])
    assert "recipe released" not in row.reason
    assert "--recipe paper" in row.command
    assert tables.nearest_by_scale(row, "released")


def test_a_shorter_training_at_a_larger_scale_comes_first_and_says_what_it_lacks():
    """Never averaged with trainings of the usual length; a verdict needs those."""
    lite = [record(Experiment(seed=seed), seed=seed) for seed in range(3)]
    short = Experiment(scale="half", overrides=(("epochs", 30), ("style_network", "vgg16")))
    (row,) = tables.table(Selection(4, rows=["upcracknet"]), [*lite, record(short)])
    assert [(one.scale, len(one.seeds)) for one in row.ours] == [("half", 1), ("lite", 3)]
    assert row.ours[0].substituted == ("30 epochs", "vgg16")
    assert "its training ends after 30 epochs, not 200" in row.ours[0].unmet
    assert not any("epochs" in reason for reason in row.ours[1].unmet)
    assert row.verdict is Verdict.OPEN
    assert "half scale, 30 epochs, vgg16, 1 seed" in row.reading
    again = record(Experiment(scale="full", overrides=(("epochs", 30),)))
    assert tables.table(Selection(4, rows=["upcracknet"]), [again])[0].verdict is Verdict.OPEN


def test_another_style_network_joins_the_row_under_its_name():
    (experiment,) = chosen(1, rows=["mae+style"], train_set="crack500_kept", test_set="crack500_heldout")
    other = replace(experiment, overrides=(*experiment.overrides, ("style_network", "vgg16")))
    found = group(published.row(1, "mae+style"), [record(experiment), record(other)])
    assert len(found) == 2, "never averaged with the other"
    assert not any("style features" in reason for one in found for reason in one.unmet), (
        "the paper names none"
    )
    assert [one.substituted for one in found] == [(), ("vgg16",)]
    released = replace(other, recipe="released")
    (found,) = group(published.row(1, "mae+style"), [record(released)], "released")
    assert "its style features come from vgg16, not from vgg19" in found.unmet
    third = replace(other, overrides=(*other.overrides, ("gms_median", True)))
    assert not group(published.row(1, "mae+style"), [record(third)])


@pytest.mark.parametrize(
    ("part", "name", "value", "reason"),
    [
        ("train", "style_weights", "random", "its style features are random"),
        ("train", "style_weights", "file other.pth", "different weights of the style loss"),
        ("train", "precision", "bf16-mixed", "different precision"),
        ("train", "crops_sha256", "9" * 64, "different training crops"),
        ("test", "content_sha256", "8" * 64, "different test sets"),
        ("environment", "training", {"commit": {"id": "0" * 40, "dirty": False}, "processes": 2}, "devices"),
        ("versions", "training", 2, "versions of the numbers"),
    ],
)
def test_seeds_made_in_different_ways_are_not_compared(full, part, name, value, reason):
    odd = record(
        chosen(4, rows=["upcracknet"], scale="full", seeds=(2,))[0], seed=2, changes=[(part, name, value)]
    )
    found, why = verdict(ROW, [*full[:2], odd])
    assert found is Verdict.OPEN
    assert reason in why


def test_a_record_of_an_earlier_version_says_so_and_is_stale(monkeypatch):
    one, other = record(Experiment(), 3), record(chosen(4, rows=["tf_sato_otsu"])[0], 3)
    (ours,) = group(ROW, [one])
    assert not any("version" in said for said in ours.conditions)
    assert one.stale() is None
    monkeypatch.setitem(versions.TRAINING, "upcracknet", 3)
    (ours,) = group(ROW, [one])
    assert "of versions 1 and 1 of training and test; they are at 3 and 1 now" in ours.conditions
    assert one.stale() == "trained by version 1 of the numbers of upcracknet, which are at version 3"
    assert any("trained by version 1" in said for said in ours.unmet)
    monkeypatch.setitem(versions.TESTING, versions.EVERY, 2)
    assert "tested by version 1" in one.stale()
    assert "tested by version 1" in other.stale(), "raised for every method"


OWN_ARCHIVE = (("test", "known", "fetched"), ("test", "digest", "8" * 64))
"""A set that was fetched, whose bytes are not those of the kit's manifest."""


def three(changes=(), photos=lambda values: None) -> list[records.Record]:
    """Three seeds of Table IV at full scale, all with the same changes."""
    found = []
    for seed in range(3):
        values = official_values(Experiment(scale="full", seed=seed), seed)
        for part, name, value in changes:
            values[part][name] = value
        photos(values)
        found.append(records.make(values))
    return found


def renamed(values: dict) -> None:
    values["images"][7]["name"] = "another"


def widened(values: dict) -> None:
    """70 pixels of crack more in one photo: 0.107 percent of it."""
    values["images"][7]["fn"] += 70
    values["images"][7]["tn"] -= 70
    values["images"][7]["tolerance"][3] += 70
    values["test"]["crack_share"] += 100 * 70 / (237 * 256**2)


@pytest.mark.parametrize(
    "changes", [(), (*OWN_ARCHIVE, ("train", "set_manifest_sha256", "8" * 64)), OWN_ARCHIVE]
)
def test_the_kits_photos_and_those_of_the_authors_archive_are_compared(changes):
    found, reason = verdict(ROW, three(changes))
    assert found is not Verdict.NOT_RUN
    assert "against the printed" in reason


@pytest.mark.parametrize(
    ("changes", "photos", "missing"),
    [
        (
            (("test", "digest", "8" * 64),),
            None,
            "the kit's manifest of deepcrack by name, but not by its digest",
        ),
        (
            (),
            renamed,
            "each must have the name and the prevalence that the kit's manifest says, and 1 have not",
        ),
        (OWN_ARCHIVE, renamed, "its test photos are not those of deepcrack"),
        (OWN_ARCHIVE, widened, "its test photos are not those of deepcrack"),
        (
            (("train", "set_manifest_sha256", "9" * 64),),
            None,
            "its training set is not deepcrack: its manifest must",
        ),
        ((("train", "set_manifest_sha256", None),), None, "its training set deepcrack has no manifest"),
    ],
)
def test_other_photos_are_not_compared(changes, photos, missing):
    found, reason = verdict(ROW, three(changes, photos or (lambda values: None)))
    assert found is Verdict.OPEN
    assert missing in reason


def test_as_many_tiny_photos_are_not_the_official_set():
    tiny = [record(Experiment(scale="full", seed=seed), 237, OWN_ARCHIVE, seed=seed) for seed in range(3)]
    found, reason = verdict(ROW, tiny)
    assert found is Verdict.OPEN
    assert "it was tested at 16 × 16 px, not at 256 × 256" in reason


def test_a_set_without_a_manifest_in_the_kit_is_known_by_number_and_crack_share(monkeypatch):
    monkeypatch.setitem(conditions.OFFICIAL, "crack500", 3)
    monkeypatch.setattr(conditions, "TABLE_SIZE", 16)
    experiment = Experiment(scale="full", train_set="crack500", test_set="crack500")
    one = record(experiment, 3)
    assert conditions.other_training_photos(one) == []
    (reason,) = conditions.other_test_photos(one)
    assert "the official one 5.4 to 5.8 %" in reason
    monkeypatch.setattr(conditions, "source", lambda name: SimpleNamespace(shares={"test": (0, 100)}))
    assert conditions.other_test_photos(one) == []


def test_the_starts_of_an_interrupted_training_all_count(full):
    starts = [{"commit": {"id": c * 40, "dirty": c == "b"}, "code_sha256": c * 64} for c in "ab"]
    changes = [("environment", "training", starts[0]), ("environment", "starts", starts)]
    odd = record(Experiment(scale="full", seed=2), seed=2, changes=changes)
    reason = verdict(ROW, [*full[:2], odd])[1]
    assert "it is in part trained by code that differs from its commit" in reason
    assert "different versions" not in reason, "commits are told, not compared"
