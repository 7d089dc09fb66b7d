"""Cells of DeepCrack to real records, where the prepared data sets are here (DATA=folder).

Budget small: the lite size, recipe paper. Budget full: both recipes at full scale, which needs the weights of VGG
(UPCRACK_VGG_WEIGHTS). Every test set that is here is tested with the same trained model. Records go to OUT/records,
or to its subfolder `dirty` when they must not be committed; the report says why.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import needs
from part import FAILED, PASSED, SKIPPED, Part, missing_part, parser

SEEDS = (0, 1, 2)  # what a verdict needs; the lite rehearsal takes the first
TESTS = ("deepcrack", "cfd_patches", "crack500_heldout")


def main() -> int:
    """Command line; the exit code is 1 if a cell failed."""
    made = parser(__doc__)
    made.add_argument("--data", type=Path, help="the folder of all prepared data sets")
    made.add_argument("--runs", type=Path, help="the folder of runs; an interrupted one goes on")
    made.add_argument("--max-steps", type=int, help="cut the training short: a try, never a result")
    args = made.parse_args()
    with Part("real", args.out) as part:
        if args.data is None:
            part.add("real photos", SKIPPED, "no DATA= is given")
            return part.code
        if missing_part(part, needs.missing(needs.of_module(needs.SCORING)), "real photos"):
            return part.code
        scale = "full" if args.budget == "full" else "lite"
        recipes = ("paper", "released") if scale == "full" else ("paper",)
        if scale == "full" and not os.environ.get("UPCRACK_VGG_WEIGHTS"):
            part.add(
                "real photos",
                FAILED,
                "full scale needs weights of VGG-19: set UPCRACK_VGG_WEIGHTS to the file",
            )
            return part.code
        runs = args.runs or args.out / "runs"
        there = [name for name in TESTS if (args.data / name).is_dir()]
        for name in sorted(set(TESTS) - set(there)):
            part.add(f"test set {name}", SKIPPED, f"it is not in {args.data.name}/")
        if not (args.data / "deepcrack_undamaged").is_dir():
            part.add(
                "real photos", FAILED, "DATA has no deepcrack_undamaged/: `upcrack data build deepcrack`"
            )
            return part.code
        for seed in SEEDS if scale == "full" else SEEDS[:1]:
            for recipe in recipes:
                for name in there:
                    _one(part, args, recipe, scale, name, seed, runs)
        if not args.runs and not part.code:  # after a failure the next call goes on from them
            part.facts["runs"] = "removed, since all passed; RUNS= keeps them"
            shutil.rmtree(runs, ignore_errors=True)
    return part.code


def _one(part: Part, args, recipe: str, scale: str, test_set: str, seed: int, runs: Path) -> None:
    from upcrack_lite.repro import records
    from upcrack_lite.repro.cells import Cell
    from upcrack_lite.repro.make_cell import run_cell

    cell = Cell(recipe=recipe, scale=scale, train_set="deepcrack", test_set=test_set, seed=seed)
    try:
        path = run_cell(
            cell,
            args.data,
            runs,
            args.out / "records",
            device=args.device,
            max_steps=args.max_steps,
            allow_dirty=True,
            progress=False,
            say=lambda line: print(line, flush=True),
        )
        record = records.load(path)
        got = records.scores(record, records.arrays_of(path))
        five = ", ".join(f"{n} {got[n]:.3f}" for n in ("precision", "recall", "accuracy", "f1", "iou"))
        why = "; ".join(records.uncommittable(record))
        said = f"{five}; trained in {record.train.seconds:.0f} s" + (
            f"; not to be committed: {why}" if why else ""
        )
        part.add(cell.slug(), PASSED, said)
    except Exception as error:
        part.add(cell.slug(), FAILED, f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    sys.exit(main())
