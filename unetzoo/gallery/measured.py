"""Measurements of an entry that `benchmarks/zoo.py` makes, as data. This module imports no torch."""

from __future__ import annotations

from typing import Any

from unetzoo.errors import Strict
from unetzoo.records.measured import TensorMemory


class Ratio(Strict):
    """Time of a forward pass relative to another's, both timed in each round; median and percentiles over rounds."""

    median: float
    p10: float
    p90: float
    rounds: int
    p50_ms: float
    other_p50_ms: float


class Box(Strict):
    """A part of a network as it ran.

    Attributes:
        name: Name of the module.
        channels: Channels of its output.
        level: Level of its output: log2 of the side of the image over that of the output; None for a vector.
        inside: Levels inside the part that are coarser than all its inputs and outputs.
    """

    name: str
    channels: int
    level: float | None
    inside: list[int] = []


class Topology(Strict):
    """Data flow of a network.

    Attributes:
        boxes: The parts in the order in which they ran, the image first and the logits last.
        edges: Pairs (i, j): the output of box i is an input of box j.
    """

    boxes: list[Box]
    edges: list[tuple[int, int]]


class EntryMeasurements(Strict):
    """Measurements of a registered model by ``benchmarks/zoo.py``.

    A value that could not be measured is None; ``failed`` states the reason. ``key`` identifies the model and the way
    it was measured; measurements with another key are not comparable.
    """

    name: str
    key: str
    side: int | None = None  # side of the image in pixels
    parameters: int | None = None
    macs: int | None = None
    memory: TensorMemory | None = None
    train_images: int = 1  # batch size of the training step in ``memory``
    topology: Topology | None = None
    ratio: Ratio | None = None
    environment: dict[str, Any] = {}
    failed: str | None = None


class ExportCheck(Strict):
    """Export of a registered model to one runtime, and its largest difference from torch in float32.

    Attributes:
        name: Name of the model.
        key: Identifies the model, its options and the versions; checks with another key are not comparable.
        backend: The runtime.
        sides: Image sizes that the exported graph takes, in words.
        free: True if height and width are free, and the number of images.
        shapes: Images that were compared, (N, C, H, W).
        absolute: Largest difference of the logits.
        relative: The same, relative to the largest logit.
        failed: Why there is no export, or no comparison.
        versions: Versions of torch and of the runtime.
    """

    name: str
    key: str
    backend: str
    sides: str = ""
    free: bool = False
    shapes: list[tuple[int, int, int, int]] = []
    absolute: float | None = None
    relative: float | None = None
    failed: str | None = None
    versions: dict[str, str | None] = {}
