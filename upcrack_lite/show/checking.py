"""The tools of the exercise checks: one exception, and questions that every check asks in the same words."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

Answer = Callable[..., Any]


class CheckFailed(AssertionError):
    """An answer lacks a property; the message says which one and hints at why."""


def check(passed: str, read: Answer | None = None) -> Callable[[Callable[[Answer], None]], Answer]:
    """Turn a list of questions into a check: print `passed` when all hold, else raise CheckFailed.

    read: applied to what the reader's function returns, such as `number` or `shaped(3)`. The function works on
    copies of its arguments. What goes wrong inside it is a failed check too, with its own words and as cause.
    """

    def decorate(questions: Callable[[Answer], None]) -> Answer:
        @functools.wraps(questions)
        def run(fn: Answer) -> None:
            if not callable(fn):
                name = questions.__name__
                raise CheckFailed(f"give the function itself, not what it returns: {name}(name)")

            def ask(*arguments: Any) -> Any:
                value = fn(*copy.deepcopy(arguments))
                return read(value) if read else value

            try:
                questions(ask)
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


def equal(value: Any, expected: Any, hint: str, tolerance: float = 1e-4) -> None:
    """Raise CheckFailed with a hint unless the numbers or arrays agree, relatively or absolutely."""
    agree = np.allclose(np.asarray(value, float), expected, rtol=tolerance, atol=tolerance)
    need(agree, f"{hint} (got {value:g})" if np.ndim(value) == 0 else hint)


def examples(fn: Answer, *rows: tuple[tuple, float, str]) -> None:
    """Ask for one number after the other; a row is (arguments, the number expected, hint)."""
    for arguments, expected, hint in rows:
        equal(number(fn(*arguments)), expected, hint)


def number(value: Any) -> float:
    """Read a scalar (Python, NumPy or torch) as a float; CheckFailed when it is none, or not finite."""
    values = _array(value)
    need(values.size == 1, f"the result should be one number, but has shape {values.shape}: take a mean?")
    result = float(values.reshape(()))
    need(math.isfinite(result), f"the result is {result}: every input here allows a finite answer")
    return result


def array(value: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Read an array or tensor as float64 of the given shape; CheckFailed for another one or values not finite."""
    values = _array(value)
    need(values.shape == shape, f"the result should have shape {shape}, but has {values.shape}")
    need(np.isfinite(values).all(), "the result holds nan or infinity")
    return values


def shaped(*shape: int) -> Callable[[Any], np.ndarray]:
    """A reader of arrays of one shape, for `check`."""
    return lambda value: array(value, shape)


def texture(n: int = 2, channels: int = 3, size: int = 32, seed: int = 0) -> torch.Tensor:
    """Seeded rough images `(n, channels, size, size)` in [-1, 1] that use most of the range."""
    draws = torch.Generator().manual_seed(seed)
    rough = torch.randn((n, channels, size, size), generator=draws)
    smooth = torch.nn.functional.avg_pool2d(rough, 3, 1, 1) * 3  # neighbors resemble each other, as on a road
    return (0.35 * smooth + 0.1 * rough).clamp(-1, 1)


def _array(value: Any) -> np.ndarray:
    need(value is not None, "the result is None: does the function return what it computes?")
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise CheckFailed(f"the result should hold numbers, got {type(value).__name__}") from None
