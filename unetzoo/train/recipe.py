"""The training recipe as data, the same for every model of a suite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from unetzoo.errors import Strict
from unetzoo.train.presets import DEFAULT, PRESETS, RecipeName

DEFAULT_STEPS = 200


class Tune(Strict):
    """Choice of the learning rate on validation, separately for each model and seed.

    Without ``steps`` each rate is trained with the full budget.
    """

    lr: list[float] = Field(min_length=2, description="peak learning rates to choose from")
    steps: int | None = Field(None, ge=1, description="steps for each rate; the best one is then trained in full")

    @model_validator(mode="after")
    def _distinct(self) -> Tune:
        if any(lr <= 0 for lr in self.lr) or len(set(self.lr)) < len(self.lr):
            raise ValueError(f"lr = {self.lr} must be distinct rates above 0")
        return self


class Border(Strict):
    """Border weight map: w = class balance + w0 exp(-(d1 + d2)^2 / (2 sigma^2)).

    d1 and d2 are the distances of a pixel to the nearest and to the second nearest object.

    References:
        Ronneberger et al. 2015, arXiv 1505.04597, equation 2.
    """

    w0: float = Field(10.0, ge=0, description="weight on the line between two touching objects; 0: only class balance")
    sigma: float = Field(5.0, gt=0, description="distance over which the weight falls, in pixels")


BUDGETS = ("steps", "minutes", "flops")
MIN_DELTA, MOST_STEPS = 0.001, 20_000
OF_CONVERGENCE = {"min_delta": MIN_DELTA, "most_steps": MOST_STEPS}  # options that only ``until`` has
CONVERGED_PATIENCE = 10


class Recipe(Strict):
    """Options of training; the field ``recipe`` selects their defaults.

    - "robust", the default: "modern" with a third of the crops on foreground, soft Dice of the foreground alone, and
      1000 steps.
    - "modern": AdamW, linear warm-up and then half a cosine to zero, cross-entropy plus soft Dice, crops with flips,
      rotations by right angles and jitter.
    - "nnunet", the training of nnU-Net (doi 10.1038/s41592-020-01008-z): SGD with Nesterov momentum 0.99, polynomial
      decay, a third of the crops on foreground, deep supervision where a model has it, its augmentation.
    - "paper2015", the defaults of arXiv 1505.04597: SGD with momentum 0.99, batches of one tile, cross-entropy weighted
      by class balance and borders, elastic deformation. Networks of unpadded convolutions get their context from the
      image, mirrored at its border.

    Options that are given besides override these defaults. One that would have no effect is refused.
    """

    recipe: RecipeName = Field(DEFAULT, description="defaults of all other options")
    steps: int | None = Field(None, ge=1, description=f"budget in optimizer steps (default {DEFAULT_STEPS})")
    minutes: float | None = Field(None, gt=0, description="budget in minutes of training, without validation")
    flops: float | None = Field(
        None,
        gt=0,
        description="budget in floating-point operations, forward and backward: costly models get fewer steps",
    )
    until: Literal["converged"] | None = Field(
        None,
        description="instead of a budget: train at a constant rate until validation no longer rises, then let it fall",
    )
    min_delta: float = Field(
        MIN_DELTA, ge=0, description="rise in Dice over ``patience`` validations that still counts"
    )
    most_steps: int = Field(MOST_STEPS, ge=10, description="steps at most, if ``until`` is given")
    patience: int | None = Field(
        None,
        ge=1,
        description="stop after this many validations without a better one; with ``until``, the span in which "
        f"validation must rise (default {CONVERGED_PATIENCE})",
    )
    tune: Tune | None = Field(None, description="choose the learning rate on validation")
    batch_size: int = Field(8, ge=1, description="crops per step, over all devices")
    crop: int = Field(128, ge=8, description="side of a training crop in pixels, measured on the network's output")
    optimizer: Literal["adamw", "sgd"] = Field("adamw", description="optimizer of the training")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of sgd")
    nesterov: bool = Field(False, description="Nesterov's form of the momentum of sgd")
    lr: float = Field(2e-3, gt=0, description="peak learning rate")
    schedule: Literal["cosine", "constant", "poly"] = Field(
        "cosine",
        description="learning rate after the warm-up: half a cosine, constant, or (1 - t)^0.9 (arXiv 1606.00915)",
    )
    weight_decay: float = Field(0.01, ge=0, description="weight decay of the optimizer")
    warmup: float = Field(0.1, ge=0, lt=1, description="share of the budget with rising learning rate")
    clip_norm: float = Field(1.0, ge=0, description="norm to which gradients are clipped; 0: no clipping")
    ema: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="decay of the moving average of weights that is validated and kept; 0: the weights themselves "
        "(Polyak and Juditsky 1992, doi 10.1137/0330046)",
    )
    freeze_encoder: bool = Field(False, description="do not train the weights of a timm encoder")
    encoder_lr_scale: float = Field(1.0, gt=0, description="learning rate of a timm encoder relative to the rest")
    freeze_norm: bool = Field(
        False, description="batch norms of a timm encoder use their running statistics and do not update them"
    )
    loss: Literal["cross_entropy_dice", "cross_entropy"] = Field(
        "cross_entropy_dice", description="cross-entropy plus soft Dice, or cross-entropy alone"
    )
    dice_classes: Literal["all", "foreground"] = Field(
        "all", description="classes of the soft Dice: all, or the foreground's alone (as nnU-Net)"
    )
    class_weights: Literal["none", "median_frequency"] = Field(
        "none", description="weights of the classes in the cross-entropy: none, or those of arXiv 1411.4734"
    )
    deep_supervision: bool = Field(
        False, description="switch on deep supervision in models that have it as an option and do not set it"
    )
    supervision: Literal["equal", "halved"] = Field(
        "equal", description="weights of supervised scales: equal, or each half of the next finer one's (as nnU-Net)"
    )
    foreground: float = Field(
        0.0, ge=0, le=1, description="share of the crops that are placed on a foreground pixel (nnU-Net: 0.33)"
    )
    border: Border | None = Field(
        None,
        description="weight the cross-entropy by class balance and the borders between objects (arXiv 1505.04597)",
    )
    augment: Literal["flips", "strong", "nnunet", "paper2015"] = Field(
        "flips",
        description="flips, right angles and jitter; strong: besides, any angle, scale, deformation, gamma, blur and "
        "noise; nnunet: nnU-Net's; paper2015: elastic deformation, rotation, shift and jitter",
    )
    context: Literal["crop", "image"] = Field(
        "crop",
        description="context of a crop for networks of unpadded convolutions: the crop mirrored, or the image",
    )
    validate_every: int = Field(
        50, ge=1, description="steps between validations; there is always one after the last step"
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto", description="device that trains; auto: the first available of cuda, mps, cpu"
    )
    devices: int = Field(1, ge=1, description="number of devices; more than one train with DistributedDataParallel")
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto",
        description="auto: bfloat16 if the hardware supports it, else float16 on a GPU; float16 scales its gradients",
    )
    channels_last: bool = Field(True, description="use the memory format channels_last, where channels vary fastest")
    compute: Literal["auto", "fixed"] = Field(
        "fixed",
        description="auto: time a few steps and depart from precision = 'auto' and channels_last = True where that is "
        "at least a tenth faster; the choice is the same for all seeds of a model",
    )
    compile: bool = Field(
        False, description="compile the model with torch.compile; on a CPU that takes a minute or more and seldom pays"
    )
    recompute: Literal["none", "skips", "decoder", "all"] = Field(
        "none",
        description="maps that the backward pass computes again instead of keeping them in memory: of the encoder's "
        "levels above the bottleneck, of the decoder, or all; networks outside the grid have only none and all",
    )
    augment_on: Literal["auto", "loader", "device"] = Field(
        "auto",
        description="where crops are cut and augmented: by the loader, or in batches on the device that trains, which "
        "then holds the training images; auto: on a GPU in whose free memory they take a quarter at most",
    )
    deterministic: bool = Field(False, description="use deterministic algorithms; the record names operations without")
    threads: int = Field(0, ge=0, description="CPU threads of a trial; 0: the machine's cores divided by --jobs")
    workers: int | Literal["auto"] = Field(
        "auto",
        description="processes that prepare crops in advance; auto: none if the CPU trains, else up to 8",
    )

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, data: Any) -> Any:
        """Add the defaults of the named recipe to the options that are given, and refuse what has no effect."""
        if not isinstance(data, dict):
            return data
        preset = preset_of(data)
        given = {name: value for name, value in data.items() if value != preset.get(name, _default(name))}
        merged = {**preset, **data}
        for name, value in given.items():
            if why := _without_effect(name, merged):
                raise ValueError(f"{name} = {value!r} has no effect {why}")
        return merged

    @model_validator(mode="after")
    def _one_budget(self) -> Recipe:
        given = [name for name in (*BUDGETS, "until") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are given; give only one of them as the budget")
        if self.batch_size % self.devices:
            raise ValueError(f"batch_size = {self.batch_size} must be a multiple of devices = {self.devices}")
        if self.freeze_encoder and self.encoder_lr_scale != 1:
            raise ValueError(f"encoder_lr_scale = {self.encoder_lr_scale} has no effect with freeze_encoder")
        if self.border is not None and self.class_weights != "none":
            raise ValueError(f"class_weights = {self.class_weights!r} and border both weight classes; give one of them")
        if self.until is not None and self.tune is not None and self.tune.steps is None:
            raise ValueError("tune needs steps of its own with until = 'converged'; give tune.steps")
        if not given:
            object.__setattr__(self, "steps", DEFAULT_STEPS)
        if self.workers != "auto" and self.workers < 0:
            raise ValueError(f"workers = {self.workers} must be 'auto' or a number from 0 up")
        return self

    @model_validator(mode="after")
    def _compiled(self) -> Recipe:
        if self.compile and self.recompute != "none":
            raise ValueError(f"compile = True and recompute = {self.recompute!r} exclude each other; give one of them")
        return self

    def of_the_encoder(self) -> str:
        """Return, in words, the options for timm encoders that differ from their defaults; empty if none does."""
        defaults = {"freeze_encoder": False, "encoder_lr_scale": 1.0, "freeze_norm": False}
        return ", ".join(f"{k} = {getattr(self, k)}" for k, value in defaults.items() if getattr(self, k) != value)

    def changed(self, changes: Mapping[str, Any], where: str) -> Recipe:
        """Return a copy with other options.

        Args:
            changes: Options and their values. Another ``recipe`` brings its own defaults; another budget replaces the
                present one.
            where: Source of the changes; error messages begin with it.

        Raises:
            UnetzooError: If an option or a value is not valid.
        """
        base = self.model_dump()
        if any(name in changes for name in (*BUDGETS, "until")):
            base |= dict.fromkeys((*BUDGETS, "until")) | OF_CONVERGENCE
        name = changes.get("recipe", self.recipe)
        if name != self.recipe:
            own = PRESETS[self.recipe]
            base = {k: v for k, v in base.items() if k in BUDGETS or k not in own or v != own[k]}
            base |= {k: v for k, v in PRESETS.get(name, {}).items() if k not in BUDGETS}
        return Recipe.from_mapping({**base, **changes}, where)


def preset_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the recipe that ``data`` names, without its budget if ``data`` has another.

    Args:
        data: Options as they are given.
    """
    preset = PRESETS.get(data.get("recipe", DEFAULT), {})
    if any(data.get(name) is not None for name in (*BUDGETS, "until")):
        return {name: value for name, value in preset.items() if name not in BUDGETS}
    return preset


def _default(name: str) -> Any:
    field = Recipe.model_fields.get(name)
    return None if field is None else field.default


def _without_effect(name: str, options: Mapping[str, Any]) -> str:
    """Return why an option has no effect beside the others, in words; empty if it has one."""
    needed: dict[str, tuple[str, Any]] = {
        "momentum": ("optimizer", "sgd"),
        "nesterov": ("optimizer", "sgd"),
        "dice_classes": ("loss", "cross_entropy_dice"),
        "compute": ("deterministic", False),
        **dict.fromkeys(OF_CONVERGENCE, ("until", "converged")),
    }
    if name in needed:
        other, value = needed[name]
        if options.get(other, _default(other)) != value:
            return f"without {other} = {value!r}"
    if name == "schedule" and options.get("until") is not None:
        return "with until, which has a schedule of its own"
    return ""


def steps_for(flops: float, step_flops: int) -> int:
    """Return the number of training steps within a budget, at least one.

    Args:
        flops: Budget in floating-point operations.
        step_flops: Floating-point operations of one step.
    """
    return max(1, int(flops // max(1, step_flops)))
