"""What was measured, as data: the part of a record that `unetzoo.measure` fills. No torch in here."""

from __future__ import annotations

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
