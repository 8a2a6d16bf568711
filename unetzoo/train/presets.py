"""The recipes by name: their options, and where they come from."""

from __future__ import annotations

from typing import Any, Literal

RecipeName = Literal["modern", "robust", "nnunet", "paper2015"]
DEFAULT: RecipeName = "robust"

PRESETS: dict[RecipeName, dict[str, Any]] = {
    "modern": {},  # every option's own default
    "robust": {
        "steps": 1000,
        "foreground": 0.33,
        "dice_classes": "foreground",
    },
    # Isensee et al. 2021, doi 10.1038/s41592-020-01008-z, methods. Patch, batch and number of steps stay as they are:
    # nnU-Net plans the first two for each data set and always takes 250,000 steps.
    "nnunet": {
        "optimizer": "sgd",
        "momentum": 0.99,
        "nesterov": True,
        "lr": 1e-2,
        "weight_decay": 3e-5,
        "schedule": "poly",
        "warmup": 0.0,
        "clip_norm": 12.0,
        "foreground": 0.33,
        "dice_classes": "foreground",
        "deep_supervision": True,
        "supervision": "halved",
        "augment": "nnunet",
    },
    # arXiv 1505.04597, section 3. The paper states neither learning rate nor schedule; these are our choice.
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
