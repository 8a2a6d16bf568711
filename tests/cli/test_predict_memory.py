"""`unetzoo predict` as a process: its memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

import unetzoo

pytestmark = pytest.mark.filterwarnings("ignore:these weights do not tell")
PEAK = """
import resource, sys
from unetzoo.cli.main import main
for name in ("small", "large"):
    sys.argv[2:] = ["m.safetensors", f"{name}.tif", f"--out={name}", "--probabilities", "--overlap=0", "--tile=128"]
    try: main()
    except SystemExit as end: assert not end.code, end.code
    print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.timeout(900)
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is KiB on Linux alone")
def test_memory_grows_with_the_mask_alone(tmp_path: Path) -> None:
    """Each pixel takes the mask's byte, but not the file's, the 8 of the probabilities or the network's."""
    model = unetzoo.create_model("unet", in_channels=1, num_classes=2, width=2, depth=2)
    unetzoo.save_model(model, tmp_path / "m.safetensors")
    for name, side in (("small", 600), ("large", 1800)):
        tifffile.imwrite(tmp_path / f"{name}.tif", np.random.default_rng(0).integers(0, 256, (side, side), np.uint8))
    command = [sys.executable, "-c", PEAK, "predict"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    small, large = (1024 * int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("peak "))
    pixels = 1800**2 - 600**2
    assert large - small < 5 * pixels  # measured: 2 bytes per pixel, and 9 with the probabilities kept
