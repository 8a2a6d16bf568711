"""Bytes of the feature maps that skip connections hold until the decoder has read them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unetzoo.errors import UnetzooError
from unetzoo.models.factory import ModelConfig
from unetzoo.nn.skips import NoSkip


def skip_bytes(config: ModelConfig, height: int, width: int, bytes_per_value: int = 4) -> int:
    """Return the bytes of all skipped maps for one image, by arithmetic on the meta device.

    They are the encoder's levels but the coarsest. In training the encoder keeps them for its own backward pass too, so
    a network without skips does not save all of these bytes there; in inference it does.

    Args:
        config: A model with an encoder that returns a pyramid.
        height: Height of the image.
        width: Width of the image.
        bytes_per_value: 4 for float32, 2 for bfloat16.

    Raises:
        UnetzooError: If the model has no encoder that returns a pyramid.
    """
    with torch.device("meta"):
        model = config.build(weights=False).eval()
        image = torch.zeros(1, config.in_channels, height, width)
    if any(isinstance(module, NoSkip) for module in model.modules()):
        return 0
    encoder = getattr(model, "encoder", None)
    held: list[int] = []
    if isinstance(encoder, nn.Module):

        def count(_module: nn.Module, _inputs: object, pyramid: object) -> None:
            if isinstance(pyramid, list | tuple):
                held.extend(level.numel() for level in pyramid[:-1] if isinstance(level, Tensor))

        encoder.register_forward_hook(count)
        with torch.no_grad():
            model(image)
    if not held:
        raise UnetzooError(f"model {config.name!r} has no encoder that returns a pyramid, so its skips are not known")
    return bytes_per_value * sum(held)
