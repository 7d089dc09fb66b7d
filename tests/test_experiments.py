"""Which experiments a table or a sweep needs: names, files, options and pairs that cannot be mistaken."""

from __future__ import annotations

import json
import subprocess
import sys

import nbformat
import pytest
from conftest import ROOT
from small_records import chosen

from upcrack_lite.baselines.registry import BESIDE, FAMILIES, METHODS, preset_from
from upcrack_lite.errors import UserError
from upcrack_lite.recipes import preset
from upcrack_lite.reproduction import published
from upcrack_lite.reproduction.experiments import (
    CHOICES,
    PAIRS,
    PROXIES,
    TEST_SETS,
    TRAIN_SETS,
    Experiment,
    RunOptions,
    row_overrides,
    settable,
)
from upcrack_lite.reproduction.sweep import plan

# --- One experiment ------------------------------------------------------------------------------------------


def test_an_experiment_names_its_files_by_what_it_is():
    one = Experiment(test_set="cfd_patches")
    assert one.slug() == "upcracknet-paper-lite-deepcrack-to-cfd_patches-s0"
    assert one.run_slug() == "upcracknet-paper-lite-deepcrack-s0"
    other = Experiment(overrides=(("lambda_adv", 0),), test_set="cfd_patches")
    digits = other.slug().removeprefix(one.slug() + "-")
    assert len(digits) == 8
    assert other.run_slug() == f"upcracknet-paper-lite-deepcrack-s0-{digits}"


def test_equal_choices_make_equal_experiments_and_any_other_choice_another_file():
    one = Experiment(overrides=(("patience", 5), ("lambda_adv", 0)))
    two = Experiment(overrides=(("lambda_adv", 0.0), ("patience", 5), ("epochs", preset().epochs)))
    assert (one, hash(one), one.slug()) == (two, hash(two), two.slug())
    others = [{"recipe": "released"}, {"scale": "full"}, {"seed": 1}, {"train_set": "synthetic"}]
    others += [{"test_set": "synthetic"}]
    others += [
        {"overrides": pair}
        for pair in ((("lambda_adv", 0.5),), (("lambda_mae", 0.5),), (("mask_cells", [32, 16]),))
    ]
    assert len({Experiment(**changes).slug() for changes in [{}, *others]}) == len(others) + 1


def test_what_is_changed_after_training_shares_the_trained_model():
    base = Experiment()
    later = Experiment(overrides=(("threshold_rule", "fixed"), ("threshold_value", 0.3)))
    assert later.slug() != base.slug()
    assert later.run_slug() == base.run_slug()
    assert later.training_preset() == base.preset()
    assert later.preset().threshold_value == 0.3
    unet = Experiment("unet")
    assert Experiment("unet", overrides=(("threshold_rule", "otsu"),)).run_slug() == unet.run_slug()
    assert Experiment("unet", overrides=(("epochs", 3),)).run_slug() != unet.run_slug()
    with pytest.raises(UserError, match="its variants are fixed"):
        Experiment("tf_sato_otsu", overrides=(("sigmas", [0.5]),))


def test_a_key_is_json_and_gives_the_experiment_back():
    values = (("mask_cells", (64, 32)), ("flip", False))
    one = Experiment("upcracknet", "released", "full", values, "synthetic", "deepcrack", 7)
    again = json.loads(json.dumps(one.key()))
    assert again["overrides"] == {"flip": False, "mask_cells": [64, 32]}
    assert Experiment.from_key(again) == one


def test_the_command_says_all_that_the_key_and_the_options_say():
    one = Experiment(overrides=(("mask_cells", (32,)), ("mask_family", "jumbled"), ("flip", False)), seed=4)
    said = "upcrack cell --method upcracknet --recipe paper --scale lite --train-set deepcrack "
    said += "--test-set deepcrack --seed 4 --set flip=false --set mask_cells=[32] --set mask_family=jumbled"
    assert one.command() == said
    options = RunOptions("cpu", "bf16-mixed", "some/where/vgg.pth", 3, allow_dirty=True)
    assert one.command(options) == f"{said} --precision bf16-mixed --vgg-weights vgg.pth --max-steps 3"
    assert options.words()[:2] == ["--device", "cpu"]
    assert options.words()[-1] == "--allow-dirty"
    assert options.run_name(one) == f"{one.run_slug()}-3steps"


def test_a_method_gets_the_options_that_it_has_a_use_for_and_refuses_others():
    given = RunOptions("cpu", "bf16-mixed", "random", 3)
    assert given.usable(Experiment("unet")) == RunOptions("cpu", "bf16-mixed", None, 3)
    assert given.usable(Experiment("tf_sato_otsu")) == RunOptions("cpu")
    assert given.run_name(Experiment("tf_sato_otsu")) == Experiment("tf_sato_otsu").run_slug()
    given.check(Experiment())
    with pytest.raises(UserError, match="unet has no use for --vgg-weights: leave it out"):
        given.check(Experiment("unet"))
    with pytest.raises(UserError, match="no use for --precision, --vgg-weights, --max-steps"):
        given.check(Experiment("tf_sato_otsu"))
    with pytest.raises(UserError, match="unknown precision '16'; choose one of 32-true"):
        RunOptions(precision="16")


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (
            {"method": "upcrack"},
            "choose one of deeplabv3plus, enet, .*riad, upcracknet, drawn, patchcore, tf_global_darkness",
        ),
        ({"recipe": "papers"}, "choose one of paper, released"),
        ({"scale": ""}, "choose one of full, half, lite"),
        ({"train_set": "cfd"}, "choose one of deepcrack, crack500_kept, crack500, synthetic"),
        ({"test_set": "cfd155"}, "choose one of deepcrack, cfd_patches"),
        ({"seed": True}, "seed"),
        ({"overrides": (("lamda", 1),)}, "unknown preset value 'lamda'"),
        ({"overrides": (("recipe", "paper"),)}, "an option of its own: --recipe paper"),
        ({"train_set": "crack500", "test_set": "crack500_heldout"}, "share photos"),
    ],
)
def test_what_cannot_be_is_refused_with_the_valid_names(wrong, named):
    with pytest.raises(UserError, match=named):
        Experiment(**wrong)


# --- Tables --------------------------------------------------------------------------------------------------


def test_table_1_has_the_printed_rows_and_their_losses():
    assert list(CHOICES[1]) == [row.key for row in published.rows(1)]
    on = [{name for name, value in row.items() if value} for row in CHOICES[1].values()]
    assert [len(names) for names in on] == [1, 2, 2, 2, 2, 3, 4, 4, 5]
    assert on[0] == {"lambda_mae"}
    assert on[2] == {"lambda_mae", "lambda_gms"}
    assert on[7] == {"lambda_mae", "lambda_ssim", "lambda_gms", "lambda_adv"}
    assert CHOICES[1]["mae+style"]["lambda_style"] == 10
    for scale in ("lite", "full"):
        for one, row in zip(chosen(1, scale=scale), CHOICES[1].values(), strict=True):
            assert {name: getattr(one.preset(), name) for name in row} == row


def test_at_full_scale_the_last_rows_of_tables_1_and_2_are_the_method_itself():
    (method,) = chosen(3, scale="full", rows=["upcracknet"])
    assert chosen(1, scale="full")[-1] == chosen(2, scale="full")[-1] == method
    assert chosen(1)[-1].overrides == (("lambda_style", 10.0),)  # which lite leaves out
    assert len({one.run_slug() for one in chosen(1, scale="full") + chosen(2, scale="full")}) == 11
    assert [one.preset().mask_family for one in chosen(2)] == list(CHOICES[2])
    assert list(CHOICES[2]) == ["jumbled", "striped", "multi_scale_square"]


def test_each_table_has_the_printed_pair_and_may_have_another():
    assert {n: PAIRS[n] for n in (1, 4, 5, 8)} == {
        1: ("crack500", "crack500"),
        4: ("deepcrack", "deepcrack"),
        5: ("crack500", "cfd_patches"),
        8: ("deepcrack", "crack500"),
    }
    for train, test in [*PAIRS.values(), *PROXIES.values()]:
        assert train in TRAIN_SETS
        assert test in TEST_SETS
    (one,) = chosen("VII", rows=["upcracknet"])
    assert (one.train_set, one.test_set) == ("deepcrack", "cfd_patches")
    sets = {"train_set": "crack500_kept", "test_set": "crack500_heldout"}
    (proxy,) = chosen(3, rows=["upcracknet"], **sets)
    assert proxy.slug() == "upcracknet-paper-lite-crack500_kept-to-crack500_heldout-s0"


def test_a_table_of_methods_has_the_printed_rows_and_then_those_beside_them():
    named = [one.method for one in chosen(4, seeds=(3, 4))]
    assert list(dict.fromkeys(named)) == [*(row.key for row in published.rows(4)), *BESIDE]
    assert all(named.count(name) == (1 if name in FAMILIES else 2) for name in named), "nothing is drawn"
    (free,) = chosen(4, seeds=(3, 4), rows=["tf_sato_otsu"])
    assert free == Experiment("tf_sato_otsu", scale="lite", seed=7)
    assert (free.scale, free.seed) == ("full", 0)
    assert [one.method for one in chosen(4, recipe="released")] == ["upcracknet"]
    for one in chosen(4, scale="full"):
        values = one.preset().to_dict()
        assert (values["size"], values["scale"]) == (256, "full")
        assert values.get("method", "upcracknet") == one.method
        assert preset_from(one.method, values) == one.preset()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"table": 4, "rows": ["segnet"]}, "has no row 'segnet'; choose deeplabv3plus, .*tf_gabor_paper"),
        ({"table": 4, "rows": ["unet"], "recipe": "released"}, "unet has one recipe, paper"),
        ({"table": 1, "rows": ["tf_sato_otsu"]}, "has no row 'tf_sato_otsu'; choose mae"),
    ],
)
def test_a_table_refuses_what_it_does_not_have(wrong, named):
    with pytest.raises(UserError, match=named):
        chosen(**wrong)


def test_rows_and_seeds_are_chosen_in_order():
    some = chosen(1, seeds=(2, 1), rows=["mae+adv", "mae"])
    assert [(one.preset().lambda_adv, one.seed) for one in some] == [(1, 2), (1, 1), (0, 2), (0, 1)]
    (set_too,) = chosen(1, {"epochs": 3}, rows=["mae"])
    assert (set_too.preset().epochs, set_too.preset().lambda_ssim) == (3, 0)
    assert row_overrides(2, "striped") == ("upcracknet", {"mask_family": "striped"})


# --- Preset values that are set otherwise --------------------------------------------------------------------


def test_which_values_a_method_has():
    for method in METHODS:
        for name in settable(method):
            value = dict(Experiment(method).preset().to_dict())[name]
            assert Experiment(method, overrides=((name, value),)) == Experiment(method), f"{method}: {name}"
    assert "encoder_weights" in settable("deepcrack18")
    assert "encoder_weights" not in settable("unet") | settable("riad") | settable("upcracknet")
    assert not settable("tf_local_darkness")


def test_preset_values_reach_the_rows_that_have_them():
    made = plan(
        {"tables": "4", "settings": "mask_family=striped epochs=7 'mask_cells=[16, 8]'", "seeds": "0"}
    )
    by_method = {one.method: dict(one.overrides) for one in made.experiments.values()}
    assert by_method["upcracknet"] == {"mask_family": "striped", "epochs": 7, "mask_cells": (16, 8)}
    assert by_method["unet"] == by_method["riad"] == {"epochs": 7}
    assert by_method["tf_sato_otsu"] == {}
    assert len(by_method) == len(METHODS)
    assert (
        plan({"tables": "4", "settings": ["mask_family=striped", "epochs=7", "mask_cells=[16, 8]"]}) == made
    )


# --- The plan of a sweep -------------------------------------------------------------------------------------


def test_a_sweep_is_a_product_and_what_two_tables_share_is_made_once():
    made = plan({"tables": "4,7", "rows": "unet,upcracknet", "seeds": "0,1", "recipe": "paper,released"})
    named = [(one.method, one.recipe, one.test_set, one.seed) for one in made.experiments.values()]
    assert len(named) == len(set(named)) == 12
    assert named[:2] == [("unet", "paper", "deepcrack", seed) for seed in (0, 1)]
    assert made.left_out == ("unet: no recipe released, which is UP-CrackNet's alone",)
    assert len(plan({"tables": "3,4,6", "train_set": "deepcrack", "test_set": "deepcrack"}).experiments) == 30
    everything = plan({})
    assert len(everything.experiments) == 190
    assert everything.options == RunOptions()


def test_what_cannot_be_is_left_out_and_named():
    sets = {"train_set": "crack500,crack500_kept", "test_set": "crack500_heldout"}
    made = plan({"tables": "3"} | sets)
    assert {one.train_set for one in made.experiments.values()} == {"crack500_kept"}
    (line,) = made.left_out
    assert "crack500 and crack500_heldout share photos" in line
    with pytest.raises(UserError, match="nothing is left to do: crack500 and crack500_heldout share"):
        plan({"tables": "3", "train_set": "crack500", "test_set": "crack500_heldout"})
    assert plan({"tables": "1,2", "rows": "jumbled"}).left_out == ("Table I has none of the rows jumbled",)


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"table": "4"}, "unknown setting table; choose from tables, rows"),
        ({"tables": "9"}, r"no table '9'; choose 1 \(I\)"),
        ({"recipe": "paper,book"}, "unknown recipe 'book'; choose one of paper, released"),
        (
            {"train_set": "crack500", "test_set": "crack500_heldout,cfd155"},
            "unknown test set 'cfd155'; choose one",
        ),
        ({"seeds": "0,x"}, "seed must be a whole number, 0 or more, not 'x'"),
        ({"tables": "1,2", "rows": "striped,stripes"}, "a row 'stripes'; choose mae.*jumbled"),
        ({"rows": "unet", "recipe": "released"}, "unet: no recipe released"),
        ({"tables": "2", "rows": "square"}, "has a row 'square'; choose jumbled"),
        ({"device": "gpu"}, "unknown device 'gpu'; choose one of auto, cpu, cuda"),
        ({"max_steps": "0"}, "max_steps must be a whole number, 1 or more"),
        ({"allow_dirty": "maybe"}, "allow_dirty must be 0 or 1"),
        ({"vgg_weights": "nowhere.pth"}, "no file nowhere.pth; name one, or random"),
        ({"settings": "epochs"}, "settings: .*NAME=VALUE, got 'epochs'"),
        ({"settings": "'epochs=1"}, "settings: No closing quotation"),
        ({"settings": "epoch=1"}, "no row has epoch; choose from batch_size, .*epochs"),
        ({"tables": "1", "settings": "lambda_adv=0"}, "no row has lambda_adv"),
        ({"rows": "unet", "settings": "epochs=x"}, "unet: epochs must be of type int, got 'x'"),
        ({"rows": "unet,upcracknet", "settings": "width=1"}, "a number of channels for upcracknet"),
    ],
)
def test_a_sweep_refuses_a_wrong_name_or_value(config, named):
    with pytest.raises(UserError, match=named):
        plan({"tables": "4"} | config)


@pytest.mark.parametrize(
    ("manifest", "trained"),
    [(None, False), ("{", False), ({"status": "running"}, False), ({"status": "finished"}, True)],
)
def test_only_a_training_that_came_to_its_end_is_none_to_wait_for(tmp_path, manifest, trained):
    made, one = plan({"tables": "4", "runs": tmp_path}), Experiment()
    if manifest is not None:
        (tmp_path / one.run_slug()).mkdir()
        text = manifest if isinstance(manifest, str) else json.dumps(manifest)
        (tmp_path / one.run_slug() / "manifest.json").write_text(text, encoding="utf-8")
    assert made.is_trained(one) is trained


def test_a_test_set_that_is_missing_is_known_before(tmp_path):
    made = plan({"tables": "4", "data_root": tmp_path, "results": tmp_path})
    assert made.can_be_tested(Experiment(test_set="synthetic"))
    assert not made.can_be_tested(Experiment())
    assert made.why(Experiment()) == "no record"
    assert "upcrack data fetch deepcrack" in made.missing(Experiment())
    assert "upcrack data build deepcrack" in made.missing(Experiment(test_set="synthetic"))


def test_planning_does_without_torch():
    code = "import sys; from upcrack_lite.reproduction.sweep import plan; plan({}); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_page_of_one_experiment_takes_every_option_of_a_sweep():
    """A sweep hands them over as parameters; one that the page does not know would fail every experiment."""
    page = nbformat.read(ROOT / "notebooks/tables/one_cell.ipynb", as_version=4)
    (parameters,) = [one for one in page.cells if "parameters" in one.metadata.get("tags", [])]
    names = {line.split(" = ")[0] for line in parameters.source.splitlines()}
    assert set(vars(plan({}).options)) <= names
