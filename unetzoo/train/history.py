"""Course of a training, in plain values."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

Ending = Literal["budget", "patience", "converged", "most_steps"]


@dataclass
class History:
    """Course of a training run, in plain values.

    Attributes:
        step: Training steps so far.
        best_step: Step after which the validation was best.
        best_dice: Mean foreground Dice of that validation; None if no validation image has one.
        best_loss: Loss of that validation.
        best_images: Dice of each image of that validation that has one.
        train_curve: (step, mean training loss since the validation before) at each validation.
        val_curve: (step, loss, Dice) of each validation.
        recent: Training losses since the last validation.
        seconds: Time spent in training steps, without validation.
        images: Training images seen.
        resumed: Steps from which an interrupted training was resumed.
        cooldown: First and last step of the final fall of the learning rate, for a training until it has converged.
        ended: What ended the training: its budget, ``patience``, convergence, or ``most_steps`` before that.
    """

    step: int = 0
    best_step: int = 0
    best_dice: float | None = None
    best_loss: float = math.inf
    best_images: list[float] = field(default_factory=list)
    train_curve: list[tuple[int, float]] = field(default_factory=list)
    val_curve: list[tuple[int, float, float | None]] = field(default_factory=list)
    recent: list[float] = field(default_factory=list)
    seconds: float = 0.0
    images: int = 0
    resumed: list[int] = field(default_factory=list)
    cooldown: tuple[int, int] | None = None
    ended: Ending = "budget"

    def stale(self) -> int:
        """Return the number of validations since the best one."""
        return sum(step > self.best_step for step, _, _ in self.val_curve)
