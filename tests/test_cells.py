"""Which runs a table needs: names, files and pairs that cannot be mistaken."""

from __future__ import annotations

import itertools
import json

import pytest

from upcrack_lite.baselines.registry import FAMILIES, preset_from
from upcrack_lite.errors import UserError
from upcrack_lite.recipes import preset
from upcrack_lite.reproduction import published
from upcrack_lite.reproduction.cells import (
    LOSSES,
    MASKS,
    PAIRS,
    STAND_INS,
    TEST_SETS,
    TRAIN_SETS,
    Cell,
    cells,
    row_overrides,
)


def test_a_cell_names_its_files_by_what_it_is():
    cell = Cell(test_set="cfd_patches")
    assert cell.slug() == "upcracknet-paper-lite-deepcrack-to-cfd_patches-s0"
    assert cell.run_slug() == "upcracknet-paper-lite-deepcrack-s0"
    other = Cell(overrides=(("lambda_adv", 0),), test_set="cfd_patches")
    assert other.slug().startswith(cell.slug() + "-")
    digits = other.slug().rsplit("-", 1)[1]
    assert len(digits) == 8
    int(digits, 16)
    assert other.run_slug() == f"upcracknet-paper-lite-deepcrack-s0-{digits}"


def test_equal_choices_make_equal_cells_however_they_are_written():
    one = Cell(overrides=(("patience", 5), ("lambda_adv", 0)))
    two = Cell(overrides=(("lambda_adv", 0.0), ("patience", 5), ("epochs", preset().epochs)))
    assert one == two
    assert hash(one) == hash(two)
    assert one.slug() == two.slug()
    assert [name for name, _ in one.overrides] == ["lambda_adv", "patience"]


def test_any_other_choice_makes_another_file():
    base = Cell(recipe="paper")
    others = [
        Cell(recipe="released"),
        Cell(scale="full"),
        Cell(seed=1),
        Cell(train_set="synthetic"),
        Cell(test_set="synthetic"),
        Cell(overrides=(("lambda_adv", 0.5),)),
        Cell(overrides=(("lambda_adv", 0.25),)),
        Cell(overrides=(("lambda_mae", 0.5),)),
        Cell(overrides=(("mask_cells", [32, 16]),)),
    ]
    assert len({cell.slug() for cell in [base, *others]}) == len(others) + 1


def test_what_is_changed_after_training_shares_the_trained_model():
    base, later = Cell(), Cell(overrides=(("threshold_rule", "fixed"), ("threshold_value", 0.3)))
    assert later.slug() != base.slug()
    assert later.run_slug() == base.run_slug()
    assert later.training_preset() == base.preset()
    assert later.preset().threshold_value == 0.3
    both = Cell(overrides=(("epochs", 3), ("threshold_floor", 0.1)))
    assert both.run_slug() == Cell(overrides=(("epochs", 3),)).run_slug() != base.run_slug()


def test_a_key_is_json_and_gives_the_cell_back():
    cell = Cell(
        "upcracknet",
        "released",
        "full",
        (("mask_cells", (64, 32)), ("flip", False)),
        "synthetic",
        "deepcrack",
        7,
    )
    again = json.loads(json.dumps(cell.key()))
    assert again["overrides"] == {"flip": False, "mask_cells": [64, 32]}
    assert Cell.from_key(again) == cell


def test_the_command_says_all_that_the_key_says():
    from upcrack_lite.io import parse_settings

    cell = Cell(overrides=(("mask_cells", (32,)), ("mask_family", "jumbled"), ("flip", False)), seed=4)
    words = cell.command().split()
    assert words[:2] == ["upcrack", "cell"]
    options = dict(itertools.pairwise(words))
    assert options["--seed"] == "4"
    assert options["--train-set"] == options["--test-set"] == "deepcrack"
    settings = [word for before, word in itertools.pairwise(words) if before == "--set"]
    assert Cell(overrides=tuple(parse_settings(settings).items()), seed=4) == cell


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"method": "upcrack"}, "choose one of deeplabv3plus, enet, .*riad, upcracknet, tf_global_darkness"),
        ({"recipe": "papers"}, "choose one of paper, released"),
        ({"scale": "small"}, "choose one of full, lite"),
        ({"train_set": "cfd"}, "choose one of deepcrack, crack500_kept, crack500, synthetic"),
        ({"test_set": "cfd"}, "choose one of deepcrack, cfd_patches"),
        ({"seed": -1}, "seed"),
        ({"seed": True}, "seed"),
        ({"overrides": (("lamda", 1),)}, "unknown preset value 'lamda'"),
        ({"overrides": (("epochs", "x"),)}, "epochs must be of type int"),
        ({"train_set": "crack500", "test_set": "crack500_heldout"}, "share photos"),
    ],
)
def test_what_cannot_be_is_refused_with_the_valid_names(wrong, named):
    with pytest.raises(UserError, match=named):
        Cell(**wrong)


def test_table_1_has_the_printed_rows_and_their_losses():
    assert list(LOSSES) == [row.key for row in published.rows(1)]
    on = [{name for name, value in row.items() if value} for row in LOSSES.values()]
    assert [len(names) for names in on] == [1, 2, 2, 2, 2, 3, 4, 4, 5]
    assert on[0] == {"lambda_mae"}
    assert on[2] == {"lambda_mae", "lambda_gms"}
    assert on[7] == {"lambda_mae", "lambda_ssim", "lambda_gms", "lambda_adv"}
    assert LOSSES["mae+style"]["lambda_style"] == 10
    for scale in ("lite", "full"):
        for cell, row in zip(cells(1, scale=scale), LOSSES.values(), strict=True):
            assert {name: getattr(cell.preset(), name) for name in row} == row


def test_at_full_scale_the_last_rows_of_tables_1_and_2_are_the_method_itself():
    (method,) = cells(3, scale="full", rows=["upcracknet"])
    assert cells(1, scale="full")[-1] == cells(2, scale="full")[-1] == method
    assert cells(1, scale="lite")[-1].overrides == (("lambda_style", 10.0),)  # which lite leaves out
    assert len({cell.run_slug() for cell in cells(1, scale="full") + cells(2, scale="full")}) == 11


def test_table_2_has_the_printed_masks():
    assert list(MASKS) == ["jumbled", "striped", "multi_scale_square"]
    assert [cell.preset().mask_family for cell in cells(2)] == list(MASKS)


def test_each_table_has_the_printed_pair_and_may_have_another():
    assert {n: PAIRS[n] for n in (1, 4, 5, 8)} == {
        1: ("crack500", "crack500"),
        4: ("deepcrack", "deepcrack"),
        5: ("crack500", "cfd_patches"),
        8: ("deepcrack", "crack500"),
    }
    for train, test in [*PAIRS.values(), *STAND_INS.values()]:
        assert train in TRAIN_SETS
        assert test in TEST_SETS
    cell = cells("VII", rows=["upcracknet"])[0]
    assert (cell.train_set, cell.test_set) == ("deepcrack", "cfd_patches")
    sets = {"train_set": "crack500_kept", "test_set": "crack500_heldout"}
    stand_in = cells(3, rows=["upcracknet"], **sets)[0]
    assert stand_in.slug() == "upcracknet-paper-lite-crack500_kept-to-crack500_heldout-s0"


def test_a_table_of_methods_has_the_printed_rows_and_then_the_detectors_without_training():
    named = [cell.method for cell in cells(4, seeds=(3, 4))]
    printed = [row.key for row in published.rows(4)]
    assert list(dict.fromkeys(named)) == [*printed, *FAMILIES]
    assert all(named.count(name) == (1 if name in FAMILIES else 2) for name in named), "nothing is drawn"
    free = cells(4, seeds=(3, 4), rows=["tf_sato_otsu"])
    assert (
        free == [Cell("tf_sato_otsu", scale="full", seed=0)] == [Cell("tf_sato_otsu", scale="lite", seed=7)]
    )
    assert [cell.method for cell in cells(4, recipe="released")] == ["upcracknet"]


def test_each_method_has_a_preset_of_its_own_that_names_it():
    for cell in cells(4, scale="full"):
        values = cell.preset().to_dict()
        assert values["size"] == 256
        assert values["scale"] == "full"
        assert values.get("method", "upcracknet") == cell.method
        assert preset_from(cell.method, values) == cell.preset()
        assert Cell.from_key(json.loads(json.dumps(cell.key()))) == cell


def test_what_is_changed_after_training_shares_the_run():
    plain = Cell("unet")
    assert Cell("unet", overrides=(("threshold_rule", "otsu"),)).run_slug() == plain.run_slug()
    assert Cell("unet", overrides=(("epochs", 3),)).run_slug() != plain.run_slug()
    wider = Cell("tf_sato_otsu", overrides=(("sigmas", [0.5]),))
    assert wider.run_slug() != Cell("tf_sato_otsu").run_slug()
    assert {variant.sigma for variant in wider.preset().variants} == {0.5}


def test_rows_and_seeds_are_chosen_in_order():
    chosen = cells(1, seeds=(2, 1), rows=["mae+adv", "mae"])
    assert [(cell.preset().lambda_adv, cell.seed) for cell in chosen] == [(1, 2), (1, 1), (0, 2), (0, 1)]
    set_too = cells(2, rows=["striped"], settings={"epochs": 3, "mask_family": "jumbled"})[0]
    assert (set_too.preset().epochs, set_too.preset().mask_family) == (3, "striped")
    assert row_overrides(2, "striped") == ("upcracknet", {"mask_family": "striped"})


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"table": 9}, r"no table 9; choose 1 \(I\)"),
        ({"table": 2, "rows": ["square"]}, "has no row 'square'; choose jumbled"),
        ({"table": 4, "rows": ["segnet"]}, "has no row 'segnet'; choose deeplabv3plus, .*tf_gabor_paper"),
        ({"table": 4, "rows": ["unet"], "recipe": "released"}, "unet has one recipe, paper"),
        ({"table": 4, "settings": {"epochs": 3}}, "name the row that is meant, such as"),
        ({"table": 4, "rows": ["unet"], "settings": {"lambda_adv": 0}}, "unknown preset value 'lambda_adv'"),
        ({"table": 1, "rows": ["tf_sato_otsu"]}, "has no row 'tf_sato_otsu'; choose mae"),
        ({"table": 4, "rows": []}, "at least one row"),
        ({"table": 4, "seeds": ()}, "at least one seed"),
        ({"table": 4, "recipe": "x"}, "choose one of paper"),
        ({"table": 4, "test_set": "x"}, "choose one of deepcrack"),
    ],
)
def test_a_table_refuses_what_it_does_not_have(wrong, named):
    with pytest.raises(UserError, match=named):
        cells(**wrong)
