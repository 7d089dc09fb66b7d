"""The sweep: methods x training sets x test sets x seeds, from a laptop to a cluster.

    make tables TABLES=4,7 SEEDS=0,1,2 SCALE=lite PROFILE=local
    snakemake -s workflow/sweep.smk --profile workflow/profiles/local --config tables=4 seeds=0,1,2

One job trains each model, and one job tests each cell: a call of papermill on notebooks/tables/one_cell.ipynb. A
cell waits for its model, so two cells that share one never train it twice. What is done is told by the records and
the runs, not by files of this workflow: a cell is planned when its record is missing or no longer holds, and a
training that was interrupted goes on. A job that fails stops no other; it says why, and its log lies in STATE.
The settings and their defaults: upcrack_lite/reproduction/sweep.py.
"""

import json
import os
import re
import shlex
import sys
import time
from dataclasses import asdict
from pathlib import Path

from snakemake.logging import logger
from snakemake_interface_executor_plugins.settings import SharedFSUsage

ROOT = Path(workflow.basedir).parent
sys.path.insert(0, str(ROOT))
# The jobs use the kit beside this file, not another one that is installed.
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
from upcrack_lite.errors import UserError
from upcrack_lite.reproduction.sweep import plan

try:
    PLAN = plan(config)
except UserError as error:
    raise WorkflowError(str(error)) from None

FOLDERS = {name: getattr(PLAN, name) for name in ("data_root", "runs", "results", "state")}
VGG = PLAN.options.vgg_weights
FILES = {} if VGG in (None, "random") else {"vgg_weights": Path(VGG)}
SHARED = SharedFSUsage.INPUT_OUTPUT in workflow.storage_settings.shared_fs_usage
if not SHARED:
    if loose := [name for name, place in (FOLDERS | FILES).items() if not place.is_absolute()]:
        raise WorkflowError(
            f"{', '.join(loose)}: each job has a working folder of its own here, so name what is on the shared "
            "volume, from the root on, such as runs=/shared/runs"
        )
    if "UPCRACK_COMMIT" not in os.environ:  # a pod has no git to ask which commit its code is of
        from upcrack_lite.runs import environment

        commit = environment()["commit"]
        if commit["id"] and not commit["dirty"]:
            os.environ["UPCRACK_COMMIT"] = commit["id"]
# From here on from the root on: a notebook works in its own folder.
DATA, RUNS, RESULTS, STATE = (folder.absolute() for folder in FOLDERS.values())

CELLS = PLAN.experiments
WHY = {slug: why for slug, cell in CELLS.items() if (why := PLAN.why(cell))}
TODO = list(WHY)
SHARING = {}  # the name of a run to the cells that wait for it
for slug in TODO:
    SHARING.setdefault(PLAN.run(CELLS[slug]), []).append(CELLS[slug])
# Snakemake makes a file anew when a parameter of its rule has changed; this one always has. So a marker that an
# interrupted sweep left behind never passes for work that is done.
NOW = time.time()

def summary() -> list[str]:
    """What is to be done, and why, line by line; what is missing for it comes last."""
    trainings = sum(not PLAN.is_trained(cells[0]) for cells in SHARING.values())
    lines = [
        f"{len(CELLS)} cells: {len(CELLS) - len(TODO)} have a record that holds, {len(TODO)} to do, {trainings} trainings."
    ]
    lines += [f"  {slug}: {WHY[slug]}" for slug in TODO[:MOST]]
    lines += [f"  and {len(TODO) - MOST} more"] * (len(TODO) > MOST)
    lines += [f"Left out: {why}." for why in PLAN.left_out]
    lacking = [why for slug in TODO if (why := PLAN.missing(CELLS[slug]))]
    lines += [f"{lacking.count(why)} of them will fail: {why}" for why in dict.fromkeys(lacking)]
    if TODO and len(lacking) == len(TODO):
        raise WorkflowError("\n".join([*lines, "Nothing can be made: fetch what is missing first."]))
    return lines


MOST = 40  # cells that are listed
if workflow.is_main_process:
    print(*summary(), sep="\n", file=sys.stderr)

# What Snakemake says of its own work, and says again of a job that has told its failure itself.
NOISE = re.compile(
    r"(Assuming unrestricted|Building DAG|Using shell|Provided cores|Rules claiming|Select jobs|Execute \d|Touching output"
    r"|Removing temporary|Finished job|Exiting because a job|Complete log|Elapsed time"
    r"|RuleException:\nCalledProcessError[\s\S]* returned non-zero exit status 1\.|(WorkflowError:\n)?At least one job did not complete)"
)
logger.addFilter(lambda record: not NOISE.match(record.getMessage()))


def job(cells, log, threads, words) -> str:
    """A command whose output goes to a log, and whose failure is one of these cells."""
    slugs = [word for cell in cells for word in ("--for", cell.slug())]
    start = [sys.executable, "workflow/sweep_job.py", "--log", str(log), *slugs]
    return shlex.join([*start, "--threads", str(threads), "--", sys.executable, *words])


def train_words(wildcards, threads) -> str:
    """Train a model, or go on where its training stopped."""
    waiting = SHARING[wildcards.run]
    _, *words = shlex.split(waiting[0].command())  # `upcrack` cell ...
    places = ["--data-root", str(DATA), "--runs", str(RUNS), "--train-only"]
    words = ["-m", "upcrack_lite.cli", *words, *places, *PLAN.options.usable(waiting[0]).words()]
    return job(waiting, STATE / f"{wildcards.run}.train.log", threads, words)


def cell_words(wildcards, threads) -> str:
    """Test one cell: one call of papermill."""
    cell = CELLS[wildcards.slug]
    key = cell.key()
    values = {"settings": key.pop("overrides")} | key | asdict(PLAN.options.usable(cell))
    values |= {"data_root": str(DATA), "runs": str(RUNS), "results": str(RESULTS)}
    values |= {name: str(file.absolute()) for name, file in FILES.items() if values[name] is not None}
    words = ["workflow/run_notebook.py", "notebooks/tables/one_cell.ipynb", str(STATE / f"{cell.slug()}.ipynb")]
    for name, value in values.items():
        words += ["-p", name, json.dumps("" if value is None else value)]
    words += ["--threads", str(threads), "--cell-timeout", "0"]
    return job([cell], STATE / f"{cell.slug()}.log", threads, words)


def model(wildcards) -> list[str]:
    """What a cell waits for. Nothing, where its test set is missing: it fails at once, and nobody trains for it."""
    cell = CELLS[wildcards.slug]
    if PLAN.is_trained(cell) or not PLAN.can_be_tested(cell):
        return []
    return [f"{PLAN.state}/trained/{PLAN.run(cell)}"]


if not SHARED and "UPCRACK_COMMIT" in os.environ:

    envvars:
        "UPCRACK_COMMIT",


def forget_markers() -> None:
    """Remove what a sweep that failed leaves behind: records and runs tell what is done."""
    for slug in TODO:
        (PLAN.state / "done" / slug).unlink(missing_ok=True)
    for run in SHARING:
        (PLAN.state / "trained" / run).unlink(missing_ok=True)


onerror:
    forget_markers()
    print("Some cells have failed; the rest is recorded or goes on next time.", file=sys.stderr)
    print(f"Why: the lines that begin with failed:, and the logs in {STATE}.", file=sys.stderr)


rule sweep:
    input:
        [f"{PLAN.state}/done/{slug}" for slug in TODO],


rule train:
    output:
        temp(touch(f"{PLAN.state}/trained/{{run}}")),
    params:
        words=train_words,
        now=NOW,
    threads: workflow.cores or 1
    shell:
        "{params.words}"


rule cell:
    input:
        model,
    output:
        temp(touch(f"{PLAN.state}/done/{{slug}}")),
    params:
        words=cell_words,
        now=NOW,
    threads: workflow.cores or 1
    shell:
        "{params.words}"
