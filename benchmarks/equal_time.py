"""Compare a training step of each model of a suite with one of its first model: how many steps take as long?

    UNETZOO_DATA=... python benchmarks/equal_time.py benchmarks/state-space.toml --also vm_unet

Both models step in every round, in alternating order, on one thread, with the suite's batch and crops, in float32. Of a
suite with several data sets the first counts.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import torch

from unetzoo.bench.collection import Collection
from unetzoo.bench.suite import ModelRequest
from unetzoo.bench.suite_file import read_suite
from unetzoo.errors import UnetzooError
from unetzoo.gallery.paired import time_ratio
from unetzoo.machine.allocation import keep_freed_memory
from unetzoo.measure.rehearsal import Rehearsal
from unetzoo.models.factory import ModelConfig, resolve_model


def compare(path: Path, also: list[str], rounds: int) -> None:
    """Print a row for each model but the first: its step's time to the first's, and the steps of equal time."""
    suite = read_suite(path)
    if isinstance(suite, Collection):
        suite = next(iter(suite.suites.values()))
    info, train = suite.data.open().info, suite.train
    shape = (train.batch_size, info.channels, train.crop, train.crop)

    requests = [*suite.models, *(ModelRequest(name=name) for name in also)]
    channels = {"in_channels": info.channels, "num_classes": info.classes}
    configs = [resolve_model(r.name, **channels, options={**suite.set, **r.set}) for r in requests]

    def step(config: ModelConfig) -> partial[None]:
        work = Rehearsal(config, info.classes, precision="float32", fake=False)
        return partial(work.step, work.images(shape), work.masks(shape))

    first, *others = [request.label or request.name for request in requests]
    steps = suite.recipe(requests[0]).steps
    print(f"{first}: {steps} steps, batches of shape {shape}")
    for label, config in zip(others, configs[1:], strict=True):
        ratio = time_ratio(step(config), step(configs[0]), rounds=rounds, seconds=60)
        equal = f", {steps / ratio.median:.0f} steps in equal time" if steps else ""
        print(
            f"{label}: {ratio.median:.3g} times ({ratio.p10:.3g} to {ratio.p90:.3g}), "
            f"{ratio.p50_ms / 1000:.3g} s a step{equal}",
            flush=True,
        )


def main() -> int:
    """Compare and return an exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", type=Path)
    parser.add_argument("--also", type=lambda text: text.split(","), default=[], help="more models, by name")
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(1)
    try:
        compare(args.suite, args.also, args.rounds)
    except UnetzooError as error:
        print(f"error: {error}")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
