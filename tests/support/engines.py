"""A suite of cheap, slow trials, by which engines are compared, and what their records must have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unetzoo.records.record import read_record

MODELS = '''
import time
import torch
import unetzoo
from torch import nn
from unetzoo.measure import latency

latency.PRODUCT_SIDE["cpu"] = 64

@unetzoo.register_model("slow")
class Slow(nn.Module):
    """One convolution and a nap."""
    def __init__(self, in_channels, num_classes):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, num_classes, 3, padding=1)
    def forward(self, x):
        if self.training and not isinstance(x, torch._subclasses.FakeTensor):
            time.sleep(0.05)
        return self.conv(x)
'''
SUITE = """
models = ["slow"]
seeds = 4
imports = ["models.py"]
baselines = false
[data]
name = "cells"
options = { n_train = 3, n_val = 1, n_test = 2, size = 48 }
[train]
steps = 20
batch_size = 2
crop = 48
validate_every = 5
threads = 1
precision = "float32"
[measure]
size = 48
repeats = 5
attempts = 1
[limits]
checkpoint_seconds = 0
[slurm]
partition = "gpu"
time = "00:30:00"
task_minutes = 0
max_parallel = 2
[ray]
memory_gib = 0
"""


def write_suite(folder: Path, text: str = SUITE) -> Path:
    """Write the suite and its model, and return the suite's file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "models.py").write_text(MODELS)
    (folder / "suite.toml").write_text(text)
    return folder / "suite.toml"


def lasting(out: Path) -> dict[str, Any]:
    """Return the records of a run by file, without costs, environment and where they went on."""
    kept: dict[str, Any] = {}
    for path in sorted((out / "records").glob("*.json")):
        kept[path.name] = read_record(path).model_dump(exclude={"cost", "environment", "resumed"})
    return kept
