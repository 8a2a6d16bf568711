"""UltraLight VM-UNet: Mamba over a quarter of the channels at a time, and bridged skips.

References:
    Wu et al. 2024, UltraLight VM-UNet: Parallel Vision Mamba Significantly Reduces Parameters for Skin Lesion
        Segmentation, arXiv 2403.20035.
    Code: wurenkai/UltraLight-VM-UNet, models/UltraLight_VM_UNet.py, UltraLight_VM_UNet.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unetzoo.nn.blocks import spatial
from unetzoo.nn.state_space import CHUNK, Mamba
from unetzoo.nn.tokens import as_map
from unetzoo.standalone.malunet import BridgedLevels

PARTS = 4  # parts of the channels that one Mamba block scans in turn


class ParallelMamba(nn.Module):
    """Norm, the same Mamba block on each quarter of the channels with a scaled shortcut, norm, linear layer (PVM).

    Both norms are one, as in the code.
    """

    def __init__(self, c_in: int, c_out: int, *, chunk: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(c_in)
        self.mamba = Mamba(c_in // PARTS, chunk=chunk)
        self.scale = nn.Parameter(torch.ones(1))
        self.project = nn.Linear(c_in, c_out)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.norm(x.flatten(2).transpose(1, 2))
        parts = torch.cat(tokens.chunk(PARTS, dim=-1))
        mixed = (self.mamba(parts) + self.scale * parts).chunk(PARTS)
        return as_map(self.project(self.norm(torch.cat(mixed, dim=-1))), spatial(x))


class UltraLightVMUNet(BridgedLevels):
    """`BridgedLevels` of `ParallelMamba`, whose bridges on the skips are MALUNet's.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels at the finest level, rounded as in `SixLevels`.
        bridge: Attention that all five skips pass together: "both", "spatial", "channel" or "none".
        chunk: Tokens that a scan takes at a time, which bounds its memory.

    Raises:
        UnetzooError: If an option is out of range.
    """

    def __init__(
        self, in_channels: int, num_classes: int, *, width: int = 8, bridge: str = "both", chunk: int = CHUNK
    ) -> None:
        def block(c_in: int, c_out: int) -> nn.Module:
            return ParallelMamba(c_in, c_out, chunk=chunk)

        super().__init__(in_channels, num_classes, width, bridge=bridge, encode=block, decode=block)
