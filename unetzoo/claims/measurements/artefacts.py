"""Checkerboard energy of all ways up before any training, in the decoder's finest upsampled map and in the logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.claims.measured import Measured, Plot, Table, ratio_of
from unetzoo.claims.measurements import Context
from unetzoo.data.stream import Normalization
from unetzoo.grid.spec import UNetSpec
from unetzoo.measure.checkerboard import checkerboard_energy
from unetzoo.models.factory import resolve_model

WAYS: tuple[str, ...] = get_args(UNetSpec.model_fields["up"].annotation)
SIDE, IMAGES = 128, 4


def measure(context: Context, seeds: int = 10, width: int = 8, depth: int = 4, ways: Sequence[str] = WAYS) -> Measured:
    """Pass smooth images through freshly initialised networks.

    Args:
        context: Data set, whose training images are used; by default smooth random fields.
        seeds: Initialisations of each network; at least three.
        width: Width of the networks.
        depth: Depth of the networks.
        ways: Values of ``up``.
    """
    images = _images(context)
    energy: dict[str, list[tuple[float, float]]] = {}  # up -> seeds -> (upsampled map, logits)
    for up in ways:
        context.progress(f"artefacts: {up}")
        energy[up] = [_energies(images, up, seed, width, depth) for seed in range(seeds)]
    quantities = {}
    rows: list[list[str | float | int | bool | None]] = []
    for up, found in energy.items():
        in_map, in_logits = (ratio_of([each[k] for each in found]) for k in (0, 1))
        rows.append([up, in_map.value, in_map.low, in_map.high, in_logits.value, in_logits.low, in_logits.high])
        quantities |= {f"{up}_map": in_map, f"{up}_logits": in_logits}
    rows.sort(key=lambda row: -float(row[1] or 0))
    return Measured(
        quantities=quantities,
        tables=[
            Table(
                title="Share of the variance at the frequencies of stride 2: geometric mean over initialisations, 95 % "
                "interval",
                columns=["up", "upsampled map", "low", "high", "logits", "low ", "high "],
                rows=rows,
            )
        ],
        plot=Plot(table=0, kind="bars", x="up", y="upsampled map", log=True,
                  caption="Checkerboard energy of the finest upsampled map before training. White noise has about "
                  f"{3 / (SIDE * SIDE - 1):.5f}."),
        method=f"unet of width {width} and depth {depth} without skips, so that every pattern comes from the "
        f"way up; torch's "
        f"initialisation, {seeds} seeds, batch norm over the batch of {len(images)} images of {SIDE} px. "
        f"Energy: mean over "
        "images and channels of the variance of the mean 2x2 block, divided by the map's variance.",
    )  # fmt: skip


def _images(context: Context) -> Tensor:
    """Return (N, C, SIDE, SIDE): normalised crops of the data's images, or smooth random fields."""
    if context.dataset is None:
        noise = torch.randn(IMAGES, 3, SIDE // 16, SIDE // 16, generator=torch.Generator().manual_seed(0))
        return F.interpolate(noise, size=(SIDE, SIDE), mode="bicubic", align_corners=False)
    normalization = Normalization.of(context.dataset)
    taken = [normalization(context.dataset[key][0]) for key in context.dataset.splits["train"][:IMAGES]]
    sized = [F.interpolate(x[None], size=(SIDE, SIDE), mode="bilinear", align_corners=False) for x in taken]
    return torch.cat(sized)


def _energies(images: Tensor, up: str, seed: int, width: int, depth: int) -> tuple[float, float]:
    torch.manual_seed(seed)
    options = {"up": up, "skip": "none", "width": width, "depth": depth}
    model = resolve_model("unet", in_channels=images.shape[1], num_classes=2, options=options).build().train()
    kept: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        kept.append(output)

    model.get_submodule("decoder.stages.0.up").register_forward_hook(keep)
    with torch.no_grad():
        logits = model(images)
    return tuple(max(float(checkerboard_energy(x).mean()), 1e-12) for x in (kept[0], logits))  # type: ignore[return-value]
