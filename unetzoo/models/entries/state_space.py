"""Networks of selective state spaces (Mamba), on torch alone, each with its options, paper and reference."""

from __future__ import annotations

from unetzoo.models.entry import Entry, Reference
from unetzoo.models.factory_entry import FactoryEntry
from unetzoo.models.papers_state_space import LIAO_2024, LIU_2024, MA_2024, RUAN_2024, WU_2024, ZHANG_2024

_HERE = "unetzoo.standalone"

_SCAN = (
    "The scan is torch's own operations in float32, and mamba_ssm's kernel only on CUDA where that is installed; the "
    "code needs CUDA and the kernel."
)
_SCRATCH = "Starts from random weights; the authors' encoder starts from ImageNet weights."
_GREY = "Images of one channel are used as they are; the code repeats the channel three times."
_STAGES = (
    "Seven stages for any data; the code takes nnU-Net's plan, which has six for crops of 128 px and five for 64 px."
)
_HEADS = "The code always builds the heads of all scales; here deep_supervision=False leaves out all but the finest."


ENTRIES: tuple[Entry, ...] = (
    FactoryEntry(
        "ultralight_vm_unet",
        f"{_HERE}.ultralight_vm_unet:UltraLightVMUNet",
        paper=WU_2024,
        note="Mamba over a quarter of the channels at a time, MALUNet's bridged skips: 0.05 M parameters",
        deviations=("Logits; the code ends in a sigmoid.", _SCAN),
        family="state-space",
        reference=Reference(
            "wurenkai/UltraLight-VM-UNet models/UltraLight_VM_UNet.py: UltraLight_VM_UNet(1, 3)", "transcribed"
        ),
    ),
    FactoryEntry(
        "vm_unet",
        f"{_HERE}.vm_unet:VMUNet",
        paper=RUAN_2024,
        note="Swin-Unet's shape with scans of the map in four directions for attention; skips added",
        deviations=(_SCRATCH, _GREY, "Logits; the code ends in a sigmoid if there is one class.", _SCAN),
        family="state-space",
        reference=Reference("JCruan519/VM-UNet models/vmunet/vmunet.py: VMUNet(3, 1)", "transcribed"),
    ),
    FactoryEntry(
        "vm_unet_v2",
        f"{_HERE}.vm_unet_v2:VMUNetV2",
        paper=ZHANG_2024,
        note="vm_unet's encoder; each skip is the product of all levels' maps",
        deviations=(
            _SCRATCH,
            _GREY,
            "Logits; the code ends in a sigmoid if there is one class.",
            "Images of any shape; the code's are squares.",
            "Layers that the code declares but never uses are not built: the coarsest level's blocks, two heads and a "
            "transposed convolution.",
            _SCAN,
        ),
        family="state-space",
        reference=Reference("nobodyplayer1/VM-UNetV2 models/vmunet/vmunet_v2.py: VMUNetV2(3, 1)", "transcribed"),
    ),
    FactoryEntry(
        "lightm_unet",
        f"{_HERE}.lightm_unet:LightMUNet",
        paper=LIAO_2024,
        note="SegResNet's shape with residual Mamba blocks down and depthwise convolutions up",
        deviations=(_SCAN,),
        family="state-space",
        reference=Reference(
            "MrBlankness/LightM-UNet lightm-unet/nnunetv2/nets/LightMUNet.py: LightMUNet(2, 32, 3, 1)", "transcribed"
        ),
    ),
    *(
        FactoryEntry(
            name,
            f"{_HERE}.u_mamba:UMamba",
            defaults={"mamba": where},
            paper=MA_2024,
            note=note,
            deviations=(*deviations, _STAGES, _HEADS, _SCAN),
            family="state-space",
            reference=Reference(f"bowang-lab/U-Mamba umamba/nnunetv2/nets/{code}, 7, ...)", "transcribed"),
        )
        for name, where, note, code, deviations in (
            (
                "u_mamba_bot",
                "bottleneck",
                "nnU-Net's residual U-Net with one Mamba block in the bottleneck",
                "UMambaBot_2d.py: UMambaBot(3",
                (),
            ),
            (
                "u_mamba_enc",
                "encoder",
                "nnU-Net's residual U-Net with a Mamba block after every second stage of the encoder",
                "UMambaEnc_2d.py: UMambaEnc((64, 128), 3",
                (
                    "Tokens are pixels at every stage unless size is given; the code, built for one size, makes "
                    "channels the tokens where there are no more pixels than channels.",
                    "All but the heads computes in float32 under autocast; in the code only Mamba does.",
                ),
            ),
        )
    ),
    FactoryEntry(
        "swin_umamba",
        f"{_HERE}.swin_umamba:SwinUMamba",
        paper=LIU_2024,
        note="VMamba's encoder behind a 7x7 stem, residual convolutions on the skips and up",
        deviations=(_SCRATCH, _HEADS, _SCAN),
        family="state-space",
        reference=Reference(
            "JiarunLiu/Swin-UMamba swin_umamba/nnunetv2/nets/SwinUMamba.py: SwinUMamba(3, 1, deep_supervision=True)",
            "transcribed",
        ),
    ),
)
