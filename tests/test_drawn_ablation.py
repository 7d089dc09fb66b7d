"""The ablation of the drawn-crack detector: what is trained and tested for a change, and that it goes on."""

import json

import benchmark_runs
import drawn_ablation as ablation
import numpy as np
import pytest
import second_channel
import torch
from benchmark_runs import stand_in

from upcrack_lite.data.synthetic import synthetic_set
from upcrack_lite.drawn import scenes, training
from upcrack_lite.drawn.recipe import DrawnPreset
from upcrack_lite.reproduction import photo_sets
from upcrack_lite.show.drawn import BASE, Ablation

ROADS = synthetic_set(2, 64, 3)


@pytest.fixture
def trained(monkeypatch):
    """Trainings that are asked for; none is done, for the stored model stands for each."""
    tests = {"synthetic": list(zip(ROADS.images, ROADS.crack_masks, strict=True))}
    monkeypatch.setattr(ablation, "photos", lambda _: tests)
    return stand_in(monkeypatch, ablation, "drawn")


def run(folder, *changes):
    words = [word for name in changes for word in ("--change", name)]
    return benchmark_runs.run(ablation, folder, "--seeds", "1", *words)


def test_what_is_done_is_not_done_again(trained, tmp_path):
    assert run(tmp_path, "as it is", "own size alone").exit_code == 0
    assert trained == [({}, 0)] * 2
    first = json.loads((tmp_path / "lines.json").read_text())
    assert [line["change"] for line in first] == ["as it is", "own size alone"]
    assert all(sum(line["counts"]["synthetic"]) == ROADS.crack_masks.size for line in first)
    assert first[0]["counts"] != first[1]["counts"]
    first[0]["counts"] = {}  # a line that is there is believed
    (tmp_path / "lines.json").write_text(json.dumps(first))
    assert run(tmp_path, "as it is", "no stones").exit_code == 0
    assert trained[2:] == [({"stones": 0.0}, 0)]
    second = json.loads((tmp_path / "lines.json").read_text())
    assert second[:2] == first
    assert [line["change"] for line in second[2:]] == ["no stones"]


def test_the_second_channel_is_the_error_and_reaches_the_network(monkeypatch, tmp_path):
    monkeypatch.setattr(training, "STEPS", 2)
    monkeypatch.setattr(scenes, "ROADS", 4)
    monkeypatch.setattr(scenes, "CRACKS", 4)
    monkeypatch.setattr(photo_sets, "SYNTHETIC_CROPS", 3)
    made = second_channel.train(0, tmp_path / "run", width=4, epochs=5, scene=64, batch_size=2)
    find, photo = second_channel.detector(made), ROADS.images[0]
    usual = find(photo)
    assert usual.shape == photo.shape[:2]
    restorer = second_channel.Restorer()
    error = restorer(torch.zeros(1, 1, 64, 64))
    monkeypatch.setattr(second_channel.Restorer, "__call__", lambda _, gray: torch.full_like(gray, 5.0))
    assert error.shape == (1, 1, 64, 64)
    assert error.min() >= 0
    assert not np.allclose(find(photo), usual, atol=1e-4)


def test_an_unknown_change_is_refused_before_any_work(tmp_path):
    done = run(tmp_path, "no moon")
    assert done.exit_code == 2
    assert not list(tmp_path.iterdir())


def test_the_page_says_what_has_one_sign_with_three_seeds(tmp_path):
    """Of a planted change, DeepCrack falls with every seed; on CFD one seed rises."""
    lines = []
    for seed, cfd in enumerate((40, 40, 60)):
        for change, tp, last in ((BASE, 80, 50), ("no moon", 70 - seed, cfd)):
            counts = {"synthetic": [50, 50, 50, 850], "undamaged": [0, 10, 0, 990]}
            counts |= {"deepcrack": [tp, 20, 20, 880], "cfd": [last, 50, 50, 850]}
            lines.append({"change": change, "seed": seed, "commit": "0" * 40, "counts": counts})
    (tmp_path / "drawn_ablation.json").write_text(json.dumps(lines))
    shown = Ablation(tmp_path)
    said = shown.says().data
    assert "F1, DeepCrack: no moon -2.5." in said
    assert "F1, CFD: no change" in said
    assert "F1, synthetic roads: no change" in said
    assert "1.0 (+0.0 ± 0.0)" in shown.table().data


def test_the_committed_ablation_says_what_chapter_18_concludes():
    one_sign = {test: Ablation().one_sign(test) for test in ("synthetic", "undamaged", "deepcrack", "cfd")}
    assert one_sign["cfd"]["label at half the coverage"] < -5
    assert one_sign["synthetic"]["no look-alikes"] > 0
    assert one_sign["undamaged"]["no stones"] > 0
    assert one_sign["deepcrack"]["hairlines as they are"] > 0
    photos = [*one_sign["deepcrack"], *one_sign["cfd"]]
    assert not {"no look-alikes", "no stones"} & set(photos)
    assert "hairlines as they are" not in one_sign["cfd"]
    assert one_sign["cfd"]["own size, 1/2, 1/4"] < 0 < one_sign["undamaged"]["own size alone"]


def test_each_change_changes_what_it_names():
    usual = DrawnPreset.make("drawn", "lite")
    for changes in (ablation.TRAINED, ablation.TESTED):
        for name, change in changes.items():
            made = DrawnPreset.make("drawn", "lite", **change)
            differing = {key for key in change if getattr(made, key) != getattr(usual, key)}
            assert (name == BASE) == (not differing)
            assert np.isclose(made.given + made.whole, 0.9)
