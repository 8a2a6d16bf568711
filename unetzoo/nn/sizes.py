"""Image sizes that a network accepts, and mirrored borders that bring any image to such a size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from unetzoo.errors import UnetzooError
from unetzoo.nn.blocks import spatial


@dataclass(frozen=True)
class ValidSizes:
    """Size arithmetic of a U-Net with unpadded convolutions.

    The network of the 2015 paper (depth 5, two 3x3 convolutions per block, so loss 4) accepts sides of 16k + 12 pixels
    from 188 up, and its output is 184 pixels smaller.

    Attributes:
        depth: Number of levels; each has half the size of the level above.
        loss: Pixels that a block takes off each side length.

    References:
        Ronneberger et al. 2015, arXiv 1505.04597, figure 1.
    """

    depth: int
    loss: int = 4

    def output(self, size: int) -> int | None:
        """Return the output side for an input side of ``size`` pixels, or None if the network does not accept it."""
        for level in range(self.depth):
            if level and (size % 2 or size < 2):
                return None
            size = (size // 2 if level else size) - self.loss
        for _ in range(self.depth - 1):
            size = 2 * size - self.loss
        return size if size > 0 else None

    def input(self, wanted: int) -> int:
        """Return the smallest input side whose output side is at least ``wanted`` pixels."""
        size = wanted
        while (out := self.output(size)) is None or out < wanted:
            size += 1
        return size

    def check(self, h: int, w: int) -> None:
        """Check that the network accepts images of ``h`` x ``w`` pixels.

        Raises:
            UnetzooError: If it does not; the message names the next larger size that fits.
        """
        if self.output(h) is not None and self.output(w) is not None:
            return
        least, step = self.input(1), 2 ** (self.depth - 1)
        lost = least - (self.output(least) or 0)
        raise UnetzooError(
            f"{h}x{w} px does not fit this network of unpadded convolutions, which takes sides {least}, "
            f"{least + step}, {least + 2 * step}, ... ({step}k + {least % step}) and returns {lost} px less; "
            f"next size that fits: {self._next(h)}x{self._next(w)}"
        )

    def _next(self, size: int) -> int:
        while self.output(size) is None:
            size += 1
        return size


def border_effect(network: nn.Module, sizes: ValidSizes) -> int:
    """Return the width of the border of a valid network's output that depends on where its input was cut.

    It is 0 with 2x2 transposed convolutions or nearest neighbours. Bilinear interpolation repeats its border pixel, and
    a padded 3x3 convolution (pixel shuffle) sees zeros: the affected border grows from c to at most 2c + 2 pixels per
    level, 2**depth - 2 in all, here rounded up to a multiple of 2**(depth - 1).

    Args:
        network: The network.
        sizes: Sizes of its inputs and outputs.

    Returns:
        Width in px.
    """
    known = getattr(network, "border", None)  # of an exported network, which has no modules
    if isinstance(known, int):
        return known
    for module in network.modules():
        padding = module.padding if isinstance(module, nn.Conv2d) else 0
        padded = any(padding) if isinstance(padding, tuple) else bool(padding)
        if padded or getattr(module, "mode", None) == "bilinear":
            return 2**sizes.depth
    return 0


def mirror_pad(x: Tensor, top: int, bottom: int, left: int, right: int) -> Tensor:
    """Pad (..., H, W) by mirroring at the borders, without repeating the border pixels.

    Unlike torch's reflection padding it allows a padding larger than the image.

    Args:
        x: The images.
        top: Rows to add above.
        bottom: Rows to add below.
        left: Columns to add at the left.
        right: Columns to add at the right.

    Returns:
        The padded images, (..., top + H + bottom, left + W + right).
    """
    h, w = x.shape[-2:]
    rows = mirrored(-top, h + bottom, h).to(x.device)
    columns = mirrored(-left, w + right, w).to(x.device)
    return x.index_select(-2, rows).index_select(-1, columns)


def mirrored(start: int, stop: int, size: int) -> Tensor:
    """Return indices (stop - start,) into a side of ``size`` pixels, mirrored again and again at both ends.

    Args:
        start: First position; negative positions lie before the side.
        stop: Position after the last.
        size: Pixels of the side.
    """
    if size == 1:
        return torch.zeros(stop - start, dtype=torch.long)
    period = 2 * (size - 1)
    position = torch.arange(start, stop) % period
    return torch.where(position < size, position, period - position)


class SameSize(nn.Module):
    """Wrapper that makes any registered network return a list of logits, the first in the size of the image.

    In training mode the list has all supervised scales, finest first; in eval mode only the finest, so that inference
    does not pay for the others.

    Images for a network of unpadded convolutions are extended by mirroring (arXiv 1505.04597, figure 2), so that every
    model is trained, scored and timed on the same output pixels.

    Args:
        network: The network.
        num_classes: Channels K that its logits must have.
    """

    def __init__(self, network: nn.Module, num_classes: int) -> None:
        super().__init__()
        self.network, self.num_classes = network, num_classes

    def forward(self, x: Tensor, size: Sequence[int] | None = None) -> list[Tensor]:
        """Map (N, C, H, W) to a list of logits, the first (N, K, H, W).

        Args:
            x: The images.
            size: Height and width of the logits, by default those of the images. Images larger than that must already
                include the context that unpadded convolutions need.

        Raises:
            UnetzooError: If the network's output does not have that size and number of channels.
        """
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
