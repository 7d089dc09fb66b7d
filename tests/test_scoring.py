"""Predicted masks against hand-made ones: `score_folder`, `upcrack score`, and the paper's row beside it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from upcrack_lite.data import manifest
from upcrack_lite.data.synthetic import synthetic_road
from upcrack_lite.metrics import METRICS, Confusion
from upcrack_lite.predict.scoring import OVER_THRESHOLDS, as_text, score_folder
from upcrack_lite.reproduction.beside import beside

NAMES = ("a", "b", "c", "d")


@pytest.fixture(scope="module")
def roads() -> list[tuple[np.ndarray, np.ndarray]]:
    return [synthetic_road(192, seed, crack_share=0.05) for seed in range(len(NAMES))]


@pytest.fixture
def folder(tmp_path, roads) -> Path:
    """photos/, masks/, and in pred/ the masks moved by a pixel, as another program may write them."""
    for name, (image, crack_mask) in zip(NAMES, roads, strict=True):
        mask = crack_mask.astype(np.uint8) * 255
        write(tmp_path / f"photos/{name}.png", image[..., ::-1])
        write(tmp_path / f"masks/{name}.png", mask)
        write(tmp_path / f"pred/{name}.png", np.roll(mask, 1, axis=1))
    return tmp_path


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True, parents=True)
    assert cv2.imwrite(str(path), pixels)


def read(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)


def scored(folder: Path, **more) -> dict:
    return score_folder(folder / "pred", folder / "masks", **more)


def detection(folder: Path, **facts) -> Path:
    """What `upcrack detect` leaves, with the hand-made masks as its results."""
    rows = [{"name": name, "photo": str(folder / "photos" / f"{name}.png")} for name in NAMES]
    for name, sub in ((n, s) for n in NAMES for s in ("masks", "maps")):
        write(folder / "out" / sub / f"{name}.png", read(folder / "masks" / f"{name}.png"))
    known = {"status": "finished", "photos": rows, "size": None, "model": "/else/where/first", "failed": []}
    (folder / "out/detection.json").write_text(json.dumps(known | facts))
    return folder / "out"


def test_masks_of_another_program_are_scored_pooled_and_photo_by_photo(folder):
    result = scored(folder)
    ones = [Confusion.of(*(read(folder / d / f"{n}.png") > 127 for d in ("pred", "masks"))) for n in NAMES]
    total = sum(ones, Confusion())
    assert result["pooled"] == total.to_dict()
    for metric in METRICS:
        values = [getattr(one, metric) for one in ones]
        assert result["mean"][metric] == pytest.approx(np.mean(values))
        for key, value in (("interval_95", result["pooled"]), ("mean_interval_95", result["mean"])):
            low, high = result[key][metric]
            assert min(values) <= low <= value[metric] <= high <= max(values)
    assert {result[name] for name in (*OVER_THRESHOLDS, "model")} == {None}  # there are no maps
    assert json.loads((folder / "pred/score/score.json").read_text()) == result
    assert (folder / "pred/score/overlays/a.jpg").is_file()
    assert "--photos" in as_text(result)
    assert scored(folder)["images"] == 4  # the results of the first time are no predictions


def test_a_detection_is_scored_with_its_maps_and_names_what_it_could_not_read(folder):
    for name in "ez":
        write(folder / f"masks/{name}.png", np.zeros((8, 8), np.uint8))
    out = detection(folder, failed=["photos/e.jpg: is cut off"])
    result = score_folder(out, folder / "masks")
    assert [result["pooled"][m] for m in METRICS] == [100] * 5
    assert result["ods_f1"] == result["auroc"] == result["tolerance_2px_f1"] == 100
    assert result["not_scored"] == ["photos/e.jpg: is cut off (`upcrack detect` could not read it)"]
    assert "1 masks are of photos that were not in the detection (z)" in result["warnings"]
    assert result["photos_seen"] == 4
    (out / "maps/b.png").unlink()
    (first, *_) = score_folder(out, folder / "masks")["not_scored"]
    assert "maps/b.png: there is no such file" in first


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: (f / "pred/b.png").rename(f / "pred/b_pred.png"), "b_pred: no mask .*; b is near"),
        (lambda f: (f / "pred/b.png").unlink(), "(?m)^b: a mask without a prediction$"),
        (lambda f: write(f / "masks/b.tif", np.zeros((192, 192), np.uint8)), "b: 2 files of this name"),
        (
            lambda f: write(f / "masks/b.png", np.zeros((10, 20), np.uint8)),
            "is 20×10, the prediction .* 192×192",
        ),
        (lambda f: (f / "pred/b.png").write_text("no image"), r"pred/b\.png: is not an image"),
        (lambda f: (f / "photos/b.png").replace(f / "masks/b.png"), r"masks/b\.png: .* a photo and no mask"),
    ],
)
def test_what_cannot_be_scored_is_named_and_the_others_are_scored(folder, change, says, upcrack, capsys):
    change(folder)
    assert upcrack("score", folder / "pred", folder / "masks") == 3
    result = json.loads((folder / "pred/score/score.json").read_text())
    assert result["images"] == 3
    assert re.search(says, "\n".join(result["not_scored"]))
    assert f"not scored ({len(result['not_scored'])})" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (("nowhere", "masks"), "nowhere: there is no such folder of predictions"),
        (("pred", "nowhere"), "nowhere: there is no such folder of masks"),
        (("masks", "masks"), "predictions and masks are one folder"),
        (("pred", "empty"), "empty: holds no mask"),
        (("empty", "masks"), "empty: holds no detection and no predicted mask"),
        (("masks", "out"), "out holds a detection: give the predictions first"),
        (("pred", "other"), r"nothing could be scored(?s:.*)a: no mask"),
        (("pred", "masks", "--photos", "nowhere"), "nowhere: there is no such folder of photos"),
        (("pred", "masks", "--photos", "other"), "other: holds no photo of the names"),
        (("pred/a.png", "masks"), "a.png: is a file: give the folder of predictions"),
        (("pred", "masks", "--out", "pred/a.png"), "a.png is a file"),
        (("pred", "masks", "--out", "out"), "out holds a detection, whose overlays would be lost"),
        (("pred", "masks", "--beside", "gaps"), "the paper does not test on 'gaps'; choose cfd"),
    ],
)
def test_wrong_folders_are_refused_and_nothing_is_written(folder, given, says, monkeypatch, capsys, upcrack):
    detection(folder)
    (folder / "empty").mkdir()
    write(folder / "other/x.png", np.zeros((8, 8), np.uint8))
    monkeypatch.chdir(folder)
    assert upcrack("score", *given) == 2
    assert re.search(says, capsys.readouterr().err)
    assert not list(folder.rglob("score.json"))


def test_jpeg_names_pair_and_probabilities_are_thresholded_and_said_once(folder):
    for name in NAMES[:2]:
        soft = cv2.GaussianBlur(read(folder / "masks" / f"{name}.png"), (0, 0), 2)
        (folder / "pred" / f"{name}.png").unlink()
        write(folder / "pred" / f"{name}.jpeg", soft)
    result = scored(folder)
    assert (result["images"], result["soft_predictions"], result["not_scored"]) == (4, 2, [])
    assert sum("above 127" in one for one in result["warnings"]) == 1


@pytest.mark.parametrize(
    ("sub", "make", "says"),
    [
        ("masks", lambda mask: 255 - mask, "of the masks' pixels are crack: crack must be white"),
        ("masks", np.zeros_like, "no mask holds a crack"),
        ("pred", lambda mask: 255 - mask, "more than half of the pixels are predicted"),
        ("pred", np.zeros_like, "no pixel is predicted as crack"),
    ],
)
def test_masks_that_are_inverted_or_empty_are_noticed(folder, sub, make, says):
    for path in (folder / sub).iterdir():
        write(path, make(read(path)))
    result = scored(folder)
    assert any(says in one for one in result["warnings"])
    assert (result["pooled"]["recall"] is None) == (says == "no mask holds a crack")
    as_text(result)


def test_masks_that_do_not_fit_their_photo_are_named(folder):
    assert scored(folder, photos=folder / "photos")["doubts"] == {}
    a, b, c = (read(folder / f"masks/{name}.png") for name in NAMES[:3])
    for name, mask in (("a", b), ("b", a), ("c", np.ascontiguousarray(c[:, ::-1]))):
        write(folder / f"masks/{name}.png", mask)
    result = scored(folder, photos=folder / "photos")
    assert set(result["doubts"]) == {"a.png", "b.png", "c.png"}
    assert "mirrored" in result["doubts"]["c.png"]
    assert any("3 of 4 masks may not fit their photo (a.png: " in one for one in result["warnings"])


def test_the_papers_row_stands_beside_the_score(folder, upcrack, capsys):
    words = ["score", folder / "pred", folder / "masks", "--beside", "deepcrack"]
    assert upcrack(*words) == 0
    told = capsys.readouterr().out
    row = next(line for line in told.splitlines()[15:] if line.startswith("precision"))
    assert row.split()[2:] == ["88.852", "79.531"]  # printed as recall, of Tables IV and VI
    assert "4 of 4 are not among the paper's 237" in told
    assert "not 256×256" in told
    assert upcrack(*words, "--json") == 0
    told = capsys.readouterr()
    values = json.loads(told.out)
    assert values["beside"]["rows"]["Table IV, trained on DeepCrack"]["f1"] == 74.006
    assert str(folder) not in told.out


def test_the_papers_own_test_photos_are_known_by_name_and_crack_fraction():
    entries = manifest.read(manifest.packaged("deepcrack"))
    shares = {Path(e.path).stem: e.crack_share for e in entries if e.path.startswith("test_lab")}
    few = dict(list(shares.items())[:20])
    for part, sizes, says in (
        (shares, {"256x256": 237}, "Photos: the paper's 237. Sizes: 256×256, pooled, as in the paper."),
        (few, {"544x384": 20}, "Photos: 20 of the paper's 237. Sizes: not 256×256"),
        ({name: share + 1 for name, share in few.items()}, {"256x256": 20}, "20 of 20 are not among"),
    ):
        assert says in beside({"crack_fractions": part, "sizes": sizes}, "deepcrack")["compares"]
    (crack500, cfd) = (beside({"crack_fractions": few, "sizes": {}}, name) for name in ("crack500", "cfd"))
    assert "not published" in cfd["compares"]
    assert "paper's are 1124" in crack500["compares"]
