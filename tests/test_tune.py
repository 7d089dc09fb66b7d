"""A threshold for the user's own road: `tune`, and `upcrack tune`."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from upcrack_lite.data.reading import read_image
from upcrack_lite.data.synthetic import synthetic_road
from upcrack_lite.errors import UserError
from upcrack_lite.io import read_settings
from upcrack_lite.predict import tune as tuning
from upcrack_lite.predict.model import Model, load_model
from upcrack_lite.predict.photos import detect_folder
from upcrack_lite.predict.tune import draw_into, fraction, tune
from upcrack_lite.recipes import preset


class Darkness(Model):
    """A detector that needs no training: how much darker a pixel is than its surroundings, not smoothed."""

    def score_photo(self, photo, protocol="native", seed=0):
        gray = photo.astype(np.float32).mean(axis=2)
        dark = (cv2.GaussianBlur(gray, (0, 0), 15) - cv2.GaussianBlur(gray, (0, 0), 1)) / 255
        return torch.from_numpy(dark).clamp(0, 1)[None, None]


@pytest.fixture
def model(monkeypatch):
    """Detectors of any rule in place of trained ones."""

    def load(name, device="cpu", settings=None, window=None):
        made = preset("paper", "lite", bilateral_d=1, **(settings or {}))
        return Darkness(str(name), "upcracknet", made, None, "cpu")

    monkeypatch.setattr(tuning, "load_model", load)
    return load


@pytest.fixture
def road(tmp_path) -> Path:
    folder = tmp_path / "road"
    folder.mkdir()
    for seed in range(6):
        image = synthetic_road(192, seed, surface="asphalt", crack=False, confounders=0.5)[0]
        assert cv2.imwrite(str(folder / f"{seed}.png"), image)
    return folder


FIXED = {"threshold_rule": "fixed", "threshold_value": 0.05}


@pytest.mark.parametrize("settings", [FIXED, {"threshold_rule": "otsu"}])
@pytest.mark.parametrize("limit", [0.005, 0.02])
def test_no_more_road_is_marked_than_allowed_and_detect_does_the_same(model, road, settings, limit, tmp_path):
    got = tune("any", road, limit, settings=settings)
    assert got.before.marked > limit >= got.after.marked
    assert 0 < got.after.drawn.recall <= got.before.drawn.recall
    assert got.after.drawn.precision > got.before.drawn.precision
    tuned = detect_folder(model("any", settings=got.settings), road, tmp_path / "out")
    marked = [row["crack_fraction_percent"] for row in tuned.rows]
    assert np.mean(marked) == pytest.approx(100 * got.after.marked, abs=1e-3)


def test_each_half_is_tested_with_the_others_threshold(model, road):
    fixed = {"threshold_rule": "fixed"}
    got = tune("any", road, 0.005, settings=fixed)
    one, files = model("any", settings=fixed), sorted(road.iterdir())
    looks = [tuning.look(one, path.name, read_image(path), (0, i)) for i, path in enumerate(files)]
    for chosen, tested in ((slice(0, 3), slice(3, 6)), (slice(3, 6), slice(0, 3))):
        level = tuning.choose(looks[chosen], 0.005)
        assert tuning.outcome(looks[chosen], [level] * 3).marked <= 0.005
        assert got.held_out.each[tested] == tuning.outcome(looks[tested], [level] * 3).each
    for path in files[tuning.HELD_OUT - 1 :]:
        path.unlink()
    few = tune("any", road, 0.005)
    assert few.held_out is None
    assert "not held out" in tuning.as_text(few)


def test_a_cracked_photo_is_named(model, road):
    how = {"settings": {"threshold_rule": "fixed"}}
    assert tune("any", road, 0.002, **how).doubted == {}
    assert cv2.imwrite(str(road / "3.png"), synthetic_road(192, 3, crack_share=0.1)[0])
    got = tune("any", road, 0.002, **how)
    assert set(got.doubted) == {"3.png"}
    assert got.worst == ("3.png", max(got.held_out.each))
    assert f"most is marked in 3.png: {100 * got.worst[1]:.3f} %, held out" in tuning.as_text(got)
    assert any("3.png" in one and "cracked" in one for one in tuning.warnings(got))


@pytest.mark.parametrize("shape", [(40, 50), (300, 520), (600, 1100)])
def test_drawn_cracks_are_dark_and_labeled(shape):
    photo = np.full((*shape, 3), (150, 140, 130), np.uint8)
    for seed in range(4):
        cracked, widths = draw_into(photo, np.random.default_rng(seed))
        assert widths.any()
        assert set(np.unique(widths)) <= {0, 1, 2, 3}
        darker = photo.astype(int).sum(axis=2) - cracked.astype(int).sum(axis=2)
        assert darker[widths > 0].mean() > 10 > np.median(darker[widths == 0])
        assert (darker == 0).mean() > 0.4  # most of the road stays as it is


@pytest.mark.parametrize(("text", "value"), [("0.1%", 0.001), ("0.1 %", 0.001), ("0.001", 0.001), ("0", 0)])
def test_a_fraction_is_read(text, value):
    assert fraction(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "%", "little", "-0.1%", "50%", "1", "nan", "0,1%"])
def test_what_is_no_fraction_is_refused(text):
    with pytest.raises(UserError, match=r"write 0\.1% or 0\.001"):
        fraction(text)


def test_the_command_writes_what_detect_reads(model, road, monkeypatch, capsys, upcrack):
    (road / "notes.png").write_text("no image")
    out = road.parent / "settings.yaml"
    words = ["--model=any", "--set=threshold_rule=fixed", "--set=test_dropout=false", "--false-alarm=0.2%"]
    words.append(f"--out={out}")
    assert upcrack("tune", road, *words) == 3
    told = capsys.readouterr()
    assert "notes.png: is not an image" in told.err
    assert "held out" in told.out
    names = {"threshold_rule", "threshold_value", "threshold_floor", "test_dropout"}
    assert set(read_settings(out)) == names, "what the map was made with belongs to its threshold"
    monkeypatch.undo()
    loaded = load_model("upcracknet", settings=read_settings(out))
    assert loaded.preset.threshold_value == read_settings(out)["threshold_value"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["road", "--false-alarm", "some"], "'some' is no fraction"),
        (["nowhere"], "nowhere: there is no such folder"),
        (["road", "--model", "tf_frangi_otsu"], "name a trained model"),
        (["road", "--model", "nothing"], "unknown model 'nothing'"),
        (["road", "--out", "notes.txt"], "exists and is no parameter file"),
        (["road", "--out", "nowhere/x.yaml"], "there is no folder nowhere"),
        (["bad"], "none of the photos can be used"),
    ],
)
def test_wrong_input_ends_with_status_2_and_nothing_is_written(
    road, words, says, monkeypatch, capsys, upcrack
):
    monkeypatch.chdir(road.parent)
    Path("notes.txt").write_text("mine")
    Path("bad").mkdir()
    Path("bad/x.png").write_text("no image")
    before = sorted(road.parent.rglob("*"))
    assert upcrack("tune", *words) == 2
    assert says in capsys.readouterr().err
    assert sorted(road.parent.rglob("*")) == before
    assert Path("notes.txt").read_text() == "mine"
