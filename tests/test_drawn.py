"""The drawn-crack detector: scenes, network, tiles, training that goes on after a kill, and that it learns."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from upcrack_lite.data.synthetic import synthetic_road, synthetic_set
from upcrack_lite.drawn import detect, scenes, training
from upcrack_lite.drawn.detect import DrawnNet, normalized
from upcrack_lite.drawn.recipe import DrawnPreset
from upcrack_lite.errors import UserError
from upcrack_lite.metrics import Confusion
from upcrack_lite.runs import RunFolder

TINY = {"size": 64, "scene": 64, "width": 4, "epochs": 2, "batch_size": 2, "validate_every": 1}


@pytest.fixture(scope="module")
def crops():
    return synthetic_set(6, 64, 3, crack_free=1.0).images


@pytest.fixture(scope="module")
def material():
    return scenes.prepare(synthetic_set(6, 256, 3, crack_free=1.0).images, seed=1)


@pytest.fixture
def short(monkeypatch):
    """Epochs of a few steps and little material, so that a training is a matter of seconds."""
    monkeypatch.setattr(training, "STEPS", 3)
    monkeypatch.setattr(scenes, "ROADS", 4)
    monkeypatch.setattr(scenes, "CRACKS", 4)


def preset(**values):
    return DrawnPreset.make("drawn", "lite", **values)


def draw(material, seed, **values):
    return scenes.draw_scene(np.random.default_rng(seed), material, preset(**values))


def test_a_scene_is_its_seed(material):
    (gray, label), again, other = draw(material, [1, 2]), draw(material, [1, 2]), draw(material, [1, 3])
    assert np.array_equal(gray, again[0])
    assert np.array_equal(label, again[1])
    assert not np.array_equal(gray, other[0])
    assert (gray.dtype, label.dtype, gray.shape) == (np.uint8, bool, (160, 160))


def test_labels_lie_on_dark_cracks_and_look_alikes_are_not_labeled(material):
    alike = ("shadows", "stains", "pits", "paint", "veins", "grooves")
    given = {"given": 1.0, "whole": 0.0}
    quiet = given | dict.fromkeys(alike, 0.0)
    made = [draw(material, [5, i], crack_free=0.0, **quiet) for i in range(40)]
    darker = [gray[~label].mean() - gray[label].mean() for gray, label in made if 0 < label.mean() < 0.9]
    assert len(darker) >= 35
    assert np.mean(np.array(darker) > 0) > 0.9
    crowded = given | dict.fromkeys(alike, 1.0)
    none = [draw(material, [6, i], crack_free=1.0, **crowded) for i in range(10)]
    assert not any(label.any() for _, label in none)
    assert np.mean([gray.std() for gray, _ in none]) > 15  # something was drawn


def test_cracks_are_thin_and_wide(material):
    widths = []
    for i in range(60):
        covered = scenes.crack_coverage(np.random.default_rng([9, i]), material, preset())
        assert covered.min() >= 0
        assert covered.max() <= 1
        widths.append(2 * cv2.distanceTransform((covered > 0.5).astype(np.uint8), cv2.DIST_L2, 5).max())
    assert min(w for w in widths if w) < 6
    assert max(widths) > 25


def test_the_network_takes_any_multiple_of_32_and_the_input_is_normalized():
    network = DrawnNet(4).eval()
    assert network(torch.zeros(2, 1, 64, 96)).shape == (2, 1, 64, 96)
    gray = np.random.default_rng(0).integers(0, 256, (50, 70)).astype(np.uint8)
    values = normalized(gray)
    assert values.dtype == np.float32
    assert abs(values.mean()) < 1e-5
    assert np.allclose(normalized(np.full((8, 8), 200, np.uint8)), 0)
    assert 0.8e6 < sum(p.numel() for p in DrawnNet(16).parameters()) < 1e6


def lively(seed=0):
    """A network whose normalization is not that of the start, so that all of its paths show."""
    torch.manual_seed(seed)
    network = DrawnNet(4).train()
    for _ in range(3):
        network(torch.randn(4, 1, 64, 64))
    return network.eval()


@pytest.mark.parametrize("shape", [(700, 610), (40, 900), (33, 31)])
def test_tiles_give_what_the_whole_photo_gives(shape):
    network = lively()
    gray = normalized(np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8))
    whole = detect.logits(network, gray, tile=2048)
    tiled = detect.logits(network, gray, tile=128)
    assert whole.shape == shape
    assert np.abs(whole - tiled).max() < 1e-3
    assert whole.std() > 0.01


@pytest.mark.parametrize(
    ("enlarge_below", "sides"), [(0, (128, 64, 32)), (129, (256, 128, 64, 32)), (128, (128, 64, 32))]
)
def test_a_map_is_the_mean_over_scales(enlarge_below, sides):
    network, photo = lively(), synthetic_road(128, 4)[0]
    gray, total = scenes.to_gray(photo), np.zeros((128, 128))
    for side in sides:
        there = cv2.INTER_CUBIC if side > 128 else cv2.INTER_AREA
        scaled = cv2.resize(gray, (side, side), interpolation=there)
        back = cv2.INTER_AREA if side > 128 else cv2.INTER_LINEAR
        total += cv2.resize(detect.logits(network, normalized(scaled)), (128, 128), interpolation=back)
    expected = 1 / (1 + np.exp(-total / len(sides)))
    chosen = preset(enlarge_below=enlarge_below)
    assert np.allclose(detect.score_map(network, chosen, photo), expected, atol=1e-5)
    one = detect.score_map(network, replace(chosen, octaves=1), photo)
    assert not np.allclose(one, expected, atol=1e-3)


def test_a_hairline_is_labeled_and_a_recipe_of_before_is_as_it_was():
    """Of a line that covers half of its pixels in a scene, the second recipe labels all, the first pieces."""
    line = np.zeros((1, 256, 256), np.uint8)
    line[:, :, 128] = 200
    empty = np.zeros_like(line)
    material = scenes.Material(empty, empty, empty, empty, line)
    first = DrawnPreset.from_dict({"method": "drawn", "scale": "lite"})
    labeled = {}
    for name, one in (("first", replace(first, crack_low=256)), ("second", preset(crack_low=256))):
        labels = [
            scenes.soft_label(scenes.crack_coverage(np.random.default_rng(i), material, one), one.label_level)
            for i in range(20)
        ]
        labeled[name] = np.mean(labels) * preset().scene  # px: the label's width
    assert labeled["first"] < 1 < 2 < labeled["second"] < 4
    assert (first.stones, first.enlarge_below) == (0, 0)


def test_a_killed_training_goes_on_bit_by_bit(crops, short, tmp_path, monkeypatch):
    def train(name, seed=2):
        return training.train_drawn(crops, preset(**TINY), tmp_path / name, seed=seed, progress=False)

    whole = train("whole").load_weights()
    step, done = training.DrawnTrainer.step, []

    def until_killed(self, batch):
        if len(done) == 4:
            raise KeyboardInterrupt
        done.append(1)
        return step(self, batch)

    monkeypatch.setattr(training.DrawnTrainer, "step", until_killed)
    with pytest.raises(KeyboardInterrupt):
        train("cut")
    assert not RunFolder.open(tmp_path / "cut").finished
    monkeypatch.setattr(training.DrawnTrainer, "step", step)
    cut = train("cut")
    assert cut.finished
    assert len(cut.log()) == 2
    same, other = cut.load_weights(), train("other", seed=3).load_weights()
    assert all(torch.equal(tensor, same[name]) for name, tensor in whole.items())
    assert any(not torch.equal(tensor, other[name]) for name, tensor in whole.items())
    network, chosen = detect.load_network(cut)
    assert chosen == preset(**TINY)
    assert network.training is False


def test_what_does_not_fit_is_refused(crops, tmp_path):
    for values, said in (({"scene": 100}, "multiple of 32"), ({"given": 0.9, "whole": 0.3}, "exceed 1")):
        with pytest.raises(UserError, match=said):
            preset(**values)
    with pytest.raises(UserError, match="unknown scale"):
        DrawnPreset.make("drawn", "tiny")
    with pytest.raises(UserError, match=r"crops must be uint8 \(N, 256, 256, 3\)"):
        training.train_drawn(crops, preset(), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_it_learns_to_mark_cracks_it_has_never_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(scenes, "ROADS", 60)
    monkeypatch.setattr(scenes, "CRACKS", 60)
    crops = synthetic_set(40, 256, 3, crack_free=1.0).images
    small = preset(width=8, epochs=3, scene=96, octaves=1)
    network, chosen = detect.load_network(
        training.train_drawn(crops, small, tmp_path / "run", progress=False)
    )
    total = Confusion()
    for i in range(12):
        photo, crack_mask = synthetic_road(256, [77, i])
        total += Confusion.of(detect.score_map(network, chosen, photo) > chosen.threshold_value, crack_mask)
    assert total.f1 > 20  # 28; all marked: 5
