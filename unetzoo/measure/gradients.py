"""Size of the gradient that reaches the first and the last convolution of a network."""

from __future__ import annotations

import math

from torch import nn

from unetzoo.errors import UnetzooError

CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


def gradient_norm(layer: nn.Module) -> float:
    """Return the root mean square of the gradient of a layer's weight, so that layers of any size compare.

    Args:
        layer: A layer with a ``weight``, after a backward pass.

    Raises:
        UnetzooError: If its weight has no gradient.
    """
    weight = getattr(layer, "weight", None)
    if weight is None or weight.grad is None:
        raise UnetzooError(f"{type(layer).__name__} has no gradient; call backward() first")
    return float(weight.grad.double().pow(2).mean().sqrt())


def first_to_last(network: nn.Module) -> float:
    """Return the gradient of the first convolution divided by that of the last, in the order of registration.

    A ratio that shrinks with depth is a vanishing gradient.

    Args:
        network: A network after a backward pass.

    Raises:
        UnetzooError: If it has fewer than two convolutions, or they have no gradient.
    """
    found = [module for module in network.modules() if isinstance(module, CONVOLUTIONS)]
    if len(found) < 2:
        raise UnetzooError(f"{type(network).__name__} has {len(found)} convolutions; two are needed for a ratio")
    first, last = gradient_norm(found[0]), gradient_norm(found[-1])
    return first / last if last else math.nan
