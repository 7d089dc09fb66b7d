"""A folder of photos in, masks and numbers out: `detect_folder`, `score_folder` and the command line."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from upcrack_lite.baselines.recipes import FROZEN, method_preset
from upcrack_lite.baselines.trainer import train_method
from upcrack_lite.data.reading import read_image, resize
from upcrack_lite.data.synthetic import synthetic_road, synthetic_set
from upcrack_lite.detection import detect
from upcrack_lite.drawn import detect as drawn_detect
from upcrack_lite.drawn.detect import DrawnNet
from upcrack_lite.drawn.recipe import DrawnPreset
from upcrack_lite.errors import UserError
from upcrack_lite.images import to_tensor
from upcrack_lite.predict.model import load_model, windowed_map
from upcrack_lite.predict.photos import NO_CONTRAST, contrast, detect_folder, read_detection
from upcrack_lite.predict.scoring import score_folder
from upcrack_lite.pretrained import load_generator, store
from upcrack_lite.recipes import preset
from upcrack_lite.runs import RunFolder
from upcrack_lite.training import train

TINY = preset(size=64, depth=6, width=4, disc_width=4, mask_cells=(32, 16, 8), load_size=68)
SIZES = {"wide": (90, 150), "tall": (131, 67), "small": (40, 40)}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> RunFolder:
    """A real run, far too short to be any good."""
    crops = synthetic_set(12, 64, crack_free=1.0)
    return train(crops.images, TINY, tmp_path_factory.mktemp("run") / "r", max_steps=2, progress=False)


@pytest.fixture
def folder(tmp_path) -> Path:
    """Photos of odd sizes in photos/ and their masks in masks/."""
    for seed, (name, (height, width)) in enumerate(SIZES.items()):
        image, crack_mask = synthetic_road(160, seed, crack_share=0.05)
        for sub, pixels in (("photos", image[..., ::-1]), ("masks", crack_mask.astype(np.uint8) * 255)):
            (tmp_path / sub).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / sub / f"{name}.png"), pixels[:height, :width])
    return tmp_path


def mask_of(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)


def detected(model, folder: Path, **options):
    return detect_folder(model, folder / "photos", folder / "out", **options)


def files_of(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def model(run):
    return load_model(run)


def test_every_photo_gets_a_mask_of_its_own_size_cut_from_the_map_that_is_saved(model, folder):
    rows = detected(model, folder, mm_per_pixel=2.0).rows
    assert [row["name"] for row in rows] == sorted(SIZES)
    for row in rows:
        mask, levels = (mask_of(folder / f"out/{kind}/{row['name']}.png") for kind in ("masks", "maps"))
        assert mask.shape == SIZES[row["name"]] == (row["height"], row["width"])
        assert set(np.unique(mask)) == {0, 255}
        assert np.array_equal(mask > 0, levels > row["threshold_level"])
        assert row["crack_fraction_percent"] == pytest.approx(100 * (mask > 0).mean(), abs=1e-4)
        assert row["length_mm"] == pytest.approx(2 * row["length_px"], abs=0.01)
        assert row["warning"] == ""
        assert (folder / "out/overlays" / f"{row['name']}.jpg").is_file()
    with (folder / "out/summary.csv").open() as file:
        assert [line["name"] for line in csv.DictReader(file)] == [row["name"] for row in rows]
    assert json.loads((folder / "out/detection.json").read_text())["status"] == "finished"


def test_the_tables_protocol_is_that_of_detect(run, model, folder):
    detected(model, folder, protocol="tables", size=256, overlays="none")
    generator, made = load_generator(run)
    photo = resize(read_image(folder / "photos/wide.png"), None, 64)[0]
    found = detect(generator, to_tensor(photo), made, size=(256, 256))
    assert np.array_equal(mask_of(folder / "out/masks/wide.png") > 0, found.crack_mask[0, 0].numpy())
    assert not (folder / "out/overlays").exists()


@pytest.mark.parametrize("shape", [(160, 200), (64, 64), (40, 300), (300, 7), (1, 1)])
def test_windows_leave_no_seam(shape):
    photo = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    found = windowed_map(lambda some: some.mean(axis=3, dtype=np.float32), photo, 64)
    assert np.allclose(found, photo.mean(axis=2), atol=1e-3)


def test_a_photo_as_large_as_a_window_is_that_window(run, model):
    corner = synthetic_road(160, 3)[0][:64, :64]
    generator, made = load_generator(run)
    alone = detect(generator, to_tensor(corner), made)
    assert model.window == 64  # synthetic crops are drawn at the network's size
    scores = model.find(corner)
    assert np.allclose(scores.score_map, alone.error_map[0, 0], atol=1e-6)
    assert np.array_equal(scores.crack_mask, alone.crack_mask[0, 0].numpy())


@pytest.mark.parametrize(
    ("data", "window"),
    [
        ({"crops": 9, "window": 160, "margin": 4}, 160),
        ({"crops": {"count": 300, "windows": {"256": 72, "192": 228}}}, 192),
        ({"crops": 9}, 64),
    ],
)
def test_a_window_shows_as_much_road_as_a_crop_of_the_training(run, tmp_path, data, window):
    other = RunFolder.open(shutil.copytree(run.path, tmp_path / "run"))
    other.manifest["data"] = data
    model = load_model(other)
    assert model.window == window
    assert f"windows of {window} px" in model.look()
    assert load_model(other, window=80).window == 80


def test_a_stopped_detection_goes_on_and_does_new_photos_only(model, folder, monkeypatch):
    asked = []

    def reading(path):
        asked.append(path.stem)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return read_image(path)

    monkeypatch.setattr("upcrack_lite.predict.photos.read_image", reading)
    with pytest.raises(KeyboardInterrupt):
        detected(model, folder)
    assert len((folder / "out/summary.csv").read_text().splitlines()) == 2
    with pytest.raises(UserError, match="wait until it ends; if it was interrupted, run it again"):
        read_detection(folder / "out")
    assert detected(model, folder).new == 2
    assert asked == ["small", "tall", "tall", "wide"]
    cv2.imwrite(str(folder / "photos/added.png"), synthetic_road(96, 8)[0])
    cv2.imwrite(str(folder / "photos/tall.png"), synthetic_road(64, 9)[0])  # replaced by another
    (folder / "out/masks/small.png").unlink()
    found = detected(model, folder)
    assert asked[4:] == ["added", "small", "tall"]
    heights = {row["name"]: row["height"] for row in found.rows}
    assert (found.new, heights) == (3, {"added": 96, "small": 40, "tall": 64, "wide": 90})
    (folder / "photos/tall.png").unlink()
    found = detected(model, folder)
    assert (found.new, found.gone, len(found.rows)) == (0, ["tall"], 3), "what is gone counts in no number"
    assert "tall" not in (folder / "out/summary.csv").read_text()
    assert (folder / "out/masks/tall.png").is_file(), "and loses no file"


def test_what_cannot_be_read_is_named_at_the_end(run, folder, upcrack, capsys):
    (folder / "photos/tall.png").write_bytes(b"no image any more")
    words = (folder / "photos", folder / "out", "--model", run.path)
    assert upcrack("detect", *words) == 3
    said = capsys.readouterr()
    assert "photos: 2; crack fraction" in said.out
    assert "1 skipped" in said.err
    assert "tall.png" in said.err
    assert len(read_detection(folder / "out")["failed"]) == 1
    for path in (folder / "photos").iterdir():
        path.write_bytes(b"no image any more")
    assert upcrack("detect", *words) == 3
    with pytest.raises(UserError, match="none could be read"):
        read_detection(folder / "out")


def test_a_map_that_is_not_finite_is_refused(model, folder):
    unsound = replace(model, score_map=lambda image, seed: torch.full((len(image), 1, 64, 64), torch.nan))
    found = detected(unsound, folder)
    assert (found.rows, len(found.failed)) == ([], 3)
    assert "small.png: the map of a photo holds NaN" in found.failed[0]


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ("nowhere", "no such photo or folder"),
        ("two names", "shares its name with wide.bmp"),
        ("foreign out", "holds other files"),
        ("file as out", "is a file"),
        ({"size": 256}, "for the protocol 'tables' alone"),
        ({"protocol": "best"}, "choose one of native, tables"),
        ({"overlays": "best"}, "choose one of outline, fill, none"),
        ({"mm_per_pixel": -1}, r"must be in \(0, inf\)"),
    ],
    ids=str,
)
def test_wrong_input_is_refused_before_any_work(model, folder, bad, says):
    source, out = folder / "photos", folder / "out"
    if bad == "nowhere":
        source = folder / bad
    elif bad == "two names":
        shutil.copy(source / "wide.png", source / "wide.bmp")
    elif bad == "foreign out":
        out.mkdir()
        (out / "thesis.txt").write_text("mine")
    elif bad == "file as out":
        out.write_text("mine")
    before = files_of(folder)
    with pytest.raises(UserError, match=says):
        detect_folder(model, source, out, **(bad if isinstance(bad, dict) else {}))
    assert files_of(folder) == before


@pytest.mark.parametrize("change", ["seed", "setting", "weights", "source"])
def test_an_earlier_detection_is_not_mixed_with_another(run, folder, change, tmp_path):
    own = RunFolder.open(shutil.copytree(run.path, tmp_path / "run"))
    detected(load_model(own), folder)
    before = files_of(folder / "out")
    if change == "weights":
        own.save_weights({name: 2 * one for name, one in own.load_weights().items()})
    other = load_model(own, settings={"bilateral_d": 5} if change == "setting" else None)
    source = folder / ("masks" if change == "source" else "photos")
    with pytest.raises(UserError, match=r"holds a detection with another .*nothing was touched"):
        detect_folder(other, source, folder / "out", seed=int(change == "seed"))
    assert files_of(folder / "out") == before


def test_a_photo_without_contrast_is_warned_of(folder, upcrack, capsys):
    draws = np.random.default_rng(0)
    blank = 90 + 4 * draws.standard_normal((120, 160, 3)) + np.linspace(-10, 10, 160)[:, None]
    cv2.imwrite(str(folder / "photos/blank.jpg"), blank.round().astype(np.uint8))
    words = ("detect", folder / "photos", folder / "out", "--model", "upcracknet")
    assert upcrack(*words, "--json", "--no-report") == 0
    said = json.loads(capsys.readouterr().out)["photos"]
    assert {row["name"] for row in said if row["warning"]} == {"blank"}
    assert said[0]["crack_fraction_percent"] > 10  # this is what Otsu makes of nothing
    assert not (folder / "out/report.html").exists()
    assert upcrack(*words) == 0
    printed = capsys.readouterr().out
    assert "Warning: no contrast, so nothing can be found here: blank" in printed
    assert str(folder / "out/report.html") in printed
    assert "No contrast: nothing can be found here" in (folder / "out/report.html").read_text()
    faint = np.full((120, 160, 3), 200, np.uint8)
    cv2.line(faint, (10, 0), (90, 119), (170, 170, 170), 2)
    assert contrast(faint) > NO_CONTRAST > contrast(faint[:, 100:])


def test_a_family_looks_at_the_size_that_its_scale_belongs_to(folder, upcrack, capsys):
    road = cv2.resize(synthetic_road(512, 5)[0], (1200, 900), interpolation=cv2.INTER_CUBIC)
    model = load_model("tf_black_tophat_otsu")
    assert model.find(road).crack_mask.shape == (256, 341)
    assert model.find(road[:40]).crack_mask.shape == (40, 1200)
    assert model.find(road, "tables").crack_mask.shape == (256, 256)
    strip = np.tile(road[:40], (1, 3, 1))  # a median over a share of its length would be too wide for OpenCV
    assert load_model("tf_local_darkness").find(strip).crack_mask.shape == (40, 3600)
    words = ("detect", folder / "photos", folder / "out", "--model", "tf_black_tophat_otsu")
    assert upcrack(*words) == 0
    assert f"{FROZEN['tf_black_tophat_otsu'].name}; each photo is shrunk" in capsys.readouterr().out
    assert upcrack(*words, "--window", 64) == 2


def test_the_drawn_crack_detector_sees_a_photo_whole_or_as_the_tables_do(folder, tmp_path):
    made = DrawnPreset.make("drawn", "lite", size=64, width=4)
    run = RunFolder.create(tmp_path / "drawn", {"method": "drawn", "preset": made.to_dict()})
    run.save_weights(DrawnNet(4).state_dict())
    model, photo = load_model(run), read_image(folder / "photos/wide.png")
    network, _ = drawn_detect.load_network(run)
    for protocol, seen in (("native", photo), ("tables", resize(photo, None, 256)[0])):
        probability = drawn_detect.score_map(network, made, seen)
        scores = model.find(photo, protocol)
        assert np.array_equal(scores.score_map, probability)
        assert np.array_equal(scores.crack_mask, (probability * 255).round() > 127)
    assert "1/2, 1/4" in model.look()
    assert {row["threshold_level"] for row in detected(model, folder).rows} == {127}
    with pytest.raises(UserError, match="leave the window out"):
        load_model(run, window=64)
    assert "native" not in model.facts()["preset"], "the protocol says it"
    assert detected(load_model(f"{run.path}/"), folder).new == 0, "a slash makes no other model"


def test_a_run_of_a_compared_method_finds_cracks_too(folder, tmp_path):
    made = method_preset("ddrnet", size=64, width=0.125, epochs=1, batch_size=2)
    roads = [synthetic_road(64, seed) for seed in range(4)]
    images, crack_masks = (np.stack(one) for one in zip(*roads, strict=True))
    how = {"crack_masks": crack_masks, "max_steps": 2, "progress": False}
    run = train_method(images, made, tmp_path / "ddrnet", **how)
    assert {row["threshold_level"] for row in detected(load_model(run), folder).rows} == {127}
    model = load_model(run, settings={"threshold_rule": "percentile", "threshold_value": 90.0})
    rows = detect_folder(model, folder / "photos", folder / "more").rows
    assert all(0 < row["crack_fraction_percent"] <= 10 for row in rows)
    with pytest.raises(UserError, match="'epochs' is no setting of detection; choose one of map_filter"):
        load_model(run, settings={"epochs": 3})


def test_the_tuners_file_sets_the_detection(run, folder, upcrack, capsys):
    (folder / "tuned.yaml").write_text("bilateral_d: 5\nthreshold_rule: fixed\nthreshold_value: 0.25\n")
    words = [folder / "photos", folder / "out", "--model", run.path, "--settings", folder / "tuned.yaml"]
    assert upcrack("detect", *words, "--set", "bilateral_d=7") == 0
    facts = json.loads((folder / "out/detection.json").read_text())
    assert (facts["preset"]["bilateral_d"], facts["preset"]["threshold_rule"]) == (7, "fixed")
    assert {row["threshold_level"] for row in facts["photos"]} == {63}
    shares = [row["crack_fraction_percent"] for row in facts["photos"]]
    assert f"median {np.median(shares):.2f} %" in capsys.readouterr().out
    assert upcrack("detect", *words[:-1], folder / "none.yaml") == 2
    assert "none.yaml cannot be read as settings: No such file or directory\n" in capsys.readouterr().err
    (folder / "tuned.yaml").write_text("- a list")
    assert upcrack("detect", *words) == 2


def test_a_stored_run_detects_like_the_run_itself(run, tmp_path):
    stored = store(run, tmp_path / "stored", "upcrack train …")
    assert RunFolder.open(tmp_path / "stored").manifest["command"] == "upcrack train …"
    image = to_tensor(synthetic_road(64, 1)[0])
    a, b = (detect(*[load_generator(r)[0], image, TINY]).error_map for r in (run, stored))
    assert (a - b).abs().max() < 0.01  # half precision
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").write_text("mine")
    with pytest.raises(UserError, match="mine is not a run folder"):
        store(run, tmp_path / "mine")
    assert [p.name for p in tmp_path.iterdir() if p.name != "stored"] == ["mine"]
    large = RunFolder(tmp_path / "large", run.manifest)
    shutil.copytree(run.path, large.path)
    large.save_weights({name: 1e5 + value for name, value in run.load_weights().items()})
    before = (stored.path / "checkpoint.safetensors").read_bytes()
    with pytest.raises(UserError, match=r"large in half precision: .* holds NaN or infinite values"):
        store(large, tmp_path / "stored")
    assert (stored.path / "checkpoint.safetensors").read_bytes() == before


def test_the_command_line_from_training_to_score(folder, upcrack, capsys):
    size = [f"--set={k}={json.dumps(v)}" for k, v in TINY.overrides().items()]
    made = folder / "run"
    assert upcrack("train", "--data", "synthetic", "--crops", 10, "--max-steps", 1, "--out", made, *size) == 0
    assert upcrack("detect", folder / "photos", folder / "out", "--model", made) == 0
    assert upcrack("score", folder / "out", folder / "masks") == 0
    printed = capsys.readouterr().out
    for word in ("precision", "recall", "accuracy", "f1", "iou", "95 % interval"):
        assert word in printed
    assert upcrack("score", folder / "out", folder / "masks", "--json") == 0
    assert json.loads(capsys.readouterr().out)["images"] == 3


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["train", "--data", "synthetic", "--out", "x", "--recipe", "best"], "paper, released"),
        (["train", "--data", "synthetic", "--out", "x", "--set", "epoch=3"], "unknown preset value 'epoch'"),
        (["train", "--data", "synthetic", "--out", "x", "--set", "scale=full"], "--scale full"),
        (["train", "--data", "synthetic", "--out", "/proc/x"], "cannot be written"),
        (["detect", ".", "o", "--set", "size=256"], "no setting of detection"),
        (["detect", ".", "o", "--model", "best"], "tf_frangi_otsu"),
        (["detect", ".", "o", "--set", "native=true"], "the protocol native or tables"),
        (
            ["detect", ".", "o", "--model", "upcracknet", "--protocol", "tables", "--window", "64"],
            "leave it out",
        ),
        (["detect", ".", "o", "--window", "8"], "window must be in [16, inf)"),
        (["train", "--data", "synthetic", "--out", "x", "--set", "epochs=many"], "must be of type int"),
    ],
)
def test_mistakes_end_with_status_2_and_a_remedy(words, says, monkeypatch, capsys, tmp_path, upcrack):
    monkeypatch.chdir(tmp_path)
    assert upcrack(*words) == 2
    told = capsys.readouterr()
    assert says in told.err
    assert "Traceback" not in told.err
    assert told.out == ""  # nothing sounds as if the work had begun
    assert list(tmp_path.iterdir()) == []


@pytest.mark.mirror
def test_real_photos_from_crops_to_score(mirror, tmp_path, upcrack):
    test_img, test_lab = mirror / "deepcrack/test_img", mirror / "deepcrack/test_lab"
    photos = tmp_path / "photos"
    photos.mkdir()
    for path in sorted(test_img.iterdir())[:6]:
        shutil.copy(path, photos)
    size = [f"--set={k}={json.dumps(v)}" for k, v in TINY.overrides().items()]
    words = ["--data", mirror / "deepcrack", "--crops", 40, "--max-steps", 2, "--out", tmp_path / "run"]
    assert upcrack("train", *words, *size) == 0
    assert upcrack("detect", photos, tmp_path / "out", "--model", tmp_path / "run") == 0
    result = score_folder(tmp_path / "out", test_lab)
    assert result["images"] == 6
    assert 0 < result["crack_fraction_percent"] < 20
