"""Image sizes that networks take: every entry with padded convolutions, and the paper's own at every side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from unetzoo.claims.measured import Measured, Plot, Table, exact
from unetzoo.claims.measurements import Context
from unetzoo.errors import one_line
from unetzoo.models.factory import create_model
from unetzoo.models.registry import list_models

SIZES = (
    (1, 1), (2, 2), (3, 3), (5, 5), (7, 7), (16, 16), (17, 17), (31, 31), (33, 33), (64, 64), (100, 100), (127, 127),
    (129, 129), (255, 255), (257, 257), (500, 500), (777, 777), (1000, 1000),
    (1, 1000), (1000, 1), (17, 333), (640, 31), (1, 64), (250, 1000),
)  # fmt: skip
MOST_SIDE = 1000


def measure(
    context: Context,
    models: Sequence[str] | None = None,
    sizes: Sequence[tuple[int, int]] = SIZES,
    sides: int = MOST_SIDE,
) -> Measured:
    """Pass images of many sizes through every padded entry, without computing values.

    Args:
        context: Progress.
        models: Names of the models; by default all that are registered and not the user's.
        sizes: Heights and widths.
        sides: The paper's network is given every square of 1 to this many px.
    """
    rows: list[list[str | float | int | bool | None]] = []
    taken = dict.fromkeys(sizes, 0)
    whole = skipped = asked = 0
    usual = min(sizes, key=lambda size: abs(size[0] * size[1] - 64 * 64))
    for name in models or list_models():
        context.progress(f"any size: {name}")
        network = _on_meta(name)
        if network is None or getattr(network, "sizes", None) is not None:
            skipped += 1
            continue
        refused = {size: why for size in sizes if (why := _refusal(network, size))}
        if len(refused) == len(sizes) and not _refusal(create_model(name, pretrained=None).eval(), usual, "cpu"):
            skipped += 1  # what failed was the meta device
            continue
        asked += 1
        whole += not refused
        for size in sizes:
            taken[size] += size not in refused
        if refused:
            largest = max(refused, key=lambda size: size[0] * size[1])
            rows.append([name, len(refused), f"{largest[0]}x{largest[1]}", refused[largest]])
    context.progress("any size: unet_paper")
    paper = _on_meta("unet_paper", width=1)
    assert paper is not None
    fits = [side for side in range(1, sides + 1) if not _refusal(paper, (side, side))]
    rule = [side for side in range(188, sides + 1) if side % 16 == 12]
    share = [[f"{h}x{w}", h * w, taken[h, w] / max(1, asked)] for h, w in sizes]
    return Measured(
        quantities={
            "padded_entries": exact(whole / max(1, asked)),
            "padded_pairs": exact(sum(taken.values()) / max(1, asked * len(sizes))),
            "paper_sides": exact(len(fits) / sides),
            "paper_rule": exact(float(fits == rule)),
        },
        tables=[
            Table(title="Share of padded entries that take the size", columns=["size", "pixels", "share"], rows=share),
            Table(
                title="Entries that refuse a size", columns=["entry", "sizes refused", "largest", "reason"], rows=rows
            ),
        ],
        plot=Plot(
            table=0,
            kind="bars",
            x="size",
            y="share",
            caption="Share of the padded entries that take an image of this size.",
        ),
        method=f"{asked} registered entries with padded convolutions, {len(sizes)} sizes each, in eval mode on torch's "
        f"meta device (shapes without values): taken if the logits have the size of the image. {skipped} entries are "
        "left out: unpadded convolutions, or an optional package is missing or the meta device does not run them. The "
        f"paper's network: every square of 1 to {sides} px; it takes {len(fits)} of them.",
    )


def _on_meta(name: str, **options: Any) -> nn.Module | None:
    try:
        with torch.device("meta"):
            return create_model(name, pretrained=None, **options).eval()
    except (ValueError, RuntimeError, NotImplementedError, ImportError):
        return None


def _refusal(network: nn.Module, size: tuple[int, int], device: str = "meta") -> str:
    """Return why a network does not take an image of this size; empty if it does."""
    try:
        with torch.no_grad():
            logits = network(torch.zeros(1, 3, *size, device=device))
    except Exception as error:  # networks refuse sizes by exceptions of many types
        return one_line(error)[:160]
    if getattr(network, "sizes", None) is not None:
        return ""
    return "" if tuple(logits.shape[-2:]) == size else f"logits of {tuple(logits.shape[-2:])}"
