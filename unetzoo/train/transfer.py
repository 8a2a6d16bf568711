"""Training with a pretrained encoder: frozen weights and a learning rate of its own."""

from __future__ import annotations

from typing import Any

from torch import nn

from unetzoo.errors import UnetzooError
from unetzoo.models.factory import ModelConfig
from unetzoo.train.recipe import Recipe


def check_transfer(recipe: Recipe, config: ModelConfig, label: str) -> None:
    """Check that a model has what the recipe's options for encoders need.

    Args:
        recipe: The recipe.
        config: The model.
        label: Name of the model in error messages.

    Raises:
        UnetzooError: If the model has no timm encoder, or an encoder without batch norms to freeze.
    """
    asked = recipe.of_the_encoder()
    if asked and config.encoder is None:
        raise UnetzooError(
            f"model {label!r}: train: {asked} needs an encoder such as encoder = 'resnet34', which this model lacks; "
            "set it only for models with one"
        )
    if recipe.freeze_norm and config.encoder is not None:
        from unetzoo.encoders.timm_encoder import pyramid

        if not pyramid(config.encoder).batch_norm:
            raise UnetzooError(
                f"model {label!r}: train: freeze_norm = True needs batch norms, and encoder = {config.encoder!r} has "
                "none; set it only for models with them"
            )


def parameter_groups(recipe: Recipe, network: nn.Module) -> list[dict[str, Any]]:
    """Freeze in place what the recipe freezes and return the trainable parameters in groups for an optimizer.

    Args:
        recipe: The recipe.
        network: The network.

    Returns:
        Groups with ``params`` and, for an encoder, ``lr_scale``, the factor of its learning rate.

    Raises:
        UnetzooError: If the recipe has options for a timm encoder and the network has none.
    """
    asked = recipe.of_the_encoder()
    if not asked:
        return [{"params": list(network.parameters())}]
    encoder = getattr(network, "encoder", None)
    body = getattr(encoder, "body", None)
    if not isinstance(encoder, nn.Module) or not isinstance(body, nn.Module):
        raise UnetzooError(f"train: {asked} needs an encoder that can be pretrained; {type(network).__name__} has none")
    encoder.keep_statistics = recipe.freeze_norm  # type: ignore[assignment]
    encoder.train(network.training)
    if recipe.freeze_encoder:
        body.requires_grad_(False)
    theirs = set(body.parameters())
    ours = {"params": [p for p in network.parameters() if p not in theirs]}
    if recipe.freeze_encoder:
        return [ours]
    return [ours, {"params": list(body.parameters()), "lr_scale": recipe.encoder_lr_scale}]
