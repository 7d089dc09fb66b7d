"""The feature memory: its coreset, its scale, its run, and what it finds on roads that it has not seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from upcrack_lite.baselines import patchcore, registry
from upcrack_lite.baselines.patchcore import PatchCore, coreset, load_patchcore, train_patchcore
from upcrack_lite.data.synthetic import synthetic_set
from upcrack_lite.errors import UserError
from upcrack_lite.images import to_tensor
from upcrack_lite.predict.model import load_model
from upcrack_lite.reproduction.experiments import Experiment, RunOptions
from upcrack_lite.reproduction.run import tiny_values
from upcrack_lite.runs import RunFolder
from upcrack_lite.training import split_by_photo

PRESET = registry.preset_of(
    "patchcore", "paper", "full", **tiny_values("patchcore") | {"validation_share": 0.25}
)
ROADS = synthetic_set(12, 64, 5, crack_free=1.0).images


def trained(out, images=ROADS, seed=0, preset=PRESET) -> RunFolder:
    return train_patchcore(images, preset, out, seed=seed, device="cpu", vgg_weights="random", progress=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> RunFolder:
    torch.manual_seed(0)  # of the untrained VGG
    return trained(tmp_path_factory.mktemp("patchcore") / "run")


def test_a_coreset_takes_from_each_cluster_before_it_takes_twice():
    centers = 50 * torch.eye(6)
    vectors = centers.repeat_interleave(30, dim=0) + torch.randn(
        180, 6, generator=torch.Generator().manual_seed(1)
    )
    chosen = coreset(vectors, 6, 128, torch.Generator().manual_seed(0))
    assert sorted((chosen // 30).tolist()) == [0, 1, 2, 3, 4, 5]
    assert len(set(coreset(vectors, 500, 128, torch.Generator().manual_seed(0)).tolist())) == 180


def test_patches_are_those_of_vgg_16_at_a_quarter_of_the_side(run):
    core = load_patchcore(run)[0]
    image = to_tensor(ROADS[:2])
    found = core.patches(image)
    assert found.shape == (2, 384, 16, 16)
    vgg = patchcore.VGGFeatures("vgg16", patchcore.LEVELS, "random")
    vgg.features.load_state_dict(core.features.state_dict())
    fine, coarse = vgg(image).values()
    inner = torch.nn.functional.avg_pool2d
    torch.testing.assert_close(found[:, 128:, 1:-1, 1:-1], inner(coarse, 3, 1))
    torch.testing.assert_close(found[:, :128, 1:-1, 1:-1], inner(inner(fine, 3, 1, 1), 2)[..., 1:-1, 1:-1])


def test_held_out_road_is_above_the_threshold_as_often_as_the_preset_says(run):
    _, held_out = split_by_photo([str(i) for i in range(12)], 0.25, 0)
    score_map = load_model(run).score_map(to_tensor(ROADS[held_out]), 0)
    assert len(held_out) == 3
    assert score_map.shape == (3, 1, 64, 64)
    assert float((score_map > 0.5).float().mean()) == pytest.approx(PRESET.false_alarm, abs=2e-4)


def test_a_patch_that_road_never_shows_scores_above_the_road_around_it(run):
    photo = ROADS[:1].copy()
    photo[:, 24:40, 24:40] = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    found = load_patchcore(run)[0].distances(to_tensor(photo))[0, 0]
    assert found[28:36, 28:36].min() > found[:12].max()


def test_the_same_seed_gives_the_same_memory_and_another_gives_another(run, tmp_path, monkeypatch):
    weights = run.load_weights()
    same = PatchCore(0, PRESET.sigma).features
    same.load_state_dict(
        {n.removeprefix("features."): w for n, w in weights.items() if n.startswith("features.")}
    )

    class Given:
        features, source = same, "random"

    monkeypatch.setattr(patchcore, "VGGFeatures", lambda *a: Given)
    again, other = (trained(tmp_path / str(seed), seed=seed).load_weights() for seed in (0, 1))
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    assert not torch.equal(weights["memory"], other["memory"])
    assert trained(run.path).manifest == run.manifest  # finished: nothing is done
    with pytest.raises(UserError, match="another"):
        trained(run.path, seed=1)


def test_the_run_holds_what_a_record_asks_for(run):
    assert run.manifest["encoder"]["source"] == "random"
    assert (run.manifest["crops_trained"], run.manifest["crops_validated"]) == (9, 3)
    stored = run.load_weights()
    assert stored["memory"].shape == (PRESET.memory, 384)
    assert {w.dtype for name, w in stored.items() if name != "top"} == {torch.float16}
    broken = dict(stored)
    del broken["top"]
    run.save_weights(broken)
    with pytest.raises(UserError, match="one of the two files was replaced"):
        load_model(run)
    run.save_weights(stored)


def test_what_it_has_no_use_for_and_what_it_cannot_be(run):
    experiment = Experiment("patchcore", scale="lite")
    assert experiment == Experiment("patchcore", scale="full")
    assert "patchcore" in registry.BESIDE
    RunOptions(vgg_weights="random").check(experiment)
    with pytest.raises(UserError, match="no use for --max-steps"):
        RunOptions(max_steps=3).check(experiment)
    for wrong, says in (
        ({"size": 100}, "multiple of 32"),
        ({"memory": 0}, "memory"),
        ({"lr": 1}, "unknown preset"),
    ):
        with pytest.raises(UserError, match=says):
            registry.preset_of("patchcore", "paper", "full", **wrong)
    with pytest.raises(UserError, match="no setting of detection"):
        load_model(run, settings={"memory": 3})
