"""Workaround for dilated grouped convolutions, whose bfloat16 gradients are wrong in PyTorch's CPU kernel."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn


class DilatedGrouped(nn.Conv2d):
    """`nn.Conv2d` that computes in float32 on the CPU even under autocast.

    In bfloat16 and channels_last the gradient of the weights is wrong there, or the process dies (torch 2.14.1 on a CPU
    with bfloat16 instructions).
    """

    def forward(self, input: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H', W') in the dtype that `nn.Conv2d` would return."""
        if input.device.type != "cpu" or self.weight.dtype == torch.float64:
            return super().forward(input)
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else input.dtype
        with torch.autocast("cpu", enabled=False):
            bias = None if self.bias is None else self.bias.float()
            y = self._conv_forward(input.float(), self.weight.float(), bias)
        return y.to(dtype)


def mend_dilated(network: nn.Module) -> None:
    """Turn every dilated grouped convolution of a network, such as a depthwise one, into a `DilatedGrouped` in place.

    Args:
        network: The network.
    """
    for module in network.modules():
        if type(module) is nn.Conv2d and module.groups > 1 and max(module.dilation) > 1:
            cast(nn.Module, module).__class__ = DilatedGrouped
