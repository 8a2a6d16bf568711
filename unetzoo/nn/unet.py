"""The whole network: encoder, decoder and heads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.nn.blocks import exporting, spatial
from unetzoo.nn.sizes import ValidSizes, mirror_pad


class UNet(nn.Module):
    """A U-Net: encoder, decoder and heads.

    Networks with padded convolutions take any H and W from 1 up. If the encoder has a ``multiple``, images are mirrored
    at the bottom and at the right to sides that it divides, and the logits are cropped. In training mode batch norm
    needs more than one value per channel, also at the bottleneck.

    Args:
        encoder: Maps an image to a pyramid.
        decoder: Maps the pyramid to one or several maps, finest first.
        head: Maps the decoder's first map to logits.
        aux_heads: Map the decoder's other maps to logits for deep supervision (Lee et al. 2014, arXiv 1409.5185), which
            are interpolated to the size of the first.
        gate: Filters the logits, called with the bottleneck (N, C, H', W') and the list of all logits; optional.
        sizes: The sizes that a network of unpadded convolutions accepts; None for padded ones.

    References:
        Ronneberger et al. 2015, arXiv 1505.04597.
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
        """Map (N, C, H, W) to logits (N, K, H, W), or smaller ones if the convolutions are unpadded.

        Raises:
            UnetzooError: If the convolutions are unpadded and H or W does not fit them.
        """
        return self._logits(x, [self.head])[0]

    def forward_all(self, x: Tensor) -> list[Tensor]:
        """Map (N, C, H, W) to the logits (N, K, H, W) of all supervised maps, finest first.

        Raises:
            UnetzooError: If the convolutions are unpadded and H or W does not fit them.
        """
        return self._logits(x, [self.head, *getattr(self, "aux_heads", ())])

    def _logits(self, x: Tensor, heads: Sequence[nn.Module]) -> list[Tensor]:
        if self.sizes is not None and not exporting():
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
    """The classification-guided module of UNet 3+: sets the logits of images without foreground to zero.

    The branch is dropout, a 1x1 convolution to two channels (nothing, something) and their maxima over the image; the
    larger one decides. (The reference compares their sigmoids, which round to the same number if both are large.)

    The paper trains the branch on image labels. Here no extra labels or losses are needed: in training mode the logits
    pass unchanged, and the branch learns by cross-entropy to predict in which images the network's own first logits
    have foreground (any class but the first, or a positive logit if there is only one class). Its gradient is added in
    the backward pass, so a scaling of the loss does not scale it.

    Args:
        channels: Channels of the bottleneck.

    References:
        Huang et al. 2020, arXiv 2004.08790, section 2.3.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.classify = nn.Sequential(nn.Dropout(0.5), nn.Conv2d(channels, 2, kernel_size=1), nn.AdaptiveMaxPool2d(1))

    def forward(self, bottleneck: Tensor, logits: list[Tensor]) -> list[Tensor]:
        """Map the bottleneck (N, C, H', W') and all logits (N, K, H, W) to the gated logits."""
        scores = self.classify(bottleneck.detach() if self.training else bottleneck)
        if not self.training:
            nothing, something = scores.split(1, dim=1)
            return [y * (something > nothing) for y in logits]
        first = logits[0].detach()
        found = first > 0 if first.shape[1] == 1 else first.argmax(1, keepdim=True) != 0
        loss = F.cross_entropy(scores.flatten(1).float(), found.flatten(1).any(1).long())
        return [_WithLoss.apply(logits[0], loss), *logits[1:]]


class _WithLoss(torch.autograd.Function):
    """Return the first argument, and give the second, a loss, a gradient in any backward pass through the first.

    The gradient is 0.01, so that it hardly contributes to the norm of all gradients, by which they may be clipped.
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
