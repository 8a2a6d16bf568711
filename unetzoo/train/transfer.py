"""Training on a pretrained encoder: what is frozen, and what learns at another rate."""

from __future__ import annotations

from typing import Any

from torch import nn

from unetzoo.errors import UnetzooError
from unetzoo.models.factory import ModelConfig
from unetzoo.train.recipe import Recipe


def check_transfer(recipe: Recipe, config: ModelConfig, label: str) -> None:
    """Raise `UnetzooError` where the recipe says something of an encoder that the model has not."""
    asked = recipe.of_the_encoder()
    if asked and config.encoder is None:
        raise UnetzooError(
            f"model {label!r}: train: {asked} is of an encoder such as encoder = 'resnet34', which this model has not; "
            "set it for other models alone"
        )
    if recipe.freeze_norm and config.encoder is not None:
        from unetzoo.encoders.timm_encoder import pyramid

        if not pyramid(config.encoder).batch_norm:
            raise UnetzooError(
                f"model {label!r}: train: freeze_norm = True keeps the statistics of batch norms, and encoder = "
                f"{config.encoder!r} has none; set it for other models alone"
            )


def parameter_groups(recipe: Recipe, network: nn.Module) -> list[dict[str, Any]]:
    """What learns, as an optimizer takes it; freezes in place what the recipe freezes.

    A group's ``lr_scale`` is what its learning rate is multiplied with. Raises `UnetzooError` where the network has no
    encoder with a ``body``.
    """
    asked = recipe.of_the_encoder()
    if not asked:
        return [{"params": list(network.parameters())}]
    encoder = getattr(network, "encoder", None)
    body = getattr(encoder, "body", None)
    if not isinstance(encoder, nn.Module) or not isinstance(body, nn.Module):
        raise UnetzooError(f"train: {asked} is of an encoder that can be pretrained; {type(network).__name__} has none")
    encoder.keep_statistics = recipe.freeze_norm  # type: ignore[assignment]
    encoder.train(network.training)
    if recipe.freeze_encoder:
        body.requires_grad_(False)
    theirs = set(body.parameters())
    ours = {"params": [p for p in network.parameters() if p not in theirs]}
    if recipe.freeze_encoder:
        return [ours]
    return [ours, {"params": list(body.parameters()), "lr_scale": recipe.encoder_lr_scale}]
