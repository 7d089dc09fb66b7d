"""A folder of photos in, masks and numbers out: `detect_folder`, `score_folder` and the command line."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from upcrack_lite import cli
from upcrack_lite.baselines.recipes import method_preset
from upcrack_lite.baselines.trainer import train_method
from upcrack_lite.data.reading import read_image, resize
from upcrack_lite.data.synthetic import synthetic_road, synthetic_set
from upcrack_lite.detection import detect, smooth
from upcrack_lite.errors import UserError
from upcrack_lite.images import to_tensor
from upcrack_lite.predict.model import load_model
from upcrack_lite.predict.photos import detect_folder, find_cracks, windowed_map
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


def upcrack(monkeypatch, *words: object) -> int:
    """Run the command line in this process; returns the exit status."""
    monkeypatch.setattr("sys.argv", ["upcrack", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return stop.value.code or 0


def test_every_photo_gets_a_mask_of_its_own_size(run, folder):
    rows = detect_folder(run, folder / "photos", folder / "out", progress=False)
    assert {row["name"] for row in rows} == set(SIZES)
    for row in rows:
        mask = mask_of(folder / "out/masks" / f"{row['name']}.png")
        assert mask.shape == SIZES[row["name"]] == (row["height"], row["width"])
        assert set(np.unique(mask)) <= {0, 255}
        assert row["crack_share_percent"] == pytest.approx(100 * (mask > 0).mean(), abs=1e-4)
        assert (folder / "out/overlays" / f"{row['name']}.jpg").is_file()
    with (folder / "out/summary.csv").open() as file:
        assert [line["name"] for line in csv.DictReader(file)] == [row["name"] for row in rows]
    assert json.loads((folder / "out/detection.json").read_text())["status"] == "finished"


def test_the_result_is_that_of_detect(run, folder):
    detect_folder(run, folder / "photos", folder / "out", size=256, progress=False)
    generator, made = load_generator(run)
    photo = resize(read_image(folder / "photos/wide.png"), None, 64)[0]
    found = detect(generator, to_tensor(photo), made, size=(256, 256))
    assert np.array_equal(mask_of(folder / "out/masks/wide.png") > 0, found.crack_mask[0, 0].numpy())


def test_windows_cover_the_photo_and_agree_with_one_window(run):
    generator, made = load_generator(run)
    model = load_model(run)
    photo = synthetic_road(160, 3)[0]
    errors = windowed_map(model, photo, 64)
    assert errors.shape == (1, 1, 160, 160)
    assert torch.isfinite(errors).all()
    corner = photo[:64, :64]
    alone = detect(generator, to_tensor(corner), made)
    # A photo as large as one window is that window, at its own scale.
    single = windowed_map(model, corner, 64)
    assert torch.allclose(single, alone.error_map, atol=1e-6)
    smoothed, cut = find_cracks(model, corner, window=64)
    assert np.allclose(smoothed, smooth(single)[0, 0].numpy())
    assert cut == pytest.approx(float(alone.threshold[0]))


def test_a_damaged_photo_is_named_and_the_others_are_done(run, folder, monkeypatch):
    (folder / "photos/tall.png").write_bytes(b"no image any more")
    monkeypatch.setattr(
        "upcrack_lite.predict.photos.image_size", lambda path: (1, 1)
    )  # it was whole when it was checked
    with pytest.raises(UserError, match=r"2 photo\(s\) done(?s:.*)tall\.png"):
        detect_folder(run, folder / "photos", folder / "out", progress=False)
    assert (folder / "out/masks/wide.png").is_file()
    assert json.loads((folder / "out/detection.json").read_text())["failed"]


@pytest.mark.parametrize(
    "bad", ["missing", "text", "two names", "foreign out", "file as out", "size", "window"]
)
def test_wrong_input_is_refused_before_any_work(run, folder, bad):
    source, out, more = folder / "photos", folder / "out", {}
    if bad == "missing":
        source = folder / "nowhere"
    elif bad == "text":
        (source / "notes.png").write_text("no image")
    elif bad == "two names":
        shutil.copy(source / "wide.png", source / "wide.bmp")
        cv2.imwrite(str(source / "wide.bmp"), np.zeros((8, 8, 3), np.uint8))
    elif bad == "foreign out":
        out.mkdir()
        (out / "thesis.txt").write_text("mine")
    elif bad == "file as out":
        out.write_text("mine")
    else:
        more = {bad: 1}
    with pytest.raises(UserError):
        detect_folder(run, source, out, progress=False, **more)
    assert not (out / "masks").exists()


def test_an_interrupted_detection_does_not_look_finished(run, folder, monkeypatch):
    detect_folder(run, folder / "photos", folder / "out", progress=False)
    monkeypatch.setattr(
        "upcrack_lite.predict.photos.find_cracks", lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        detect_folder(run, folder / "photos", folder / "out", progress=False)
    with pytest.raises(UserError, match="no finished detection"):
        score_folder(folder / "out", folder / "masks", progress=False)
    monkeypatch.undo()
    detect_folder(run, folder / "photos", folder / "out", progress=False)  # and it can be done again
    assert score_folder(folder / "out", folder / "masks", progress=False)["images"] == 3


@pytest.mark.parametrize(
    "change", [{"size": 64}, {"seed": 1}, {"settings": {"bilateral_d": 5}}, {"source": "one"}]
)
def test_an_earlier_detection_is_not_mixed_with_another(run, folder, change):
    detect_folder(run, folder / "photos", folder / "out", progress=False)
    before = {path: path.read_bytes() for path in sorted((folder / "out").rglob("*")) if path.is_file()}
    if "source" in change:
        (folder / "one").mkdir()
        shutil.copy(folder / "photos/wide.png", folder / "one")
        source, more = folder / "one", {}
    else:
        source, more = folder / "photos", change
    with pytest.raises(UserError, match=r"holds a detection with another .*nothing was touched"):
        detect_folder(run, source, folder / "out", progress=False, **more)
    after = {path: path.read_bytes() for path in sorted((folder / "out").rglob("*")) if path.is_file()}
    assert after == before


def test_a_run_of_a_compared_method_finds_cracks_too(folder, tmp_path):
    made = method_preset("ddrnet", size=64, width=0.125, epochs=1, batch_size=2)
    roads = [synthetic_road(64, seed) for seed in range(4)]
    images, crack_masks = (np.stack(one) for one in zip(*roads, strict=True))
    run = train_method(
        "ddrnet", images, made, tmp_path / "ddrnet", crack_masks=crack_masks, max_steps=2, progress=False
    )
    (row, *_) = detect_folder(run, folder / "photos", folder / "out", size=256, progress=False)
    assert row["threshold"] == 0.5
    settings = {"threshold_rule": "percentile", "threshold_value": 90.0}
    rows = detect_folder(
        run, folder / "photos", folder / "more", size=256, window=64, settings=settings, progress=False
    )
    assert all(0 < one["crack_share_percent"] <= 10 for one in rows)
    with pytest.raises(UserError, match="'epochs' is no setting of detection; choose one of map_filter"):
        detect_folder(run, folder / "photos", folder / "no", settings={"epochs": 3}, progress=False)


def test_the_tuners_file_sets_the_detection(run, folder, monkeypatch, capsys):
    (folder / "tuned.yaml").write_text("bilateral_d: 5\nthreshold_rule: fixed\nthreshold_value: 0.25\n")
    words = [run.path, folder / "photos", folder / "out", "--settings", folder / "tuned.yaml"]
    assert upcrack(monkeypatch, "detect", *words, "--set", "bilateral_d=7") == 0
    facts = json.loads((folder / "out/detection.json").read_text())
    assert (facts["preset"]["bilateral_d"], facts["preset"]["threshold_rule"]) == (7, "fixed")
    assert {row["threshold"] for row in facts["photos"]} == {0.25}
    shares = [row["crack_share_percent"] for row in facts["photos"]]
    assert f"median {np.median(shares):.2f} %" in capsys.readouterr().out
    (folder / "tuned.yaml").write_text("- a list")
    assert upcrack(monkeypatch, "detect", *words) == 2


def test_a_stored_run_detects_like_the_run_itself(run, tmp_path):
    stored = store(run, tmp_path / "stored", "upcrack train …")
    assert RunFolder.open(tmp_path / "stored").manifest["command"] == "upcrack train …"
    image = to_tensor(synthetic_road(64, 1)[0])
    a, b = (detect(*[load_generator(r)[0], image, TINY]).error_map for r in (run, stored))
    assert (a - b).abs().max() < 0.01  # half precision
    assert store(run, tmp_path / "stored", "again").manifest["command"] == "again"
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


def test_the_command_line_from_training_to_score(folder, monkeypatch, capsys):
    size = [f"--set={k}={json.dumps(v)}" for k, v in TINY.overrides().items()]
    made = folder / "run"
    assert (
        upcrack(
            monkeypatch, "train", "--data", "synthetic", "--crops", 10, "--max-steps", 1, "--out", made, *size
        )
        == 0
    )
    assert upcrack(monkeypatch, "detect", made, folder / "photos", folder / "out", "--window", 64) == 0
    assert upcrack(monkeypatch, "score", folder / "out", folder / "masks") == 0
    printed = capsys.readouterr().out
    for word in ("precision", "recall", "accuracy", "f1", "iou", "95 % interval"):
        assert word in printed
    assert upcrack(monkeypatch, "score", folder / "out", folder / "masks", "--json") == 0
    assert json.loads(capsys.readouterr().out)["images"] == 3


def test_training_on_a_folder_of_undamaged_photos(folder, monkeypatch):
    photos = folder / "undamaged"
    photos.mkdir()
    for seed in range(4):
        cv2.imwrite(str(photos / f"{seed}.jpg"), synthetic_road(160, seed, crack=False)[0])
    size = [f"--set={k}={json.dumps(v)}" for k, v in TINY.overrides().items()]
    words = ["--layout", "photos", "--window", 64, "--crops", 12, "--max-steps", 1, "--out", folder / "run"]
    assert upcrack(monkeypatch, "train", "--data", photos, *words, *size) == 0
    assert RunFolder.open(folder / "run").manifest["data"]["photos"] == 4


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["train", "--data", "nowhere", "--out", "x"], "nowhere"),
        (["train", "--data", "synthetic", "--out", "x", "--recipe", "best"], "paper, released"),
        (["train", "--data", "synthetic", "--out", "x", "--set", "epoch=3"], "unknown preset value 'epoch'"),
        (["train", "--data", "synthetic", "--out", "x", "--set", "epochs"], "NAME=VALUE"),
        (["train", "--data", "synthetic", "--out", "x", "--set", "scale=full"], "--scale full"),
        (["train", "--data", "synthetic", "--out", "/proc/x"], "cannot be written"),
        (["train", "--data", ".", "--out", "x", "--layout", "best"], "photos"),
        (["detect", "stored", ".", "o", "--set", "size=256"], "no setting of detection"),
        (["train", "--data", "synthetic", "--out", "x", "--set", "epochs=many"], "must be of type int"),
        (["detect", "no_run", "p", "o"], "no_run is not a run folder"),
        (["score", "nothing", "m"], "nothing: there is no such folder of predictions"),
    ],
)
def test_mistakes_end_with_status_2_and_a_remedy(words, says, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert upcrack(monkeypatch, *words) == 2
    told = capsys.readouterr().err
    assert says in told
    assert "Traceback" not in told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.mirror
def test_real_photos_from_crops_to_score(mirror, tmp_path, monkeypatch):
    test_img, test_lab = mirror / "deepcrack/test_img", mirror / "deepcrack/test_lab"
    photos = tmp_path / "photos"
    photos.mkdir()
    for path in sorted(test_img.iterdir())[:6]:
        shutil.copy(path, photos)
    size = [f"--set={k}={json.dumps(v)}" for k, v in TINY.overrides().items()]
    words = ["--data", mirror / "deepcrack", "--crops", 40, "--max-steps", 2, "--out", tmp_path / "run"]
    assert upcrack(monkeypatch, "train", *words, *size) == 0
    assert upcrack(monkeypatch, "detect", tmp_path / "run", photos, tmp_path / "out") == 0
    result = score_folder(tmp_path / "out", test_lab, progress=False)
    assert result["images"] == 6
    assert 0 < result["crack_share_percent"] < 20
