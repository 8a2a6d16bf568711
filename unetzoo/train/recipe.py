"""The training protocol as data: what every model of a suite gets alike."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from unetzoo.errors import Strict

DEFAULT_STEPS = 200


class Tune(Strict):
    """A sweep on validation, for each model and seed by itself; without ``steps`` each rate has the full budget."""

    lr: list[float] = Field(min_length=2, description="peak learning rates to choose from")
    steps: int | None = Field(None, ge=1, description="steps for each; the chosen one then trains in full")

    @model_validator(mode="after")
    def _distinct(self) -> Tune:
        if any(lr <= 0 for lr in self.lr) or len(set(self.lr)) < len(self.lr):
            raise ValueError(f"lr = {self.lr} must be different rates above 0")
        return self


class Recipe(Strict):
    """AdamW, linear warm-up then cosine to zero, cross-entropy + soft Dice; crops, flips, right angles, jitter."""

    steps: int | None = Field(None, ge=1, description=f"budget in optimizer steps (default {DEFAULT_STEPS})")
    minutes: float | None = Field(None, gt=0, description="or budget in minutes of training, validation not included")
    flops: float | None = Field(
        None, gt=0, description="or in floating-point operations, forward and backward: fewer steps for what is costly"
    )
    patience: int | None = Field(None, ge=1, description="end after so many validations without a better one")
    tune: Tune | None = Field(None, description="choose the learning rate on validation")
    batch_size: int = Field(8, ge=1, description="crops a step, over all devices")
    crop: int = Field(128, ge=8, description="side of a training crop in pixels")
    lr: float = Field(2e-3, gt=0, description="peak learning rate")
    weight_decay: float = Field(0.01, ge=0)
    warmup: float = Field(0.1, ge=0, lt=1, description="share of the budget with rising learning rate")
    clip_norm: float = Field(1.0, gt=0, description="gradients are scaled down to this norm")
    validate_every: int = Field(50, ge=1, description="steps between validations; the last step is one too")
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    devices: int = Field(1, ge=1, description="how many of them; more than one is DistributedDataParallel")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="auto: bfloat16 where the hardware has it"
    )
    channels_last: bool = True
    deterministic: bool = Field(False, description="only deterministic algorithms; the record names what has none")
    threads: int = Field(0, ge=0, description="CPU threads of a trial; 0 = the machine's cores over --jobs")

    @model_validator(mode="after")
    def _one_budget(self) -> Recipe:
        given = [name for name in ("steps", "minutes", "flops") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are given; a budget is one of them")
        if self.batch_size % self.devices:
            raise ValueError(f"batch_size = {self.batch_size} must be a multiple of devices = {self.devices}")
        if not given:
            object.__setattr__(self, "steps", DEFAULT_STEPS)
        return self


def steps_for(flops: float, step_flops: int) -> int:
    """Training steps within a budget of floating-point operations, one at least."""
    return max(1, int(flops // max(1, step_flops)))
