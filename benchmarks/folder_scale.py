"""Time and memory of reading a folder of many small images: `data check`, and `bench` before its first trial.

    python benchmarks/folder_scale.py --pairs 50000 --folder /tmp/many

Writes tiny PNGs (kept for the next run) and prints seconds and peak memory of each phase, each in its own process
and with an empty cache: `bench` opens the folder and searches near-duplicates, a trial opens it alone.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 32
PHASES = ("check", "bench", "trial")


def write(folder: Path, pairs: int) -> None:
    """Write pairs of an image of smooth noise and a mask of its bright part."""
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for i in range(pairs):
        coarse = Image.fromarray(rng.integers(0, 256, (9, 9), dtype=np.uint8))
        image = coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        image.save(folder / "images" / f"{i:06d}.png")
        Image.fromarray((np.asarray(image) > 160).astype(np.uint8) * 255).save(folder / "masks" / f"{i:06d}.png")


def measure(phase: str, folder: Path) -> None:
    """Run one phase in this process and print its seconds and peak memory."""
    import unetzoo
    from unetzoo.data.folders.check import check, find_source
    from unetzoo.data.leaks import near_duplicates

    begin, worked = time.perf_counter(), _core_seconds()
    if phase == "check":
        found = check(find_source(folder))
        said = f"{len(found.survey.items)} pairs, {len(found.findings)} findings"
    else:
        data = unetzoo.create_dataset("folder", folder, compare=phase == "bench")
        said = f"{len(data.splits['train'])} training images"
        if phase == "bench":
            said += f", {len(near_duplicates(data))} near-duplicates"
    seconds, worked = time.perf_counter() - begin, _core_seconds() - worked
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{phase:16} {seconds:7.1f} s ({worked:.1f} s of a core)  {peak:6.0f} MiB at most  {said}", flush=True)


def _core_seconds() -> float:
    """Return the seconds of a core that this process and its helpers have used."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def main() -> None:
    """Write the folder and measure each phase."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=50_000)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/unetzoo-many"))  # noqa: S108
    parser.add_argument("--phase", choices=PHASES)
    options = parser.parse_args()
    if options.phase:
        measure(options.phase, options.folder)
        return
    if not options.folder.is_dir():
        write(options.folder, options.pairs)
    for phase in PHASES:
        command = [sys.executable, __file__, "--phase", phase, "--folder", str(options.folder)]
        with tempfile.TemporaryDirectory() as cache:
            subprocess.run(command, check=True, env={**os.environ, "XDG_CACHE_HOME": cache})  # noqa: S603


if __name__ == "__main__":
    main()
