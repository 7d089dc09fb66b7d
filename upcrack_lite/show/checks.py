"""Checks of the exercises: an answer is asked for its properties, so that a right answer in other words passes.

A check takes the reader's function. It prints one line, "Right: ...", or raises CheckFailed, whose message says
which property failed. Every check's docstring says what the function takes and returns.
"""

from __future__ import annotations

from upcrack_lite.show.checking import CheckFailed
from upcrack_lite.show.checks_audit import check_f1_range, check_rebuilt
from upcrack_lite.show.checks_losses import (
    check_adversarial,
    check_generator_adversarial,
    check_gms,
    check_gradient,
    check_gram,
    check_mae,
    check_ssim,
    check_total,
)
from upcrack_lite.show.checks_methods import (
    check_frozen_choice,
    check_multiply_adds,
    check_poly_rate,
    check_robust_darkness,
    check_weighted_optimum,
)
from upcrack_lite.show.checks_parts import (
    check_apply,
    check_crack_share,
    check_crop_rule,
    check_image_score,
    check_mask_family,
    check_output_size,
    check_parameter_count,
    check_receptive_field,
    check_sharp_batch,
    check_skip,
)
from upcrack_lite.show.checks_scores import (
    check_early_stop,
    check_error_map,
    check_f1,
    check_iou_from_f1,
    check_learning_rate,
    check_otsu,
    check_pooled,
)

__all__ = [
    "CheckFailed",
    "check_adversarial",
    "check_apply",
    "check_crack_share",
    "check_crop_rule",
    "check_early_stop",
    "check_error_map",
    "check_f1",
    "check_f1_range",
    "check_frozen_choice",
    "check_generator_adversarial",
    "check_gms",
    "check_gradient",
    "check_gram",
    "check_image_score",
    "check_iou_from_f1",
    "check_learning_rate",
    "check_mae",
    "check_mask_family",
    "check_multiply_adds",
    "check_otsu",
    "check_output_size",
    "check_parameter_count",
    "check_poly_rate",
    "check_pooled",
    "check_rebuilt",
    "check_receptive_field",
    "check_robust_darkness",
    "check_sharp_batch",
    "check_skip",
    "check_ssim",
    "check_total",
    "check_weighted_optimum",
]
