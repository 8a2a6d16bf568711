"""The architecture of a variant as its page shows it; `unetzoo.gallery.architecture` finds it, which needs torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from unetzoo.records.record import Record


@dataclass(frozen=True)
class Stage:
    """A part of a network.

    Attributes:
        name: Name of the module.
        level: log2 of the side of the image over that of the output; None if the output is not a map.
        channels: Channels of the output; None if it is not a map.
        output: Height and width, or the whole shape of what is not a map; empty if it runs only in training.
        params: Trainable parameters.
        macs: Multiply-accumulates of one image.
    """

    name: str
    level: float | None
    channels: int | None
    output: str
    params: int
    macs: int


@dataclass(frozen=True)
class Architecture:
    """A network as the registry builds it.

    Attributes:
        side: Side of the image in px.
        stages: Its parts in the order in which they run.
        drawing: Its topology as SVG.
    """

    side: int
    stages: list[Stage]
    drawing: str


Describe = Callable[[Record], Architecture | str]
"""Returns the architecture of a record's network, or the reason why it is not shown."""
