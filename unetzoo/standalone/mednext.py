"""MedNeXt: a U-Net of ConvNeXt blocks, which also halve and double the size.

References:
    Roy et al. 2023, MedNeXt: Transformer-driven Scaling of ConvNets for Medical Image Segmentation, arXiv 2303.09975.
    Code: MIC-DKFZ/MedNeXt, nnunet_mednext/network_architecture/mednextv1/MedNextV1.py, MedNeXt with dim='2d'.
"""

from __future__ import annotations

from collections.abc import Sequence

from timm.layers.grn import GlobalResponseNorm
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.errors import UnetzooError
from unetzoo.nn.norms import InstanceNorm
from unetzoo.standalone.common import AnySize, whole, wholes

LEVELS = 5
BLOCKS = 2 * LEVELS - 1  # rows of blocks in the encoder, the bottleneck and the decoder


class MedNeXtBlock(nn.Module):
    """Depthwise convolution, norm, 1x1 convolution to more channels, GELU, 1x1 convolution to c_out, and a shortcut.

    Going down, the depthwise convolution has stride 2; going up, it is a transposed one. The shortcut is then a 1x1
    convolution of the same kind. On the way up both give 2H - 1 pixels, and the first row and column are filled with
    zeros. The norm is over each channel of an image: the code's group norm with as many groups as channels.

    Args:
        c_in: Channels of the input.
        c_out: Channels of the output.
        expansion: Channels between the 1x1 convolutions, as a multiple of ``c_in``.
        kernel_size: Kernel size of the depthwise convolution, an odd number of pixels.
        shortcut: False leaves the shortcut out.
        grn: Normalise the responses before the second 1x1 convolution (ConvNeXt V2, arXiv 2301.00808).
        step: "same", "down" (half the size) or "up" (twice the size).
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        *,
        expansion: int,
        kernel_size: int,
        shortcut: bool,
        grn: bool = False,
        step: str = "same",
    ) -> None:
        super().__init__()
        conv = nn.ConvTranspose2d if step == "up" else nn.Conv2d
        stride = 1 if step == "same" else 2
        self.depthwise = conv(c_in, c_in, kernel_size, stride=stride, padding=kernel_size // 2, groups=c_in)
        self.norm = InstanceNorm(c_in)
        self.expand = nn.Conv2d(c_in, expansion * c_in, 1)
        self.respond = GlobalResponseNorm(expansion * c_in, channels_last=False) if grn else nn.Identity()
        self.compress = nn.Conv2d(expansion * c_in, c_out, 1)
        self.shortcut = None
        if shortcut:
            self.shortcut = nn.Identity() if step == "same" else conv(c_in, c_out, 1, stride=2)
        self.fill = step == "up"

    def forward(self, x: Tensor) -> Tensor:
        y = self.compress(self.respond(F.gelu(self.expand(self.norm(self.depthwise(x))))))
        if self.shortcut is not None:
            y = y + self.shortcut(x)
        return F.pad(y, (1, 0, 1, 0)) if self.fill else y


class MedNeXt(AnySize):
    """U-Net of five levels with ``width * 2**i`` channels at level i; skips are added.

    With ``deep_supervision``, ``forward_all`` returns the logits of all five levels, each at its own size.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels at the finest level.
        kernel_size: Kernel size of all depthwise convolutions, an odd number of pixels.
        expansion: Expansion of the blocks: one number, or nine as for ``blocks``. A block that changes the size has the
            expansion of the level it leads to.
        blocks: Number of blocks, nine values: from the encoder's finest level over the bottleneck back to the finest.
        shortcuts: False leaves out the shortcuts of the blocks that keep the size.
        resample_shortcuts: False leaves out the shortcuts of the blocks that change the size.
        grn: Add the code's global response norm to every block but the first one down.
        deep_supervision: Supervise all five levels.

    Raises:
        UnetzooError: If an option is out of range.
    """

    multiple = 2 ** (LEVELS - 1)

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        width: int = 32,
        kernel_size: int = 3,
        expansion: int | Sequence[int] = 2,
        blocks: Sequence[int] = (2,) * BLOCKS,
        shortcuts: bool = True,
        resample_shortcuts: bool = True,
        grn: bool = False,
        deep_supervision: bool = False,
    ) -> None:
        super().__init__()
        whole(width=width, kernel_size=kernel_size)
        if kernel_size % 2 == 0:
            raise UnetzooError(f"option kernel_size = {kernel_size}: must be odd")
        expansions = [expansion] * BLOCKS if isinstance(expansion, int) else expansion
        wholes(BLOCKS, expansion=expansions, blocks=blocks)
        c = [width * 2**i for i in range(LEVELS)]

        def stage(at: int) -> nn.Sequential:
            channels = c[min(at, BLOCKS - 1 - at)]
            return nn.Sequential(
                *(
                    MedNeXtBlock(
                        channels,
                        channels,
                        expansion=expansions[at],
                        kernel_size=kernel_size,
                        shortcut=shortcuts,
                        grn=grn,
                    )
                    for _ in range(blocks[at])
                )
            )

        def step(c_in: int, c_out: int, at: int, way: str) -> MedNeXtBlock:
            return MedNeXtBlock(
                c_in,
                c_out,
                expansion=expansions[at],
                kernel_size=kernel_size,
                shortcut=resample_shortcuts,
                grn=grn and at != 1,  # as in the code, which does not pass it to the first block down
                step=way,
            )

        self.stem = nn.Conv2d(in_channels, width, 1)
        self.encoder = nn.ModuleList(stage(i) for i in range(LEVELS - 1))
        self.downs = nn.ModuleList(step(c[i], c[i + 1], i + 1, "down") for i in range(LEVELS - 1))
        self.bottleneck = stage(LEVELS - 1)
        self.ups = nn.ModuleList(step(c[i + 1], c[i], BLOCKS - 1 - i, "up") for i in range(LEVELS - 1))
        self.decoder = nn.ModuleList(stage(BLOCKS - 1 - i) for i in range(LEVELS - 1))
        # A 1x1 convolution would compute the same; the code's is transposed, with its shapes and initial weights.
        self.heads = nn.ModuleList(
            nn.ConvTranspose2d(channels, num_classes, 1) for channels in (c if deep_supervision else c[:1])
        )

    def logits(self, x: Tensor) -> Tensor:
        return self.heads[0](self._decoded(x)[0])

    def scales(self, x: Tensor) -> list[Tensor]:
        return [head(level) for head, level in zip(self.heads, self._decoded(x), strict=False)]

    def _decoded(self, x: Tensor) -> list[Tensor]:
        """Return the maps of the decoder and the bottleneck, finest first."""
        x, pyramid = self.stem(x), []
        for stage, down in zip(self.encoder, self.downs, strict=True):
            x = stage(x)
            pyramid.append(x)
            x = down(x)
        x = self.bottleneck(x)
        decoded = [x]
        for up, stage, skip in zip(reversed(self.ups), reversed(self.decoder), reversed(pyramid), strict=True):
            x = stage(skip + up(x))
            decoded.insert(0, x)
        return decoded
