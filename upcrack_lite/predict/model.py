"""A trained network of any method, ready to look at photos: its map, and how the map becomes a mask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from upcrack_lite import detection
from upcrack_lite.baselines.registry import (
    CRACKNET,
    FAMILIES,
    PATCHCORE,
    AnyPreset,
    after_training,
    preset_from,
)
from upcrack_lite.errors import UserError
from upcrack_lite.generator import Generator
from upcrack_lite.pretrained import load_generator
from upcrack_lite.recipes import Preset
from upcrack_lite.runs import RunFolder, check_device


@dataclass(frozen=True)
class Model:
    """A network with its preset.

    Attributes:
        preset: of its training, with the values of the detection as they are to be used.
        device: "cpu" or "cuda".
        score_map: from photos ``(N, 3, S, S)`` in [-1, 1] and a seed to maps ``(N, 1, S, S)`` in [0, 1], high where a
            crack is likely; S is the preset's size. The seed is that of dropout noise or masks.
        smooth_and_threshold: from maps ``(N, 1, H, W)`` to smoothed maps, in steps of 1/255, and thresholds ``(N,)``.
    """

    preset: AnyPreset
    device: str
    score_map: Callable[[torch.Tensor, int], torch.Tensor]
    smooth_and_threshold: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


def load_model(
    run: RunFolder | Path | str, device: str = "cpu", settings: Mapping[str, Any] | None = None
) -> Model:
    """Load the network of a run onto a device ("auto", "cpu" or "cuda").

    settings: values of the detection to set otherwise.
    Raises UserError for a run that does not hold a network that fits it, no such device, or a setting that is none of
    the detection's (it lists them).
    """
    device = check_device(device)
    run = run if isinstance(run, RunFolder) else RunFolder.open(run)
    method = run.method
    if method in FAMILIES:
        raise UserError(
            f"{run.path} chose among detectors without training, which have no network: `upcrack cell` tests it"
        )
    if method == CRACKNET:
        generator, preset = load_generator(run, device)
        return crack_net(generator, at_test(preset, settings or {}, method), device)
    from upcrack_lite.baselines import prediction

    if method == PATCHCORE:
        from upcrack_lite.baselines.patchcore import load_patchcore

        core, preset = load_patchcore(run, device)
        score_map = partial(core.score_map, preset.sigma)
    else:
        network, preset = prediction.load_network(run, device)
        score_map = partial(prediction.score_map, network, preset)
    preset = at_test(preset, settings or {}, method)
    return Model(preset, device, score_map, partial(prediction.smooth_and_threshold, preset=preset))


def crack_net(generator: Generator, preset: Preset, device: str = "cpu") -> Model:
    """UP-CrackNet's generator as a model: its map is the error between photo and restoration (Eq. 1)."""
    return Model(
        preset,
        device,
        lambda image, seed: detection.compare(generator, image, preset, seed)[1],
        partial(detection.smooth_and_threshold, preset=preset),
    )


def at_test(preset: Any, settings: Mapping[str, Any], method: str = CRACKNET) -> Any:
    """Change what can be changed after training; refuse the rest, which would do nothing."""
    known = after_training(method)
    for name in settings:
        if name not in known:
            raise UserError(f"{name!r} is no setting of detection; choose one of {', '.join(known)}")
    return preset_from(method, preset.to_dict() | dict(settings))
