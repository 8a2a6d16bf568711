"""Results of measurements as data: the part of a record that `unetzoo.measure` fills; does not import torch."""

from __future__ import annotations

from typing import Any

from unetzoo.errors import Strict


class Timing(Strict):
    """Timing of a forward pass between two runs of a fixed matrix product, the calibration."""

    precision: str
    shape: tuple[int, int, int, int]
    p50_ms: float
    p90_ms: float
    spread: float  # (p90 - p10) / median of the repetitions
    repeats: int
    images_per_second: float  # at this shape
    calibration: tuple[float, float]  # FLOP/s of the matrix product before and after
    utilisation: float | None  # the model's FLOP/s divided by the calibration's
    attempts: int  # number of timings; noisy ones are repeated
    noisy: bool  # calibrations or repetitions disagreed by more than the bound in every attempt


class Breakdown(Strict):
    """Bytes of tensors at their peak, by purpose at that moment; ``skips`` is part of ``activations``."""

    total: int
    parameters: int
    gradients: int = 0
    optimizer: int = 0
    activations: int = 0  # kept for the backward pass, or in use in inference
    other: int = 0  # buffers, inputs, targets, temporaries
    skips: int | None = None  # pyramid levels for the decoder; None if the network has no skips


class TensorMemory(Strict):
    """Peak memory of tensors in a training step and in a forward pass."""

    train: Breakdown
    infer: Breakdown


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


class EntryFacts(Strict):
    """Measurements of a registered model by ``benchmarks/zoo.py``.

    A value that could not be measured is None; ``failed`` states the reason. ``key`` identifies the model and the way
    it was measured; facts with another key are not comparable.
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
