#!/usr/bin/env bash
# Checks unetzoo on a machine with a CUDA GPU and measures it there, in about eight minutes at most.
#
#   bash benchmarks/gpu.sh [DIR]       # writes DIR (default: reports/speed-gpu): gpu.json, README.md, suite.log
#
# PYTHON names the interpreter (default: python3); it must have torch for CUDA. Packages that are missing are said.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-reports/speed-gpu}
python=${PYTHON:-python3}
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH}

if ! "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
  echo "gpu.sh: torch sees no CUDA device; install torch for CUDA, or run on a machine that has one" >&2
  exit 2
fi
if ! "$python" -c 'import unetzoo, unetzoo.bench.run_trial, unetzoo.report.page'; then
  echo "gpu.sh: a package is missing (see above): $python -m pip install -e ." >&2
  exit 2
fi

mkdir -p "$out"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
echo "== the quick suite, end to end"
timeout 180 "$python" -m unetzoo.cli bench --out "$scratch/quick" 2>&1 | tee "$out/suite.log"
echo "== throughput"
timeout 270 "$python" benchmarks/gpu_speed.py --suite "$scratch/quick" --out "$out"
