"""Does `BatchPeaks` tell every entry of the registry the peak memory that a tracked step has? Not part of the tests.

    python benchmarks/batch_peaks.py [PATTERN...]     # such as 'unet*'; default: all

Each entry is built as narrow as its options allow. Two steps are tracked at batches 2 and 4; then those at 3, 17 and
100 are told and tracked. Prints a line for each entry; exits with 1 if a peak that was told differs.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.entries import narrow_config
from unetzoo.measure.batch_peaks import BatchPeaks
from unetzoo.measure.rehearsal import Rehearsal
from unetzoo.models.registry import list_models

SIDE = 64


def check(name: str) -> str:
    """Return what came of an entry, in words; those that begin with 'DIFFERS' are wrong."""
    config = narrow_config(name)
    try:
        work = Rehearsal(config, config.num_classes, precision="bfloat16")
        peaks = BatchPeaks(work, (2, 1, SIDE, SIDE))
        told = {batch: peaks.at(batch) for batch in (2, 4, 3, 17, 100)}
        tracked = {batch: work.training_peak((batch, 1, SIDE, SIDE)) for batch in (3, 17, 100)}
    except Exception as error:  # an entry that takes another size, or does not run on fake tensors
        return f"not checked: {str(error)[:100]}"
    if wrong := [batch for batch, peak in tracked.items() if told[batch] != peak]:
        return f"DIFFERS at {wrong}"
    return "equal" if peaks.tracked == [2, 4] else f"the steps do not agree; tracked at {peaks.tracked}"


def main() -> None:
    """Check all entries that match."""
    names = [name for pattern in sys.argv[1:] or ["*"] for name in list_models(pattern)]
    failed = False
    for name in dict.fromkeys(names):
        line = check(name)
        failed |= line.startswith("DIFFERS")
        print(f"{name}: {line}", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
