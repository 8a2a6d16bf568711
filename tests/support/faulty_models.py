"""A model whose trial fails once, at a point given by a file beside this one; imported by the suite of test_faults.

``fault-SEED.json`` holds {"kind", "where", "at"}; it is removed as the fault strikes, so a second attempt goes through.
"""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

import unetzoo
from unetzoo.measure import latency

latency.PRODUCT_SIDE["cpu"] = 64  # nothing here depends on a timing
HERE = Path(__file__).parent


def plan(seed: int) -> dict[str, Any] | None:
    try:
        return json.loads((HERE / f"fault-{seed}.json").read_text())
    except FileNotFoundError:
        return None


def strike(seed: int, kind: str) -> None:
    (HERE / f"fault-{seed}.json").unlink()
    if kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "terminate":
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    if kind == "exit":
        os._exit(3)
    if kind == "raise":
        raise RuntimeError("injected")
    if kind == "hang":
        time.sleep(600)
    if kind == "oom":
        torch.empty(2**60, dtype=torch.uint8)
    if kind == "full disk":
        raise OSError(28, "No space left on device")
    if kind == "read-only":
        raise OSError(30, "Read-only file system")
    if kind == "clock":  # the time of day jumps to 1970 and then far ahead
        now = iter([0.0] * 3 + [4e9] * 10**6)
        time.time = lambda: next(now)


@unetzoo.register_model("own_faulty")
class Faulty(nn.Module):
    """A small network with dropout and batch norm, whose result depends on every random number and statistic."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(in_channels, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Conv2d(4, num_classes, 1),
        )
        self.seed = torch.initial_seed()
        self.calls = {True: 0, False: 0}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if isinstance(x, torch._subclasses.FakeTensor):
            return self.net(x)
        self.calls[self.training] += 1
        where = "train" if self.training else "eval"
        fault = plan(self.seed)
        if fault and fault["where"] == where and self.calls[self.training] == fault["at"]:
            if fault["kind"] == "nan":
                (HERE / f"fault-{self.seed}.json").unlink()
                return self.net(x) * float("nan")
            strike(self.seed, fault["kind"])
        return self.net(x)


replace = Path.replace


def faulty_replace(self: Path, target: Path) -> Path:
    """Fail between writing the temporary file and moving it to the final path."""
    for seed in range(10):
        fault = plan(seed) if f"-s{seed}-" in str(target) else None  # another trial may be writing its own
        if fault and Path(target).match(fault["where"]):
            fault["at"] -= 1
            if fault["at"] == 0:
                strike(seed, fault["kind"])
            else:
                (HERE / f"fault-{seed}.json").write_text(json.dumps(fault))
    return replace(self, target)


Path.replace = faulty_replace  # type: ignore[method-assign]
