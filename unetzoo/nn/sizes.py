"""Which image sizes a network takes, and how any image is brought to one: mirrored borders, as in 2015."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from unetzoo.errors import UnetzooError
from unetzoo.nn.blocks import spatial


@dataclass(frozen=True)
class ValidSizes:
    """The size arithmetic of a chain of unpadded blocks: ``loss`` pixels go in each, all levels are halved.

    The paper's network (depth 5, two 3x3 convolutions a block, so loss 4) takes 16k + 12 from 188 up and
    gives 184 less.
    """

    depth: int
    loss: int = 4

    def output(self, size: int) -> int | None:
        """Output pixels for ``size`` input pixels along one side; None where the size does not fit."""
        for level in range(self.depth):
            if level and (size % 2 or size < 2):
                return None
            size = (size // 2 if level else size) - self.loss
        for _ in range(self.depth - 1):
            size = 2 * size - self.loss
        return size if size > 0 else None

    def input(self, wanted: int) -> int:
        """The smallest input side whose output is at least ``wanted`` pixels."""
        size = wanted
        while (out := self.output(size)) is None or out < wanted:
            size += 1
        return size

    def check(self, h: int, w: int) -> None:
        """Raise `UnetzooError` unless both sides fit."""
        if self.output(h) is not None and self.output(w) is not None:
            return
        least, step = self.input(1), 2 ** (self.depth - 1)
        lost = least - (self.output(least) or 0)
        raise UnetzooError(
            f"this network has unpadded convolutions: it takes sides {least}, {least + step}, "
            f"{least + 2 * step}, ... ({step}k + {least % step}) and gives {lost} px less; got {h}x{w}, "
            f"next that fits: {self._next(h)}x{self._next(w)}"
        )

    def _next(self, size: int) -> int:
        while self.output(size) is None:
            size += 1
        return size


def mirror_pad(x: Tensor, top: int, bottom: int, left: int, right: int) -> Tensor:
    """Mirror (..., H, W) at its borders, the border pixel not repeated; any padding, even beyond the size."""
    h, w = x.shape[-2:]
    rows = mirrored(-top, h + bottom, h).to(x.device)
    columns = mirrored(-left, w + right, w).to(x.device)
    return x.index_select(-2, rows).index_select(-1, columns)


def mirrored(start: int, stop: int, size: int) -> Tensor:
    """Indices (stop - start,) into a side of ``size`` pixels that is mirrored without end at both borders."""
    if size == 1:
        return torch.zeros(stop - start, dtype=torch.long)
    period = 2 * (size - 1)
    position = torch.arange(start, stop) % period
    return torch.where(position < size, position, period - position)


class SameSize(nn.Module):
    """Any registered network as one that returns a list of logits, the first (N, K, H, W).

    In training mode they are all supervised scales, finest first; in eval mode there is the finest alone, so
    that what only training needs costs inference nothing.

    Valid networks get the context they lose by mirroring (arXiv 1505.04597, figure 2), so that every model is
    trained, scored and timed on the same output pixels. Where the images have that context already, ``size`` (H, W) is
    what the logits shall have. Raises `UnetzooError` where the network's output has
    another size or channel count than promised.
    """

    def __init__(self, network: nn.Module, num_classes: int) -> None:
        super().__init__()
        self.network, self.num_classes = network, num_classes

    def forward(self, x: Tensor, size: Sequence[int] | None = None) -> list[Tensor]:
        h, w = size or spatial(x)
        top = left = 0
        sizes = getattr(self.network, "sizes", None)
        if isinstance(sizes, ValidSizes):
            extra_h, extra_w = sizes.input(h) - h, sizes.input(w) - w
            if spatial(x) == (h, w):
                top, left = extra_h // 2, extra_w // 2
                x = mirror_pad(x, top, extra_h - top, left, extra_w - left)
            top, left = ((sizes.output(n + e) or 0) - n for n, e in ((h, extra_h), (w, extra_w)))
        forward_all = getattr(self.network, "forward_all", None) if self.training else None
        first, *others = forward_all(x) if forward_all else [self.network(x)]
        if isinstance(sizes, ValidSizes):
            first = first[..., top // 2 : top // 2 + h, left // 2 : left // 2 + w]
        wanted = (x.shape[0], self.num_classes, h, w)
        if not isinstance(first, Tensor) or first.shape != wanted:
            got = tuple(first.shape) if isinstance(first, Tensor) else type(first).__name__
            raise UnetzooError(f"{type(self.network).__name__} must return logits of shape {wanted}, got {got}")
        return [first, *others]
