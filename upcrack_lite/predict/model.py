"""Any detector, ready for photos: a stored model, a run of any method, or a training-free family by name.

A photo is looked at in one of two ways, the protocols. "native" keeps the size of what the detector knows: a network
that learned from small crops sees the photo in overlapping windows of the side that its crops showed. "tables" is the
way of the paper's tables: the whole photo is squeezed to the network's square, and its map filtered at 256 x 256 px.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median_low
from typing import Any

import cv2
import numpy as np
import torch

from upcrack_lite import detection
from upcrack_lite.baselines.base import PhotoScores
from upcrack_lite.baselines.recipes import FAMILY_SIZE, FROZEN, Variant
from upcrack_lite.baselines.registry import (
    CRACKNET,
    DRAWN,
    FAMILIES,
    PATCHCORE,
    after_training,
    preset_from,
)
from upcrack_lite.data.reading import resize
from upcrack_lite.errors import UserError
from upcrack_lite.generator import Generator
from upcrack_lite.images import to_tensor
from upcrack_lite.pretrained import FOLDERS, load_generator, stored_run
from upcrack_lite.recipes import TABLE_SIZE, Preset, check_value
from upcrack_lite.runs import RunFolder, check_device
from upcrack_lite.versions import testing_version

PROTOCOLS = ("native", "tables")
AT_ONCE = 8  # windows in a batch: enough to fill a GPU, and little memory beside the photo


@dataclass(frozen=True)
class Model:
    """A detector of any kind.

    Attributes:
        name: of a stored model or a family, or the path of a run.
        method: its name in the registry.
        preset: of its training, with the values of the detection as they are to be used; None for a family.
        run: where its weights come from; None for a family by name.
    """

    name: str
    method: str
    preset: Any
    run: RunFolder | None
    device: str

    def look(self, protocol: str = "native") -> str:
        """Say in one sentence what becomes of a photo before the detector sees it."""
        raise NotImplementedError

    def score_photo(self, photo: np.ndarray, protocol: str = "native", seed: int = 0) -> torch.Tensor:
        """The map of a photo, uint8 ``(H, W, 3)``, before filter and threshold, high where a crack is likely.

        Returns float32 in [0, 1], ``(1, 1, H, W)`` for "native" and ``(1, 1, 256, 256)`` for "tables".
        seed: of dropout noise or masks.
        """
        raise NotImplementedError

    def smooth_and_threshold(self, maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """From maps ``(N, 1, H, W)`` to smoothed maps, in steps of 1/255, and thresholds ``(N,)``."""
        return detection.smooth_and_threshold(
            maps, self.preset, getattr(self.preset, "map_filter", "bilateral")
        )

    def find(self, photo: np.ndarray, protocol: str = "native", seed: int = 0) -> PhotoScores:
        """Find cracks in a photo, uint8 ``(H, W, 3)``; arrays have the size of the map.

        Raises UserError for a map that is not finite.
        """
        raw = self.score_photo(photo, protocol, seed)
        smoothed, thresholds = self.smooth_and_threshold(raw)
        smoothed, threshold = smoothed[0, 0].cpu().numpy(), float(thresholds[0])
        return PhotoScores(raw[0, 0].cpu().numpy(), smoothed, threshold, smoothed > threshold)

    def facts(self) -> dict[str, Any]:
        """What makes its results these and no others, as plain values."""
        return {
            "model": self.name,
            "method": self.method,
            "testing_version": testing_version(self.method),
            "weights_sha256": None if self.run is None else self.run.weights_sha256(),
            "preset": None if self.preset is None else self.preset.to_dict(),
            "overrides": {} if self.preset is None else self.preset.overrides(),
        }


@dataclass(frozen=True)
class Network(Model):
    """UP-CrackNet or a compared network, which takes squares of S px, S the preset's size.

    Attributes:
        score_map: from images ``(N, 3, S, S)`` in [-1, 1] and a seed to maps ``(N, 1, S, S)`` in [0, 1].
        window: side of a window, px of the photo.
    """

    score_map: Callable[[torch.Tensor, int], torch.Tensor]
    window: int

    def look(self, protocol: str = "native") -> str:
        size = self.preset.size
        if protocol == "tables":
            return f"each photo is squeezed to {size} × {size} px, its map filtered at {TABLE_SIZE} × {TABLE_SIZE}"
        change = "shrunk" if size < self.window else "enlarged"
        windows = f"each photo is cut into overlapping windows of {self.window} px"
        return windows if size == self.window else f"{windows}, {change} to {size} px"

    def score_photo(self, photo: np.ndarray, protocol: str = "native", seed: int = 0) -> torch.Tensor:
        if protocol == "tables":
            return self._maps(photo[None], TABLE_SIZE, seed)
        side = self.window
        found = windowed_map(lambda some: self._maps(some, side, seed)[:, 0].cpu().numpy(), photo, side)
        return torch.from_numpy(found)[None, None]

    def _maps(self, images: np.ndarray, side: int, seed: int) -> torch.Tensor:
        """Maps ``(N, 1, side, side)`` of images ``(N, H, W, 3)`` that are stretched to the network's square."""
        squares = np.stack([resize(image, None, self.preset.size)[0] for image in images])
        return detection.enlarge(self.score_map(to_tensor(squares).to(self.device), seed), (side, side))

    def facts(self) -> dict[str, Any]:
        return super().facts() | {"window": self.window}


@dataclass(frozen=True)
class Drawn(Model):
    """The detector that learned from drawn cracks, which takes photos of any size.

    Attributes:
        probability: from a photo, uint8 ``(H, W, 3)``, to float32 ``(H, W)`` in [0, 1].
    """

    probability: Callable[[np.ndarray], np.ndarray]

    def look(self, protocol: str = "native") -> str:
        scales = ", ".join(f"1/{2**octave}" for octave in range(1, self.preset.octaves))
        size = (
            f"squeezed to {TABLE_SIZE} × {TABLE_SIZE} px" if protocol == "tables" else "seen at its own size"
        )
        below = self.preset.enlarge_below
        small = f"; one whose shorter side is below {below} px also enlarged twice" if below else ""
        return f"each photo is {size}" + (f", and at {scales} of it" if scales else "") + small

    def score_photo(self, photo: np.ndarray, protocol: str = "native", seed: int = 0) -> torch.Tensor:
        photo = resize(photo, None, TABLE_SIZE)[0] if protocol == "tables" else photo
        return torch.from_numpy(self.probability(photo))[None, None]

    def facts(self) -> dict[str, Any]:
        """As of any model, without `native`: of how a photo is looked at, the protocol tells."""
        facts = super().facts()
        return facts | {
            one: {k: v for k, v in facts[one].items() if k != "native"} for one in ("preset", "overrides")
        }


@dataclass(frozen=True)
class Family(Model):
    """The variant of a training-free family that was chosen by crack masks.

    Its scales, such as sigma, are px of a photo of 256 px. So "native" shrinks a photo until its shorter side has
    256 px, and keeps its shape; smaller ones stay as they are. Cracks far below 1/256 of that side are lost.
    """

    variant: Variant

    def look(self, protocol: str = "native") -> str:
        side = f"{FAMILY_SIZE} px, its shorter side"
        to = f"squeezed to {FAMILY_SIZE} × {FAMILY_SIZE} px" if protocol == "tables" else f"shrunk to {side}"
        return f"{self.variant.name}; each photo is {to}"

    def find(self, photo: np.ndarray, protocol: str = "native", seed: int = 0) -> PhotoScores:
        """See `Model.find`; arrays have the size of the shrunk photo. Nothing is drawn."""
        from upcrack_lite.baselines.training_free import find

        if protocol == "tables":
            return find(resize(photo, None, FAMILY_SIZE)[0], self.variant)
        height, width = photo.shape[:2]
        share = min(1, FAMILY_SIZE / min(height, width))
        size = (round(width * share), round(height * share))
        return find(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), self.variant)

    def facts(self) -> dict[str, Any]:
        return super().facts() | {"variant": asdict(self.variant)}


def load_model(
    model: RunFolder | Path | str,
    device: str = "cpu",
    settings: Mapping[str, Any] | None = None,
    window: int | None = None,
) -> Model:
    """Load a detector onto a device ("auto", "cpu" or "cuda").

    model: the name of a stored model or of a training-free family, whose variant is the one that DeepCrack's training
    photos chose; or a run, which may be one of a family too.
    settings: values of the detection to set otherwise. window: side of a window, px of the photo; else what a crop
    of the training showed, or where the run does not know it, the network's own size.
    Raises UserError for an unknown name, a run that does not hold a network that fits it, no such device, a setting
    that is none of the detection's (it lists them), or a window where there is none.
    """
    device, settings = check_device(device), settings or {}
    if window is not None:
        check_value("window", window, "[16, inf)")
    name, run = _resolve(model)
    method = name if run is None else run.method
    if method in FAMILIES:
        from upcrack_lite.baselines.training_free import selected_variant

        if settings or window:
            raise UserError(f"{name} needs no training and has no settings and no window: leave them out")
        variant = FROZEN[name] if run is None else selected_variant(run)[0]
        return Family(name, method, None, run, device, variant)
    score = _score_map
    if method == CRACKNET:
        load, score = load_generator, _error_map
    elif method == DRAWN:
        if "native" in settings:
            raise UserError(
                "native is a value of records; a detection has the protocol native or tables instead"
            )
        from upcrack_lite.drawn.detect import load_network as load
        from upcrack_lite.drawn.detect import score_map as score
    elif method == PATCHCORE:
        from upcrack_lite.baselines.patchcore import load_patchcore as load
    else:
        from upcrack_lite.baselines.trainer import load_network as load
    network, preset = load(run, device)
    preset = at_test(preset, settings, method)
    known = name, method, preset, run, device, partial(score, network, preset)
    if method != DRAWN:
        return Network(*known, window or training_window(run, preset.size))
    if window:
        raise UserError(f"{name} sees a photo whole: leave the window out")
    return Drawn(*known)


def _error_map(generator: Generator, preset: Preset, image: torch.Tensor, seed: int) -> torch.Tensor:
    """UP-CrackNet's map: the error between photo and restoration (Eq. 1)."""
    return detection.compare(generator, image, preset, seed)[1]


def _score_map(network: Any, preset: Any, image: torch.Tensor, seed: int) -> torch.Tensor:
    """The map of any other network, which needs no preset any more."""
    return network.score_map(image, seed)


def training_window(run: RunFolder, size: int) -> int:
    """How many px of a photo a crop of a run's training showed; `size` where its manifest does not say."""
    data = run.manifest.get("data", {})
    try:
        if isinstance(crops := data.get("crops"), dict):
            return median_low(int(side) for side, count in crops["windows"].items() for _ in range(count))
        return int(data.get("window", size))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{run.path / 'manifest.json'}: data does not tell the windows ({error!r})") from None


def at_test(preset: Any, settings: Mapping[str, Any], method: str = CRACKNET) -> Any:
    """Change what can be changed after training; refuse the rest, which would do nothing."""
    known = after_training(method)
    for name in settings:
        if name not in known:
            raise UserError(f"{name!r} is no setting of detection; choose one of {', '.join(known)}")
    return preset_from(method, preset.to_dict() | dict(settings))


def _resolve(model: RunFolder | Path | str) -> tuple[str, RunFolder | None]:
    """The name of a model and its run; None for a family by name."""
    name = str(model.path if isinstance(model, RunFolder) else model)
    if isinstance(model, RunFolder):
        return name, model
    if name in FOLDERS:
        return name, stored_run(name)
    if name in FAMILIES:
        return name, None
    if Path(name).exists():
        return str(Path(name)), RunFolder.open(name)  # as without the slash that a shell adds
    choices = ", ".join((*FOLDERS, *FAMILIES))
    raise UserError(f"unknown model {name!r}: name a run folder, or one of {choices}")


def windowed_map(maps_of: Callable[[np.ndarray], np.ndarray], photo: np.ndarray, window: int) -> np.ndarray:
    """Map of a photo, uint8 ``(H, W, 3)``, from windows that overlap by half: float32 ``(H, W)``, without seams.

    maps_of: from windows, uint8 ``(N, window, window, 3)``, to their maps, float32 ``(N, window, window)``.
    Where windows overlap their maps are averaged, weighted less toward a window's border. A side shorter than the
    window is mirrored until it is as long.
    """
    height, width = photo.shape[:2]
    below, right = max(0, window - height), max(0, window - width)
    photo = np.pad(photo, ((0, below), (0, right), (0, 0)), "reflect")
    ramp = np.minimum(np.arange(1, window + 1), np.arange(window, 0, -1)).astype(np.float32)
    rows, columns = (_starts(length, window) for length in photo.shape[:2])
    places = [(y, x) for y in rows for x in columns]
    total, weight = np.zeros(photo.shape[:2], np.float32), np.outer(ramp, ramp)
    for first in range(0, len(places), AT_ONCE):
        some = places[first : first + AT_ONCE]
        maps = maps_of(np.stack([photo[y : y + window, x : x + window] for y, x in some]))
        for (y, x), one in zip(some, maps, strict=True):
            total[y : y + window, x : x + window] += one * weight
    total /= np.outer(_weights(len(total), rows, ramp), _weights(total.shape[1], columns, ramp))
    return total[:height, :width]


def _starts(length: int, window: int) -> list[int]:
    return sorted({*range(0, length - window, max(window // 2, 1)), length - window})


def _weights(length: int, starts: list[int], ramp: np.ndarray) -> np.ndarray:
    """The sum of the windows' weights along one side, ``(length,)``."""
    total = np.zeros(length, np.float32)
    for start in starts:
        total[start : start + len(ramp)] += ramp
    return total
