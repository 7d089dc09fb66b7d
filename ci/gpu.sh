#!/usr/bin/env bash
# Check the kit on a graphics card, by hand or from .github/workflows/gpu.yml. No network is needed. Settings:
#
#   DEVICE=cuda      cpu: rehearse on a CPU, smaller
#   BUDGET=small     full: full scale where DATA= is given: recipe paper, seeds 0 to 2, then released, seed 0
#   STEPS=           which parts, with commas; empty: preflight,tests,compare,rows,chapters,real
#   ONLY=            chapters to run, with commas: 03_data,tables/table_4
#   DATA=            the folder of all prepared data sets, for records of real photos
#   OUT=build/gpu    where report.md, report.json, logs, notebooks and records go
#   VGG_WEIGHTS=     the file of weights for the style loss of full scale ("random": a rehearsal)
#   VGG_NETWORK=vgg16    which network they are of: vgg16 or vgg19
#   PRECISION=32-true    number format of these trainings
#   SECONDS_LEFT=    stop these trainings by themselves after so long; the same call goes on from RUNS=
#   MAX_STEPS=       cut these trainings short, TINY=1 makes their network tiny: a rehearsal, never a result
#   RUNS=            where the trained models of DATA= go, so that a later call goes on; empty: OUT/runs,
#                    removed when all passed
#   GPU_WHEELS=      a folder of wheels for what is missing; they are put into a temporary folder
#   PYTHON=          else .venv/bin/python where it is there, else python3
#   PACK=1           put all that is kept into OUT.tar.gz as well
#
# The exit code is 0 only if all that ran passed, 1 if something failed, 2 if nothing was tried.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -z "${PYTHON:-}" ]; then
  PYTHON=python3
  if [ -x .venv/bin/python ]; then PYTHON=.venv/bin/python; fi
fi
OUT=${OUT:-build/gpu}
mkdir -p "$OUT"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
if [ -n "${GPU_WHEELS:-}" ]; then
  wheels=("$GPU_WHEELS"/*.whl)
  if [ ! -f "${wheels[0]}" ]; then
    echo "GPU_WHEELS=$GPU_WHEELS holds no wheels (*.whl): name the folder that holds them" >&2
    exit 2
  fi
  "$PYTHON" -m pip install --quiet --no-index --no-deps --target "$scratch/wheels" "${wheels[@]}" || exit 2
  PYTHONPATH="$scratch/wheels:$PYTHONPATH"
fi
export PYTHONPATH
# A copy without git has no commit of its own: UPCRACK_COMMIT may then be given from outside.
if [ -z "${UPCRACK_COMMIT:-}" ] && commit=$(git rev-parse HEAD 2>/dev/null); then
  export UPCRACK_COMMIT="$commit"
fi

words=(--out "$OUT" --device "${DEVICE:-cuda}" --budget "${BUDGET:-small}")
if [ -n "${STEPS:-}" ]; then words+=(--steps "$STEPS"); fi
if [ -n "${ONLY:-}" ]; then words+=(--only "$ONLY"); fi
if [ -n "${DATA:-}" ]; then words+=(--data "$DATA"); fi
if [ -n "${RUNS:-}" ]; then words+=(--runs "$RUNS"); fi
real=(--style-network "${VGG_NETWORK:-vgg16}" --precision "${PRECISION:-32-true}")
if [ -n "${VGG_WEIGHTS:-}" ]; then real+=(--vgg-weights "$VGG_WEIGHTS"); fi
if [ -n "${SECONDS_LEFT:-}" ]; then real+=(--seconds "$SECONDS_LEFT"); fi
if [ -n "${MAX_STEPS:-}" ]; then real+=(--max-steps "$MAX_STEPS"); fi
if [ "${TINY:-}" = 1 ]; then real+=(--tiny); fi
code=0
"$PYTHON" ci/gpu_check.py "${words[@]}" -- "${real[@]}" || code=$?
if [ "${PACK:-}" = 1 ]; then
  tar -C "$(dirname "$OUT")" --exclude "$(basename "$OUT")/runs" -czf "$OUT.tar.gz" "$(basename "$OUT")"
  echo "Packed: $OUT.tar.gz"
fi
exit "$code"
