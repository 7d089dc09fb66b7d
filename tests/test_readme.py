"""The numbers of README.md are those of the records."""

from __future__ import annotations

import functools
import itertools
import re
import statistics
from collections import Counter
from collections.abc import Sequence

import pytest
from conftest import ROOT

from upcrack_lite.baselines.recipes import FAMILIES, SUPERVISED
from upcrack_lite.baselines.registry import BESIDE, CRACKNET, DRAWN
from upcrack_lite.reproduction import ablation, published, records
from upcrack_lite.reproduction.tables import group
from upcrack_lite.reproduction.verdicts import MARGIN, Verdict
from upcrack_lite.show.overview import AllRows
from upcrack_lite.show.table_words import spread

SETS = {4: "DeepCrack", 7: "CFD", 8: "Crack500"}
README = (ROOT / "README.md").read_text(encoding="utf-8")


@functools.cache
def given() -> tuple:
    """The committed records, read once."""
    return tuple(records.load_all(ROOT / "results"))


def held(table: int, key: str, recipe: str = "paper"):
    """The records of a method at lite scale, trained on DeepCrack; a detector without training has one scale."""
    row = published.beside(table, key) if key in BESIDE else published.row(table, key)
    wanted = (recipe, "full" if key in FAMILIES else "lite", "deepcrack")
    groups = [one for one in group(row, given()) if not one.substituted]
    (ours,) = [one for one in groups if (one.recipe, one.scale, one.train_set) == wanted]
    return ours


def each_seed(ours) -> list[float]:
    """F1 in percent, a value a seed."""
    return [records.scores(one)["f1"] for one in ours.records]


def larger(table: int):
    """The records of UP-CrackNet at half scale, trained on DeepCrack for 30 epochs."""
    groups = group(published.row(table, CRACKNET), given())
    (ours,) = [one for one in groups if (one.scale, one.substituted) == ("half", ("30 epochs", "vgg16"))]
    return ours


def half(table: int) -> list[float]:
    """F1 at half scale, a value a seed."""
    return each_seed(larger(table))


def masked_first() -> list[ablation.Step]:
    """The recipe `paper` without and with `mask_before_resize=true` on the three sets, three seeds each."""
    found = []
    for test_set in ("deepcrack", "cfd_patches", "crack500_heldout"):
        (step,) = [s for s in ablation.ablation(given(), test_set=test_set) if s.key == "mask_before_resize"]
        assert step.seeds == 3
        found.append(step)
    return found


def cell(some: Sequence[records.Record]) -> str:
    """F1 over seeds, and what the raw maps are worth: best F1 with one threshold, and average precision."""
    f1 = spread([records.scores(one)["f1"] for one in some])
    worth = ablation.stages(some)
    return f"{f1} ({worth['raw']:.1f}, {worth['ap']:.1f})"


METHODS = {
    "UP-CrackNet, recipe `paper`": (CRACKNET,),
    "UP-CrackNet, recipe `released`": (CRACKNET, "released"),
    "Deepcrack18, supervised": ("deepcrack18",),
    "U-Net, supervised": ("unet",),
    "Deepcrack19, supervised": ("deepcrack19",),
    "SCADN, unsupervised": ("scadn",),
    "RIAD, unsupervised": ("riad",),
    "drawn cracks, on DeepCrack's undamaged crops": (DRAWN,),
    "darkness, a fixed level": ("tf_global_darkness",),
    "darkness, the paper's filter and Otsu's threshold": ("tf_global_darkness_paper",),
}


def test_the_table_of_f1_is_what_the_records_say():
    found = {words: [held(table, *key).records for table in SETS] for words, key in METHODS.items()}
    found["UP-CrackNet, recipe `paper` with `mask_before_resize=true`"] = [
        [new for _, new in step.pairs] for step in masked_first()
    ]
    found["UP-CrackNet, recipe `paper`, scale `half`, 30 epochs"] = [larger(t).records for t in SETS]
    assert len(half(4)) == 3
    lines = {words: map(cell, some) for words, some in found.items()}
    lines["UP-CrackNet as printed, Tables IV, VII, VIII"] = (
        spread([published.row(table, CRACKNET).f1]) for table in SETS
    )
    for words, cells in lines.items():
        assert f"| {words} | {' | '.join(cells)} |" in README


def test_the_larger_runs_against_the_lite_ones():
    for table in SETS:
        for what in ("raw", "ap"):
            worth = [
                [ablation.stages([one])[what] for one in ours.records]
                for ours in (larger(table), held(table, CRACKNET))
            ]
            assert min(worth[0]) > max(worth[1])
    lite = {t: each_seed(held(t, CRACKNET)) for t in SETS}
    ahead = [statistics.fmean(half(t)) - statistics.fmean(lite[t]) for t in SETS]
    assert [round(points) for points in ahead[::2]] == [7, 6]
    text = " ".join(README.split())
    assert "45.9, 39.2 and 35.3 %, and the best lite run has 35.7 %" in text
    assert [round(one, 1) for one in (*half(4), max(lite[4]))] == [45.9, 39.2, 35.3, 35.7]


def test_the_mask_that_is_cut_in_first_against_darkness_with_the_same_cut():
    dark = [records.scores(held(t, "tf_global_darkness_paper").records[0])["f1"] for t in SETS]
    ours = [statistics.fmean(one["f1"] for one in step.after) for step in masked_first()]
    ahead = [one - other for one, other in zip(ours, dark, strict=True)]
    assert [round(points) for points in ahead[:2]] == [6, 2]
    assert ahead[2] < 0


def test_who_lies_above_whom_on_the_held_out_photos():
    def f1(key: str) -> float:
        return records.scores(held(8, key).records[0])["f1"]

    ours = held(8, CRACKNET).scores["f1"].mean
    assert ours > max(f1(key) for key in SUPERVISED)
    assert f1("tf_global_darkness_paper") > ours
    best = held(8, CRACKNET).worth.f1
    assert sorted(key for key in SUPERVISED if held(8, key).worth.f1 > best) == ["lawin", "pspnet", "upernet"]


def test_the_drawn_detector_s_seeds_at_the_photos_own_size():
    rows = [one for one in group(published.beside(4, DRAWN), given()) if one.substituted == ("own size",)]
    (own,) = [one for one in rows if (one.scale, one.train_set) == ("lite", "deepcrack")]
    said = [f"{records.scores(one)['f1']:.1f}" for one in own.records]
    assert f"{said[0]}, {said[1]} and {said[2]} % on DeepCrack" in " ".join(README.split())


def test_what_is_said_of_detectors_without_training():
    level = held(4, "tf_global_darkness")
    assert level.records[0].train.chosen.variants == 24
    rows = published.rows(4)
    assert len(rows) == 14
    assert all(level.scores["f1"].mean > row.f1 and level.scores["iou"].mean > row.iou for row in rows)
    above = [key for key in FAMILIES if held(7, key).scores["f1"].mean > published.row(7, "upcracknet").f1]
    assert sorted(above) == ["tf_frangi_otsu", "tf_local_darkness_otsu"]
    assert len(FAMILIES) == 14


def test_the_numbers_of_the_stored_detector_are_its_records():
    own = {("deepcrack", True), ("deepcrack", False), ("cfd", True)}
    found = {}
    for record in given():
        key = record.key
        native = key.overrides == {"native": True}
        if (key.method, key.scale, key.train_set, key.seed) == ("drawn", "full", "synthetic", 0):
            found[key.test_set, native] = records.scores(record)
    assert own <= found.keys()
    home, squeezed, cfd = (found[one] for one in (("deepcrack", True), ("deepcrack", False), ("cfd", True)))
    text = " ".join(README.split())
    assert f"it has an F1 of {home['f1']:.1f} % (IoU {home['iou']:.1f} %)" in text
    printed = published.row(4, CRACKNET).f1
    assert f"tables, {squeezed['f1']:.1f} %, where {printed:.1f} % is printed for UP-CrackNet" in text
    assert f"On CFD's 118 whole photos it has {cfd['f1']:.1f} %" in text


def test_the_margin_of_a_verdict_is_how_far_two_seeds_lie_apart():
    seeds: dict[str, list[float]] = {}
    for record in given():
        seeds.setdefault(re.sub(r"-s\d+", "", record.slug), []).append(records.scores(record)["f1"])
    apart = [abs(a - b) for some in seeds.values() for a, b in itertools.combinations(some, 2)]
    assert statistics.median(apart) == pytest.approx(MARGIN, abs=0.3)


def test_the_verdicts_are_counted_as_they_are():
    every = AllRows().every
    counts = Counter(row.verdict for row in every)
    own = sum(bool(row.ours) for row in every if row.verdict == Verdict.CANNOT)
    said = (
        f"Of the {counts.total()} printed rows {counts[Verdict.OPEN]} are *open*, {counts[Verdict.NOT_RUN]} have not "
        f"been run and {counts[Verdict.CANNOT]} cannot be run (beside {own} of these"
    )
    assert said in README
