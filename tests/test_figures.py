"""Figures show what they are given, in colors that everybody can tell apart, and never without words."""

from __future__ import annotations

import math

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from IPython import display as ipython_display
from matplotlib.colors import to_rgb

from upcrack_lite.errors import UserError
from upcrack_lite.images import overlay
from upcrack_lite.show import charts, figures
from upcrack_lite.show.figures import PALETTE, WIDTH

PHOTO = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
MASK = np.zeros((16, 24), bool)
MASK[4:8] = True
MAP = np.linspace(0, 0.4, 16 * 24).reshape(16, 24)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def luminance(color) -> float:
    """CIE lightness L*, 0 to 100."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color]
    y = np.dot([0.2126, 0.7152, 0.0722], linear)
    return 116 * y ** (1 / 3) - 16


def words(fig) -> str:
    fig.canvas.draw()  # the words of ticks exist from then on
    return "\n".join(t.get_text() for t in fig.findobj(mpl.text.Text))


def test_found_false_alarm_and_missed_differ_by_lightness():
    values = sorted(luminance(to_rgb(PALETTE[name])) for name in ("tp", "fp", "fn"))
    assert values[1] - values[0] > 20
    assert values[2] - values[1] > 20


def test_overlay_paints_each_case_in_its_color_and_the_rest_gray():
    predicted, truth = np.zeros((2, 2), bool), np.zeros((2, 2), bool)
    predicted[0] = True
    truth[:, 0] = True
    image = np.full((2, 2, 3), (200, 100, 50), np.uint8)
    painted = overlay(image, predicted, truth)
    for (y, x), name in {(0, 0): "tp", (0, 1): "fp", (1, 0): "fn"}.items():
        assert tuple(painted[y, x] / 255) == pytest.approx(to_rgb(PALETTE[name]))
    assert len(set(painted[1, 1].tolist())) == 1
    assert tuple(overlay(image, predicted)[0, 0] / 255) == pytest.approx(to_rgb(PALETTE["detected"]))
    assert (image == (200, 100, 50)).all()


def test_images_shows_every_panel_with_its_title_and_one_common_scale():
    fig = figures.images([("photo", PHOTO), ("mask", MASK), ("a", MAP), ("b", 2 * MAP)], key=True)
    shown = [image for axis in fig.axes for image in axis.images if image.get_array().shape[:2] == (16, 24)]
    assert [axis.get_title() for axis in fig.axes[:4]] == ["photo", "mask", "a", "b"]
    assert np.array_equal(shown[0].get_array(), PHOTO)
    assert np.array_equal(shown[1].get_array(), MASK)
    assert shown[2].get_clim() == shown[3].get_clim() == (0, 0.8)
    assert "missed (FN)" in words(fig)
    assert "error" in words(fig)
    assert fig.get_facecolor() == (1, 1, 1, 1)


def test_images_takes_tensors_and_a_given_scale_and_wraps_titles():
    title = "a very long title that one picture cannot carry"
    assert figures.images([(title, torch.ones(1, 1, 8, 8))], heat_max=3).axes[0].images[0].get_clim() == (
        0,
        3,
    )
    assert "\n" in figures.images([(title, PHOTO)] * 4).axes[0].get_title()
    assert figures.images([("zero", np.zeros((4, 4)))]).axes[0].images[0].get_clim() == (0, 1)


def test_images_names_what_it_cannot_show():
    for bad in (np.zeros((3, 8, 8)), np.zeros((8, 8), int), torch.zeros(2, 1, 8, 8)):
        with pytest.raises(UserError, match="panel 'odd'"):
            figures.images([("fine", MAP), ("odd", bad)])


def test_contact_sheet_holds_every_photo():
    photos = np.stack([np.full((32, 32, 3), 10 * i, np.uint8) for i in range(5)])
    sheet = figures.contact_sheet(photos, ncols=3).axes[0].images[0].get_array()
    assert sheet.shape == (66, 100, 3)
    assert sheet[50, 50, 0] == 40
    assert sheet[50, 90, 0] == 255  # no sixth photo


def test_curves_differ_without_color():
    fig = charts.curves([0, 1, 2], {f"line {i}": [i, i + 1, i] for i in range(8)}, "x", "loss", logy=True)
    lines = fig.axes[0].lines
    assert [list(line.get_ydata()) for line in lines] == [[i, i + 1, i] for i in range(8)]
    assert len({line.get_marker() for line in lines}) == len({line.get_color() for line in lines}) == 8
    assert fig.axes[0].get_yscale() == "log"
    assert all(f"line {i}" in words(fig) for i in range(8))


def test_bars_say_their_numbers_and_undefined_ones_too():
    fig = charts.bars({"F1": 74.04, "recall": 100.0, "IoU": math.nan}, "percent")
    assert [bar.get_width() for bar in fig.axes[0].patches[:2]] == [74.04, 100.0]
    assert all(word in words(fig) for word in ("74.0", "100", "undefined", "percent", "F1"))


def test_histogram_counts_every_pixel_once_in_its_class_and_labels_the_threshold():
    fig = charts.histogram_with_threshold(torch.from_numpy(MAP)[None, None], 0.25, MASK[None, None])
    (axis,) = fig.axes
    assert axis.get_yscale() == "log"
    assert list(axis.lines[0].get_xdata()) == [0.25, 0.25]
    assert {"background", "crack", "threshold 0.250"} <= set(words(fig).splitlines())
    background = sum(p.get_height() for p in axis.patches if isinstance(p, mpl.patches.Rectangle))
    assert background == (~MASK).sum()


def rows(**terms):
    return [{"epoch": e, **{k: v / (e + 1) for k, v in terms.items()}} for e in range(5)]


def test_training_curves_show_what_the_log_has():
    log = rows(mae=0.2, ssim=0.8, gms=0.2, res=1.2, d=1.3, adv=0.9, total=120)
    for row in log[1::2]:
        row["valid"] = 1.0  # not every epoch is validated
    fig = charts.training_curves(log)
    titles = [axis.get_title() for axis in fig.axes if axis.get_title()]
    assert titles == ["restoration loss", "MAE", "1 − SSIM", "MSGMS", "adversarial"]
    restoration = fig.axes[0].lines
    assert list(restoration[0].get_ydata()) == [row["res"] for row in log]
    assert list(restoration[1].get_xdata()) == [1, 3]
    levels = [line.get_ydata()[0] for line in fig.axes[4].lines[2:]]
    assert levels == pytest.approx([2 * math.log(2), math.log(2)])
    assert charts.training_curves(rows(res=1.0, mae=0.3)[:1]).axes[0].lines[0].get_marker() == "o"


def test_letters_stay_readable_on_a_phone():
    """At 360 px for the width of the page, no letter is below 8 px."""
    made = [
        figures.images([("photo", PHOTO), ("map", MAP)], key=True),
        charts.curves([0, 1], {"a": [0, 1], "b": [1, 0]}, "x", "y"),
        charts.bars({"a": 1.0}, "y"),
        charts.histogram_with_threshold(MAP, 0.2, MASK),
        charts.training_curves(rows(res=1.0, d=1.0, adv=1.0)),
    ]
    for fig in made:
        assert fig.get_figwidth() <= WIDTH
        smallest = min(t.get_fontsize() for t in fig.findobj(mpl.text.Text) if t.get_text())
        assert smallest / 72 * 360 / fig.get_figwidth() > 8


def test_drawing_leaves_the_readers_settings_alone():
    before = dict(mpl.rcParams)
    charts.bars({"a": 1.0}, "y")
    assert dict(mpl.rcParams) == before
    with plt.rc_context():
        figures.use_style()
        assert mpl.rcParams["figure.facecolor"] == "white"


def test_show_displays_with_alternative_text_and_closes(monkeypatch):
    calls = []
    monkeypatch.setattr(ipython_display, "display", lambda *a, **k: calls.append((a, k)))
    fig = charts.bars({"F1": 74.0}, "percent")
    figures.show(fig, "F1 is\n  74 percent.")
    assert calls == [((fig,), {"metadata": {"image/png": {"alt": "F1 is 74 percent."}}})]
    assert not plt.fignum_exists(fig.number)
    with pytest.raises(UserError, match="alternative text"):
        figures.show(fig, "  ")
