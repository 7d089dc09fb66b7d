"""Recipes: every value of every method with its why, and nothing unknown or unfit gets in.

The values themselves are pinned by the golden values.
"""

from __future__ import annotations

import dataclasses
import json
import math

import pytest

from upcrack_lite.baselines.recipes import FamilyPreset, MethodPreset, method_preset
from upcrack_lite.baselines.registry import COMPARED, CRACKNET, METHODS, preset_from, preset_of
from upcrack_lite.errors import UserError
from upcrack_lite.recipes import RECIPES, SCALES, Preset, from_dict, preset

FIELDS = [field.name for field in dataclasses.fields(Preset)]
BOTH = [(recipe, scale) for recipe in RECIPES for scale in SCALES]
SOURCES = (
    "section",
    "Eq",
    "Pix2Pix",
    "silent",
    "released",
    "lite",
    "source",
    "as UP-CrackNet",
    "not used",
    "name",
)


def test_the_released_program_where_it_differs():
    paper, released = preset("paper", "full"), preset("released", "full")
    differ = {n: getattr(released, n) for n in FIELDS if getattr(released, n) != getattr(paper, n)}
    assert differ == {
        "recipe": "released", "mask_before_resize": True, "ssim_data_range": 1.0, "ssim_padding": "zero",
        "gms_median": True, "style_normalize": False, "style_channels": "bgr", "disc_loss_factor": 0.5,
        "epochs": 300, "lr_g": 1e-3, "lr_d": 4e-3, "validate_every": 10, "patience": 0,
        "input_stretch": True, "error_variant": "released",
    }  # fmt: skip


@pytest.mark.parametrize("scale", ["full", "lite"])
@pytest.mark.parametrize("method", METHODS)
def test_every_value_says_where_it_comes_from_and_comes_back(method, scale):
    for recipe in RECIPES if method == CRACKNET else ("paper",):
        chosen = preset_of(method, recipe, scale)
        assert preset_from(method, json.loads(json.dumps(chosen.to_dict()))) == chosen
        assert chosen.overrides() == {}
        for name in chosen.to_dict():
            why = chosen.why(name)
            assert len(why) >= 6, name
            assert not why.endswith("."), name  # one style: it continues a table cell
            if method in (CRACKNET, *COMPARED):
                assert any(source in why for source in SOURCES), (name, why)


def test_why_names_what_the_user_changed():
    p = preset("paper", "lite", lr_g=0.5)
    assert p.why("lr_g") == "set by the user; the preset has 0.0001"
    assert p.why("lr_d") == preset().why("lr_d")
    with pytest.raises(UserError, match="unknown preset value 'lr'"):
        p.why("lr")


@pytest.mark.parametrize(("recipe", "scale"), BOTH)
def test_a_preset_survives_json(recipe, scale):
    p = preset(
        recipe, scale, mask_cells=[64, 16], lambda_adv=0, epochs=3, style_network="vgg16", hole_fill="mean"
    )
    again = from_dict(json.loads(json.dumps(p.to_dict())))
    assert again == p
    assert again.overrides() == p.overrides()
    assert hash(again) == hash(p)


def test_overrides_are_only_what_differs_sorted():
    assert preset("released", "full").overrides() == {}
    assert preset("paper", "lite", epochs=60, lambda_mae=1).overrides() == {}
    p = preset("paper", "lite", width=8, epochs=2, batch_size=4, mask_cells=[32])
    differ = {"batch_size": 4, "epochs": 2, "mask_cells": [32], "width": 8}
    assert list(p.overrides().items()) == list(differ.items())


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("epochs", True, "int"), ("epochs", 3.0, "int"), ("epochs", "3", "int"), ("epochs", None, "int"),
        ("flip", 1, "bool"), ("flip", "yes", "bool"), ("lr_g", False, "float"), ("lr_g", "1e-4", "float"),
        ("hole_fill", True, "float | str"),
        ("mask_family", 3, "str"), ("mask_cells", 32, "tuple"), ("mask_cells", (32.0,), "tuple"),
        ("mask_cells", (True,), "tuple"), ("mask_cells", "32", "tuple"),
    ],
)  # fmt: skip
def test_a_wrong_type_is_refused_with_the_right_one(name, value, kind):
    with pytest.raises(UserError, match=f"{name} must be of type {kind}"):
        preset(**{name: value})


def test_unknown_names_are_refused_and_the_known_ones_listed():
    with pytest.raises(UserError, match="unknown preset value 'learning_rate'") as error:
        preset(learning_rate=1.0)
    assert all(name in str(error.value) for name in FIELDS)
    with pytest.raises(UserError, match="paper, released"):
        preset("mine")
    with pytest.raises(UserError, match="full, half, lite"):
        preset("paper", "huge")
    with pytest.raises(UserError, match="unknown preset value 'why'"):
        preset(why="because")
    for name in ("recipe", "scale"):
        with pytest.raises((UserError, TypeError)):
            from_dict(preset().to_dict() | {"extra": 1, name: "paper"})


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ({"mask_family": "squares"}, "multi_scale_square, striped, jumbled"),
        ({"size": 256}, "2\\*\\*depth = 128"),
        ({"depth": 8}, "2\\*\\*depth = 256"),
        ({"size": 16, "depth": 4, "mask_cells": (4,)}, "depth"),  # D has no logit left at 16 px
        ({"load_size": 100}, "nothing is left to crop"),
        ({"mask_cells": (48,)}, "tile 128 px"),
        ({"mask_cells": ()}, "mask_cells"),
        ({"mask_cells": (32, 0)}, "mask_cells"),
        ({"hole_fill": -1.5}, "hole_fill"),
        ({"hole_fill": "blue"}, "mean, random"),
        ({"validation_share": 1.0}, "validation_share"),
        ({"patience": 5, "validate_every": 10}, "patience"),
        ({"beta1": 1.0}, "beta1"),
        ({"lambda_ssim": -1.0}, "lambda_ssim"),
        ({"lambda_adv": 0.0, "lambda_res": 0.0}, "lambda"),
        ({"lambda_adv": 0.0, "lambda_mae": 0.0, "lambda_ssim": 0.0, "lambda_gms": 0.0}, "lambda"),
        ({"lambda_res": 0.0}, "set validation_share=0"),
        ({"threshold_floor": 1.1}, "threshold_floor"),
        ({"threshold_rule": "fixed", "threshold_value": 30.0}, "threshold_value"),
        ({"threshold_rule": "percentile", "threshold_value": 101.0}, "threshold_value"),
        ({"lr_g": float("nan")}, "lr_g"),
        *[({name: 0}, f"{name} must be in \\(0, (inf\\)|1])") for name in
          ("width", "disc_width", "batch_size", "epochs", "validate_every", "lr_g", "lr_d", "lr_decay")],
    ],
    ids=str,
)  # fmt: skip
def test_values_that_do_not_fit_are_refused_before_any_work(overrides, says):
    with pytest.raises(UserError, match=says):
        preset(**overrides)


def test_what_an_older_file_lacks_is_what_it_was_then(monkeypatch):
    for recipe in ("paper", "released"):
        whole = preset(recipe, lr_d=0.5)
        for name in set(whole.to_dict()) - {"recipe", "scale", "lr_d"}:
            older = {key: value for key, value in whole.to_dict().items() if key != name}
            assert from_dict(older) == whole, "before there was a field, the recipe's value was meant"
    values = preset().to_dict()
    del values["gms_median"]
    monkeypatch.setattr(Preset, "BEFORE", {"gms_median": True})
    assert from_dict(values).gms_median, "a file of a kit that did otherwise keeps its meaning"
    assert not preset().gms_median
    assert preset().older()["gms_median"]


def test_a_stored_preset_without_a_name_or_of_a_newer_version_is_refused():
    for name in ("recipe", "scale"):
        with pytest.raises(UserError, match=f"lacks {name}"):
            from_dict({key: value for key, value in preset().to_dict().items() if key != name})
    with pytest.raises(UserError, match="'future'"):
        from_dict(preset().to_dict() | {"future": 1})


# --- Compared networks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("unet", {"colour": 1}, "unknown preset value 'colour'"),
        ("unet", {"lr": math.nan}, r"lr must be in \(0, inf\)"),
        ("unet", {"size": 100}, "multiple of 32"),
        ("unet", {"threshold_value": 2.0}, r"threshold_value must be in \[0, 1\]"),
        ("unet", {"scale_low": 2.0}, "is below scale_low"),
        ("unet", {"batch_size": 1}, "batch_size must be at least 2"),
        ("unet", {"patience": 5}, "below validate_every"),
        ("unet", {"encoder_weights": "imagenet"}, "width=1.0"),
        ("unet", {"method": "riad"}, "cannot be overridden"),
        ("unet", {"scale": "huge"}, "unknown scale 'huge'"),
        ("vgg", {}, r"unknown method 'vgg'; choose one of deeplabv3plus"),
        ("riad", {"optimizer": "sgd"}, "trained by Adam"),
    ],
)
def test_values_of_a_network_that_cannot_be_are_refused(name, values, message):
    with pytest.raises(UserError, match=message):
        method_preset(name, values.pop("scale", "lite"), **values)


def test_an_older_preset_of_a_network_or_a_family_keeps_its_meaning():
    for chosen in (method_preset("riad"), FamilyPreset.make("tf_sato_otsu", "lite")):
        values = chosen.to_dict()
        for name in set(values) - {"method", "scale"}:
            assert type(chosen).from_dict({k: v for k, v in values.items() if k != name}) == chosen
        with pytest.raises(UserError, match="preset lacks scale"):
            type(chosen).from_dict({k: v for k, v in values.items() if k != "scale"})
    stored = method_preset("deepcrack18", "full").to_dict() | {"encoder_weights": "file"}
    assert MethodPreset.from_dict(stored).encoder_weights == "file", "runs of earlier versions are read"
