"""What `benchmarks/zoo.py` finds out about an entry, as data. No torch in here."""

from __future__ import annotations

from typing import Any

from unetzoo.errors import Strict
from unetzoo.records.measured import TensorMemory


class Ratio(Strict):
    """A forward pass's time over another's, both timed in each round; median and percentiles over rounds."""

    median: float
    p10: float
    p90: float
    rounds: int
    p50_ms: float
    other_p50_ms: float


class Box(Strict):
    """A part of a network as it ran: its output's ``channels`` and ``level``, log2 of the image's side over its own.

    A vector has no level. ``inside`` are levels the part reaches within, coarser than all it takes and gives.
    """

    name: str
    channels: int
    level: float | None
    inside: list[int] = []


class Topology(Strict):
    """Boxes in the order they ran, the image first and the logits last, and which feeds which, by index."""

    boxes: list[Box]
    edges: list[tuple[int, int]]


class EntryFacts(Strict):
    """What `benchmarks/zoo.py` found out about a registered model; what it could not is None, and ``failed`` says why.

    ``key`` stands for the model and how it was measured: with another key the facts are of something else.
    """

    name: str
    key: str
    side: int | None = None  # of the image in px
    parameters: int | None = None
    macs: int | None = None
    memory: TensorMemory | None = None
    train_images: int = 1  # in the batch that the memory of training is of
    topology: Topology | None = None
    ratio: Ratio | None = None
    environment: dict[str, Any] = {}
    failed: str | None = None
