"""The training protocol as data: what every model of a suite gets alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

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


class Border(Strict):
    """The border weight map of arXiv 1505.04597, equation 2."""

    w0: float = Field(10.0, ge=0, description="weight on the line between two touching objects; 0: class balance alone")
    sigma: float = Field(5.0, gt=0, description="how fast it falls with the distance to them, in pixels")


PRESETS: dict[str, dict[str, Any]] = {
    "modern": {},
    # arXiv 1505.04597, section 3. The text gives no learning rate and no schedule; these are ours.
    "paper2015": {
        "optimizer": "sgd",
        "momentum": 0.99,
        "lr": 1e-3,
        "weight_decay": 0.0,
        "schedule": "constant",
        "warmup": 0.0,
        "clip_norm": 0.0,
        "batch_size": 1,
        "loss": "cross_entropy",
        "border": {"w0": 10.0, "sigma": 5.0},
        "augment": "paper2015",
        "context": "image",
    },
}
BUDGETS = ("steps", "minutes", "flops")


class Recipe(Strict):
    """The defaults are the recipe "modern": AdamW, linear warm-up then cosine to zero, cross-entropy + soft Dice,
    crops with flips, right angles and jitter.

    "paper2015" has other defaults, those of arXiv 1505.04597: SGD with momentum 0.99, batches of one tile,
    cross-entropy weighted by class balance and borders, elastic deformation, and the context of valid convolutions
    from the image, mirrored at its border. What is given beside the name stands.
    """

    recipe: Literal["modern", "paper2015"] = Field("modern", description="the defaults of all that follows")
    steps: int | None = Field(None, ge=1, description=f"budget in optimizer steps (default {DEFAULT_STEPS})")
    minutes: float | None = Field(None, gt=0, description="or budget in minutes of training, validation not included")
    flops: float | None = Field(
        None, gt=0, description="or in floating-point operations, forward and backward: fewer steps for what is costly"
    )
    patience: int | None = Field(None, ge=1, description="end after so many validations without a better one")
    tune: Tune | None = Field(None, description="choose the learning rate on validation")
    batch_size: int = Field(8, ge=1, description="crops a step, over all devices")
    crop: int = Field(128, ge=8, description="side of a training crop in pixels; of what the network gives for it")
    optimizer: Literal["adamw", "sgd"] = "adamw"
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd")
    lr: float = Field(2e-3, gt=0, description="peak learning rate")
    schedule: Literal["cosine", "constant"] = Field("cosine", description="of the learning rate after the warm-up")
    weight_decay: float = Field(0.01, ge=0)
    warmup: float = Field(0.1, ge=0, lt=1, description="share of the budget with rising learning rate")
    clip_norm: float = Field(1.0, ge=0, description="gradients are scaled down to this norm; 0: never")
    freeze_encoder: bool = Field(False, description="the weights of a timm encoder stay as they are")
    encoder_lr_scale: float = Field(1.0, gt=0, description="the learning rate of a timm encoder, over that of the rest")
    freeze_norm: bool = Field(
        False, description="batch norms of a timm encoder keep their running means and variances, and use them"
    )
    loss: Literal["cross_entropy_dice", "cross_entropy"] = "cross_entropy_dice"
    border: Border | None = Field(
        None,
        description="weigh the cross-entropy by class balance and the borders between objects, as in 2015",
    )
    augment: Literal["flips", "paper2015"] = Field(
        "flips", description="flips, right angles and jitter; or elastic deformation, rotation, shift and jitter"
    )
    context: Literal["crop", "image"] = Field(
        "crop",
        description="what a network of valid convolutions sees around a training crop: the crop mirrored, or the image",
    )
    validate_every: int = Field(50, ge=1, description="steps between validations; the last step is one too")
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    devices: int = Field(1, ge=1, description="how many of them; more than one is DistributedDataParallel")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="auto: bfloat16 where the hardware has it"
    )
    channels_last: bool = True
    deterministic: bool = Field(False, description="only deterministic algorithms; the record names what has none")
    threads: int = Field(0, ge=0, description="CPU threads of a trial; 0 = the machine's cores over --jobs")
    workers: int | Literal["auto"] = Field(
        "auto",
        description="processes that prepare crops ahead; auto: none where the CPU trains, else up to 8 of its cores",
    )

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, data: Any) -> Any:
        """What the named recipe sets and the data does not say."""
        preset = PRESETS.get(str(data.get("recipe")), {}) if isinstance(data, dict) else {}
        return {**preset, **data} if preset else data

    @model_validator(mode="after")
    def _one_budget(self) -> Recipe:
        given = [name for name in BUDGETS if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are given; a budget is one of them")
        if self.batch_size % self.devices:
            raise ValueError(f"batch_size = {self.batch_size} must be a multiple of devices = {self.devices}")
        if self.freeze_encoder and self.encoder_lr_scale != 1:
            raise ValueError(f"freeze_encoder leaves encoder_lr_scale = {self.encoder_lr_scale} nothing to do")
        if not given:
            object.__setattr__(self, "steps", DEFAULT_STEPS)
        if self.workers != "auto" and self.workers < 0:
            raise ValueError(f"workers = {self.workers} must be 'auto' or a number from 0 up")
        return self

    def of_the_encoder(self) -> str:
        """The options that only a timm encoder has, as they are set; empty where all are at their defaults."""
        plain = {"freeze_encoder": False, "encoder_lr_scale": 1.0, "freeze_norm": False}
        return ", ".join(f"{k} = {getattr(self, k)}" for k, value in plain.items() if getattr(self, k) != value)

    def changed(self, changes: Mapping[str, Any], where: str) -> Recipe:
        """A copy with ``changes``; another ``recipe`` brings its own defaults, another budget replaces this one.

        Raises `UnetzooError`, beginning with ``where``, on an unknown option or value.
        """
        base = self.model_dump()
        if any(name in changes for name in BUDGETS):
            base |= dict.fromkeys(BUDGETS)
        return Recipe.from_mapping({**base, **PRESETS.get(str(changes.get("recipe")), {}), **changes}, where)


def steps_for(flops: float, step_flops: int) -> int:
    """Training steps within a budget of floating-point operations, one at least."""
    return max(1, int(flops // max(1, step_flops)))
