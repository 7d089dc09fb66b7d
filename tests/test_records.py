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
from small_records import small_record, small_values

from upcrack_lite import metrics
from upcrack_lite.baselines import training_free
from upcrack_lite.errors import UserError
from upcrack_lite.metrics import Confusion
from upcrack_lite.reproduction import record_files, records
from upcrack_lite.reproduction.cells import Cell
from upcrack_lite.reproduction.record_files import EDGES, MapCounts
from upcrack_lite.reproduction.records import load, load_all, make, save, scores

VALUES, MAPS = small_values(Cell())


@pytest.fixture
def saved(tmp_path) -> Path:
    return save(make(VALUES), MAPS, tmp_path)


def places(values: Any, at: tuple = ()) -> list[tuple]:
    """Where each field of the schema stands; what is free inside (presets, facts) is left out."""
    free = ("preset", "crops_json", "overrides", "training", "evaluation", "tolerance")
    found = []
    for key in values:
        found.append((*at, key))
        inner = values[key]
        if isinstance(inner, dict) and key not in free:
            found += places(inner, (*at, key))
    if at == ():
        found += places(values["images"][1], ("images", 1))
    return found


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


# --- The schema ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", places(VALUES), ids=lambda p: ".".join(map(str, p)))
def test_a_field_that_is_missing_or_of_a_wrong_type_is_refused_by_name(place):
    name = ".".join(map(str, place))
    with pytest.raises(UserError, match=rf"{name}: Field required"):
        make(planted(place, remove=True))
    with pytest.raises(UserError, match=name):
        make(planted(place, [{"no": "field is like this"}]))


@pytest.mark.parametrize("place", [(), *sorted({p[:-1] for p in places(VALUES)} - {()}, key=str)], ids=str)
def test_a_field_that_nobody_knows_is_refused_by_name(place):
    with pytest.raises(UserError, match="surprise: Extra inputs"):
        make(planted((*place, "surprise"), 1))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("images", 1, "tp"), 3.0),
        (("images", 1, "tp"), True),
        (("images", 1, "tp"), "3"),
        (("images", 1, "tn"), -1),
        (("images", 1, "threshold"), 1.5),
        (("images", 1, "cldice"), 101.0),
        (("images", 1, "tolerance"), [1, 2, 3]),
        (("test", "known"), "somebody"),
        (("test", "digest"), "4" * 63),
        (("key", "seed"), 0.5),
        (("started",), "yesterday"),
        (("protocol", "resize_rule"), "cubic"),
        (("preset", "epochs"), "sixty"),
        (("preset", "recipe"), "released"),
        (("key", "recipe"), "released"),
        (("environment", "evaluation", "commit"), "abc"),
        (("environment", "evaluation", "commit"), {"id": "main", "dirty": False}),
        (("environment", "training", "commit"), {"id": "a" * 41, "dirty": False}),
        (("environment", "training", "commit"), {"id": 1234567, "dirty": False}),
        (("environment", "starts"), [VALUES["environment"]["training"]]),
        (("environment", "starts"), [{"commit": {"id": c * 40, "dirty": False}} for c in "ab"]),
        (("environment", "starts"), [VALUES["environment"]["training"], {"commit": {"id": "a"}}]),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(place, value):
    with pytest.raises(UserError, match=str(place[0])):
        make(planted(place, value))


@pytest.mark.parametrize(
    "text",
    [
        "/mnt/me/data",
        "~/data",
        "C:\\data",
        "upcrack cell --runs=/srv/runs",
        "a file '/x/y'",
        "x /y",
        "file:/z",
    ],
)
@pytest.mark.parametrize("place", [("command",), ("train", "style_weights"), ("train", "crops_json", "root")])
def test_a_path_of_a_machine_is_a_fault(place, text):
    with pytest.raises(UserError, match=rf"{'.'.join(place)}: holds a path of this machine"):
        make(planted(place, text))
    make(planted(place, "file vgg16.safetensors, 3/4 of it, data/deepcrack"))


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        (("images", 1, "tp"), float),
        (("images", 1, "fn"), str),
        (("images", 1, "threshold"), str),
        (("key", "seed"), bool),
        (("train", "steps"), float),
        (("test", "images"), str),
    ],
)
def test_a_right_value_of_a_wrong_type_is_refused_by_name(place, kind):
    value = VALUES
    for key in place:
        value = value[key]
    with pytest.raises(UserError, match=rf"{'.'.join(map(str, place))}: Input should be a valid"):
        make(planted(place, kind(value)))


# --- Counts that fit together --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tp", "fp", "fn", "tn"])
def test_one_count_more_is_found(name):
    with pytest.raises(UserError, match=r"images.1 \(photo_1\): tp \+ fp \+ fn \+ tn is 257, not 16²"):
        make(planted(("images", 1, name), VALUES["images"][1][name] + 1))


def test_counts_moved_from_one_class_to_another_are_found(tmp_path):
    values = copy.deepcopy(VALUES)
    image = values["images"][0]
    image["fp"] -= 1
    image["tn"] += 1
    with pytest.raises(UserError, match=r"images.0.*tolerance and the counts differ"):
        make(values)
    image["tolerance"][1] -= 1
    image["tolerance"][0] -= 1
    with pytest.raises(UserError, match=r"images.0.*cut at its threshold"):
        save(make(values), MAPS, tmp_path)
    values["images"][0] = VALUES["images"][0] | {"threshold": 0.2}
    with pytest.raises(UserError, match=r"images.0.*cut at its threshold"):
        save(make(values), MAPS, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["smoothed", "raw"])
@pytest.mark.parametrize("part", ["pooled", "groups", "best"])
def test_a_histogram_that_does_not_fit_the_counts_is_found(tmp_path, name, part):
    values = {one: getattr(MAPS[name], one).copy() for one in ("pooled", "groups", "best")}
    values[part][(2, 0, 7)[: values[part].ndim] if part == "groups" else (0, 1)] += 200
    with pytest.raises(UserError, match=rf"{name}"):
        save(make(VALUES), MAPS | {name: MapCounts(**values)}, tmp_path)
    values["groups"] = MAPS[name].groups.copy()
    values["groups"][[0, 2], 0, 5] += (1, -1)  # the sum over photos stays
    values["pooled"], values["best"] = MAPS[name].pooled, MAPS[name].best
    with pytest.raises(UserError, match=rf"images.0 \(photo_0\): {name} counts other"):
        save(make(VALUES), MAPS | {name: MapCounts(**values)}, tmp_path)


def test_other_arrays_that_add_up_are_refused_too(tmp_path):
    groups = MAPS["raw"].groups.copy()
    groups[[0, 1], 0, 4], groups[[0, 1], 0, 5] = (
        groups[[0, 1], 0, 4] + (1, -1),
        groups[[0, 1], 0, 5] + (-1, 1),
    )
    other = MAPS | {"raw": MapCounts(MAPS["raw"].pooled, groups, MAPS["raw"].best)}
    with pytest.raises(UserError, match="not the arrays that the record"):
        save(make(VALUES), other, tmp_path)


@pytest.mark.parametrize(
    ("place", "value", "named"),
    [
        (("images", 1, "name"), "photo_0", "two have the same name"),
        (("test", "images"), 4, "test.images"),
        (("test", "crack_share"), 7.0, "test.crack_share"),
        (("arrays", "file"), "other.npz", "arrays.file"),
        (("key", "seed"), 1, "arrays.file"),
        (("images", 1, "cldice"), None, "cldice"),
        (("protocol", "threshold_rule"), "fixed", "protocol.threshold_rule"),
    ],
)
def test_facts_that_deny_each_other_are_refused(place, value, named):
    with pytest.raises(UserError, match=named):
        make(planted(place, value))


# --- On disk -------------------------------------------------------------------------------------------------


def test_what_is_saved_is_loaded_again(saved):
    assert saved.name == "upcracknet-paper-lite-deepcrack-to-deepcrack-s0.json"
    assert load(saved) == make(VALUES, MAPS)
    assert load(saved).maps == MAPS
    assert "images" not in json.loads(saved.read_text()), "photo by photo, all is in the arrays"
    assert sorted(p.name for p in saved.parent.iterdir()) == [saved.name, f"{saved.stem}.npz"]


def test_the_same_record_gives_the_same_bytes_and_times_do_not_change_what_it_says(saved, tmp_path):
    before = {p.name: p.read_bytes() for p in saved.parent.iterdir()}
    save(make(VALUES), MAPS, tmp_path)
    assert {p.name: p.read_bytes() for p in saved.parent.iterdir() if p.is_file()} == before
    later = save(make(VALUES | {"finished": "2027-01-01T00:00:00+00:00"}), MAPS, tmp_path / "later")
    differ = [
        (old, new)
        for old, new in zip(
            before[saved.name].decode().splitlines(), later.read_text().splitlines(), strict=True
        )
        if old != new
    ]
    assert len(differ) == 1
    assert "finished" in differ[0][0]
    assert (later.parent / f"{later.stem}.npz").read_bytes() == before[f"{saved.stem}.npz"]
    keys = list(json.loads(later.read_text()))
    assert keys == sorted(keys)


def test_one_changed_byte_of_the_arrays_is_found_wherever_it_is(saved):
    file = saved.with_suffix(".npz")
    whole = file.read_bytes()
    for at in range(0, len(whole), 97):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(UserError, match="npz: was changed"):
            load(saved)
    file.unlink()
    with pytest.raises(UserError, match=r"npz: the arrays of .* cannot be read"):
        load(saved)


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v["arrays"].update(sha256="0" * 64),
        lambda v: v["versions"].update(training=2),
        lambda v: v["train"].update(steps=2041),
        lambda v: v["environment"]["training"].update(threads=2),
        lambda v: v["preset"].update(epochs=61),
        lambda v: v.update(content_sha256="0" * 64),
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
    with pytest.raises(
        UserError, match=r"format: this record has 3, this version reads 2.*Nothing was touched"
    ):
        load(saved)
    with pytest.raises(UserError, match="Nothing was touched"):
        save(make(VALUES), MAPS, saved.parent)
    assert {p.name: p.read_bytes() for p in saved.parent.iterdir()} == before


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 2}', "\x00"])
def test_a_file_that_is_no_record_is_refused(saved, text):
    saved.write_text(text)
    with pytest.raises(UserError, match=saved.name):
        load(saved)


def test_a_record_under_another_name_is_refused(saved):
    other = saved.with_name("upcracknet-paper-lite-deepcrack-to-deepcrack-s1.json")
    saved.rename(other)
    with pytest.raises(UserError, match="name it so"):
        load(other)


def test_all_records_of_a_folder_are_loaded_and_nothing_else(saved):
    folder = saved.parent
    for cell in (Cell(seed=12), Cell(overrides=(("epochs", 3),))):
        save(*small_record(cell), folder)
    (folder / "shown.json").write_text("{}")
    (folder / "README.md").write_text("words")
    tried, arrays = small_values(Cell(seed=5))
    tried["train"]["max_steps"] = 3
    save(make(tried), arrays, folder, allow_dirty=True)
    assert [record.key.seed for record in load_all(folder)] == [0, 0, 12]
    rewritten(saved, lambda values: values["train"].pop("steps"))
    with pytest.raises(UserError, match=saved.name):
        load_all(folder)
    with pytest.raises(UserError, match="no such folder"):
        load_all(folder / "nowhere")


def test_a_write_that_is_cut_off_leaves_no_record(saved, monkeypatch):
    def broken(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(record_files, "write_text", broken)
    with pytest.raises(KeyboardInterrupt):
        save(*small_record(Cell(), seed=9), saved.parent)
    assert load_all(saved.parent) == []


# --- What must not be committed ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "value", "why"),
    [
        (
            ("environment", "training"),
            {"commit": {"id": "0" * 40, "dirty": True}},
            "trained by code.*commit first",
        ),
        (
            ("environment", "evaluation"),
            {"commit": {"id": "0" * 40, "dirty": True}},
            "evaluated by code.*commit first",
        ),
        (
            ("environment", "evaluation"),
            {"commit": {"id": None, "dirty": None}},
            "unknown commit.*UPCRACK_COMMIT",
        ),
        (("test", "known"), None, "test set has no manifest.*upcrack data fetch"),
        (
            ("train", "set_manifest_sha256"),
            None,
            "training set deepcrack has no manifest.*upcrack data fetch deepcrack",
        ),
        (
            ("environment", "starts"),
            [{"commit": {"id": "0" * 40, "dirty": dirty}} for dirty in (True, False)],
            "in part trained by code.*commit first",
        ),
        (
            ("environment", "starts"),
            [{"commit": {"id": one, "dirty": False}} for one in (None, "0" * 40)],
            "in part trained by code of an unknown commit",
        ),
        (("train", "max_steps"), 3, "cut short at 3 steps"),
    ],
)
def test_a_state_that_nobody_can_get_back_to_is_refused_or_put_aside(tmp_path, place, value, why):
    record = make(planted(place, value))
    with pytest.raises(UserError, match=rf"{why}.*--allow-dirty"):
        save(record, MAPS, tmp_path)
    assert not list(tmp_path.iterdir())
    path = save(record, MAPS, tmp_path, allow_dirty=True)
    assert path.parent == tmp_path / "dirty"
    assert load(path).model_dump() == record.model_dump()
    assert load_all(tmp_path) == []


def test_synthetic_roads_to_train_on_need_no_manifest():
    values, _ = small_values(Cell(train_set="synthetic"))
    values["train"]["set_manifest_sha256"] = None
    assert records.uncommittable(make(values)) == []


def test_an_older_record_is_written_again_as_it_was(tmp_path):
    values, arrays = small_values(Cell("tf_sato_otsu"))
    written = make(values).model_dump(mode="json")
    assert "starts" not in written["environment"]
    assert "training" not in written["train"]["chosen"]
    values["environment"]["starts"] = [_at(one) for one in "01"]
    values["train"]["chosen"] |= chosen_among(values, best=0)
    record = make(values)
    assert len(record.environment.trained) == 2
    assert load(save(record, arrays, tmp_path)).model_dump() == record.model_dump(), "what is said is written"


def test_a_clean_record_is_not_put_aside_and_a_named_commit_without_git_is_clean(tmp_path):
    values = planted(("environment", "evaluation"), {"commit": {"id": "1" * 40, "dirty": None}})
    assert save(make(values), MAPS, tmp_path, allow_dirty=True).parent == tmp_path


def test_a_preset_that_has_changed_since_makes_a_record_stale(monkeypatch):
    from upcrack_lite import recipes

    record = make(VALUES)
    assert record.stale() is None
    monkeypatch.setitem(recipes.LITE, "epochs", (50, "lite: shorter"))
    assert record.stale() == "epochs 60 is now 50"


def _at(commit: str) -> dict[str, Any]:
    return {"commit": {"id": commit * 40, "dirty": False}}


# --- The choice of a detector without training ---------------------------------------------------------------


def chosen_among(values: dict[str, Any], best: int) -> dict[str, Any]:
    """What `train.chosen` says where the variant at place `best`, and the one after it, have the best F1."""
    names = [one["name"] for one in values["family"]]
    counts = [
        {"name": name, "tp": 60 if index in (best, best + 1) else 40, "fp": 10, "tn": 90}
        for index, name in enumerate(names)
    ]
    counts = [one | {"fn": 100 - one["tp"]} for one in counts]
    return {"name": names[best], "training_f1": Confusion(60, 10, 40, 90).f1, "training": counts}


def family_values(best: int = 0) -> dict[str, Any]:
    """A record of a detector without training that holds together."""
    values, _ = small_values(Cell("tf_sato_otsu"))
    chosen = chosen_among(values, best)
    values["train"]["chosen"] |= chosen
    rows = values["family"]
    rows[0]["name"], rows[best]["name"] = rows[best]["name"], rows[0]["name"]
    rows[0], rows[best] = rows[best], rows[0]
    return values


def test_the_first_of_the_best_variants_is_the_one_chosen():
    for best in (0, 2):
        values = family_values(best)
        assert make(values).train.chosen.training[best].tp == 60
        judged = {
            one["name"]: Confusion(*(one[n] for n in ("tp", "fp", "fn", "tn")))
            for one in values["train"]["chosen"]["training"]
        }
        assert training_free.best_of(judged) == values["train"]["chosen"]["name"]


def _other_score(values: dict[str, Any]) -> None:
    values["train"]["chosen"]["training_f1"] = 99.9


def _second_best(values: dict[str, Any]) -> None:
    """The next one is as good, but it does not come first."""
    family, chosen = values["family"], values["train"]["chosen"]
    chosen["name"] = family[1]["name"]
    counts = {name: family[0][name] for name in ("tp", "fp", "fn", "tn")}
    family[0] |= {name: family[1][name] for name in counts}
    family[1] |= counts


def _one_less(values: dict[str, Any]) -> None:
    values["train"]["chosen"]["training"].pop()


def _exchanged(values: dict[str, Any]) -> None:
    counts = values["train"]["chosen"]["training"]
    counts[-1]["name"], counts[-2]["name"] = counts[-2]["name"], counts[-1]["name"]


def _other_photos(values: dict[str, Any]) -> None:
    values["train"]["chosen"]["training"][-1]["tn"] += 1


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_other_score, r"train.chosen.training_f1: says 99.9, but the counts give 70\.58"),
        (_second_best, "train.chosen.name: .* is the best on the training photos, not"),
        (_one_less, "must have the variants of family, in their order"),
        (_exchanged, "must have the variants of family, in their order"),
        (_other_photos, "differ in crack or background pixels"),
    ],
)
def test_a_choice_that_its_counts_do_not_bear_out_is_refused(change, why):
    values = family_values()
    change(values)
    with pytest.raises(UserError, match=why):
        make(values)


# --- Scores --------------------------------------------------------------------------------------------------


def test_scores_come_from_the_record_alone(saved):
    record = load(saved)
    got = scores(record)
    total = sum((Confusion(i.tp, i.fp, i.fn, i.tn) for i in record.images), Confusion())
    assert got["images"] == 3
    assert got["f1"] == total.f1
    assert got["crack_share"] == total.prevalence == pytest.approx(record.test.crack_share)
    assert got["interval_95"]["f1"][0] <= got["f1"] <= got["interval_95"]["f1"][1]
    assert got["smoothed"]["ods_f1"] >= got["f1"]  # the best of all cuts, this one included
    assert got["smoothed"]["auroc"] > 90  # as the map was made
    assert set(got["raw"]) == {"ods_f1", "ods_threshold", "ois_f1", "average_precision", "auroc"}
    defined = [i.cldice for i in record.images if i.cldice is not None]
    assert got["cldice"] == pytest.approx(np.mean(defined))


def test_a_record_refuses_the_maps_of_another_and_has_no_scores_of_maps_without_any():
    _, other = small_record(seed=4)
    with pytest.raises(UserError, match="smoothed"):
        make(VALUES, other)
    assert "raw" not in scores(make(VALUES))
    with pytest.raises(UserError, match="without its maps"):
        _ = make(VALUES).maps


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


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda a: a.pop("near"), "it has cldice"),
        (lambda a: a.update(more=a["near"]), "it has cldice"),
        (lambda a: a.update(near=a["near"][:, :2]), r"near is uint32 \(2, 2\)"),
        (lambda a: a.update(raw_pooled=a["raw_pooled"].astype(float)), "raw_pooled is float64"),
        (lambda a: a.update(names=a["names"].astype("S")), "names is"),
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
    del said["content_sha256"]
    saved.write_text(json.dumps(said | {"content_sha256": record_files.digest(said)}))
    with pytest.raises(UserError, match=f"is no file of a record's arrays.*{why}"):
        load(saved)


def test_a_record_needs_no_pydantic_to_be_written_and_read_back(tmp_path):
    code = (
        "import sys; sys.modules['pydantic'] = None\n"
        "from pathlib import Path; from upcrack_lite.reproduction import record_files, plan, evaluate, make_cell\n"
        f"values, maps = record_files.read({str(save(make(VALUES), MAPS, tmp_path))!r})\n"
        f"record_files.write(values, maps, Path({str(tmp_path / 'again' / 'x.json')!r}))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    name = f"{Cell().slug()}.npz"
    assert (tmp_path / "again" / name).read_bytes() == (tmp_path / name).read_bytes()


def test_a_file_that_is_no_json_is_replaced(tmp_path):
    record, arrays = small_record()
    path = records.save(record, arrays, tmp_path)
    path.write_text(path.read_text(encoding="utf-8")[:100], encoding="utf-8")
    assert records.load(records.save(record, arrays, tmp_path)) == record
