"""Dilated convolutions in groups, whose gradients in bfloat16 PyTorch's CPU kernel gets wrong."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn


class DilatedGrouped(nn.Conv2d):
    """`nn.Conv2d` which on the CPU computes in float32, whatever autocast says; (N, C, H, W), in and out of one dtype.

    In bfloat16 and channels_last the gradient of its weights is wrong there, or the process dies (torch 2.14.1 on a CPU
    with bfloat16 instructions).
    """

    def forward(self, input: Tensor) -> Tensor:
        if input.device.type != "cpu" or self.weight.dtype == torch.float64:
            return super().forward(input)
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else input.dtype
        with torch.autocast("cpu", enabled=False):
            bias = None if self.bias is None else self.bias.float()
            y = self._conv_forward(input.float(), self.weight.float(), bias)
        return y.to(dtype)


def mend_dilated(network: nn.Module) -> None:
    """Make each dilated convolution in groups (depthwise, say) of the network a `DilatedGrouped`, in place."""
    for module in network.modules():
        if type(module) is nn.Conv2d and module.groups > 1 and max(module.dilation) > 1:
            cast(nn.Module, module).__class__ = DilatedGrouped
