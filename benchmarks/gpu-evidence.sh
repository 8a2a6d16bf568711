#!/usr/bin/env bash
# On a machine with a CUDA GPU: runs for some minutes the trials that settle most of what reports/claims leaves open,
# judges all claims anew and commits the records.
#
#   bash benchmarks/gpu-evidence.sh MINUTES        # planning takes about two minutes more; continues where it stopped
#
# PYTHON names the interpreter (default: python3); it must have torch for CUDA. UNETZOO_DATA names the folder of the data
# sets that are not part of unetzoo.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ $# -ne 1 ]; then
  echo "usage: bash benchmarks/gpu-evidence.sh MINUTES" >&2
  exit 2
fi
python=${PYTHON:-python3}
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH}

"$python" benchmarks/gpu_evidence.py --minutes "$1"
"$python" -m unetzoo.cli report reports --index
git add reports
if git diff --cached --quiet; then
  echo "nothing new to commit"
else
  git commit --quiet -m "Add evidence from a GPU, $1 minutes" && git log -1 --stat | tail -3
fi
