"""Networks of segmentation-models-pytorch and MONAI as those packages build them, for the speed comparison."""

from __future__ import annotations

from typing import cast

from torch import nn

import unetzoo


@unetzoo.register_model("smp_resnet18", multiple_of=32)
def smp_resnet18(in_channels: int, num_classes: int) -> nn.Module:
    """Build smp's U-Net on ResNet-18 without weights."""
    import segmentation_models_pytorch as smp

    return smp.Unet("resnet18", encoder_weights=None, in_channels=in_channels, classes=num_classes)


@unetzoo.register_model("monai_basic", multiple_of=16)
def monai_basic(in_channels: int, num_classes: int) -> nn.Module:
    """Build MONAI's BasicUNet in 2-D."""
    from monai.networks.nets import BasicUNet

    return cast(nn.Module, BasicUNet(spatial_dims=2, in_channels=in_channels, out_channels=num_classes))
