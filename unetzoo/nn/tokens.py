"""Parts shared by transformers: attention, MLP, position embeddings for a grid of any size, patch expanding.

Tokens are (N, L, C) or, on a grid, (N, H, W, C).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.nn.blocks import exporting


def fitting_heads(channels: int, most: int) -> int:
    """Return the largest number of heads up to ``most`` that divides ``channels``."""
    return next(heads for heads in range(min(most, channels), 0, -1) if channels % heads == 0)


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int, *, bias: Tensor | None = None) -> Tensor:
    """Compute multi-head attention.

    Args:
        query: (..., L, C); each head has C / heads consecutive channels.
        key: (..., M, C).
        value: (..., M, C).
        heads: Number of heads, a divisor of C.
        bias: Added to the scaled scores, (..., heads, L, M); optional.

    Returns:
        The attended values, (..., L, C).

    References:
        Vaswani et al. 2017, arXiv 1706.03762.
    """
    if exporting() and query.dim() > 3:  # ONNX has attention of 4-D tensors alone, heads included
        lead = query.shape[:-2]
        bias = None if bias is None else bias.expand(*lead, *bias.shape[-3:]).flatten(0, -4)
        query, key, value = (x.flatten(0, -3) for x in (query, key, value))
        return attend(query, key, value, heads, bias=bias).unflatten(0, lead)
    query, key, value = (x.unflatten(-1, (heads, -1)).transpose(-2, -3) for x in (query, key, value))
    x = F.scaled_dot_product_attention(query, key, value, attn_mask=bias).transpose(-2, -3)
    if exporting():  # converters lay the result out in another way, in which it cannot be viewed flat
        x = x.clone(memory_format=torch.contiguous_format)
    return x.flatten(-2)


class ReducedAttention(nn.Module):
    """Self-attention whose keys and values come from a map reduced by a strided convolution.

    Modules are named as in the authors' code.

    Args:
        channels: Channels of the tokens.
        heads: Number of heads.
        reduction: Stride of the convolution; 1 omits it.

    References:
        SegFormer, Xie et al. 2021, arXiv 2105.15203, section 3.1.
    """

    def __init__(self, channels: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(channels, channels)
        self.kv = nn.Linear(channels, 2 * channels)
        self.proj = nn.Linear(channels, channels)
        self.sr: nn.Module | None = None
        if reduction > 1:
            self.sr = nn.Conv2d(channels, channels, reduction, stride=reduction)
            self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor, size: Sequence[int]) -> Tensor:
        """Map tokens (N, H * W, C) of a map of ``size`` (H, W) to the same shape."""
        seen = x
        if self.sr is not None:
            seen = self.norm(self.sr(as_map(x, size)).flatten(2).transpose(1, 2))
        key, value = self.kv(seen).chunk(2, dim=-1)
        return self.proj(attend(self.q(x), key, value, self.heads))


def as_map(tokens: Tensor, size: Sequence[int]) -> Tensor:
    """Return tokens (N, H * W, C) as a map (N, C, H, W), ``size`` being (H, W)."""
    return tokens.transpose(1, 2).unflatten(2, tuple(size)).contiguous()


class MLP(nn.Sequential):
    """Linear layer to several times the channels, GELU, dropout, linear layer back, dropout.

    The initial weights are those of ViT: Xavier-uniform, biases N(0, 1e-6).

    Args:
        channels: Channels of the tokens.
        dropout: Probability of dropout.
        expansion: Channels between the two layers over ``channels``.
    """

    def __init__(self, channels: int, dropout: float = 0.0, *, expansion: int = 4) -> None:
        first, last = nn.Linear(channels, expansion * channels), nn.Linear(expansion * channels, channels)
        super().__init__(first, nn.GELU(), nn.Dropout(dropout), last, nn.Dropout(dropout))
        for linear in (first, last):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.normal_(linear.bias, std=1e-6)


class Positions(nn.Module):
    """Learned position embeddings of a square grid, interpolated bilinearly for grids of another size.

    They start at zero.

    Args:
        side: Side of the grid in tokens.
        channels: Channels of the tokens.
    """

    def __init__(self, side: int, channels: int) -> None:
        super().__init__()
        self.side = side
        self.table = nn.Parameter(torch.zeros(1, side * side, channels))

    def forward(self, h: int, w: int) -> Tensor:
        """Return the embeddings of an ``h`` x ``w`` grid, (1, h * w, C), row by row."""
        if not exporting() and (h, w) == (self.side, self.side):
            return self.table
        grid = self.table.transpose(1, 2).unflatten(2, (self.side, self.side))
        return F.interpolate(grid, size=(h, w), mode="bilinear", align_corners=False).flatten(2).transpose(1, 2)


def offset_index(side: int) -> Tensor:
    """Return the index of the relative position of every two tokens of a square.

    Args:
        side: Side of the square in tokens.

    Returns:
        Rows of a table of (2 * side - 1)**2 relative positions, (side**2, side**2).
    """
    at = torch.arange(side)
    offset = at[:, None] - at + side - 1  # 0 to 2 * side - 2
    index = offset[:, None, :, None] * (2 * side - 1) + offset[None, :, None, :]
    return index.reshape(side**2, side**2)


class Expand(nn.Module):
    """Patch expanding: a linear layer turns each token into a square of tokens; layer norm follows.

    Args:
        c_in: Input channels.
        c_out: Output channels.
        factor: Side of the square.

    References:
        Swin-Unet, Cao et al. 2021, arXiv 2105.05537.
    """

    def __init__(self, c_in: int, c_out: int, factor: int = 2) -> None:
        super().__init__()
        self.factor = factor
        self.expand = nn.Linear(c_in, factor**2 * c_out, bias=False)
        self.norm = nn.LayerNorm(c_out)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, H, W, c_in) to (N, factor * H, factor * W, c_out)."""
        squares = self.expand(x).unflatten(-1, (self.factor, self.factor, -1))
        return self.norm(squares.transpose(2, 3).flatten(1, 2).flatten(2, 3))
