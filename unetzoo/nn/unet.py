"""Encoder, decoder, heads: the whole network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.nn.blocks import spatial
from unetzoo.nn.sizes import ValidSizes, mirror_pad


class UNet(nn.Module):
    """``forward`` gives logits (N, K, H, W); ``forward_all`` every supervised map's, finest first.

    ``head`` reads the decoder's first map and ``aux_heads`` the others, if they are supervised (Lee et al. 2014,
    arXiv 1409.5185); logits of coarser ones are interpolated to the finest's size. ``gate`` maps the bottleneck
    (N, C, H', W') to a factor (N, 1, 1, 1) of all logits.

    Padded networks take any H and W from 1 up. Where ``sizes`` is given the convolutions are valid: H and W
    must fit it (`UnetzooError` otherwise) and the logits are smaller. Where the encoder has a ``multiple``, images are
    mirrored below and at the right to sides it divides, and the logits cut. In training mode batch norm needs more than
    one value a channel, also at the bottleneck.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        head: nn.Module,
        *,
        aux_heads: Sequence[nn.Module] = (),
        gate: nn.Module | None = None,
        sizes: ValidSizes | None = None,
    ) -> None:
        super().__init__()
        self.encoder, self.decoder, self.head = encoder, decoder, head
        if aux_heads:
            self.aux_heads = nn.ModuleList(aux_heads)
        self.gate = gate
        self.sizes = sizes

    def forward(self, x: Tensor) -> Tensor:
        return self._logits(x, [self.head])[0]

    def forward_all(self, x: Tensor) -> list[Tensor]:
        return self._logits(x, [self.head, *getattr(self, "aux_heads", ())])

    def _logits(self, x: Tensor, heads: Sequence[nn.Module]) -> list[Tensor]:
        if self.sizes is not None:
            self.sizes.check(*spatial(x))
        h, w = spatial(x)
        multiple = getattr(self.encoder, "multiple", 1)
        below, right = -h % multiple, -w % multiple
        if below or right:
            x = mirror_pad(x, 0, below, 0, right)
        pyramid = self.encoder(x)
        maps = self.decoder(pyramid)
        logits = [_resized(head(y), spatial(maps[0])) for head, y in zip(heads, maps, strict=False)]
        if below or right:
            logits = [y[..., :h, :w] for y in logits]
        if self.gate is None:
            return logits
        factor = self.gate(pyramid[-1])
        return [factor * y for y in logits]


class ClassificationGate(nn.Module):
    """1 where an image shows something, 0 where not: UNet 3+'s "classification-guided module" (arXiv 2004.08790).

    Dropout, 1x1 convolution to two channels (nothing, something), their maxima over the image, the larger one. An
    argmax has no gradient, and the paper trains this branch by a loss of its own; here the gradient is that of the
    probability of "something" (a straight-through estimate, arXiv 1308.3432): any loss of the logits trains it.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.classify = nn.Sequential(
            nn.Dropout(0.5), nn.Conv2d(channels, 2, kernel_size=1), nn.AdaptiveMaxPool2d(1), nn.Sigmoid()
        )

    def forward(self, bottleneck: Tensor) -> Tensor:
        nothing, something = self.classify(bottleneck).split(1, dim=1)
        hard = (something > nothing).to(something.dtype)
        soft = something / (something + nothing).clamp_min(torch.finfo(something.dtype).tiny)  # both may round to 0
        return hard + (soft - soft.detach())


def _resized(logits: Tensor, size: tuple[int, int]) -> Tensor:
    if spatial(logits) == size:
        return logits
    return F.interpolate(logits, size=size, mode="bilinear", align_corners=False)
