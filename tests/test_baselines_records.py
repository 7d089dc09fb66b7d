"""Cells of compared methods and of detectors without training: data, run, record, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from upcrack_lite import cli, runs
from upcrack_lite.baselines.training_free import segment
from upcrack_lite.data import manifest as manifests
from upcrack_lite.data.survey import survey
from upcrack_lite.data.synthetic import synthetic_road
from upcrack_lite.errors import UserError
from upcrack_lite.io import write_image
from upcrack_lite.metrics import Confusion, per_image, pooled
from upcrack_lite.pretrained import stored_run
from upcrack_lite.reproduction import photo_sets, records
from upcrack_lite.reproduction.conditions import family_median
from upcrack_lite.reproduction.experiments import Experiment, RunOptions
from upcrack_lite.reproduction.photo_sets import training_data
from upcrack_lite.reproduction.run import detector, run_experiment, tiny_values
from upcrack_lite.reproduction.sweep import plan
from upcrack_lite.runs import RunFolder
from upcrack_lite.show.experiment_page import ExperimentPage

SYNTHETIC = {"train_set": "synthetic", "test_set": "synthetic"}


@pytest.fixture(autouse=True)
def few(monkeypatch) -> None:
    """Few roads, and code as if it were committed."""
    monkeypatch.setattr(photo_sets, "SYNTHETIC_PHOTOS", 6)
    monkeypatch.setattr(photo_sets, "SYNTHETIC_CROPS", 6)
    monkeypatch.setattr(runs, "_commit", lambda: {"id": "0" * 40, "dirty": False})


@pytest.fixture
def deepcrack(tmp_path) -> Path:
    """A folder of sets with a small DeepCrack, whose photos are not square."""
    for part, count in (("train", 4), ("test", 2)):
        for index in range(count):
            photo, crack_mask = synthetic_road(96, [index, int(part == "test")])
            write_image(tmp_path / f"data/deepcrack/{part}_img/{index}.png", photo[:80])
            write_image(
                tmp_path / f"data/deepcrack/{part}_lab/{index}.png", crack_mask[:80].astype(np.uint8) * 255
            )
    listed(tmp_path / "data/deepcrack")
    return tmp_path / "data"


def listed(folder: Path) -> None:
    (folder / "manifest.csv").unlink(missing_ok=True)
    manifests.write(folder / "manifest.csv", survey(folder).files)


def cell_of(method: str, **changes) -> Experiment:
    return Experiment(method, overrides=tuple(tiny_values(method).items()), **(SYNTHETIC | changes))


def make(
    experiment: Experiment, root: Path, data: Path | str = "nowhere", say=print, **options
) -> records.Record:
    chosen = RunOptions(**({"device": "cpu", "allow_dirty": True} | options))
    return records.load(
        run_experiment(experiment, data, root / "runs", root / "results", chosen, progress=False, say=say)
    )


@pytest.mark.parametrize("method", ["ddrnet", "scadn"])
def test_a_compared_method_is_trained_tested_and_recorded(tmp_path, method):
    experiment = cell_of(method)
    record = make(experiment, tmp_path, max_steps=2)
    assert (record.key.method, record.train.steps, record.test.images) == (method, 2, 6)
    assert (record.train.crack_masks_sha256 is None) == (method == "scadn")
    assert record.train.encoder is None
    assert record.family is record.train.chosen is None
    assert record.protocol.threshold_rule == ("otsu" if method == "scadn" else "fixed")
    run = RunFolder.open(tmp_path / "runs" / f"{experiment.run_slug()}-2steps")
    found = detector(run, experiment, "cpu").find(synthetic_road(256, [1, 0])[0], np.zeros((256, 256), bool))
    assert found.score_map.shape == found.crack_mask.shape == (256, 256)
    assert ((found.smoothed > found.threshold) == found.crack_mask).all()
    before = record.finished
    said = []
    assert make(experiment, tmp_path, max_steps=2, say=said.append).finished == before
    assert "is there already" in said[0]


def test_a_method_that_learns_from_masks_gets_photos_of_the_training_split(deepcrack):
    data = training_data(cell_of("ddrnet", train_set="deepcrack"), deepcrack)
    assert data.images.shape == (4, 64, 64, 3)
    assert data.crack_masks.shape == (4, 64, 64)
    assert data.groups == ["0", "1", "2", "3"]
    assert data.what == "photos with crack masks"
    shares = data.crack_masks.mean(axis=(1, 2))
    wanted = [synthetic_road(96, [index, 0])[1][:80].mean() for index in range(4)]
    np.testing.assert_allclose(shares, wanted, atol=0.02)


def test_photos_that_are_not_those_of_the_manifest_are_refused(deepcrack):
    experiment = cell_of("ddrnet", train_set="deepcrack")
    path = deepcrack / "deepcrack/train_lab/2.png"
    write_image(path, np.zeros((80, 96), np.uint8))
    with pytest.raises(UserError, match=r"2\.png: is not the file that the set's manifest names"):
        training_data(experiment, deepcrack)
    path.unlink()
    with pytest.raises(UserError, match="pair up"):
        training_data(experiment, deepcrack)
    with pytest.raises(UserError, match="upcrack data fetch crack500_kept"):
        make(cell_of("ddrnet", train_set="crack500_kept"), deepcrack.parent, deepcrack)


def test_a_sweep_knows_when_the_training_photos_are_others(deepcrack):
    experiment = Experiment("tf_global_darkness")
    root = deepcrack.parent
    make(experiment, root, deepcrack, allow_dirty=False)
    places = {"data_root": deepcrack, "runs": root / "runs", "results": root / "results"}
    assert plan(places).why(experiment) == ""
    shutil.rmtree(root / "runs")
    for part in ("img", "lab"):
        (deepcrack / f"deepcrack/train_{part}/3.png").unlink()
    listed(deepcrack / "deepcrack")
    why = plan(places).why(experiment)
    assert why == "its record is of another test set", "one manifest lists both splits"
    assert plan(places).missing(experiment) == ""
    shutil.rmtree(deepcrack / "deepcrack/train_img")
    assert "train_img: there is no such folder" in plan(places).missing(experiment)


def test_photos_without_a_manifest_are_not_learned_from_for_a_record(deepcrack, monkeypatch):
    experiment, root = cell_of("ddrnet", train_set="deepcrack"), deepcrack.parent
    known = training_data(experiment, deepcrack).facts
    entries = manifests.read(deepcrack / "deepcrack/manifest.csv")
    assert known["manifest_sha256"] == manifests.digest(entries)
    monkeypatch.setattr(manifests, "packaged", lambda name: None)
    (deepcrack / "deepcrack/manifest.csv").unlink()
    assert training_data(experiment, deepcrack).facts == known | {"manifest_sha256": None}
    monkeypatch.setattr("upcrack_lite.baselines.trainer.train_method", lambda *a, **k: pytest.fail("trained"))
    with pytest.raises(UserError, match="its training set deepcrack has no manifest"):
        make(experiment, root, deepcrack, allow_dirty=False)


def test_a_detector_without_training_freezes_the_best_on_the_training_photos(tmp_path):
    experiment = cell_of("tf_global_darkness")
    record = make(experiment, tmp_path)
    variants = experiment.preset().variants
    data = training_data(experiment, tmp_path)
    scores = {
        one.name: pooled(
            [
                per_image(segment(photo, one), crack_mask)[0]
                for photo, crack_mask in zip(data.images, data.crack_masks, strict=True)
            ]
        ).f1
        for one in variants
    }
    best = max(scores, key=scores.get)
    assert record.train.chosen.name == best
    assert record.train.chosen.training_f1 == pytest.approx(scores[best])
    assert {
        one.name: Confusion(one.tp, one.fp, one.fn, one.tn).f1 for one in record.train.chosen.training
    } == scores
    assert [one.name for one in record.family] == [one.name for one in variants]
    assert len({(one.tp, one.fp) for one in record.family}) > 10, "they differ"
    middle = np.median([Confusion(one.tp, one.fp, one.fn, one.tn).f1 for one in record.family])
    assert family_median(record)["f1"] == pytest.approx(middle)
    assert record.train.steps == 0
    assert not list((tmp_path / "results").glob("*.part"))


@pytest.mark.parametrize("method", ["enet", "scadn", "tf_sato_otsu"])
def test_the_page_of_a_cell_shows_each_kind_of_method(method):
    page = ExperimentPage(SYNTHETIC | {"method": method}, {}, RunOptions())
    said = [str(getattr(page.provenance(), "data", "")), str(getattr(page.curves(), "data", page.curves()))]
    if method == "tf_sato_otsu":
        assert "was chosen among 6 variants on 6 photos with crack masks" in said[0]
        assert "Nothing was trained." in said[1]
    else:
        source = "undamaged crops" if method == "scadn" else "photos with crack masks"
        assert f"Training: 6 {source}, " in said[0]
        assert "loss" in page.log[0]
    page.metrics(), page.photos(), page.extremes(), page.what()


def test_a_command_for_all_rows_gives_each_the_options_that_it_has_a_use_for(tmp_path, monkeypatch):
    import typer
    from typer.testing import CliRunner

    asked = {}
    monkeypatch.setattr(
        "upcrack_lite.reproduction.run.train_experiment",
        lambda one, data, runs, options, **rest: asked.update({one.method: options}) or stored_run(),
    )
    app = typer.Typer()
    app.command()(cli.cell)
    words = "--table 4 --train-only --max-steps 2 --vgg-weights random --precision bf16-mixed"
    done = CliRunner().invoke(app, [*words.split(), "--data-root", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert len(asked) == 30
    own, unet, free = (asked[name] for name in ("upcracknet", "unet", "tf_sato_otsu"))
    assert own == RunOptions("auto", "bf16-mixed", "random", 2)
    assert unet == RunOptions("auto", "bf16-mixed", None, 2)
    assert free == RunOptions()
