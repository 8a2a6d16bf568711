"""Networks that segmentation_models_pytorch (smp) builds, for comparison: one entry per architecture."""

from __future__ import annotations

from typing import Any

from unetzoo.models import papers
from unetzoo.models.entry import Entry, Reference
from unetzoo.models.factory_entry import FactoryEntry
from unetzoo.models.papers import (
    CHAURASIA_2017,
    CHEN_2018,
    FAN_2020,
    KIRILLOV_2019,
    LI_2018,
    RANFTL_2021,
    XIAO_2018,
    ZHAO_2017,
    Paper,
)

_RANDOM = "As smp builds it, which differs from the paper's network in some layers; initial weights are random."
_BATCH = "Has batch norm on maps of one pixel, so training needs batches of at least 2 images."
_UNREAD = "Neither counted nor trained, since smp never reads them: "


def _peer(name: str, architecture: str, paper: Paper, note: str, *deviations: str, encoder: str = "resnet34") -> Entry:
    arguments: dict[str, Any] = {"encoder_name": encoder, "encoder_weights": None, "in_channels": 3, "classes": 1}
    written = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
    return FactoryEntry(
        f"smp_{name}",
        f"unetzoo.standalone.peers:{name}",
        paper=paper,
        note=note,
        deviations=(_RANDOM, *deviations),
        family="peer",
        reference=Reference(f"segmentation_models_pytorch: {architecture}({written})", "live"),
        packages=("segmentation-models-pytorch", "timm"),
    )


ENTRIES: tuple[Entry, ...] = (
    _peer(
        "unet",
        "Unet",
        papers.RONNEBERGER_2015,
        "smp's U-Net: a ResNet-34 encoder, nearest-neighbour upsampling",
        "No map of the image's own size comes from the encoder, so the finest stage has no skip.",
    ),
    _peer(
        "unetpp",
        "UnetPlusPlus",
        papers.ZHOU_2018,
        "smp's UNet++: nested skips on a ResNet-34",
        "Nearest-neighbour upsampling; no deep supervision.",
    ),
    _peer(
        "manet",
        "MAnet",
        FAN_2020,
        "smp's MA-Net: self-attention at the bottleneck, squeeze-and-excitation on skips",
        "The bottleneck's attention is one softmax over all pairs of pixels.",
    ),
    _peer(
        "linknet",
        "Linknet",
        CHAURASIA_2017,
        "smp's LinkNet: a ResNet-34 whose maps are added to the decoder's",
        "ResNet-34, where the paper's is ResNet-18; 4x4 transposed convolutions, a fifth stage in place of the end.",
    ),
    _peer(
        "fpn",
        "FPN",
        KIRILLOV_2019,
        "smp's FPN: the semantic branch of Panoptic FPN on a ResNet-34",
        "The pyramid is that of Lin et al. 2017 (arXiv 1612.03144) without its 3x3 convolutions.",
    ),
    _peer(
        "pspnet",
        "PSPNet",
        ZHAO_2017,
        "smp's PSPNet: maps pooled to 1, 2, 3 and 6 a side",
        "The encoder ends at 1/8 of the image's size; the paper's continues with dilated stages. No auxiliary loss.",
        _UNREAD + "the encoder's deeper levels.",
    ),
    _peer(
        "pan",
        "PAN",
        LI_2018,
        "smp's PAN: pyramid attention on the encoder, global attention on skips",
        "Images are mirrored to at least 128 px a side.",
        _BATCH,
    ),
    _peer(
        "deeplabv3plus",
        "DeepLabV3Plus",
        CHEN_2018,
        "smp's DeepLabV3+: atrous pyramid pooling, one skip",
        "ResNet-34, dilated at its last level; the paper's is Xception or ResNet-101.",
        _BATCH,
    ),
    _peer(
        "upernet",
        "UPerNet",
        XIAO_2018,
        "smp's UPerNet: pyramid pooling and a feature pyramid on a ResNet-34",
        "Only the segmentation head; layer norm on the encoder's maps, which the paper's network lacks.",
        _BATCH,
    ),
    _peer(
        "segformer",
        "Segformer",
        papers.XIE_2021,
        "smp's SegFormer: each of the encoder's maps projected, resized, joined",
        "ResNet-34, which gives a fifth map; with encoder='mit_b0' it is the paper's kind of encoder.",
    ),
    _peer(
        "dpt",
        "DPT",
        RANFTL_2021,
        "smp's DPT: four maps of a ViT-Tiny's tokens, fused coarse to fine",
        "ViT-Tiny, 5.5 M parameters: timm's smallest with the usual patches of 16 pixels. The paper's are larger.",
        _UNREAD + "the ViT's last norm and classifier.",
        encoder="tu-vit_tiny_patch16_224",
    ),
)
