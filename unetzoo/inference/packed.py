"""Convolutions of the CPU with weights in oneDNN's own layout and a fused ReLU.

torch reorders a convolution's weights in every call; here it is done once. Results are those of the convolution and the
ReLU. The operators are those of torch's inductor; where torch lacks them, building one raises `AttributeError`.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from unetzoo.inference.fold import CONVOLUTIONS, Follows, replace
from unetzoo.nn.upsample import TransposedUp


class _Packed(nn.Module):
    """A convolution, or a transposed one, with its weights reordered.

    Args:
        conv: The convolution.
        attr: "relu" or "none".
    """

    def __init__(self, conv: nn.Conv2d | nn.ConvTranspose2d, attr: str) -> None:
        super().__init__()
        ops, place = torch.ops.mkldnn, [list(conv.stride), list(conv.dilation), conv.groups]
        padding = [list(map(int, conv.padding))]
        if isinstance(conv, nn.ConvTranspose2d):
            padding.append(list(conv.output_padding))
            reorder, self.compute = ops._reorder_convolution_transpose_weight, ops._convolution_transpose_pointwise
        else:
            reorder, self.compute = ops._reorder_convolution_weight, ops._convolution_pointwise
        self.options = (*padding, *place, attr, [], "")
        self.weight = reorder(conv.weight.detach(), *padding, *place, None)
        self.bias = None if conv.bias is None else conv.bias.detach()

    def forward(self, x: Tensor, *_: object) -> Tensor:
        """Map (N, C, H, W) to (N, C', H', W')."""
        return self.compute(x, self.weight, self.bias, *self.options)


def pack_convolutions(network: nn.Module, pairs: Iterable[Follows]) -> None:
    """Replace convolutions of ``network``, and the ReLUs that follow them, by packed ones.

    Args:
        network: A network on the CPU, whose weights have the dtype to compute with.
        pairs: Modules of it that follow one another, as `watched` finds them.
    """
    then = {pair.first: pair.then for pair in pairs}
    swapped: dict[nn.Module, nn.Module] = {}
    for conv in network.modules():
        if not (isinstance(conv, CONVOLUTIONS) and _packable(conv)):
            continue
        relu = type(then.get(conv)) is nn.ReLU
        swapped[conv] = _Packed(conv, "relu" if relu else "none")
        if relu:
            swapped[then[conv]] = nn.Identity()
    replace(network, swapped)


def _packable(conv: nn.Conv2d | nn.ConvTranspose2d) -> bool:
    """Return True for torch's own convolutions with a padding of zeros, except dilated grouped ones.

    Those are wrong or crash in bfloat16; see `unetzoo.nn.dilated`. A `TransposedUp` of 2x2 has nothing to crop.
    """
    own = type(conv) in CONVOLUTIONS or (type(conv) is TransposedUp and conv.kernel_size == (2, 2))
    own = own and conv.padding_mode == "zeros" and not isinstance(conv.padding, str)
    return own and (conv.groups == 1 or max(conv.dilation) == 1)
