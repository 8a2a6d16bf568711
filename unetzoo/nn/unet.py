"""Encoder, decoder, heads: the whole network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.nn.blocks import spatial
from unetzoo.nn.sizes import ValidSizes, mirror_pad


class UNet(nn.Module):
    """``forward`` gives logits (N, K, H, W); ``forward_all`` every supervised map's, finest first.

    ``head`` reads the decoder's first map and ``aux_heads`` the others, if they are supervised (Lee et al. 2014,
    arXiv 1409.5185); logits of coarser ones are interpolated to the finest's size. ``gate`` takes the
    bottleneck (N, C, H', W') and all logits, and gives those it lets through.

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
        return self.gate(pyramid[-1], logits)


class ClassificationGate(nn.Module):
    """1 where an image shows something, 0 where not: UNet 3+'s "classification-guided module" (arXiv 2004.08790).

    Dropout, 1x1 convolution to two channels (nothing, something), their maxima over the image, the larger one (the
    reference compares their sigmoids, which round to the same number where both are large). The paper trains this
    branch on labels of images. Here any loss of the logits does, and is left as it is: while training the factor is 1,
    and the branch learns to say in which images the network's own first map has foreground (any class but the first,
    or a positive logit where there is one class), by cross-entropy. Its gradient is added in the backward pass, so it
    follows no scaling of the loss.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.classify = nn.Sequential(nn.Dropout(0.5), nn.Conv2d(channels, 2, kernel_size=1), nn.AdaptiveMaxPool2d(1))

    def forward(self, bottleneck: Tensor, logits: list[Tensor]) -> list[Tensor]:
        """The logits, times the factor of each image."""
        scores = self.classify(bottleneck.detach() if self.training else bottleneck)
        if not self.training:
            nothing, something = scores.split(1, dim=1)
            return [y * (something > nothing) for y in logits]
        first = logits[0].detach()
        found = first > 0 if first.shape[1] == 1 else first.argmax(1, keepdim=True) != 0
        loss = F.cross_entropy(scores.flatten(1).float(), found.flatten(1).any(1).long())
        return [_WithLoss.apply(logits[0], loss), *logits[1:]]


class _WithLoss(torch.autograd.Function):
    """The first argument; the second, a loss, has its gradient whatever is computed from the first.

    At a hundredth, so that it is next to nothing in a norm of all gradients, by which they may be clipped.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, loss: Tensor) -> Tensor:
        ctx.of_loss = torch.full_like(loss, 0.01)
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor]:
        return grad_outputs[0], ctx.of_loss


def _resized(logits: Tensor, size: tuple[int, int]) -> Tensor:
    if spatial(logits) == size:
        return logits
    return F.interpolate(logits, size=size, mode="bilinear", align_corners=False)
