"""Changes to networks that make tests of them sharp."""

from __future__ import annotations

from torch import nn


def without_dead_units(model: nn.Module) -> nn.Module:
    """Make ReLUs leaky: in a network this narrow some have no input above 0, which says nothing about the wiring.

    Likewise norms that start at zero, so that their block starts as its shortcut, are set to one.
    """
    for module in model.modules():
        starts_as_zero = isinstance(module, nn.BatchNorm2d) and module.affine and not module.weight.any()
        if starts_as_zero or (isinstance(module, nn.InstanceNorm2d) and module.weight is not None):
            nn.init.ones_(module.weight)
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU):
                setattr(module, name, nn.LeakyReLU(0.1))
    return model
