"""Gradient at the first layer relative to the last, by skips, depth and norm, at the start and during training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from unetzoo.claims.measured import Measured, Plot, Table, ratio_of
from unetzoo.claims.measurements import Context
from unetzoo.data.registry import create_dataset
from unetzoo.data.stream import Normalization
from unetzoo.measure.gradients import first_to_last
from unetzoo.models.factory import resolve_model
from unetzoo.nn.sizes import SameSize
from unetzoo.train.loop import training_crops
from unetzoo.train.losses import supervised_loss
from unetzoo.train.recipe import Recipe

SKIPS, NORMS = ("concat", "add", "attention", "none"), ("batch", "none")
BATCH, CROP, RATE = 4, 64, 1e-3


def measure(
    context: Context, seeds: int = 15, steps: int = 20, depths: Sequence[int] = (5,), width: int = 8
) -> Measured:
    """Train small networks for a few steps and note the gradients of the first and the last convolution.

    Args:
        context: Data set, by default the generated cells.
        seeds: Trainings of each network; at least three.
        steps: Steps of a training.
        depths: Depths of the networks.
        width: Width of the networks.
    """
    data = context.dataset or create_dataset("cells", n_train=16)
    normalization = Normalization.of(data)
    ratios: dict[tuple[str, int, str], list[list[float]]] = {}  # (norm, depth, skip) -> seeds -> steps
    for norm in NORMS:
        for depth in depths:
            for skip in SKIPS:
                context.progress(f"gradients: norm {norm}, depth {depth}, skip {skip}")
                options = {"width": width, "depth": depth, "skip": skip, "norm": norm, "init": "he_normal"}
                ratios[norm, depth, skip] = [
                    _training(data, normalization, options, seed, steps) for seed in range(seeds)
                ]
    quantities = {}
    deepest = max(depths)
    for norm in NORMS:
        with_skips, without = ratios[norm, deepest, "concat"], ratios[norm, deepest, "none"]
        for when, pick in (("start", slice(0, 1)), ("training", slice(1, None))):
            pairs = zip(with_skips, without, strict=True)
            quantities[f"{norm}_{when}"] = ratio_of([_mean(a[pick]) / _mean(b[pick]) for a, b in pairs])
    rows: list[list[str | float | int | bool | None]] = []
    drawn: list[list[str | float | int | bool | None]] = []
    for (norm, depth, skip), runs in ratios.items():
        first, later = (ratio_of([_mean(run[pick]) for run in runs]) for pick in (slice(0, 1), slice(1, None)))
        rows.append([norm, depth, skip, first.value, first.low, first.high, later.value, later.low, later.high])
        if depth == deepest:
            label = f"{skip}, norm {norm}"
            drawn += [
                [label, 1 + 5 * k, ratio_of([_mean(run[5 * k : 5 * k + 5]) for run in runs]).value]
                for k in range(steps // 5)
            ]
    return Measured(
        quantities=quantities,
        tables=[
            Table(
                title="RMS gradient of the first convolution's weights divided by the last's: geometric mean "
                "over seeds, "
                f"95 % interval; at the first step, and over steps 2 to {steps}",
                columns=["norm", "depth", "skip", "start", "low", "high", "training", "low ", "high "],
                rows=rows,
            ),
            Table(title=f"Depth {deepest}, means of five steps", columns=["network", "step", "ratio"], rows=drawn),
        ],
        plot=Plot(table=1, kind="lines", x="step", y="ratio", series="network", log=True,
                  caption="Gradient at the first layer relative to the last during training; a vanishing "
                  "gradient lies low."),
        method=f"unet of width {width}, He-normal weights, crops of {CROP} px in batches of {BATCH}, AdamW at "
        f"{RATE:g}, "
        f"{seeds} seeds; a pair of networks shares seed and crops. The quantities are the ratio with "
        f"concatenated skips "
        f"divided by that without skips, at depth {deepest}.",
    )  # fmt: skip


def _training(data: Any, normalization: Normalization, options: dict[str, Any], seed: int, steps: int) -> list[float]:
    """Train one network; return the ratio of the gradients at every step."""
    torch.manual_seed(seed)
    info = data.info
    network = resolve_model("unet", in_channels=info.channels, num_classes=info.classes, options=options).build()
    model = SameSize(network, info.classes).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE)
    recipe = Recipe(crop=CROP, batch_size=BATCH, steps=steps)
    crops = training_crops(data, normalization, recipe, seed=seed, length=steps * BATCH)
    found = []
    for images, masks in DataLoader(crops, batch_size=BATCH):
        optimizer.zero_grad()
        loss: Tensor = supervised_loss(model(images), masks, info.ignore_index)
        loss.backward()
        found.append(first_to_last(network))
        optimizer.step()
    return found


def _mean(values: Sequence[float]) -> float:
    """Return the geometric mean."""
    return float(torch.tensor(values, dtype=torch.float64).log().mean().exp())
