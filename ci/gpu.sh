#!/usr/bin/env bash
# Check the kit on a graphics card, by hand or from .github/workflows/gpu.yml. No network is needed. Settings:
#
#   DEVICE=cuda      cpu: rehearse on a CPU, smaller
#   BUDGET=small     full: train both recipes at full scale, where DATA= is given
#   STEPS=           which parts, with commas; empty: preflight,tests,compare,several,rows,chapters,real
#   ONLY=            chapters to run, with commas: 03_data,tables/table_4
#   DATA=            the folder of all prepared data sets, for records of real photos
#   OUT=build/gpu    where report.md, report.json, logs, notebooks and records go
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
code=0
"$PYTHON" ci/gpu_check.py "${words[@]}" || code=$?
if [ "${PACK:-}" = 1 ]; then
  tar -C "$(dirname "$OUT")" --exclude "$(basename "$OUT")/runs" -czf "$OUT.tar.gz" "$(basename "$OUT")"
  echo "Packed: $OUT.tar.gz"
fi
exit "$code"
