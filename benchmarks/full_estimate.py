"""An estimate of the hours that the suites of benchmarks/full take on GPUs, written into their README.

    UNETZOO_DATA=... python benchmarks/full_estimate.py

Nothing of it is measured here: the operations of all training steps are counted and divided by the rate at which the
published training of the 2015 U-Net on an A100 computes (141 images/s at 572x572, TensorFlow 2, float16, batch 16;
NVIDIA Deep Learning Examples); a step on small crops counts as 15 ms at least, an assumption about the time that its
kernels take to be started.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

from unetzoo._util.atomic import write_atomic
from unetzoo.bench.collection import Collection
from unetzoo.bench.expand import expand
from unetzoo.bench.suite import Suite
from unetzoo.bench.suite_file import read_suite
from unetzoo.measure.counts import count_training_flops
from unetzoo.models.factory import resolve_model
from unetzoo.train.loop import make_optimizer

FULL = Path(__file__).with_name("full")
PUBLISHED = 141.0  # images/s
LEAST = 0.015  # seconds of a step
GPUS = 8  # of the cluster
BEGIN, END = "<!-- written by benchmarks/full_estimate.py -->\n", "<!-- end -->\n"


def rate() -> float:
    """Return the floating-point operations a second of the published training."""
    paper = resolve_model("unet_paper", in_channels=1, num_classes=2)
    return PUBLISHED * count_training_flops(paper, (1, 1, 572, 572))


class Cost(NamedTuple):
    """Trials of a suite, thousands of their steps at most, their operations in PFLOP, and hours on one GPU."""

    trials: int
    steps: float
    operations: float
    hours: float


def cost(suite: Suite, per_second: float) -> Cost:
    """Return what a suite takes at most; of trainings that are given in minutes, steps and operations are not counted.

    Args:
        suite: The suite.
        per_second: Floating-point operations a second.
    """
    dataset = suite.data.open()
    trials = [trial for trial in expand(suite, dataset) if not trial.model.baseline]
    all_steps, all_operations, hours = 0, 0, 0.0
    for trial in {each.model.label: each for each in trials}.values():
        recipe, seeds = trial.train, len(suite.seeds)
        if recipe.minutes is not None:
            hours += recipe.minutes / 60 * seeds
            continue
        shape = (recipe.batch_size, dataset.info.channels, recipe.crop, recipe.crop)
        operations = count_training_flops(trial.model.config, shape, partial(make_optimizer, recipe))
        steps = recipe.most_steps
        if recipe.tune is not None:
            steps += (recipe.tune.steps or recipe.most_steps) * len(recipe.tune.lr)
        all_steps += steps * seeds
        all_operations += operations * steps * seeds
        hours += max(operations / per_second, LEAST) * steps * seeds / 3600
    return Cost(len(trials), all_steps / 1000, all_operations / 1e15, hours)


def main() -> None:
    """Write the table."""
    per_second = rate()
    lines = [
        f"| suite | trials | thousand steps | PFLOP | hours on one A100 | on {GPUS} |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for path in sorted(FULL.glob("*.toml")):
        suite = read_suite(path)
        members = list(suite.suites.values()) if isinstance(suite, Collection) else [suite]
        found = [cost(member, per_second) for member in members]
        trials, steps, operations, hours = (sum(column) for column in zip(*found, strict=True))
        counted = f"{steps:,.0f} | {operations:,.0f}" if steps else "by minutes | "
        lines.append(f"| `{path.stem}` | {trials} | {counted} | {hours:.1f} | {hours / GPUS:.1f} |")
        print(lines[-1], flush=True)
    readme = FULL / "README.md"
    before, _, rest = readme.read_text().partition(BEGIN)
    write_atomic(readme, before + BEGIN + "\n".join(lines) + "\n" + END + rest.partition(END)[2])


if __name__ == "__main__":
    main()
