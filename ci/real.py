"""Trainings on DeepCrack to records of real photos, where the prepared data sets are here (DATA=folder).

Budget small: the lite size, recipe paper, seed 0. Budget full: full scale, recipe paper with seeds 0 to 2, then
recipe released with seed 0; the style loss takes the network and the file of weights that are named. Each trained
model is tested on every test set that is here, and each record is written at once to OUT/records: as a draft when it
must not be committed; the report says why. OUT/records.tar.gz holds them all.

With --seconds the work stops by itself in time; the same command with the same --runs goes on from there.
"""

from __future__ import annotations

import shutil
import signal
import sys
import tarfile
from argparse import Namespace
from pathlib import Path

import needs
from part import FAILED, PASSED, SKIPPED, TINY, Part, missing_part, parser

TESTS = ("deepcrack", "cfd_patches", "crack500_heldout")
JOBS = {
    "small": [("paper", "lite", 0)],
    "full": [*(("paper", "full", seed) for seed in (0, 1, 2)), ("released", "full", 0)],
}


class OutOfTime(BaseException):
    """The given seconds are over. No Exception, so that nobody takes it for a failure of what it interrupts."""


def main() -> int:
    """Command line; the exit code is 1 if an experiment failed."""
    made = parser(__doc__)
    made.add_argument("--data", type=Path, help="the folder of all prepared data sets")
    made.add_argument("--runs", type=Path, help="the folder of runs; an interrupted one goes on")
    made.add_argument("--style-network", choices=("vgg16", "vgg19"), default="vgg16")
    made.add_argument("--vgg-weights", help="the file of that network's weights; 'random' for a rehearsal")
    made.add_argument("--precision", default="32-true", help="Fabric's name of the number format")
    made.add_argument("--seconds", type=float, default=0, help="stop after so long; 0 never does")
    made.add_argument("--max-steps", type=int, help="cut each training short: a try, never a result")
    made.add_argument("--tiny", action="store_true", help="a tiny network: a rehearsal, never a result")
    args = made.parse_args()
    with Part("real", args.out) as part:
        if args.data is None:
            part.add("real photos", SKIPPED, "no DATA= is given")
            return part.code
        if missing_part(part, needs.missing(needs.of_module(needs.SCORING)), "real photos"):
            return part.code
        if why := _refused(args):
            part.add("real photos", FAILED, why)
            return part.code
        runs = args.runs or args.out / "runs"
        there = [name for name in TESTS if (args.data / name).is_dir()]
        for name in sorted(set(TESTS) - set(there)):
            part.add(f"test set {name}", SKIPPED, f"it is not in {args.data.name}/")
        signal.signal(signal.SIGALRM, _stop)
        signal.setitimer(signal.ITIMER_REAL, args.seconds)
        try:
            for recipe, scale, seed in JOBS[args.budget]:
                for name in there:
                    _one(part, args, (recipe, scale, name, seed), runs)
                    _archive(args.out)
        except OutOfTime:
            part.add(
                "in time", PASSED, f"stopped after {args.seconds:g} s, as asked; the same command goes on"
            )
            return part.code
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if not args.runs and not part.code:  # after a failure the next call goes on from them
            part.facts["runs"] = "removed, since all passed; RUNS= keeps them"
            shutil.rmtree(runs, ignore_errors=True)
    return part.code


def _refused(args: Namespace) -> str:
    """What stands in the way of any work; empty: nothing."""
    if args.budget == "full" and not args.vgg_weights:
        return f"full scale needs the weights of {args.style_network}: name the file with VGG_WEIGHTS="
    if args.vgg_weights not in (None, "random") and not Path(args.vgg_weights).is_file():
        return f"{args.vgg_weights}: there is no such file of weights"
    if args.seconds and not args.runs:
        return "a training that is stopped goes on from its folder: name it with RUNS="
    if not (args.data / "deepcrack_undamaged").is_dir():
        return "DATA has no deepcrack_undamaged/: `upcrack data build deepcrack`"
    return ""


def _one(part: Part, args: Namespace, job: tuple[str, str, str, int], runs: Path) -> None:
    """Train the model if it is not there, test it on one set, and write the record."""
    from upcrack_lite.metrics import METRICS, Confusion, pooled
    from upcrack_lite.recipes import preset
    from upcrack_lite.reproduction import record_files
    from upcrack_lite.reproduction.experiments import Experiment, RunOptions
    from upcrack_lite.reproduction.run import run_experiment

    recipe, scale, test_set, seed = job
    values = dict(TINY) if args.tiny else {}
    if preset(recipe, scale).lambda_style:
        values["style_network"] = args.style_network
    experiment = Experiment("upcracknet", recipe, scale, tuple(values.items()), "deepcrack", test_set, seed)
    try:
        path = run_experiment(
            experiment,
            args.data,
            runs,
            args.out / "records",
            RunOptions(
                args.device,
                args.precision,
                args.vgg_weights if "style_network" in values else None,
                max_steps=args.max_steps,
                allow_dirty=True,
            ),
            progress=False,
            say=lambda line: print(line, flush=True),
        )
        said, _ = record_files.read(path)
        total = pooled([Confusion(*(one[n] for n in ("tp", "fp", "fn", "tn"))) for one in said["images"]])
        five = ", ".join(f"{name} {getattr(total, name):.3f}" for name in METRICS)
        draft = "; not to be committed" if path.stem.endswith(record_files.DRAFT) else ""
        part.add(experiment.slug(), PASSED, f"{five}; trained in {said['train']['seconds']:.0f} s{draft}")
    except Exception as error:
        part.add(experiment.slug(), FAILED, f"{type(error).__name__}: {error}")


def _archive(out: Path) -> None:
    """All records so far in one file, renamed when it is whole."""
    aside = out / ".records.tar.gz.part"
    with tarfile.open(aside, "w:gz") as archive:
        archive.add(out / "records", "records")
    aside.replace(out / "records.tar.gz")


def _stop(*_: object) -> None:
    raise OutOfTime


if __name__ == "__main__":
    sys.exit(main())
