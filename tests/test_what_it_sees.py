"""The experiment on the color of the holes: what is trained and tested, and that it goes on where it stopped."""

import json
from functools import partial

import benchmark_runs
import numpy as np
import pytest
import what_it_sees
from benchmark_runs import stand_in

from upcrack_lite.data.synthetic import synthetic_road, synthetic_set
from upcrack_lite.show import sees

ROADS = synthetic_set(2, 64, 3)


@pytest.fixture
def trained(monkeypatch):
    """Trainings that are asked for; none is done, for the stored model stands for each."""
    photos = list(zip(ROADS.images, ROADS.crack_masks, strict=True))
    monkeypatch.setattr(what_it_sees, "pairs", lambda *_: photos)
    monkeypatch.setattr(what_it_sees, "read_pair", lambda pair: pair)
    return stand_in(monkeypatch, what_it_sees, "upcracknet")


run = partial(benchmark_runs.run, what_it_sees)


def test_the_adversarial_term_comes_first_seed_by_seed_and_nothing_is_done_twice(trained, tmp_path):
    assert run(tmp_path, "--fill", "mean", "--fill", "white", "--seeds", "2").exit_code == 0
    mean, white = {"hole_fill": "mean"}, {"hole_fill": 1.0}
    with_term = [(one, seed) for seed in (0, 1) for one in (mean, white)]
    assert trained == [*with_term, *((one | {"lambda_adv": 0.0}, seed) for one, seed in with_term)]
    lines = json.loads((tmp_path / "lines.json").read_text())
    assert [line["detector"] for line in lines[:2]] == list(what_it_sees.UNTRAINED)
    assert len(lines) == 10
    assert all(set(line["scores"]) == set(what_it_sees.VERSIONS) for line in lines)
    assert run(tmp_path, "--fill", "mean", "--fill", "black", "--seeds", "1").exit_code == 0
    assert trained[8:] == [({}, 0), ({"lambda_adv": 0.0}, 0)]
    assert json.loads((tmp_path / "lines.json").read_text())[:10] == lines
    assert run(tmp_path, "--fill", "blue").exit_code == 2


def test_darkness_finds_dark_cracks_alone_and_distance_both():
    photos = [synthetic_road(128, [4, index], confounders=0) for index in range(3)]
    ap = {
        name: [one["ap"] for one in what_it_sees.scores(find, photos).values()]
        for name, find in what_it_sees.UNTRAINED.items()
    }
    dark, either = ap["darkness"], ap["distance from the median"]
    assert dark[0] > 4 * max(dark[1:])
    assert np.isclose(either[0], either[1], rtol=0.05)
    assert either[2] > 4 * dark[2]


def test_a_brightened_crack_is_as_far_from_the_road_as_it_was_and_nothing_else_changes():
    photo = np.full((60, 60, 3), 120, np.uint8)
    crack_mask = np.zeros((60, 60), bool)
    crack_mask[28:31] = True
    photo[crack_mask] = 90
    bright = what_it_sees.brightened(photo, crack_mask)
    assert (bright[crack_mask] == 150).all()
    assert np.array_equal(bright[~crack_mask], photo[~crack_mask])
    photo[crack_mask] = 20
    photo[~crack_mask] = 200
    assert (what_it_sees.brightened(photo, crack_mask)[crack_mask] == 255).all()


def test_the_page_claims_only_what_has_three_runs(tmp_path):
    runs = [("black", True, seed, 60.0 + seed) for seed in range(3)] + [("white", True, 0, 90.0)]
    lines = []
    for detector, adversarial, seed, ap in [*runs, ("darkness", None, None, 80.0)]:
        values = {name: {"ap": ap, "f1": 100.0 / 6} for name in what_it_sees.VERSIONS}
        lines.append({"detector": detector, "adversarial": adversarial, "seed": seed, "scores": values})
    (tmp_path / sees.FILE).write_text(json.dumps(lines))
    record = sees.Recorded(tmp_path)
    said = record.says().data
    assert "black holes: 61.0 ± 1.0 % on the photos as they are" in said
    assert "white holes:" not in said
    assert "Fewer than 3 runs, so no claim: white holes." in said
    assert "1 of 4 networks" in said
    assert "crack fraction, 9.1 %" in said  # marking everything: F1 = 2 p / (1 + p) = 1 / 6
    assert list(record.found()) == ["black holes", "white holes", "darkness"]
    assert "90.0 / 16.7" in record.table().data


def test_printed_steps_add_one_term_and_the_records_differ_in_their_seed():
    steps = sees.printed_steps()
    assert len(steps) == 10
    assert steps["adv added to mae"] == pytest.approx(59.141 - 39.457)
    assert len(sees.seed_differences()) > 20


def test_the_smallest_floor_keeps_the_limit_and_no_threshold_goes_below_it():
    levels = [np.repeat([10, 50, 90], (96, 3, 1)), np.repeat([10, 50], (98, 2))]
    assert [sees.floor_for(levels, [20, 20], limit) for limit in (0.03, 0.005, 0.004)] == [0, 50, 90]
    assert sees.floor_for(levels, [60, 60], 0.005) == 0
