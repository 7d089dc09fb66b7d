"""Levels of error maps: means on crack and on sound road, of plain recipe and rung, from the histograms."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT
from small_records import small_record

from upcrack_lite.metrics import histograms
from upcrack_lite.reproduction import ladder, map_levels, records
from upcrack_lite.reproduction.cells import Cell
from upcrack_lite.reproduction.record_files import MapCounts
from upcrack_lite.show.map_levels import LevelChart

RUNG = Cell(overrides=(("mask_before_resize", True),))


@pytest.fixture
def folder(tmp_path):
    """Records of the plain recipe and of one rung, two seeds, with errors on crack that differ by 0.2."""
    for seed in (0, 1):
        for cell, contrast in ((Cell(), 0.2), (RUNG, 0.4)):
            records.save(*small_record(replace(cell, seed=seed), contrast=contrast), tmp_path)
    return tmp_path


def with_raw(hist):
    """What has a raw map with these histograms, `(N, 2, 256)`."""
    return SimpleNamespace(maps={"raw": MapCounts.of(hist)})


def measured(folder):
    (step,) = [one for one in ladder.ladder(records.load_all(folder)) if one.seeds]
    return step


def test_levels_are_means_over_pixels():
    counts = np.zeros((2, 2, 256), np.int64)
    counts[0, 0, 0], counts[1, 0, 128], counts[1, 1, 255] = 30, 10, 5
    found = map_levels.levels([with_raw(counts)])
    assert found.sound == pytest.approx((30 * 0.5 + 10 * 128.5) / 40 / 256)
    assert found.crack == pytest.approx(255.5 / 256)
    twice = counts.copy()
    twice[1, 0, 128] = 1000
    both = map_levels.levels([with_raw(counts), with_raw(twice)])
    assert both.sound == pytest.approx((found.sound + map_levels.levels([with_raw(twice)]).sound) / 2), (
        "a seed is a vote"
    )


def test_a_set_without_cracks_has_no_level_on_crack():
    counts = np.ones((1, 2, 256), np.int64)
    counts[:, 1] = 0
    found = map_levels.levels([with_raw(counts)])
    assert found.sound == pytest.approx(0.5)
    assert math.isnan(found.crack)


def test_a_level_is_the_mean_of_the_map_itself():
    rng = np.random.default_rng(0)
    error_map, crack_mask = rng.random((3, 8, 8), np.float32), rng.random((3, 8, 8)) < 0.3
    found = map_levels.levels([with_raw(histograms(error_map, crack_mask))])
    assert found.crack == pytest.approx(error_map[crack_mask].mean(), abs=1 / 512)
    assert found.sound == pytest.approx(error_map[~crack_mask].mean(), abs=1 / 512)


def test_a_step_has_the_level_of_the_plain_recipe_first(folder):
    step = measured(folder)
    before, after = map_levels.step_levels(step)
    assert after.crack - before.crack == pytest.approx(0.2, abs=0.01)
    assert after.sound == pytest.approx(before.sound), "the same noise"
    unmeasured = next(one for one in ladder.ladder([]) if not one.seeds)
    assert map_levels.step_levels(unmeasured) is None


def test_every_level_is_listed_with_its_records(folder):
    listed = map_levels.level_numbers(records.load_all(folder))
    places = {(one["what"], one["metric"]) for one in listed}
    assert places == {(w, f"map on {kind}") for w in ("plain", "changed") for kind in ("sound", "crack")}
    before, after = map_levels.step_levels(measured(folder))
    values = {(one["what"], one["metric"]): one["value"] for one in listed}
    assert values["plain", "map on crack"] == before.crack
    assert values["changed", "map on sound"] == after.sound
    assert all(one["records"] == list(measured(folder).records) for one in listed)


def test_the_picture_has_both_levels_of_each_measured_rung(folder):
    chart = LevelChart(ladder.ladder(records.load_all(folder)))
    axes = chart.picture().axes[0]
    before, after = map_levels.step_levels(measured(folder))
    drawn = {round(float(x), 6) for line in axes.lines for x in np.atleast_1d(line.get_xdata())}
    assert {round(x, 6) for x in (before.sound, before.crack, after.sound, after.crack)} <= drawn
    assert len(axes.get_yticks()) == 1
    assert f"crack {before.crack:.2f} to {after.crack:.2f}" in chart.alt()


def test_without_records_the_picture_says_so():
    chart = LevelChart(ladder.ladder([]))
    assert chart.alt() == "No rung is measured yet."
    assert not chart.picture().axes[0].get_yticks().size


def test_the_committed_list_holds_the_levels():
    listed = json.loads((ROOT / "results" / "shown.json").read_text(encoding="utf-8"))["numbers"]
    assert any("map on crack" in one["values"] and one["table"] == "ladder" for one in listed)
