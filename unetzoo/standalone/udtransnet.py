"""UDTransNet: a U-Net whose skips pass attention among channels and tokens, and are called up by the decoder.

References:
    Wang et al. 2023, Narrowing the semantic gaps in U-Net with learnable skip connections: The case of medical image
        segmentation, arXiv 2312.15182.
    Code: McGregorWwww/UDTransNet, nets/UDTransNet.py, UDTransNet.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.errors import UnetzooError
from unetzoo.nn.blocks import spatial
from unetzoo.nn.norms import InstanceNorm
from unetzoo.nn.tokens import MLP, Positions, as_map
from unetzoo.standalone.common import AnySize, fraction, one_of, whole
from unetzoo.standalone.resnet import ResNetEncoder
from unetzoo.standalone.u_transformer import layers as conv_layers

STRIDE = 16  # pixels to a token, at every level
LEVELS = 4  # those with a skip
BLOCKS = (3, 4, 6, 3)  # of ResNet-34


def norms(channels: int) -> nn.ModuleList:
    """Return a layer norm for each level."""
    return nn.ModuleList(nn.LayerNorm(channels, eps=1e-6) for _ in range(LEVELS))


def linears(channels: int) -> nn.ModuleList:
    """Return a linear layer without bias for each level."""
    return nn.ModuleList(nn.Linear(channels, channels, bias=False) for _ in range(LEVELS))


class DualAttention(nn.Module):
    """Attention among the channels of all levels, then of each level's tokens to the tokens of its result.

    Scores are not scaled but instance-normed, over channels by channels or over a head's tokens by tokens.

    Args:
        channels: Channels of a token.
        heads: Heads of the second attention; the first has one.
        dropout: Probability of dropout on the weights and on the result.
    """

    def __init__(self, channels: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        together = LEVELS * channels
        self.across = nn.ModuleList(nn.Linear(together, together, bias=False) for _ in range(3))
        self.queries = linears(channels)
        self.key, self.value = (nn.Linear(channels, channels, bias=False) for _ in range(2))
        self.out = linears(channels)
        self.norm_channels, self.norm_tokens = InstanceNorm(1, affine=False), InstanceNorm(heads, affine=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, levels: list[Tensor], together: Tensor) -> list[Tensor]:
        """Return what each level (N, L, C) attends to, given all levels' channels ``together`` (N, L, 4 * C)."""
        query, key, value = (linear(together) for linear in self.across)
        scores = self.norm_channels((query.transpose(1, 2) @ key)[:, None])[:, 0]
        seen = (self.dropout(scores.softmax(dim=-1)) @ value.transpose(1, 2)).transpose(1, 2)
        seen = torch.cat(seen.chunk(LEVELS, dim=-1), dim=1)  # (N, 4 * L, C)
        key, value = self._split(self.key(seen)).transpose(2, 3), self._split(self.value(seen))
        attended: list[Tensor] = []
        for x, queries, out in zip(levels, self.queries, self.out, strict=True):
            weights = self.norm_tokens(self._split(queries(x)) @ key).softmax(dim=-1)
            attended.append(self.dropout(out((self.dropout(weights) @ value).transpose(1, 2).flatten(2))))
        return attended

    def _split(self, x: Tensor) -> Tensor:
        """Split tokens (N, L, C) into heads (N, heads, L, C / heads)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class Layer(nn.Module):
    """`DualAttention` and an `MLP` for each level, after norms and with shortcuts."""

    def __init__(self, channels: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norms = norms(channels)
        self.norm_together = nn.LayerNorm(LEVELS * channels, eps=1e-6)
        self.attend = DualAttention(channels, heads, dropout)
        self.think = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(channels, eps=1e-6), MLP(channels, dropout, expansion=2)) for _ in range(LEVELS)
        )

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        """Map the tokens (N, L, C) of each level to tokens of the same shape."""
        normed = [norm(x) for norm, x in zip(self.norms, levels, strict=True)]
        attended = self.attend(normed, self.norm_together(torch.cat(levels, dim=-1)))
        levels = [x + y for x, y in zip(levels, attended, strict=True)]
        return [x + think(x) for think, x in zip(self.think, levels, strict=True)]


class DualTransformer(nn.Module):
    """Dual attention transformer (DAT): `Layer`s on the levels' maps as tokens of 16x16 pixels, all equally wide.

    Args:
        c_levels: Channels of the levels, finest first.
        channels: Channels of a token.
        layers: Number of `Layer`s.
        heads: Heads of each layer.
        side: Tokens to a side of the grid on which positions are learnt.
        dropout: Probability of dropout in every layer.
    """

    def __init__(
        self, c_levels: Sequence[int], channels: int, layers: int, heads: int, side: int, dropout: float
    ) -> None:
        super().__init__()
        patches = [STRIDE // 2**i for i in range(LEVELS)]
        self.embed = nn.ModuleList(nn.Conv2d(c, channels, p, stride=p) for c, p in zip(c_levels, patches, strict=True))
        self.positions = nn.ModuleList(Positions(side, channels) for _ in range(LEVELS))
        self.layers = nn.Sequential(*(Layer(channels, heads, dropout) for _ in range(layers)))
        self.norms = norms(channels)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Map the levels (N, C_i, H_i, W_i) to tokens (N, L, C) each, L being the same for all."""
        embedded = [embed(x) for embed, x in zip(self.embed, maps, strict=True)]
        h, w = spatial(embedded[0])
        levels = [
            x.flatten(2).transpose(1, 2) + positions(h, w)
            for positions, x in zip(self.positions, embedded, strict=True)
        ]
        return [norm(x) for norm, x in zip(self.norms, self.layers(levels), strict=True)]


class RecalibratedSkip(nn.Module):
    """Decoder-guided recalibration attention (DRA): the tokens that a decoder's map asks for, times a layer of the map.

    Args:
        c_up: Channels of the decoder's map.
        c_token: Channels of a token.
        c_skip: Channels of the result.
        patch: Pixels of the map to a side of a token.
        channelwise: Attention among channels; among tokens otherwise.
    """

    def __init__(self, c_up: int, c_token: int, c_skip: int, patch: int, *, channelwise: bool) -> None:
        super().__init__()
        self.patch, self.channelwise = patch, channelwise
        self.embed = nn.Conv2d(c_up, c_up, patch, stride=patch)
        self.mask = conv_layers(c_up, c_skip, kernel=1)
        self.query = nn.Linear(c_up, c_skip, bias=False)
        self.key, self.value = (nn.Linear(c_token, c_skip, bias=False) for _ in range(2))
        self.out = nn.Linear(c_skip, c_skip, bias=False)
        self.norm = InstanceNorm(1, affine=False)
        self.rebuild = conv_layers(c_skip, c_skip, kernel=1)

    def forward(self, up: Tensor, tokens: Tensor) -> Tensor:
        """Map ``up`` (N, c_up, H, W) and ``tokens`` (N, L, c_token) to (N, c_skip, H, W)."""
        embedded = self.embed(up)
        query, key, value = self.query(embedded.flatten(2).transpose(1, 2)), self.key(tokens), self.value(tokens)
        if self.channelwise:
            query, key, value = (x.transpose(1, 2) for x in (query, key, value))
        weights = self.norm((query @ key.transpose(1, 2))[:, None])[:, 0].softmax(dim=-1)
        attended = weights @ value
        attended = self.out(attended.transpose(1, 2) if self.channelwise else attended)
        attended = F.interpolate(as_map(attended, spatial(embedded)), scale_factor=float(self.patch))
        return self.rebuild(attended) * self.mask(up)


class Up(nn.Module):
    """Transposed convolution, norm and ReLU, then `RecalibratedSkip` and two 3x3 layers."""

    def __init__(self, c_in: int, c_token: int, c_skip: int, c_out: int, patch: int, *, channelwise: bool) -> None:
        super().__init__()
        c_up = max(1, c_in // 2)
        self.up = nn.Sequential(
            nn.ConvTranspose2d(c_in, c_up, 2, stride=2), nn.BatchNorm2d(c_up), nn.ReLU(inplace=True)
        )
        self.skip = RecalibratedSkip(c_up, c_token, c_skip, patch, channelwise=channelwise)
        self.layers = conv_layers(c_up + c_skip, c_out, c_out)

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        x = self.up(x)
        return self.layers(torch.cat((self.skip(x, tokens), x), dim=1))


class UDTransNet(AnySize):
    """ResNet-34 behind two 3x3 layers, `DualTransformer` on its four finer maps, four `Up`s.

    Positions are learnt for images of ``image_size`` and interpolated to others.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels at the finest level, an even number; a head has half as many.
        layers: Layers of the transformer.
        heads: Heads of the transformer; a token has ``heads * width / 2`` channels.
        dra: Attention by which the decoder asks for skips, among their "channel"s or, as also in the paper, "spatial".
        image_size: Pixels to a side of the images for which positions are learnt.
        dropout: Probability of dropout in the transformer.

    Raises:
        UnetzooError: If an option is out of range.
    """

    multiple = STRIDE
    least = 2 * STRIDE  # one token alone leaves batch norm nothing to normalise

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        width: int = 64,
        layers: int = 4,
        heads: int = 4,
        dra: str = "channel",
        image_size: int = 224,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        whole(width=width, layers=layers, heads=heads)
        whole(STRIDE, image_size=image_size)
        fraction(dropout=dropout)
        one_of(("channel", "spatial"), dra=dra)
        if width % 2:
            raise UnetzooError(f"option width = {width}: must be an even number")
        token, half = heads * width // 2, width // 2
        self.first = conv_layers(in_channels, width, width)
        self.resnet = ResNetEncoder(width, blocks=BLOCKS, width=width, stem=nn.MaxPool2d(2))
        skips = [width, *self.resnet.channels[:-1]]
        self.transformer = DualTransformer(skips, token, layers, heads, image_size // STRIDE, dropout)
        self.ups = nn.ModuleList(
            Up(below, token, skip, below // 2, STRIDE // 2**i, channelwise=dra == "channel")
            for i, (below, skip) in enumerate(zip(self.resnet.channels, skips, strict=True))
        )
        self.head = nn.Sequential(
            conv_layers(half, max(1, half // 2), kernel=1), nn.Conv2d(max(1, half // 2), num_classes, 1)
        )

    def logits(self, x: Tensor) -> Tensor:
        x = self.first(x)
        *finer, coarsest = self.resnet(x)[1:]
        tokens = self.transformer([x, *finer])
        x = coarsest
        for up, level in zip(reversed(self.ups), reversed(tokens), strict=True):
            x = up(x, level)
        return self.head(x)
