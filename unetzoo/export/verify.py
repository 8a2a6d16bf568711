"""Comparison of an exported graph with the network it came from."""

from __future__ import annotations

import torch
from torch import nn

from unetzoo.errors import Strict, UnetzooError
from unetzoo.export.module import Exported

TOLERANCE = 1e-4  # of the largest logit


class Difference(Strict):
    """Largest difference of a runtime's float32 logits from torch's, on one batch of random images."""

    shape: tuple[int, int, int, int]
    absolute: float
    relative: float


class Verification(Strict):
    """Differences of one runtime from torch; ``relative`` is relative to the largest logit."""

    backend: str
    tolerance: float = TOLERANCE
    differences: tuple[Difference, ...]

    @property
    def worst(self) -> Difference:
        """The largest relative difference."""
        return max(self.differences, key=lambda each: each.relative)

    @property
    def words(self) -> str:
        """The largest differences in words."""
        sizes = ", ".join("x".join(map(str, each.shape)) for each in self.differences)
        absolute = max(each.absolute for each in self.differences)
        return (
            f"{self.backend} against torch, float32, images {sizes}: logits differ by at most {absolute:.2g}, "
            f"{self.worst.relative:.2g} of the largest"
        )


def compare(model: nn.Module, exported: Exported, channels: int, backend: str | None = None) -> Verification:
    """Compare logits on images of three sizes, odd ones included where the network takes them.

    Args:
        model: The network in eval mode, on the CPU.
        exported: Its graph.
        channels: Channels of the images.
        backend: Runtime to compare; default: the usual one of the format.

    Raises:
        UnetzooError: If the runtime fails.
    """
    from unetzoo.export.graph import EXAMPLES, example

    exported.use(backend, "float32")
    found = []
    for number in range(EXAMPLES):
        images = example(exported.sides, channels, number)
        with torch.inference_mode():
            wanted, given = model(images), exported(images)
        if given.shape != wanted.shape:
            raise UnetzooError(
                f"{exported.backend} returns {tuple(given.shape)} for images {tuple(images.shape)}, but torch "
                f"{tuple(wanted.shape)}"
            )
        absolute = float((given - wanted).abs().max())
        largest = float(wanted.abs().max())
        found.append(
            Difference(
                shape=tuple(images.shape), absolute=absolute, relative=absolute / largest if largest else absolute
            )
        )
    return Verification(backend=exported.backend, differences=tuple(found))


def refuse(found: Verification) -> None:
    """Refuse an export that differs from torch.

    Raises:
        UnetzooError: If a difference is above the tolerance, or not a number.
    """
    if any(not each.relative <= found.tolerance for each in found.differences):
        raise UnetzooError(f"not exported: {found.words}; allowed: {found.tolerance:g}")
