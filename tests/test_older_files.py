"""Manifests of earlier versions: a value that one lacks is what the kit did then."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from upcrack_lite import versions
from upcrack_lite.baselines.recipes import FamilyPreset, method_preset
from upcrack_lite.baselines.trainer import train_method
from upcrack_lite.baselines.training_free import select_variant, selected_variant
from upcrack_lite.data.synthetic import synthetic_road, synthetic_set
from upcrack_lite.errors import UserError
from upcrack_lite.images import to_tensor
from upcrack_lite.predict.model import load_model
from upcrack_lite.pretrained import stored_run
from upcrack_lite.recipes import preset
from upcrack_lite.reproduction import records
from upcrack_lite.reproduction.experiments import Experiment
from upcrack_lite.reproduction.photo_sets import photo_set
from upcrack_lite.reproduction.run import evaluate
from upcrack_lite.runs import BEFORE, RunFolder
from upcrack_lite.training import train

TINY = {"size": 64, "depth": 6, "width": 4, "disc_width": 4, "load_size": 68, "mask_cells": (32, 16, 8)}
ROADS = synthetic_set(6, 64, 3, crack_free=0.0)


def made(kind: str, folder: Path, **changes) -> RunFolder:
    """A short run of a kind; the same call finds it again."""
    if kind == "upcracknet":
        values = TINY | {"epochs": 1, "batch_size": 4} | changes
        return train(ROADS.images, preset(**values), folder, device="cpu", progress=False)
    if kind.startswith("tf_"):
        chosen = FamilyPreset.make(kind, "lite")
        photos = [synthetic_road(256, [8, i]) for i in range(2)]
        images, masks = (np.stack(part) for part in zip(*photos, strict=True))
        return select_variant(images, chosen, folder, crack_masks=masks, progress=False)
    values = {"size": 64, "width": 0.125, "epochs": 1, "batch_size": 4} | changes
    masks = ROADS.crack_masks if kind == "unet" else None
    chosen = method_preset(kind, **values)
    return train_method(ROADS.images, chosen, folder, crack_masks=masks, device="cpu", progress=False)


def without(run: RunFolder, target: Path) -> RunFolder:
    """A copy whose manifest lacks all that has a meaning when it is lacking."""
    folder = Path(shutil.copytree(run.path, target))
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    values, overrides = manifest["preset"], manifest["overrides"]
    names = ("recipe", "scale", "method")
    manifest["preset"] = {name: value for name, value in values.items() if name in names or name in overrides}
    dropped = {name for name, value in BEFORE.items() if name in manifest and manifest[name] == value}
    manifest = {name: value for name, value in manifest.items() if name not in dropped}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert len(manifest["preset"]) < len(values)
    assert "training_version" not in manifest
    return RunFolder.open(folder)


def found(run: RunFolder) -> list[np.ndarray]:
    """What a run makes of two roads: maps, filtered maps, thresholds."""
    if run.method.startswith("tf_"):
        variant, counts = selected_variant(run)
        return [np.array([variant.name]), np.array([[one.tp, one.fp] for one in counts.values()])]
    model = load_model(run)
    image = to_tensor(synthetic_set(2, model.preset.size, 12).images)
    maps = torch.cat([model.score_map(one[None], 4) for one in image])
    return [part.numpy() for part in (maps, *model.smooth_and_threshold(maps))]


@pytest.mark.parametrize("kind", ["upcracknet", "unet", "riad", "tf_local_darkness"])
def test_a_run_of_each_kind_is_read_as_it_was_meant(kind, tmp_path, monkeypatch):
    run = made(kind, tmp_path / "run")
    older = without(run, tmp_path / "older")
    assert (older.method, older.training_version) == (kind, versions.FIRST)
    for now, then in zip(found(run), found(older), strict=True):
        np.testing.assert_array_equal(now, then)
    before = (older.path / "manifest.json").read_bytes()
    assert made(kind, older.path).finished, "the same training finds its run"
    assert (older.path / "manifest.json").read_bytes() == before, "and leaves it alone"
    if not kind.startswith("tf_"):  # whose values are fixed
        with pytest.raises(UserError, match="holds a run with another preset"):
            made(kind, older.path, epochs=2)
    monkeypatch.setitem(versions.TRAINING, kind, versions.FIRST + 1)
    with pytest.raises(UserError, match="another training_version"):
        made(kind, older.path)


def test_the_stored_model_is_read_as_it_was_meant(tmp_path, monkeypatch):
    older = without(stored_run(), tmp_path / "older")
    for now, then in zip(found(stored_run()), found(older), strict=True):
        np.testing.assert_array_equal(now, then)
    monkeypatch.setattr("upcrack_lite.reproduction.photo_sets.SYNTHETIC_PHOTOS", 2)
    experiment = Experiment(overrides=(("epochs", 22),), train_set="synthetic", test_set="synthetic")
    whole, part = (
        records.make(*evaluate(run, experiment, photo_set("synthetic", tmp_path), progress=False))
        for run in (stored_run(), older)
    )
    times = {"started", "finished", "train"}
    assert whole.model_dump(exclude=times) == part.model_dump(exclude=times)
    assert whole.train == part.train
