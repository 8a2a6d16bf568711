"""Encoder, decoder, head: the whole network."""

from __future__ import annotations

from torch import Tensor, nn

from unetzoo.nn.blocks import spatial
from unetzoo.nn.sizes import ValidSizes


class UNet(nn.Module):
    """``forward`` gives logits (N, K, H, W); ``forward_all`` every supervised scale, finest first.

    Padded networks take any H and W from 1 up. Where ``sizes`` is given the convolutions are valid: H and W
    must fit it (`UnetzooError` otherwise) and the logits are smaller. In training mode batch norm needs more
    than one value a channel, also at the bottleneck.
    """

    def __init__(
        self, encoder: nn.Module, decoder: nn.Module, head: nn.Module, *, sizes: ValidSizes | None = None
    ) -> None:
        super().__init__()
        self.encoder, self.decoder, self.head = encoder, decoder, head
        self.sizes = sizes

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_all(x)[0]

    def forward_all(self, x: Tensor) -> list[Tensor]:
        if self.sizes is not None:
            self.sizes.check(*spatial(x))
        return [self.head(self.decoder(self.encoder(x))[0])]
