"""Results of measurements as data: the part of a record that `unetzoo.measure` fills; does not import torch."""

from __future__ import annotations

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
