"""Options of a training step and of an evaluation, each compared in pairs with today's way.

    python benchmarks/training_step.py --rounds 40 --out training-step.json

A `unet` of width 16 trains on 4x1x256x256 in bfloat16 autocast and channels_last, on one thread. In each round every
way takes a step, in turn, so that a busy machine disturbs all alike; the paired ratios of processor seconds and of the
clock count. A ratio below 1 is a gain. The settings of malloc belong to a process; they are compared between child
processes that take turns.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import unetzoo
from unetzoo.machine.allocation import keep_freed_memory
from unetzoo.machine.environment import environment
from unetzoo.nn.recompute import recomputing
from unetzoo.nn.sizes import SameSize
from unetzoo.train.losses import cross_entropy_dice, supervised_loss

SHAPE, WIDTH = (4, 1, 256, 256), 16
MALLOC = {
    "huge pages": "glibc.malloc.hugetlb=1",
    "no trimming": "glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=17179869184",
    "both": "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=17179869184",
}
KEPT = "freed memory kept, torch's huge pages (as trials do)"
Work = Callable[[], object]


class Step:
    """A training step as `unetzoo.train.loop` takes it, with one thing changed."""

    def __init__(
        self,
        *,
        fused: bool = False,
        foreach: bool | None = None,
        inplace: bool = True,
        cache: bool = True,
        keep_gradients: bool = False,
        read_loss: bool = True,
        recompute: Any = "none",
        channels: int = 1,
        laid_out: bool = False,
    ) -> None:
        torch.manual_seed(0)
        network = unetzoo.create_model("unet", in_channels=channels, num_classes=2, width=WIDTH)
        network.to(memory_format=torch.channels_last)
        for module in network.modules():
            if isinstance(module, nn.ReLU):
                module.inplace = inplace
        self.model = SameSize(network, 2).train()
        how = {"fused": True} if fused else {"foreach": foreach}
        self.optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, **how)
        self.cache, self.keep, self.read_loss, self.recompute = cache, keep_gradients, read_loss, recompute
        self.images = torch.rand(SHAPE[0], channels, *SHAPE[2:])
        if laid_out:
            self.images = self.images.contiguous(memory_format=torch.channels_last)
        self.masks = torch.randint(2, (SHAPE[0], *SHAPE[2:]))

    def __call__(self) -> None:
        images = self.images.contiguous(memory_format=torch.channels_last)
        with recomputing(self.model.network, self.recompute):
            with torch.autocast("cpu", torch.bfloat16, cache_enabled=self.cache):
                outputs = self.model(images)
            loss = supervised_loss(outputs, self.masks, None)
            loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=not self.keep)
        if self.read_loss:
            float(loss.detach())


class Evaluation:
    """The evaluation of an image, by autocast or by a copy of the network whose weights are cast once."""

    def __init__(self, *, cast: bool = False) -> None:
        torch.manual_seed(0)
        network = unetzoo.create_model("unet", in_channels=1, num_classes=2, width=WIDTH).eval()
        network.to(memory_format=torch.channels_last)
        self.model, self.cast = SameSize(network, 2).eval(), cast
        if cast:
            self.model.to(torch.bfloat16)
        self.image, self.mask = torch.rand(1, 1, 512, 512), torch.randint(2, (1, 512, 512))

    @torch.inference_mode()
    def __call__(self) -> Tensor:
        if self.cast:
            logits = self.model(self.image.to(torch.bfloat16))[0]
        else:
            with torch.autocast("cpu", torch.bfloat16):
                logits = self.model(self.image)[0]
        cross_entropy_dice(logits, self.mask, None)
        return logits


def steps() -> dict[str, Work]:
    """Return today's way, first, and the others."""
    return {
        "today": Step(),
        "fused AdamW": Step(fused=True),
        "AdamW one parameter at a time": Step(foreach=False),
        "AdamW by foreach": Step(foreach=True),
        "ReLU not in place": Step(inplace=False),
        "no cache of weight casts": Step(cache=False),
        "gradients zeroed, not dropped": Step(keep_gradients=True),
        "loss not read": Step(read_loss=False),
        "recompute = skips": Step(recompute="skips"),
        "recompute = decoder": Step(recompute="decoder"),
        "recompute = all": Step(recompute="all"),
    }


def colour_steps() -> dict[str, Work]:
    return {"today": Step(channels=3), "images in channels_last already": Step(channels=3, laid_out=True)}


def evaluations() -> dict[str, Work]:
    return {"today": Evaluation(), "whole model in bfloat16": Evaluation(cast=True)}


def interleaved(works: dict[str, Work], rounds: int) -> list[dict[str, Any]]:
    """Take turns and return, for each way, its ratios to the first."""
    clocks = (time.process_time, time.perf_counter)
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for number in range(rounds + 2):
        for name in list(works) if number % 2 else reversed(list(works)):
            begun = [clock() for clock in clocks]
            works[name]()
            if number > 1:  # the first two warm up
                cpu, wall = (clock() - start for clock, start in zip(clocks, begun, strict=True))
                taken[name].append((cpu, wall))
    return [_row(name, taken[name], taken[next(iter(works))]) for name in works]


def _row(name: str, taken: list[tuple[float, float]], base: list[tuple[float, float]]) -> dict[str, Any]:
    row: dict[str, Any] = {"way": name, "rounds": len(taken)}
    for i, clock in enumerate(("processor", "clock")):
        ratios = sorted(a[i] / b[i] for a, b in zip(taken, base, strict=True))
        row[f"{clock}_seconds"] = round(statistics.median(times[i] for times in taken), 4)
        row[f"{clock}_ratio"] = round(statistics.median(ratios), 3)
        row[f"{clock}_spread"] = [round(ratios[len(ratios) // 4], 3), round(ratios[-1 - len(ratios) // 4], 3)]
    print(row, flush=True)
    return row


def malloc(rounds: int, each: int = 4) -> list[dict[str, Any]]:
    """Compare settings of malloc, which are read when a process starts, between children that take turns."""
    settings = {"today": "", **MALLOC, KEPT: ""}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in settings}
    faults: dict[str, int] = {}
    for _ in range(rounds):
        for name, tunables in settings.items():
            variables = {**os.environ, "GLIBC_TUNABLES": tunables, "THP_MEM_ALLOC_ENABLE": "1" if name == KEPT else "0"}
            command = [sys.executable, __file__, "--child", str(each), *(["--kept"] if name == KEPT else [])]
            done = subprocess.run(command, env=variables, check=True, capture_output=True, text=True)  # noqa: S603
            *times, faults[name] = json.loads(done.stdout)
            taken[name].append((times[0], times[1]))
    rows = [_row(name, taken[name], taken["today"]) for name in settings]
    return [row | {"tunables": settings[row["way"]], "page_faults_per_step": faults[row["way"]]} for row in rows]


def child(count: int) -> None:
    """Take steps after a warm-up and print the seconds of the median step, by both clocks, and its page faults."""
    step, taken = Step(), []
    for _ in range(2):
        step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(count):
        begun = time.process_time(), time.perf_counter()
        step()
        taken.append((time.process_time() - begun[0], time.perf_counter() - begun[1]))
    faults = (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // count
    print(json.dumps([*(statistics.median(t[i] for t in taken) for i in (0, 1)), faults]))


def profile() -> list[dict[str, Any]]:
    """Return the operators that take the most of a step, by processor time."""
    step = Step()
    for _ in range(2):
        step()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as found:
        for _ in range(3):
            step()
    rows = sorted(found.key_averages(), key=lambda row: -row.self_cpu_time_total)
    total = sum(row.self_cpu_time_total for row in rows)
    top = [
        {"operator": row.key, "share": round(row.self_cpu_time_total / total, 4), "calls_per_step": row.count / 3}
        for row in rows[:15]
    ]
    for row in top:
        print(row, flush=True)
    return top


def main() -> None:
    """Compare all ways and write one JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--out", type=Path, default=Path("training-step.json"))
    parser.add_argument("--only", choices=["steps", "layout", "evaluation", "malloc", "profile"])
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--kept", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.kept:
        keep_freed_memory()
    if options.child:
        child(options.child)
        return
    parts = {
        "profile": profile,
        "steps": lambda: interleaved(steps(), options.rounds),
        "layout": lambda: interleaved(colour_steps(), options.rounds),
        "evaluation": lambda: interleaved(evaluations(), options.rounds),
        "malloc": lambda: malloc(max(3, options.rounds // 4)),
    }
    found: dict[str, Any] = {"environment": environment("cpu", "bfloat16"), "shape": SHAPE, "width": WIDTH}
    found |= {name: part() for name, part in parts.items() if options.only in (None, name)}
    options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
