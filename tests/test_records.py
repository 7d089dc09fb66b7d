"""Records: whole, true to their own counts, and never of a state that nobody can get back to."""

from __future__ import annotations

import copy
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_records import save, small_record, small_values

from upcrack_lite import metrics
from upcrack_lite import recipes as presets
from upcrack_lite.errors import UserError
from upcrack_lite.metrics import Confusion
from upcrack_lite.reproduction import record_files
from upcrack_lite.reproduction.experiments import Experiment
from upcrack_lite.reproduction.record_files import EDGES, MapCounts, place
from upcrack_lite.reproduction.records import load, load_all, make, scores

VALUES, MAPS = small_values(Experiment())


@pytest.fixture
def saved(tmp_path) -> Path:
    return save(VALUES, MAPS, tmp_path)


def planted(place: tuple, value: Any = None, *, remove: bool = False) -> dict[str, Any]:
    values = copy.deepcopy(VALUES)
    inner = values
    for key in place[:-1]:
        inner = inner[key]
    if remove:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return values


def rewritten(path: Path, change) -> None:
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


# --- What a record holds -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "place", [("format",), ("train", "steps"), ("images", 1, "tp"), ("environment", "evaluation", "commit")]
)
def test_a_field_that_is_missing_or_unknown_is_refused_by_name(place):
    with pytest.raises(UserError, match=rf"{'.'.join(map(str, place))}: Field required"):
        make(planted(place, remove=True))
    if place[0] != "environment":  # which may say more
        with pytest.raises(UserError, match="surprise: Extra inputs"):
            make(planted((*place[:-1], "surprise"), 1))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("images", 1, "tp"), True),
        (("images", 1, "tn"), -1),
        (("images", 1, "threshold"), 1.5),
        (("test", "known"), "somebody"),
        (("test", "digest"), "4" * 63),
        (("started",), "yesterday"),
        (("environment", "evaluation", "commit"), "abc"),
        (("environment", "evaluation", "commit"), {"id": "main", "dirty": False}),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(place, value):
    with pytest.raises(UserError, match=str(place[0])):
        make(planted(place, value))


@pytest.mark.parametrize(
    "text",
    ["/mnt/me/data", "~/data", "C:\\data", "upcrack cell --runs=/srv/runs", "a file '/x/y'", "file:/z"],
)
@pytest.mark.parametrize("place", [("command",), ("train", "style_weights"), ("train", "crops_json", "root")])
def test_a_path_of_a_machine_is_a_fault(place, text):
    with pytest.raises(UserError, match="holds a path of this machine"):
        make(planted(place, text))
    make(planted(place, "file vgg16.safetensors, 3/4 of it, data/deepcrack"))


# --- Counts that fit together --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tp", "fp", "fn", "tn"])
def test_one_count_more_is_found(name):
    with pytest.raises(UserError, match=r"images.1 \(photo_1\): tp \+ fp \+ fn \+ tn is 257, not 256"):
        make(planted(("images", 1, name), VALUES["images"][1][name] + 1))


def test_counts_moved_from_one_class_to_another_are_found():
    values = copy.deepcopy(VALUES)
    image = values["images"][0]
    image["fp"] -= 1
    image["tn"] += 1
    with pytest.raises(UserError, match=r"images.0.*tolerance and the counts differ"):
        make(values)
    image["tolerance"][1] -= 1
    image["tolerance"][0] -= 1
    with pytest.raises(UserError, match=r"images.0.*above its threshold"):
        make(values, MAPS)
    values["images"][0] = VALUES["images"][0] | {"threshold": 0.2}
    with pytest.raises(UserError, match=r"images.0.*above its threshold"):
        make(values, MAPS)


@pytest.mark.parametrize("name", ["smoothed", "raw"])
def test_a_histogram_that_does_not_fit_the_counts_is_found(name):
    one = MAPS[name]
    more, moved = one.pooled.copy(), one.groups.copy()
    more[0, 1] += 200
    moved[[0, 2], 0, 5] += (1, -1)  # the sum over photos stays
    for wrong, said in (
        (MapCounts(more, one.groups, one.best), f"{name}: the photos' histograms do not add up"),
        (MapCounts(one.pooled, moved, one.best), rf"images.0 \(photo_0\): {name} counts other"),
    ):
        with pytest.raises(UserError, match=said):
            make(VALUES, MAPS | {name: wrong})


@pytest.mark.parametrize(
    ("place", "value", "named"),
    [
        (("images", 1, "name"), "photo_0", "two have the same name"),
        (("test", "images"), 4, "test.images"),
        (("test", "crack_share"), 7.0, "test.crack_share"),
        (("images", 1, "cldice"), None, "cldice"),
        (("train", "crack_masks_sha256"), "7" * 64, "must say what upcracknet learned from, or be null"),
        (("family",), [], "must have its variants and the one chosen, or be without both"),
    ],
)
def test_facts_that_deny_each_other_are_refused(place, value, named):
    with pytest.raises(UserError, match=named):
        make(planted(place, value))


def test_the_variant_that_was_chosen_has_the_counts_of_the_record():
    values, _ = small_values(Experiment("tf_sato_otsu"))
    assert make(values).train.chosen.variants == len(values["family"])
    values["family"][0]["tp"] += 1
    with pytest.raises(UserError, match="family: the variant chosen is not there, or not the sum"):
        make(values)


# --- On disk -------------------------------------------------------------------------------------------------


def test_what_is_written_is_read_again(saved):
    assert saved.name == "upcracknet-paper-lite-deepcrack-to-deepcrack-s0.json"
    record = load(saved)
    assert record.maps == MAPS
    kept = {"arrays", "content_sha256"}
    assert record.model_dump(exclude=kept) == make(VALUES).model_dump(exclude=kept)
    said = json.loads(saved.read_text())
    assert "images" not in said, "photo by photo, all is in the arrays"
    assert record.content_sha256 == said["content_sha256"]
    assert sorted(p.name for p in saved.parent.iterdir()) == [saved.name, f"{saved.stem}.npz"]


def test_the_same_record_gives_the_same_bytes_and_times_do_not_change_what_it_says(saved, tmp_path):
    before = {p.name: p.read_bytes() for p in saved.parent.iterdir()}
    save(VALUES, MAPS, tmp_path)
    assert {p.name: p.read_bytes() for p in saved.parent.iterdir() if p.is_file()} == before
    later = save(VALUES | {"finished": "2027-01-01T00:00:00+00:00"}, MAPS, tmp_path / "later")
    pairs = zip(before[saved.name].decode().splitlines(), later.read_text().splitlines(), strict=True)
    (differ,) = [old for old, new in pairs if old != new]
    assert "finished" in differ
    assert (later.parent / f"{later.stem}.npz").read_bytes() == before[f"{saved.stem}.npz"]


def test_one_changed_byte_of_the_arrays_is_found_wherever_it_is(saved):
    file = saved.with_suffix(".npz")
    whole = file.read_bytes()
    for at in range(0, len(whole), 97):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(UserError, match="npz: is missing, was changed"):
            load(saved)
    file.unlink()
    with pytest.raises(UserError, match="npz: is missing"):
        load(saved)


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v["arrays"].update(sha256="0" * 64),
        lambda v: v["train"].update(steps=2041),
        lambda v: v.pop("content_sha256"),
    ],
)
def test_one_changed_number_of_the_record_is_found(saved, change):
    rewritten(saved, change)
    with pytest.raises(UserError, match=saved.name):
        load(saved)


def test_another_format_is_named_and_nothing_is_touched(saved):
    rewritten(saved, lambda values: values.update(format=3))
    before = {p.name: p.read_bytes() for p in saved.parent.iterdir()}
    with pytest.raises(UserError, match=r"has format 3, this version reads 2.*Nothing was touched"):
        load(saved)
    with pytest.raises(UserError, match="Nothing was touched"):
        save(VALUES, MAPS, saved.parent)
    assert {p.name: p.read_bytes() for p in saved.parent.iterdir()} == before


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 2}', "\x00"])
def test_a_file_that_is_no_record_is_refused_and_may_be_replaced(saved, text):
    saved.write_text(text)
    with pytest.raises(UserError, match=saved.name):
        load(saved)
    assert load(save(VALUES, MAPS, saved.parent)).maps == MAPS


def test_a_record_under_another_name_is_refused(saved):
    other = saved.with_name("upcracknet-paper-lite-deepcrack-to-deepcrack-s1.json")
    record_files.write(VALUES, MAPS, other)
    with pytest.raises(UserError, match="name it so"):
        load(other)


def test_all_records_of_a_folder_are_loaded_and_nothing_else(saved):
    folder = saved.parent
    for one in (Experiment(seed=12), Experiment(overrides=(("epochs", 3),))):
        save(*small_values(one), folder)
    (folder / "shown.json").write_text("{}")
    (folder / "README.md").write_text("words")
    draft = place(Experiment(seed=5).slug(), folder, ["a try"], allow_dirty=True)
    record_files.write(*small_values(Experiment(seed=5)), draft)
    assert load(draft).key.seed == 5
    assert [record.key.seed for record in load_all(folder)] == [0, 0, 12], "no draft"
    rewritten(saved, lambda values: values["train"].pop("steps"))
    with pytest.raises(UserError, match=saved.name):
        load_all(folder)
    assert load_all(folder / "nowhere") == []


def test_a_write_that_is_cut_off_leaves_the_earlier_record(saved, monkeypatch):
    def broken(*args):
        raise KeyboardInterrupt

    before = load(saved)
    monkeypatch.setattr(record_files, "write_text", broken)
    with pytest.raises(KeyboardInterrupt):
        save(*small_values(Experiment(), seed=9), saved.parent)
    assert load_all(saved.parent) == [before]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda a: a.pop("near"), "near is None"),
        (lambda a: a.update(near=a["near"][:, :2]), r"near is \('u', \(2, 2\)\)"),
        (lambda a: a.update(raw_pooled=a["raw_pooled"].astype(float)), r"raw_pooled is \('f'"),
        (lambda a: a.update(other=a["near"]), "other is"),
    ],
)
def test_arrays_of_another_kind_are_refused(saved, change, why):
    file = saved.with_suffix(".npz")
    with np.load(file) as arrays:
        held = dict(arrays)
    change(held)
    np.savez(file, **held)
    said = json.loads(saved.read_text())
    said["arrays"]["sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
    saved.write_text(json.dumps(said | {"content_sha256": record_files.digest(said)}))
    with pytest.raises(UserError, match=f"is no file of a record's arrays.*{why}"):
        load(saved)


def test_a_record_needs_no_pydantic_to_be_written_and_read_back(saved, tmp_path):
    code = (
        "import sys; sys.modules['pydantic'] = None\n"
        "from pathlib import Path; from upcrack_lite.reproduction import record_files, run, sweep\n"
        f"values, maps = record_files.read({str(saved)!r})\n"
        f"record_files.write(values, maps, Path({str(tmp_path / 'again' / saved.name)!r}))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    for path in (saved, saved.with_suffix(".npz")):
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


# --- What must not be committed, and what is stale -----------------------------------------------------------


def _at(commit: str | None, dirty: bool | None = False) -> dict[str, Any]:
    return {"commit": {"id": commit and commit * 40, "dirty": dirty}}


@pytest.mark.parametrize(
    ("place", "value", "why"),
    [
        (("environment", "training"), _at("0", True), "trained by code.*commit first"),
        (("environment", "evaluation"), _at("0", True), "evaluated by code.*commit first"),
        (("environment", "evaluation"), _at(None, None), "unknown commit.*UPCRACK_COMMIT"),
        (("environment", "starts"), [_at("0", True), _at("0")], "in part trained by code.*commit first"),
        (("environment", "starts"), [_at(None), _at("0")], "in part trained by code of an unknown commit"),
        (("test", "known"), None, "test set has no manifest.*upcrack data fetch"),
        (
            ("train", "set_manifest_sha256"),
            None,
            "set deepcrack has no manifest.*upcrack data fetch deepcrack",
        ),
        (("train", "max_steps"), 3, "cut short at 3 steps"),
    ],
)
def test_a_state_that_nobody_can_get_back_to_is_refused_or_a_draft(tmp_path, place, value, why):
    record = make(planted(place, value))
    with pytest.raises(UserError, match=rf"{why}.*--allow-dirty"):
        record_files.place(record.slug, tmp_path, record.unfit(), allow_dirty=False)
    path = record_files.place(record.slug, tmp_path, record.unfit(), allow_dirty=True)
    assert path.name == f"{record.slug}-draft.json"


def test_what_may_be_committed_is_no_draft(tmp_path):
    named = planted(("environment", "evaluation"), _at("1", None))  # a commit that was named, without git
    assert make(named).unfit() == []
    assert place(Experiment().slug(), tmp_path, [], allow_dirty=True).stem == Experiment().slug()
    values, _ = small_values(Experiment(train_set="synthetic"))
    values["train"]["set_manifest_sha256"] = None
    assert make(values).unfit() == [], "synthetic roads need no manifest"


def test_a_preset_that_has_changed_since_makes_a_record_stale(monkeypatch):
    record = make(VALUES)
    assert record.stale() is None
    assert make(planted(("preset", "gms_median"), remove=True)).stale() is None, (
        "what came later is as it was"
    )
    monkeypatch.setitem(presets.LITE, "epochs", (50, "lite: shorter"))
    assert record.stale() == "epochs 60 is now 50"


# --- Scores --------------------------------------------------------------------------------------------------


def test_scores_come_from_the_record_alone(saved):
    record = load(saved)
    got = scores(record)
    total = sum(record.confusions, Confusion())
    assert got["images"] == 3
    assert got["f1"] == total.f1
    assert got["crack_share"] == pytest.approx(record.test.crack_share)
    assert got["interval_95"]["f1"][0] <= got["f1"] <= got["interval_95"]["f1"][1]
    assert got["smoothed"]["ods_f1"] >= got["f1"]  # the best of all thresholds, this one included
    assert got["smoothed"]["auroc"] > 90  # as the map was made
    assert set(got["raw"]) == {"ods_f1", "ods_threshold", "ois_f1", "average_precision", "auroc"}
    defined = [i.cldice for i in record.images if i.cldice is not None]
    assert got["cldice"] == pytest.approx(np.mean(defined))
    _, other = small_record(seed=4)
    with pytest.raises(UserError, match="smoothed"):
        make(VALUES, other)
    assert "raw" not in scores(make(VALUES)), "no scores of maps without any"


def test_groups_of_bins_keep_what_is_shown_and_come_near_in_the_rest():
    """OIS and pooled scores are those of 256 bins; scores of drawn photos come from groups, a point or so away."""
    rng = np.random.default_rng(0)
    crack_mask = rng.random((40, 32, 32)) < 0.08
    maps = np.clip(rng.gamma(2, 0.04, crack_mask.shape) + 0.12 * crack_mask, 0, 1)
    hist = metrics.histograms(maps.astype(np.float32), crack_mask)
    one = MapCounts.of(hist)
    assert one.ois() == metrics.ois(hist)
    assert metrics.average_precision(one.pooled) == metrics.average_precision(hist)
    assert np.array_equal(one.groups.sum(axis=-1), hist.sum(axis=-1))
    assert len(EDGES) == 33
    assert (np.diff(EDGES) >= 1).all()
    drawn = [rng.integers(0, 40, 40) for _ in range(200)]
    for score, near in ((metrics.auroc, 0.15), (metrics.average_precision, 0.6)):
        fine, coarse = (np.array([score(part[at]) for at in drawn]) for part in (hist, one.groups))
        away = coarse - fine  # a shift that all draws share, which the pooled score takes away
        assert abs(away - away.mean()).max() < near < np.ptp(fine) / 4, "so an interval can be drawn"
