"""From a experiment to its record: the numbers of `upcrack detect` and `score`, from data that are what they say."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from upcrack_lite import cli, runs, versions
from upcrack_lite.data import manifest as manifests
from upcrack_lite.data.crops import Crops, write_crops
from upcrack_lite.data.manifest import digest_in
from upcrack_lite.data.survey import survey
from upcrack_lite.data.synthetic import synthetic_road, synthetic_set
from upcrack_lite.errors import UserError
from upcrack_lite.predict.model import load_model
from upcrack_lite.predict.photos import detect_folder
from upcrack_lite.predict.scoring import score_folder
from upcrack_lite.pretrained import stored_run
from upcrack_lite.reproduction import photo_sets, record_files, records
from upcrack_lite.reproduction.experiments import Experiment, RunOptions
from upcrack_lite.reproduction.photo_sets import photo_set, source_manifest, training_data
from upcrack_lite.reproduction.run import evaluate, run_experiment, tiny_values, train_experiment
from upcrack_lite.reproduction.sweep import Plan
from upcrack_lite.runs import RunFolder
from upcrack_lite.training import train

STORED = Experiment(overrides=(("epochs", 22),), train_set="synthetic")
TINY = (
    *(("size", 64), ("depth", 6), ("width", 4), ("disc_width", 4), ("mask_cells", (32, 16, 8))),
    *(("load_size", 68), ("epochs", 2), ("batch_size", 6)),
)
SQUARES = {"protocol": "tables", "size": 256}
SIZES = {"a": (90, 150), "b": (150, 90), "c": (160, 160)}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    return write_sets(tmp_path_factory.mktemp("data"))


def write_sets(root: Path) -> Path:
    """A folder of sets: a small DeepCrack with its manifest, and undamaged crops."""
    for part in ("train", "test"):
        for seed, (name, (height, width)) in enumerate(SIZES.items(), 10 if part == "test" else 20):
            road, crack_mask = synthetic_road(160, seed, crack_share=0.04)
            for sub, end, pixels in (
                ("img", "jpg", road[..., ::-1]),
                ("lab", "png", crack_mask.astype(np.uint8) * 255),
            ):
                (root / "deepcrack" / f"{part}_{sub}").mkdir(parents=True, exist_ok=True)
                cv2.imwrite(
                    str(root / "deepcrack" / f"{part}_{sub}" / f"{name}.{end}"), pixels[:height, :width]
                )
    list_files(root)
    roads = synthetic_set(12, 64, crack_free=1.0)
    rows = [{"name": name, "x": 0, "y": 0, "window": 64} for name in roads.names]
    crops = Crops(roads.images, rows, roads.names)
    write_crops(crops, root / "deepcrack_undamaged", cut_from(root))
    return root


def cut_from(root: Path) -> dict:
    """What is said of crops when they are cut."""
    return {"set": "deepcrack", "split": "train", "fetched_manifest_sha256": digest_in(root / "deepcrack")}


@pytest.fixture
def data(made, tmp_path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "data"))


@pytest.fixture
def clean(monkeypatch) -> dict:
    """The code as if it were committed."""
    commit = {"id": "0" * 40, "dirty": False}
    monkeypatch.setattr(runs, "_commit", lambda: dict(commit))
    return commit


@pytest.fixture
def untrained(monkeypatch) -> list:
    """Any training is noted, and fails."""
    calls = []
    monkeypatch.setattr(
        "upcrack_lite.baselines.trainer.train", lambda *a, **k: calls.append(a) or pytest.fail("trained")
    )
    return calls


def list_files(root: Path) -> None:
    manifests.write(root / "deepcrack" / "manifest.csv", survey(root / "deepcrack").files)


def tiny(**changes) -> Experiment:
    return Experiment(**({"overrides": TINY} | changes))


def make(experiment: Experiment, root: Path, again: bool = False, say=print, **options) -> Path:
    """Train and test with everything beside the data."""
    chosen = RunOptions(**({"device": "cpu"} | options))
    places = (root, root.parent / "runs", root.parent / "results")
    return run_experiment(experiment, *places, chosen, again=again, progress=False, say=say)


def train_only(experiment: Experiment, root: Path, say=print) -> RunFolder:
    """Train alone, where `make` looks for the run."""
    return train_experiment(
        experiment, root, root.parent / "runs", RunOptions("cpu"), progress=False, say=say
    )


def evaluated(run: RunFolder, experiment: Experiment, root: Path) -> records.Record:
    """The record of a run on its test set, checked."""
    return records.make(*evaluate(run, experiment, photo_set(experiment.test_set, root), progress=False))


def plan_of(root: Path, **options) -> Plan:
    """The plan of a sweep with the folders of `make`."""
    places = (root, *(root.parent / name for name in ("runs", "results", "state")))
    return Plan({}, (), *places, options=RunOptions(**({"device": "cpu"} | options)))


# --- The numbers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"threshold_rule": "otsu_factor", "threshold_value": 1.3},
        {"threshold_rule": "fixed", "threshold_value": 0.2},
    ],
    ids=lambda s: s.get("threshold_rule", "as it is"),
)
def test_the_scores_are_those_of_detect_and_score(data, tmp_path, settings):
    model = load_model(stored_run(), settings=settings)
    detect_folder(model, data / "deepcrack/test_img", tmp_path / "out", **SQUARES)
    wanted = score_folder(tmp_path / "out", data / "deepcrack/test_lab")
    experiment = Experiment(overrides=(*STORED.overrides, *settings.items()), train_set="synthetic")
    record = evaluated(stored_run(), experiment, data)
    got = records.scores(record)
    assert got["images"] == wanted["images"] == 3
    assert got["crack_share"] == wanted["crack_fraction_percent"]
    assert got["tp"] > 0
    assert {name: got[name] for name in wanted["pooled"]} == wanted["pooled"]
    assert {name: list(got["interval_95"][name]) for name in wanted["interval_95"]} == wanted["interval_95"]
    for name in ("ods_f1", "ods_threshold", "ois_f1", "average_precision", "auroc"):
        assert got["smoothed"][name] == wanted[name]
    assert (got["tolerance_f1"], got["cldice"]) == (wanted["tolerance_2px_f1"], wanted["cldice_mean"])
    assert got["raw"] != got["smoothed"]


def test_the_seed_of_the_experiment_is_that_of_the_dropout(made, tmp_path):
    run = RunFolder.open(shutil.copytree(stored_run().path, tmp_path / "run"))
    run.manifest["seed"] = 5
    detect_folder(load_model(run), made / "deepcrack/test_img", tmp_path / "out", **SQUARES, seed=5)
    wanted = score_folder(tmp_path / "out", made / "deepcrack/test_lab")
    experiment = Experiment(overrides=STORED.overrides, train_set="synthetic", seed=5)
    record = evaluated(run, experiment, made)
    assert records.scores(record)["f1"] == wanted["pooled"]["f1"]
    assert record.protocol.dropout_seed == 5
    other = evaluated(stored_run(), STORED, made)
    assert records.scores(other)["f1"] != wanted["pooled"]["f1"]


def test_synthetic_roads_are_tested_on_without_any_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(photo_sets, "SYNTHETIC_PHOTOS", 3)
    experiment = Experiment(overrides=STORED.overrides, train_set="synthetic", test_set="synthetic")
    record = evaluated(stored_run(), experiment, tmp_path / "nowhere")
    assert record.test.known == "synthetic"
    assert record.test.crack_share > 0.3
    assert [image.name for image in record.images] == [f"synthetic_1_{i:05d}" for i in range(3)]
    assert record.maps["raw"].groups.shape == (3, 2, 32)
    for index, (_, photo, _) in enumerate(photo_set("synthetic", tmp_path).photos(256, [])):
        assert (photo != synthetic_road(256, [photo_sets.TRAIN_SEED, index])[0]).any()
    crops = training_data(experiment, tmp_path / "nowhere")
    assert not set(crops.groups) & {image.name for image in record.images}
    monkeypatch.setattr(photo_sets, "SYNTHETIC_VERSION", 2)
    assert photo_set("synthetic", tmp_path).digest != record.test.digest


def test_a_record_says_what_was_done_and_no_more_changes_than_the_times(data, tmp_path, clean):
    first = evaluated(stored_run(), STORED, data)
    moved = Path(shutil.copytree(data, tmp_path / "moved"))
    second = evaluated(stored_run(), STORED, moved)
    times = {"started", "finished"}
    assert first.model_dump(exclude=times) == second.model_dump(exclude=times)
    assert first.maps == second.maps
    text = json.dumps(first.model_dump(mode="json"))
    assert str(tmp_path) not in text
    assert '"/' not in text
    assert first.key.model_dump() == STORED.key()
    assert first.train.crops == 600
    assert (first.train.steps, first.train.best_epoch, first.train.max_steps) == (1496, 20, None)
    assert first.environment.training["commit"]["id"] == stored_run().manifest["environment"]["commit"]["id"]
    assert first.environment.evaluation["commit"] == clean
    entries = manifests.read(data / "deepcrack/manifest.csv")
    assert (first.test.digest, first.test.known) == (manifests.digest(entries), "fetched")


# --- Data that are not what they should be -------------------------------------------------------------------


def test_a_test_photo_that_is_not_the_manifests_is_found(data):
    path = data / "deepcrack/test_lab/b.png"
    mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    mask[0, 0] ^= 255
    cv2.imwrite(str(path), mask)
    with pytest.raises(UserError, match=r"b\.png: is not the file that the set's manifest names"):
        evaluated(stored_run(), STORED, data)


def test_a_photo_more_or_less_is_found(data, untrained, clean):
    for sub, end in (("img", "jpg"), ("lab", "png")):
        (data / f"deepcrack/test_{sub}/b.{end}").rename(data / f"deepcrack/test_{sub}/z.{end}")
    with pytest.raises(UserError) as refused:
        make(tiny(), data)
    for line in (
        "test_img/b.jpg: is not there",
        "test_lab/z.png: is not in the manifest",
        "upcrack data fetch deepcrack",
    ):
        assert line in str(refused.value)


def test_a_set_without_a_manifest_gives_no_record_to_commit(data, untrained, clean, monkeypatch):
    monkeypatch.setattr(manifests, "packaged", lambda name: None)
    (data / "deepcrack/manifest.csv").unlink()
    with pytest.raises(UserError, match="has no manifest"):
        make(tiny(), data)
    assert evaluated(stored_run(), STORED, data).test.known is None


def test_the_manifest_of_the_kit_is_known_by_its_content(data, monkeypatch):
    own = data / "deepcrack/manifest.csv"
    kept = Path(shutil.copy(own, data / "kept.csv"))
    monkeypatch.setattr(manifests, "packaged", lambda name: kept)
    assert photo_set("deepcrack", data).known == "packaged"
    own.unlink()
    found = photo_set("deepcrack", data)
    assert (found.known, found.digest) == ("packaged", manifests.digest(manifests.read(kept)))


def test_sets_that_are_not_there_are_named_with_the_command_that_makes_them(tmp_path, untrained, clean):
    with pytest.raises(UserError, match="upcrack data fetch cfd_patches"):
        make(tiny(test_set="cfd_patches"), tmp_path / "data")
    with pytest.raises(UserError, match="upcrack data build crack500_kept"):
        training_data(tiny(train_set="crack500_kept"), tmp_path)


def test_crops_of_another_set_are_refused(data):
    (data / "deepcrack_undamaged").rename(data / "crack500_undamaged")
    with pytest.raises(UserError, match="cut from deepcrack, not from crack500"):
        training_data(tiny(train_set="crack500"), data)


@pytest.mark.parametrize(
    ("experiment", "named"),
    [
        (Experiment(train_set="synthetic"), r"epochs 22 \(the experiment has 60\)"),
        (
            Experiment(overrides=STORED.overrides),
            r"training set 'synthetic' \(the experiment has 'deepcrack'\)",
        ),
        (
            Experiment(overrides=STORED.overrides, train_set="synthetic", seed=1),
            r"seed 0 \(the experiment has 1\)",
        ),
        (Experiment(recipe="released", overrides=STORED.overrides, train_set="synthetic"), "recipe 'paper'"),
    ],
)
def test_a_run_of_another_experiment_is_refused(made, experiment, named):
    with pytest.raises(UserError, match=named):
        evaluated(stored_run(), experiment, made)


def test_a_run_that_is_not_finished_is_refused(made, tmp_path):
    run = RunFolder.open(shutil.copytree(stored_run().path, tmp_path / "run"))
    run.manifest["status"] = "running"
    with pytest.raises(UserError, match="not finished"):
        evaluated(run, STORED, made)
    run.manifest = {**stored_run().manifest}
    del run.manifest["best_epoch"]
    with pytest.raises(UserError, match="does not say 'best_epoch'"):
        evaluated(run, STORED, made)


# --- Train, test, record -------------------------------------------------------------------------------------


def test_an_experiment_is_trained_tested_and_recorded_once(data, clean, monkeypatch):
    said = []
    path = make(tiny(), data)
    record = records.load(path)
    assert path == data.parent / "results" / f"{tiny().slug()}.json"
    assert record.experiment == tiny()
    assert (record.train.crops, record.train.epochs) == (12, 2)
    assert record.train.crops_json["facts"] == cut_from(data)
    assert record.train.set_manifest_sha256 == digest_in(data / "deepcrack")
    assert record.environment.starts is None
    assert record.environment.training["commit"] == clean
    run = RunFolder.open(data.parent / "runs" / tiny().run_slug())
    assert run.finished
    assert record.train.log == run.log()[record.train.best_epoch]
    assert {"mae", "ssim", "adv", "valid"} <= record.train.log.keys()
    before = path.read_bytes()
    monkeypatch.setattr("upcrack_lite.reproduction.run.evaluate", lambda *a, **k: pytest.fail("tested again"))
    assert make(tiny(), data, say=said.append) == path
    assert path.read_bytes() == before
    assert "is there already" in said[0]
    shutil.rmtree(run.path)  # a record without its run, as in a fresh clone, still counts
    make(tiny(), data)


@pytest.mark.parametrize("change", ["version", "test set", "crops", "run", "again"])
def test_what_has_changed_is_tested_again(data, clean, monkeypatch, change):
    make(tiny(), data)
    assert plan_of(data).why(tiny()) == ""
    options = {}
    if change == "version":
        monkeypatch.setitem(versions.TESTING, "upcracknet", 2)
    elif change == "test set":
        for part in ("test_img", "test_lab"):
            next((data / "deepcrack" / part).glob("c.*")).unlink()
        list_files(data)
    elif change == "crops":
        shutil.rmtree(data.parent / "runs")  # else the run itself would refuse other crops
        roads = synthetic_set(9, 64, seed=3, crack_free=1.0)
        rows = [{"name": name, "x": 0, "y": 0, "window": 64} for name in roads.names]
        shutil.rmtree(data / "deepcrack_undamaged")
        facts = cut_from(data)
        write_crops(Crops(roads.images, rows, roads.names), data / "deepcrack_undamaged", facts)
    elif change == "run":
        run = RunFolder.open(data.parent / "runs" / tiny().run_slug())
        run.save_weights(
            {
                name: torch.randn_like(v) if v.is_floating_point() else v
                for name, v in run.load_weights().items()
            }
        )
    else:
        options["again"] = True
    assert (plan_of(data).why(tiny()) == "") == (change == "again"), (
        "a sweep sees it before any photo is read"
    )
    calls = []
    monkeypatch.setattr(
        "upcrack_lite.reproduction.run.evaluate", lambda *a, **k: calls.append(1) or evaluate(*a, **k)
    )
    make(tiny(), data, **options)
    assert calls == [1]
    assert plan_of(data).why(tiny()) == "", "the new record holds"


def test_a_record_that_is_not_for_committing_counts_only_where_it_is_allowed(data, clean):
    make(tiny(), data, max_steps=1, allow_dirty=True)
    assert plan_of(data, max_steps=1, allow_dirty=True).why(tiny()) == ""
    assert plan_of(data, max_steps=1, allow_dirty=False).why(tiny()) != ""
    assert plan_of(data, max_steps=2, allow_dirty=True).why(tiny()) != ""
    assert plan_of(data, allow_dirty=True).why(tiny()) != ""


def test_training_alone_leaves_a_run_that_the_experiments_then_use(data, clean, monkeypatch):
    said = []
    run = train_only(tiny(test_set="cfd_patches"), data, said.append)
    assert run.finished
    assert run.path.name == tiny().run_slug()
    assert "12 undamaged crops at 64 px" in said[0]
    assert not (data.parent / "results").exists()
    monkeypatch.setattr("upcrack_lite.training.Loop", lambda *a, **k: pytest.fail("trained again"))
    assert records.load(make(tiny(), data)).train.steps == run.manifest["steps_done"]
    clean["dirty"] = True
    with pytest.raises(UserError, match="commit first"):
        train_only(tiny(), data)


def test_experiments_that_share_a_model_train_it_once(data, clean, monkeypatch):
    make(tiny(), data)
    monkeypatch.setattr("upcrack_lite.training.Loop", lambda *a, **k: pytest.fail("trained again"))
    monkeypatch.setattr(photo_sets, "SYNTHETIC_PHOTOS", 2)
    other = make(tiny(test_set="synthetic"), data)
    cut = make(tiny(overrides=(*TINY, ("threshold_rule", "fixed"), ("threshold_value", 0.1))), data)
    shas = {records.load(path).train.checkpoint_sha256 for path in (other, cut)}
    assert len(shas) == 1
    assert {image.threshold for image in records.load(cut).images} == {float(np.float32(0.1))}
    assert len(list((data.parent / "runs").iterdir())) == 1


def test_crops_without_a_manifest_are_not_trained_on_for_a_record(data, clean, untrained):
    path = data / "deepcrack_undamaged/crops.json"
    described = json.loads(path.read_text())
    del described["facts"]["fetched_manifest_sha256"]
    path.write_text(json.dumps(described))
    with pytest.raises(UserError, match=r"its training set deepcrack has no manifest.*cut the crops anew"):
        make(tiny(), data)
    with pytest.raises(UserError, match="its training set deepcrack has no manifest"):
        train_only(tiny(), data)
    described["facts"]["manifest_sha256"] = "a" * 64  # as earlier versions called it
    assert source_manifest({"crops": described}) == "a" * 64


@pytest.mark.parametrize("method", ["upcracknet", "ddrnet"])
def test_a_dirty_start_is_not_forgotten_when_a_clean_one_goes_on(data, clean, monkeypatch, method):
    experiment = (
        tiny() if method == "upcracknet" else Experiment(method, overrides=tuple(tiny_values(method).items()))
    )
    clean["dirty"] = True
    save_resume = RunFolder.save_resume

    def killed(run, state):
        save_resume(run, state)
        raise KeyboardInterrupt

    with monkeypatch.context() as only:
        only.setattr(RunFolder, "save_resume", killed)
        with pytest.raises(KeyboardInterrupt):
            make(experiment, data, allow_dirty=True)
    clean["dirty"] = False
    with monkeypatch.context() as only:
        only.setattr("upcrack_lite.reproduction.run._train", lambda *a: pytest.fail("trained"))
        with pytest.raises(UserError, match="it is trained by code that differs from its commit"):
            make(experiment, data)
    path = make(experiment, data, allow_dirty=True)
    assert path.stem.endswith("-draft")
    record = records.load(path)
    assert record.environment.training["commit"]["dirty"] is False
    assert [one["commit"]["dirty"] for one in record.environment.starts] == [True, False]
    assert "in part trained by code that differs" in record.unfit()[0]


def test_a_changed_comment_or_command_makes_nothing_stale_and_a_training_version_does(
    data, clean, monkeypatch, untrained
):
    with monkeypatch.context() as free:
        free.setattr("upcrack_lite.baselines.trainer.train", train)
        path = make(tiny(), data)
    values, maps = record_files.read(path)
    values |= {"command": "upcrack cell in other words", "code_sha256": "a" * 64}
    values["environment"]["training"]["code_sha256"] = "b" * 64
    record_files.write(values, maps, path)
    monkeypatch.setattr("upcrack_lite.reproduction.run.evaluate", lambda *a, **k: pytest.fail("tested again"))
    assert plan_of(data).why(tiny()) == ""
    assert make(tiny(), data) == path
    monkeypatch.setitem(versions.TRAINING, "upcracknet", 2)
    assert "trained by version 1 of the numbers of upcracknet" in plan_of(data).why(tiny())
    with pytest.raises(pytest.fail.Exception, match="trained"):
        make(tiny(), data)


def test_a_record_of_another_format_stops_the_work_before_it_starts(data, clean, untrained):
    path = data.parent / "results" / f"{tiny().slug()}.json"
    path.parent.mkdir()
    path.write_text('{"format": 1}')
    for again in (False, True):
        with pytest.raises(UserError, match=r"has format 1, this version reads 2.*Nothing was touched"):
            make(tiny(), data, again=again)
    assert path.read_text() == '{"format": 1}'


# --- The command ---------------------------------------------------------------------------------------------


@pytest.fixture
def upcrack(capsys):
    """Run `upcrack cell ...`; gives the exit status and what was printed."""
    import typer

    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(cli.cell)

    def call(*words: object) -> tuple[int, str]:
        try:
            app([str(word) for word in words])
        except SystemExit as stop:
            return stop.code or 0, capsys.readouterr().out

    return call


def test_the_command_makes_the_record_of_a_row(data, clean, upcrack, monkeypatch):
    monkeypatch.setenv("UPCRACK_DATA", str(data))  # as every `upcrack data` command
    folders = ("--runs", data.parent / "runs", "--results", data.parent / "results")
    settings = [word for name, value in TINY for word in ("--set", f"{name}={json.dumps(value)}")]
    status, printed = upcrack("--table", 4, "--row", "upcracknet", *folders, *settings, "--device", "cpu")
    assert status == 0
    (record,) = records.load_all(data.parent / "results")
    assert record.experiment == tiny()
    got = records.scores(record)
    assert f"3 images, {got['crack_share']:.3f} % crack" in printed
    assert f"f1 {got['f1']:.3f}" in printed
    assert "Table IV upcracknet: not run here; there is no record of it yet.\n" in printed, (
        "it is not the row's"
    )
    again = upcrack(*record.command.split()[2:], *folders, "--device", "cpu")
    assert "is there already" in again[1]


def test_the_command_trains_each_model_once_and_stops_there(data, clean, upcrack, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "upcrack_lite.baselines.trainer.train", lambda *a, **k: asked.append(a[2].name) or stored_run()
    )
    folders = ("--data-root", data, "--runs", data.parent / "runs", "--results", data.parent / "results")
    words = ("--train-only", "--table", 2, "--train-set", "synthetic", "--test-set", "cfd_patches")
    status, printed = upcrack(*words, *folders, "--seed", 0, "--seed", 1, "--device", "cpu")
    assert status == 0
    assert len(asked) == len(set(asked)) == 6
    assert printed.count("trained for 22 epochs") == 6
    assert not (data.parent / "results").exists()
    with pytest.raises(UserError, match="leave one of them out"):
        upcrack("--train-only", "--again", *folders)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--row", "upcracknet"], "give --table too"),
        (["--table", "4", "--row", "segnet"], "has no row 'segnet'"),
        (["--set", "epoch=3"], "unknown preset value 'epoch'"),
        (["--table", "4", "--method", "unet"], "write --row unet"),
        (["--table", "3", "--row", "unet"], "--train-set crack500_kept --test-set crack500_heldout"),
        (["--test-set", "crack500"], "--test-set crack500_heldout"),
    ],
)
def test_the_command_refuses_what_is_not_there(upcrack, words, named):
    with pytest.raises(UserError, match=named):
        upcrack(*words)


def test_the_command_says_what_it_would_not_show(data, upcrack, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "upcrack_lite.reproduction.run.train_experiment", lambda *a, **k: asked.append(a) or stored_run()
    )
    words = ("--train-only", "--data-root", data, "--runs", data.parent / "runs")
    assert "whatever is asked" in upcrack("--method", "tf_gabor_otsu", "--seed", 3, *words)[1]
    experiment = Experiment("unet", seed=3)
    run = RunFolder.create(data.parent / "runs" / experiment.run_slug(), {})
    assert "goes on" not in upcrack("--method", "unet", "--seed", 3, *words)[1]
    run.save_log([{"epoch": 0, "loss": 1.0}, {"epoch": 1, "loss": 0.5}])
    assert "goes on from its last state" in upcrack("--method", "unet", "--seed", 3, *words)[1]
    assert len(asked) == 3


@pytest.mark.mirror
def test_the_stored_model_on_real_photos_is_the_same_as_by_hand(mirror, tmp_path):
    folder = mirror / "deepcrack"
    values, maps = evaluate(stored_run(), STORED, photo_set("deepcrack", mirror), progress=False)
    record = records.make(values, maps)
    assert (record.test.known, record.test.images) == ("packaged", 237)
    assert record.test.crack_share == pytest.approx(4.33, abs=0.01)
    detect_folder(load_model(stored_run()), folder / "test_img", tmp_path / "out", **SQUARES)
    wanted = score_folder(tmp_path / "out", folder / "test_lab")
    got = records.scores(record)
    assert {name: got[name] for name in wanted["pooled"]} == wanted["pooled"]
    assert got["smoothed"]["auroc"] == wanted["auroc"]
    path = tmp_path / f"{record.slug}.json"
    record_files.write(values, maps, path)
    assert path.stat().st_size + path.with_suffix(".npz").stat().st_size < 95_000
