"""The tools of the exercise checks: one exception, and questions that every check asks in the same words."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch


class CheckFailed(AssertionError):
    """An answer lacks a property; the message says which one and hints at why."""


def check(passed: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Turn a list of questions into a check: print `passed` when all hold, else raise CheckFailed.

    What goes wrong inside the reader's function is shown as a failed check too, with its own words and as cause.
    """

    def decorate(questions: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(questions)
        def run(fn: Callable[..., Any]) -> None:
            if not callable(fn):
                raise CheckFailed(
                    f"give the function itself, not what it returns: {questions.__name__}(name)"
                )
            try:
                questions(fn)
            except CheckFailed:
                raise
            except Exception as error:  # a reader's function may raise anything
                raise CheckFailed(f"it stopped with {type(error).__name__}: {error}") from error
            print(f"Right: {passed}")

        return run

    return decorate


def need(holds: Any, hint: str) -> None:
    """Raise CheckFailed with a hint unless `holds`."""
    if not bool(holds):
        raise CheckFailed(hint)


def number(value: Any, name: str = "the result") -> float:
    """Read a scalar (Python, NumPy or torch) as a float; CheckFailed when it is none, or not finite."""
    array = _array(value, name)
    need(array.size == 1, f"{name} should be one number, but has shape {array.shape}: take a mean?")
    result = float(array.reshape(()))
    need(math.isfinite(result), f"{name} is {result}: every input here allows a finite answer")
    return result


def array(value: Any, shape: tuple[int, ...], name: str = "the result") -> np.ndarray:
    """Read an array or tensor as float64 of the given shape; CheckFailed for another one or values not finite."""
    found = _array(value, name)
    need(found.shape == shape, f"{name} should have shape {shape}, but has {found.shape}")
    need(np.isfinite(found).all(), f"{name} holds nan or infinity")
    return found


def close(a: Any, b: Any, tolerance: float = 1e-4) -> bool:
    """True when two numbers or arrays agree, relatively or absolutely."""
    return bool(np.allclose(np.asarray(a, float), np.asarray(b, float), rtol=tolerance, atol=tolerance))


def texture(n: int = 2, channels: int = 3, size: int = 32, seed: int = 0) -> torch.Tensor:
    """Seeded rough images `(n, channels, size, size)` in [-1, 1] that use most of the range."""
    draws = torch.Generator().manual_seed(seed)
    rough = torch.randn((n, channels, size, size), generator=draws)
    smooth = torch.nn.functional.avg_pool2d(rough, 3, 1, 1) * 3  # neighbors resemble each other, as on a road
    return (0.35 * smooth + 0.1 * rough).clamp(-1, 1)


def _array(value: Any, name: str) -> np.ndarray:
    need(value is not None, f"{name} is None: does the function return what it computes?")
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise CheckFailed(f"{name} should hold numbers, got {type(value).__name__}") from None
