"""Two-dimensional networks as MONAI, nnU-Net and MedNeXt build them, each with options, paper and reference."""

from __future__ import annotations

from unetzoo.models.entry import Entry, Proof, Reference
from unetzoo.models.factory_entry import FactoryEntry
from unetzoo.models.papers import (
    FALK_2019,
    HATAMIZADEH_2021,
    HATAMIZADEH_2022,
    ISENSEE_2021,
    ISENSEE_2024,
    KERFOOT_2018,
    MILLETARI_2016,
    MYRONENKO_2018,
    OKTAY_2018,
    ROY_2023,
    ZHOU_2018,
)

_HERE = "unetzoo.standalone"
_MONAI = "MONAI 1.6.1 monai/networks/nets/"
_NNUNET = "dynamic-network-architectures 0.4.4 architectures/unet.py: "
_MEDNEXT = "MIC-DKFZ/MedNeXt nnunet_mednext/network_architecture/mednextv1/MedNextV1.py: MedNeXt(1, 32, 2, "
# nnU-Net halves a patch while its sides are at least 8 px (experiment_planning/.../network_topology.py).
_STAGES = (
    "Seven stages for any data, nnU-Net's plan for crops of 256 to 511 px; it plans six for 128 px and five for 64 px."
)
_HEADS = "The code always builds the heads of all scales; here deep_supervision=False leaves out all but the finest."
_B = (2, 3, 4, 4, 4, 4, 4, 3, 2)
_L = (3, 4, 8, 8, 8, 8, 8, 4, 3)
_SIZES: tuple[tuple[str, tuple[int, ...], tuple[int, ...], Proof], ...] = (
    ("mednext_s", (2,) * 9, (2,) * 9, "golden"),
    ("mednext_b", _B, (2,) * 9, "transcribed"),
    ("mednext_m", _B, (3, 4, 4, 4, 4, 4, 4, 4, 3), "transcribed"),
    ("mednext_l", _L, _L, "transcribed"),
)


ENTRIES: tuple[Entry, ...] = (
    FactoryEntry(
        "monai_unet",
        f"{_HERE}.monai_unet:MONAIUNet",
        paper=KERFOOT_2018,
        note="strided convolutions down, transposed ones up, residual units; half the image's size from the first "
        "layer on",
        deviations=(
            "norm='auto' is MONAI's default, instance norm, with residual units, and batch norm without them.",
        ),
        family="framework",
        reference=Reference(
            f"{_MONAI}unet.py: UNet(2, 1, 2, (16, 32, 64, 128, 256), (2, 2, 2, 2), num_res_units=2)", "golden"
        ),
    ),
    FactoryEntry(
        "basic_unet",
        f"{_HERE}.basic_unet:BasicUNet",
        paper=FALK_2019,
        note="a narrow U-Net with instance norm and leaky ReLU",
        deviations=("As in MONAI: padded convolutions and instance norm, which the paper's network lacks.",),
        family="framework",
        reference=Reference(f"{_MONAI}basic_unet.py: BasicUNet(2, 1, 2)", "golden"),
    ),
    FactoryEntry(
        "basic_unetpp",
        f"{_HERE}.basic_unet:BasicUNetPlusPlus",
        paper=ZHOU_2018,
        note="basic_unet with nested skips and a head for each of the finest level's maps, the last one main",
        deviations=(
            "As in MONAI, not as in the authors' code: instance norm, leaky ReLU, transposed convolutions.",
            "MONAI builds all four heads and by default uses the last; here deep_supervision=False leaves the others "
            "out.",
        ),
        family="framework",
        reference=Reference(f"{_MONAI}basic_unetplusplus.py: BasicUNetPlusPlus(2, 1, 2)", "live"),
    ),
    FactoryEntry(
        "vnet_2d",
        f"{_HERE}.vnet:VNet",
        paper=MILLETARI_2016,
        note="5x5 convolutions, residual over each level, 2x2 convolutions down and up",
        deviations=(
            "2-D, where the paper's is 3-D; ELU, batch norm and dropout as in MONAI.",
            "Dropout of channels; MONAI's default, Dropout3d, drops whole images in 2-D.",
            "Any number of image channels; MONAI's must divide 16.",
        ),
        family="framework",
        reference=Reference(f"{_MONAI}vnet.py: VNet(2, 1, 2)", "live"),
    ),
    FactoryEntry(
        "segresnet_2d",
        f"{_HERE}.segresnet:SegResNet",
        paper=MYRONENKO_2018,
        note="pre-activation residual blocks with group norm, a deep encoder and a thin decoder; skips added",
        deviations=("2-D and without the paper's autoencoder branch, like MONAI's SegResNet.",),
        family="framework",
        reference=Reference(f"{_MONAI}segresnet.py: SegResNet(2, in_channels=1, out_channels=2)", "live"),
    ),
    FactoryEntry(
        "dynunet",
        f"{_HERE}.dynunet:DynUNet",
        paper=ISENSEE_2021,
        note="nnU-Net as built by MONAI: no biases; six levels, shortcuts as an option",
        deviations=("3x3 kernels and stride 2 throughout; in MONAI both are set for each level.",),
        family="framework",
        reference=Reference(f"{_MONAI}dynunet.py: DynUNet(2, 1, 2, [3] * 6, [1, 2, 2, 2, 2, 2], [2] * 5)", "live"),
    ),
    FactoryEntry(
        "unetr_2d",
        f"{_HERE}.unetr:UNETR",
        paper=HATAMIZADEH_2021,
        note="a vision transformer on patches of 16x16 pixels, whose tokens become the skips of a convolutional "
        "decoder",
        deviations=(
            "2-D, where the paper's is 3-D.",
            "Any image size: positions are interpolated to the image's grid; MONAI's accepts only img_size.",
            "The norms that MONAI builds but never uses are not built.",
        ),
        family="framework",
        reference=Reference(f"{_MONAI}unetr.py: UNETR(1, 2, img_size=(64, 96), spatial_dims=2)", "live"),
    ),
    FactoryEntry(
        "swin_unetr_2d",
        f"{_HERE}.swin_unetr:SwinUNETR",
        paper=HATAMIZADEH_2022,
        note="shifted windows of attention on tokens of 2x2 pixels, a convolutional decoder from the image's size down",
        deviations=("2-D, where the paper's is 3-D; half the paper's width, which is MONAI's default.",),
        family="framework",
        reference=Reference(f"{_MONAI}swin_unetr.py: SwinUNETR(1, 2, feature_size=24, spatial_dims=2)", "live"),
    ),
    FactoryEntry(
        "nnunet_plain",
        f"{_HERE}.nnunet:PlainConvUNet",
        paper=ISENSEE_2021,
        note="nnU-Net's own: strided convolutions, instance norm, leaky ReLU, seven levels, a head for each scale",
        deviations=(_STAGES, _HEADS),
        family="framework",
        reference=Reference(f"{_NNUNET}PlainConvUNet(1, 7, [32, 64, 128, 256, 512, 512, 512], ...)", "golden"),
    ),
    FactoryEntry(
        "nnunet_resenc",
        f"{_HERE}.nnunet:ResidualEncoderUNet",
        paper=ISENSEE_2024,
        note="nnU-Net with a residual encoder of 32 blocks and a thin decoder, as its presets M, L and XL plan",
        deviations=(_STAGES, _HEADS),
        family="framework",
        reference=Reference(f"{_NNUNET}ResidualEncoderUNet(1, 7, [32, 64, 128, 256, 512, 512, 512], ...)", "live"),
    ),
    FactoryEntry(
        "nnunet_resenc_s",
        f"{_HERE}.nnunet:ResidualEncoderUNet",
        defaults={"stages": 6, "max_width": 320, "blocks": (2,)},
        paper=ISENSEE_2024,
        note="nnunet_resenc with two blocks in each of six stages, the smallest in use",
        deviations=(
            "nnU-Net has no preset S; this is the 2-D form of the network that gardening_tools calls resenc_unet_s.",
            _HEADS,
        ),
        family="framework",
        reference=Reference(f"{_NNUNET}ResidualEncoderUNet(1, 6, [32, 64, 128, 256, 320, 320], ...)", "live"),
    ),
    *(
        FactoryEntry(
            name,
            f"{_HERE}.mednext:MedNeXt",
            defaults={"expansion": expansion, "blocks": blocks},
            paper=ROY_2023,
            note=f"{sum(blocks)} ConvNeXt blocks, and one for each step down or up; skips added",
            deviations=("The 2-D setting of the code; the paper's networks are 3-D.",),
            family="framework",
            reference=Reference(
                f"{_MEDNEXT}exp_r={list(expansion)}, kernel_size=3, block_counts={list(blocks)}, do_res=True, "
                "do_res_up_down=True, dim='2d')",
                proof,
            ),
        )
        for name, expansion, blocks, proof in _SIZES
    ),
    *(
        FactoryEntry(
            name,
            f"{_HERE}.mednext:MedNeXt",
            defaults=options,
            paper=ROY_2023,
            note=f"mednext_s with {note}",
            deviations=("The 2-D setting of the code; the paper's networks are 3-D.",),
            family="framework",
            reference=Reference(
                f"{_MEDNEXT}exp_r=2, {arguments}, block_counts=[2] * 9, do_res=True, do_res_up_down=True, dim='2d')",
                "transcribed",
            ),
        )
        for name, options, note, arguments in (
            ("mednext_s_k5", {"kernel_size": 5}, "5x5 kernels", "kernel_size=5"),
            ("mednext_s_grn", {"grn": True}, "global response norm", "kernel_size=3, grn=True"),
        )
    ),
    FactoryEntry(
        "nnunet_residual",
        f"{_HERE}.nnunet:ResidualUNet",
        paper=ISENSEE_2024,
        note="nnunet_resenc with residual blocks in the decoder, too",
        deviations=(_STAGES, _HEADS),
        family="framework",
        reference=Reference(f"{_NNUNET}ResidualUNet(1, 7, [32, 64, 128, 256, 512, 512, 512], ...)", "live"),
    ),
    FactoryEntry(
        "monai_attention_unet",
        f"{_HERE}.monai_attention_unet:MONAIAttentionUNet",
        paper=OKTAY_2018,
        note="a U-Net of strided convolutions with attention gates; one convolution after each skip",
        deviations=("As in MONAI: batch norm and strided convolutions, which the paper's network lacks.",),
        family="framework",
        reference=Reference(
            f"{_MONAI}attentionunet.py: AttentionUnet(2, 1, 2, (16, 32, 64, 128, 256), (2, 2, 2, 2))", "live"
        ),
    ),
)
