"""The options that say how an image is read, and their spelling in messages."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from unetzoo.errors import UnetzooError


@dataclass(frozen=True)
class ReadAs:
    """Options of `predict` that say how an image is read.

    Attributes:
        range: Stored values that become 0 and 1; values beyond are clipped. The first may be the higher one, which
            inverts the image. Default: those of training.
        downscale: Side of the blocks of pixels that are averaged; default: that of training.
        as_trained: Read the stored values by the range of training whatever the image looks like.

    Raises:
        UnetzooError: If an option is not valid, or both ``range`` and ``as_trained`` are given.
    """

    range: tuple[float, float] | None = None
    downscale: int | None = None
    as_trained: bool = False

    def __post_init__(self) -> None:
        if self.range is not None:
            numbers = list(self.range) if isinstance(self.range, Iterable) else []
            sound = all(isinstance(v, int | float) and math.isfinite(v) for v in numbers)
            if not sound or len(numbers) != 2 or len(set(numbers)) != 2:
                raise UnetzooError(f"range = {self.range!r} must be two different numbers, LOW and HIGH")
            if self.as_trained:
                raise UnetzooError("range and as_trained exclude each other; give one of them")
        if self.downscale is not None and not (type(self.downscale) is int and self.downscale >= 1):
            raise UnetzooError(f"downscale = {self.downscale!r} must be a whole number of pixels, at least 1")


@dataclass(frozen=True)
class Spelling:
    """The spelling of options in messages: of the command line, or of Python."""

    python: bool

    def range(self, low: float, high: float) -> str:
        """Return the option that reads a range."""
        return f"range=({low:g}, {high:g})" if self.python else f"--range {low:.10g},{high:.10g}"

    @property
    def as_trained(self) -> str:
        """The option that reads as in training."""
        return "as_trained=True" if self.python else "--as-trained"

    @property
    def downscale(self) -> str:
        """The option that averages blocks of pixels."""
        return "downscale=N" if self.python else "--downscale N"

    @property
    def any_range(self) -> str:
        """The option that reads a range that only the user knows."""
        return "range=(LOW, HIGH)" if self.python else "--range LOW,HIGH"
