"""Four levels of an encoder of timm, for decoders that read maps of strides 4 to 32."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from unetzoo.encoders.pretrained import create_pretrained
from unetzoo.encoders.timm_encoder import TimmEncoder, create_body
from unetzoo.nn.downsample import MaxPool

LEVELS = 4
DEPTH = LEVELS + 2  # with those of strides 1 and 2, which are left out


class TimmLevels(TimmEncoder):
    """The maps of strides 4, 8, 16 and 32 of an encoder; `channels` are those of these four.

    Args:
        name: Name of a timm model or of a Mix Transformer.
        in_channels: Channels of the image.
        pretrained: Weights of the encoder, as `create_model` takes them: True for timm's, or a file.

    Raises:
        UnetzooError: If there is no such encoder, if it lacks one of the strides, or if its weights cannot be loaded.
    """

    def __init__(self, name: str, in_channels: int, *, pretrained: bool | str = False) -> None:
        super().__init__(
            name,
            in_channels,
            DEPTH,
            fine_channels=(in_channels, in_channels),
            block=lambda c_in, c_out: nn.Identity(),
            down=MaxPool,
            create=create_body if pretrained is False else partial(create_pretrained, pretrained),
        )
        self.channels = self.channels[-LEVELS:]

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map images (N, in_channels, H, W) to maps (N, channels[i], H / 2**(2+i), W / 2**(2+i))."""
        return super().forward(x)[-LEVELS:]
