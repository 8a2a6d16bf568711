"""What was measured, as data: the part of a record that `unetzoo.measure` fills. No torch in here."""

from __future__ import annotations

from typing import Any

from unetzoo.errors import Strict


class Timing(Strict):
    """One timed piece of work between two runs of a fixed matrix product (the calibration)."""

    precision: str
    shape: tuple[int, int, int, int]
    p50_ms: float
    p90_ms: float
    spread: float  # (p90 - p10) / median of the repetitions
    repeats: int
    images_per_second: float  # at this shape
    calibration: tuple[float, float]  # FLOP/s of the matrix product before and after
    utilisation: float | None  # the model's FLOP/s over the calibration's
    attempts: int  # how often it was timed: again where it was noisy
    noisy: bool  # calibrations or repetitions disagreed by more than the bound, to the last attempt


class Breakdown(Strict):
    """Peak bytes of tensors and what they were for at that moment; ``skips`` is part of ``activations``."""

    total: int
    parameters: int
    gradients: int = 0
    optimizer: int = 0
    activations: int = 0  # kept for the backward pass, or under way in inference
    other: int = 0  # buffers, inputs, targets, temporaries
    skips: int | None = None  # pyramid levels the decoder still waits for; None where the network has none


class TensorMemory(Strict):
    """The tracker's account of a training step and of one forward pass."""

    train: Breakdown
    infer: Breakdown


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
