"""The sweep over the cells of the paper's tables: one `upcrack cell` each, one after the other on this machine.

    make tables TABLES=4,7 SEEDS=0,1,2 SCALE=lite
    snakemake -s workflow/sweep.smk --cores 2 --keep-going --config tables=4 seeds=0,1,2

A cell that is done is not made again, one that failed is tried again, and neither stops the others. Each cell takes
all cores, so that two cells which share a trained model never train it at the same time.
"""

import shlex
import sys
from pathlib import Path

ROOT = Path(workflow.basedir).parent
sys.path.insert(0, str(ROOT))
from upcrack_lite.repro.cells import cells

TABLES = str(config.get("tables", "1,2,3,4,5,6,7,8")).split(",")
SEEDS = [int(seed) for seed in str(config.get("seeds", "0")).split(",")]
STATE = Path(config.get("state", "build/sweep"))
PLACES = {name: config.get(name, default) for name, default in
          (("data_root", "data"), ("runs", "runs"), ("results", "results"))}
EXTRA = shlex.split(config.get("extra", ""))  # such as "--device cuda --precision bf16-mixed"

CELLS = {}
for table in TABLES:
    for cell in cells(
        table,
        config.get("recipe", "paper"),
        config.get("scale", "lite"),
        SEEDS,
        config.get("train_set") or None,
        config.get("test_set") or None,
    ):
        CELLS.setdefault(cell.slug(), cell)

def words(wildcards) -> str:
    """The command of a cell, as its record names it, with this sweep's folders."""
    _, *rest = shlex.split(CELLS[wildcards.slug].command())
    places = [word for name, place in PLACES.items() for word in (f"--{name.replace('_', '-')}", str(place))]
    return shlex.join([sys.executable, "-m", "upcrack_lite.cli", *rest, *places, *EXTRA])


onerror:
    for slug in CELLS:
        log = STATE / f"{slug}.log"
        if log.exists() and not (STATE / f"{slug}.done").exists():
            last = (log.read_text(encoding="utf-8", errors="replace").strip() or "no message").splitlines()[-1]
            print(f"failed: {slug}: {last}\n  the whole log: {log}", file=sys.stderr)


rule sweep:
    input:
        [STATE / f"{slug}.done" for slug in CELLS],


rule cell:
    output:
        touch(STATE / "{slug}.done"),
    params:
        words=words,
    log:
        STATE / "{slug}.log",
    threads: workflow.cores or 1
    shell:
        "{params.words} > {log} 2>&1"
