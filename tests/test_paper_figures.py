"""The paper's Figures 1 to 4: what they show and say, and which photos are shown follows from rules."""

from __future__ import annotations

import collections
import hashlib
import json
import re
import shutil

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from small_records import save, small_values

from upcrack_lite.baselines.recipes import FamilyPreset, method_preset
from upcrack_lite.baselines.registry import network as method
from upcrack_lite.baselines.training_free import Variant, segment, select_variant, selected_variant
from upcrack_lite.data.synthetic import synthetic_road
from upcrack_lite.errors import UserError
from upcrack_lite.io import write_image
from upcrack_lite.metrics import Confusion
from upcrack_lite.recipes import preset
from upcrack_lite.reproduction import examples
from upcrack_lite.reproduction import failure_cases as failures
from upcrack_lite.reproduction.experiments import Experiment
from upcrack_lite.reproduction.run import detector
from upcrack_lite.runs import RunFolder
from upcrack_lite.show import paper_figures, pipeline
from upcrack_lite.show.figures import PALETTE

SIZE = 64


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def words(fig) -> list[str]:
    return [text.get_text() for text in fig.findobj(mpl.text.Text)]


# Figure 1


@pytest.fixture(scope="module")
def pictures() -> dict[str, np.ndarray]:
    road, photo = np.random.default_rng(0).integers(0, 256, (2, 256, 256, 3), dtype=np.uint8)
    return examples.pipeline_pictures(examples.open_run(), road, photo, seed=3)


def test_pictures_of_the_pipeline(pictures):
    hole = ~pictures["mask"]
    assert (pictures["masked"][hole] == 0).all(), "a hole is black"
    assert (pictures["masked"][~hole] == pictures["image"][~hole]).all()
    assert pictures["crack mask"].shape == pictures["smoothed"].shape == (256, 256)


def test_the_pipeline_shows_every_picture_and_says_its_numbers(pictures):
    chosen = preset("released", bilateral_d=9, threshold_rule="percentile", lambda_style=7)
    fig = pipeline.pipeline(pictures, chosen)
    shown = [picture.get_array() for picture in fig.axes[0].get_images()]
    assert all(any(np.array_equal(one, wanted) for one in shown) for wanted in pictures.values())
    said = " ".join(words(fig))
    for part in ("road 3 × 128 × 128", "crack mask 1 × 256 × 256", "filter, 9 px", "percentile", "7 style"):
        assert part in said.replace("\n", " ")
    fig.canvas.draw()
    for text in fig.axes[0].texts:
        box = text.get_window_extent()
        assert 0 <= box.x0 <= box.x1 <= fig.bbox.width, text.get_text()
        assert 0 <= box.y0 <= box.y1 <= fig.bbox.height, text.get_text()
        assert text.get_fontsize() >= 9, "letters of 9 pt are about 7 px high on a phone"
    marked = 100 * pictures["crack mask"].mean()
    alt = pipeline.in_words(pictures, chosen)
    assert all(part in alt for part in ("7 style", "filter of 9 px", f"marks {marked:.1f} % of the pixels"))


# Figures 2 and 3


def row(heading="a photo", **masks) -> paper_figures.Row:
    """A gray photo of 4 × 4 px whose upper left quarter is crack."""
    crack_mask = np.zeros((4, 4), bool)
    crack_mask[:2, :2] = True
    masks = masks or {"a": np.roll(crack_mask, 1, axis=1)}
    return paper_figures.Row("img", heading, np.full((4, 4, 3), 90, np.uint8), crack_mask, masks)


def test_each_case_has_exactly_its_color():
    caption, picture = row().panels()[2]
    assert " ".join(caption.split()) == "a: F1 50 %"
    for (y, x), case in {(0, 1): "tp", (0, 2): "fp", (0, 0): "fn"}.items():
        assert tuple(picture[y, x] / 255) == pytest.approx(to_rgb(PALETTE[case]))
    rest = picture[3, 3].tolist()
    assert len(set(rest)) == 1
    assert rest[0] > 150, "the photo below is pale"


NAMES = ["UP-CrackNet", "local darkness + filter + Otsu, chosen", "Frangi + Otsu", *"abcd"]


@pytest.mark.parametrize(("methods", "longest"), [(1, 3), (2, 4), (3, 3), (5, 4), (6, 4), (7, 3)])
def test_the_grid_shows_every_photo_and_method_and_nothing_overlaps(methods, longest):
    names, eye = NAMES[:methods], np.eye(4, dtype=bool)
    fig = paper_figures.grid([row(f"row {k}", **dict.fromkeys(names, eye)) for k in range(2)])
    fig.canvas.draw()
    axes = [axis for axis in fig.findobj(plt.Axes) if axis.get_images()]
    assert len(axes) == 2 * (2 + methods)
    boxes = [axis.get_window_extent() for axis in axes]
    assert all(box.width / fig.dpi > 1.4 for box in boxes), "not too small on a phone"
    lines = collections.Counter(round(box.y0) for box in boxes).values()
    assert max(lines) == longest
    assert max(lines) - min(lines) < len(lines) + 1, "lines are about equally long"
    boxes += [axis.xaxis.label.get_window_extent() for axis in axes]
    boxes += [text.get_window_extent() for text in fig.findobj(mpl.text.Text) if text.get_text()[:3] == "row"]
    for number, box in enumerate(boxes):
        assert -1 <= box.x0 < box.x1 <= fig.bbox.width + 1
        assert not [other for other in boxes[:number] if box.overlaps(other)]
    shown = words(fig)
    assert {"row 0", "row 1", "found (TP)", "false alarm (FP)", "missed (FN)"} <= set(shown)
    said = [" ".join(text.split()) for text in shown]
    assert all(said.count(f"{name}: F1 50 %") == 2 for name in names), "nothing of a name is lost"
    assert not any("F1\n" in text or text.endswith("\n%") for text in shown), "a number keeps its name"


def test_words_and_scores_of_a_grid():
    assert "img: a precision 50 %, recall 50 %, F1 50 %." in paper_figures.in_words([row()])
    empty = row(a=np.zeros((4, 4), bool))
    assert "precision undefined, recall 0 %" in paper_figures.in_words([empty])
    with pytest.raises(UserError, match="no photo to show"):
        paper_figures.grid([])
    (line,) = paper_figures.scores([row()])
    assert (line["photo"], line["method"], line["F1 %"], line["crack %"]) == ("img", "a", 50, 25)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Untrained runs of a network and a restorer, and one of a training-free family that chose a variant."""
    root = tmp_path_factory.mktemp("runs")
    facts = {"seed": 0, "data": {"name": "deepcrack"}, "max_steps": None}
    for name in ("enet", "riad"):
        torch.manual_seed(0)
        small = method_preset(name, "lite", size=64, width=0.125)
        run = RunFolder.create(root / name, facts | {"method": name, "preset": small.to_dict()})
        run.save_weights(method(name).build(small.width).state_dict())
        run.manifest["status"] = "finished"
        run.save_manifest()
    roads = [synthetic_road(256, [5, k]) for k in range(2)]
    images, masks = (np.stack(parts) for parts in zip(*roads, strict=True))
    family = FamilyPreset.make("tf_local_darkness_otsu", "lite")
    where = {"crack_masks": masks, "data": {"name": "deepcrack"}, "progress": False}
    select_variant(images, family, root / "local", **where)
    return root


def test_a_column_marks_what_the_tables_count(runs):
    names = ("enet", "riad", "local")
    columns = paper_figures.columns(examples.open_run(), [str(runs / name) for name in names], seed=3)
    chosen_name = "local darkness + Otsu, chosen"
    assert [column.name for column in columns] == ["UP-CrackNet", "ENet", "RIAD", chosen_name]
    photo, crack_mask = synthetic_road(300, [6, 0])
    crack_mask = crack_mask[:256, :256]
    for name, column in zip(names, columns[1:], strict=True):
        run = RunFolder.open(runs / name)
        counted = detector(run, Experiment(run.manifest["method"], seed=3), "cpu").find(photo, crack_mask)
        marked = column.method(photo)
        assert marked.any()
        assert (marked == counted.crack_mask).all(), name
    assert (
        "trained on the photos of deepcrack with their crack masks, lite scale (run enet)" in columns[1].note
    )
    assert "trained on undamaged crops of deepcrack" in columns[2].note
    chosen, _ = selected_variant(RunFolder.open(runs / "local"))
    assert f"{chosen.name}, the best of 6 variants on the photos of deepcrack" in columns[3].note


def test_a_detector_without_a_run_is_the_first_of_its_family():
    columns = paper_figures.columns(examples.open_run(), detectors="tf_frangi_otsu,tf_local_darkness_otsu")
    assert [column.name for column in columns] == ["UP-CrackNet", "Frangi + Otsu", "local darkness + Otsu"]
    photo = synthetic_road(256, [7, 0])[0]
    marked = segment(photo, Variant("frangi", 0.0, "otsu"))
    assert marked.any()
    assert (columns[1].method(photo) == marked).all()
    assert "frangi, sigma 0, otsu, the first of its family's 6 variants" in columns[1].note
    assert columns[0].note.startswith("UP-CrackNet: the generator was trained on synthetic roads only")


def test_columns_from_text_and_two_of_one_name(runs):
    columns = paper_figures.columns(examples.open_run(), ", ".join([str(runs / "enet")] * 2))
    assert [column.name for column in columns] == ["UP-CrackNet", "ENet", "ENet 2"]
    assert columns[2].note.startswith("ENet 2: trained on")


def test_columns_that_cannot_be_shown_are_refused(runs, tmp_path):
    run, none = examples.open_run(), tmp_path / "none"
    for others, detectors, said in (
        ([str(none)], (), f"others: {none} is not a run folder"),
        ((), "tf_frangi", "unknown family 'tf_frangi'; choose from tf_global_darkness"),
    ):
        with pytest.raises(UserError, match=re.escape(said)):
            paper_figures.columns(run, others, detectors)
    with pytest.raises(UserError, match="is a run of enet, not of upcracknet: name it in others"):
        paper_figures.columns(RunFolder.open(runs / "enet"))
    leaking = tmp_path / "leaking"
    shutil.copytree(runs / "enet", leaking)
    manifest = json.loads((leaking / "manifest.json").read_text(encoding="utf-8"))
    for change, said in (
        ({"status": "running"}, "is not finished"),
        ({"data": {"name": "crack500"}}, "was trained on photos that are shown here: crack500 and"),
        ({"method": "segnet"}, "is a run of 'segnet'"),
    ):
        (leaking / "manifest.json").write_text(json.dumps(manifest | change), encoding="utf-8")
        with pytest.raises(UserError, match=f"others: .*{said}"):
            paper_figures.columns(run, str(leaking), photos="crack500_heldout")
    (leaking / "manifest.json").write_text(json.dumps(manifest | {"max_steps": 1}), encoding="utf-8")
    assert "its masks mean nothing" in paper_figures.columns(run, str(leaking))[1].note


def test_photos_at_quantiles():
    scores = [30.0, float("nan"), 10.0, 50.0, 20.0, 40.0]
    assert examples.at_quantiles(scores) == [(0.1, 2), (0.3, 4), (0.5, 0), (0.7, 5), (0.9, 3)]
    assert examples.at_quantiles(list(range(101))) == [(q, round(100 * q)) for q in examples.QUANTILES]
    assert examples.at_quantiles([5.0, 5.0], (0, 1)) == [(0, 0), (1, 1)], "equal scores keep their order"
    assert examples.at_quantiles([7.0]) == [(0.1, 0)], "no photo twice"
    with pytest.raises(UserError, match="no photo has a score"):
        examples.at_quantiles([float("nan")])


def test_synthetic_photos_depend_on_the_seed_alone():
    few, many = examples.find(["deepcrack"], count=2, seed=1), examples.find(["deepcrack"], seed=1)
    assert (few.name, few.note, few.pairs, len(many)) == ("synthetic", "", (), examples.ROADS)
    assert (few.read(1)[0] == many.read(1)[0]).all()
    assert few.names == many.names[:2]
    asphalt = examples.find(["crack500"], count=2, seed=1, surface="asphalt")
    assert asphalt.names[0].startswith("asphalt_")
    assert (asphalt.read(0)[0] == synthetic_road(256, [examples.FIRST_SEED + 1, 0, 1], "asphalt")[0]).all()
    assert (asphalt.read(0)[0] != many.read(0)[0]).any(), "Figure 2 is not Figure 3 again"
    with pytest.raises(UserError, match="count must be 0"):
        examples.find(["deepcrack"], count=-1)


def test_photos_from_a_folder(tmp_path):
    with pytest.raises(UserError, match="no such folder of data sets"):
        examples.find(["crack500"], tmp_path / "none")
    missing = examples.find(["crack500", "crack500_heldout"], tmp_path, count=1)
    assert missing.name == "synthetic"
    assert "holds no crack500 and no crack500_heldout" in missing.note
    assert "`upcrack data fetch crack500`" in missing.note
    assert str(tmp_path) not in missing.note, "a page holds no path of a machine"
    for place, value in enumerate((80, 160)):
        photo, crack_mask = np.full((30, 40, 3), value, np.uint8), np.zeros((30, 40), np.uint8)
        crack_mask[:15] = 255
        write_image(tmp_path / "own" / "image" / f"p{place}.png", photo)
        write_image(tmp_path / "own" / "mask" / f"p{place}.png", crack_mask)
    own = examples.find(["crack500", "own"], tmp_path)
    assert (own.name, own.names, own.note) == ("own", ("p0", "p1"), "")
    photo, crack_mask = own.read(1)
    assert photo.shape == (30, 40, 3)
    assert photo[0, 0, 0] == 160
    assert crack_mask.shape == (256, 256)
    assert crack_mask[:127].all()
    assert not crack_mask[129:].any()
    (counts, _) = examples.counted(own, lambda photo: np.ones((256, 256), bool))
    assert counts.recall == 100
    assert examples.find(["own"], tmp_path, count=1).names == ("p0",)


def test_counts_from_a_record(tmp_path):
    run = examples.open_run()
    values, arrays = small_values(Experiment(), n=3)
    values["train"]["checkpoint_sha256"] = hashlib.sha256(
        (run.path / "checkpoint.safetensors").read_bytes()
    ).hexdigest()
    path = save(values, arrays, tmp_path)
    photos = examples.Photos("small", ("photo_2", "photo_0"))
    read = examples.recorded(path, photos, run)
    for counts, place in zip(read, (2, 0), strict=True):
        image = values["images"][place]
        assert counts == Confusion(image["tp"], image["fp"], image["fn"], image["tn"])
    with pytest.raises(UserError, match="was made with seed 0, not 1"):
        examples.recorded(path, photos, run, seed=1)
    with pytest.raises(UserError, match="no counts for 1 of the 2 photos of small"):
        examples.recorded(path, examples.Photos("small", ("photo_1", "other")), run)
    values["train"]["checkpoint_sha256"] = "3" * 64
    path = save(values, arrays, tmp_path)
    with pytest.raises(UserError, match="is the record of another run"):
        examples.recorded(path, photos, run)


# Figure 4


def planted(marked=(), crack=(slice(30, 33), slice(0, SIZE)), dark=None) -> failures.Facts:
    """Facts of a 64 × 64 photo: a crack, marked places, a dark place; each a pair of slices."""
    image = np.random.default_rng(0).integers(120, 140, (SIZE, SIZE, 1), dtype=np.uint8).repeat(3, 2)
    crack_mask, predicted = np.zeros((2, SIZE, SIZE), bool)
    if crack:
        crack_mask[crack] = True
    if dark:
        image[dark] = 40
    for place in marked:
        predicted[place] = True
    return failures.measure(image, predicted, crack_mask)


ON = (slice(30, 33), slice(0, SIZE))
CORNER = (slice(0, 16), slice(0, 16))
CASES = {
    "fine": (planted([ON]), set()),
    "missed": (planted([(slice(30, 33), slice(0, 16))]), {"missed crack", "thin crack vanished"}),
    "alarm": (planted([ON, (slice(0, 24), slice(0, SIZE))]), {"false alarm"}),
    "dark": (planted([ON, CORNER], dark=CORNER), {"dark spot taken for crack"}),
    "bright": (planted([ON, CORNER]), set()),
    "wide": (planted([(slice(27, 37), slice(0, SIZE))]), {"drawn too wide"}),
    "broad and missed": (
        planted([(slice(20, 22), slice(0, SIZE))], (slice(20, 40), slice(0, SIZE))),
        {"missed crack"},
    ),
    "no crack": (planted([CORNER], crack=None), set()),
    "nothing at all": (planted([], crack=None), set()),
}


@pytest.mark.parametrize("case", CASES)
def test_planted_failures_are_found_by_their_rules(case):
    facts, kinds = CASES[case]
    assert {kind.title for kind in failures.KINDS if kind.fails(facts)} == kinds


def test_facts_of_a_planted_photo():
    facts = planted([(slice(30, 33), slice(0, 32)), (slice(33, 35), slice(0, SIZE)), CORNER], dark=CORNER)
    assert facts.crack == 100 * 3 / 64
    assert facts.recall == 50
    assert facts.false_alarm == pytest.approx((128 + 256) / 192)
    assert facts.outline == pytest.approx(128 / 192), "the corner is farther away than 5 px"
    assert facts.apart == pytest.approx(100 * 256 / 64**2)
    assert facts.dark == 100
    assert facts.width == pytest.approx(3, abs=0.3)
    assert facts.line_recall == pytest.approx(50, abs=3)
    empty = planted([], crack=None)
    assert all(np.isnan(value) for value in (empty.recall, empty.false_alarm, empty.line_recall, empty.dark))


def test_failures_are_counted_and_the_worst_is_shown_once():
    worse = planted([(slice(30, 33), slice(0, 4))])
    photos = [facts for facts, _ in CASES.values()] + [worse]
    counts = {line["kind"]: (line["asked"], line["failing"]) for line in failures.table(photos)}
    assert counts["missed crack"] == (8, 3), "photos without a crack are not asked"
    assert counts["drawn too wide"][1] == 1
    chosen = failures.worst(photos)
    names = list(CASES)
    assert [(kind.title, index) for kind, index in chosen] == [
        ("missed crack", len(names)),
        ("false alarm", names.index("alarm")),
        ("thin crack vanished", names.index("missed")),  # the worst one was taken by the kind before
        ("dark spot taken for crack", names.index("dark")),
        ("drawn too wide", names.index("wide")),
    ]
    kind, index = chosen[0]
    assert kind.told(photos[index]) == "recall 6 %"
    assert failures.worst(photos[:1]) == []
