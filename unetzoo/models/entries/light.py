"""Networks with few parameters, and U-KAN, which has a similar structure."""

from __future__ import annotations

from unetzoo.models.entry import Entry, Reference
from unetzoo.models.factory_entry import FactoryEntry
from unetzoo.models.papers import DINH_2023, HOWARD_2019, LI_2024, RUAN_2022, RUAN_2023, TANG_2023
from unetzoo.models.papers_further import GALDRAN_2020, JIANG_2024, LIU_2024_ROLLING, RAHMAN_2025

_HERE = "unetzoo.standalone"

_ANY = "Any number of image channels and classes; the code has 3 and 1."
_GREY = "Images of one channel are used as they are; the code repeats the channel three times."
_LOGITS = "Logits; the code ends in a sigmoid."


ENTRIES: tuple[Entry, ...] = (
    FactoryEntry(
        "ulite",
        f"{_HERE}.ulite:ULite",
        paper=DINH_2023,
        note="axial depthwise 7x7 convolutions, dilated ones at the bottleneck: 0.88 M parameters",
        deviations=(_ANY,),
        family="light",
        reference=Reference("duong-db/U-Lite model/ULite.py: ULite()", "transcribed"),
    ),
    *(
        FactoryEntry(
            name,
            f"{_HERE}.cmunext:CMUNeXt",
            defaults=options,
            paper=TANG_2023,
            note=f"large depthwise kernels, inverted bottlenecks and fused skips; {note}",
            family="light",
            reference=Reference(f"FengheTan9/CMUNeXt network/CMUNeXt.py: CMUNeXt(3, 1, {arguments})", "transcribed"),
        )
        for name, options, arguments, note in (
            ("cmunext", {}, "[16, 32, 128, 160, 256], [1, 1, 1, 3, 1], [3, 3, 7, 7, 7]", "3.1 M parameters"),
            (
                "cmunext_s",
                {"width": 8, "multiples": (1, 2, 4, 8, 16), "depths": (1, 1, 1, 1, 1), "kernels": (3, 3, 7, 7, 9)},
                "[8, 16, 32, 64, 128], [1, 1, 1, 1, 1], [3, 3, 7, 7, 9]",
                "the small one, 0.42 M parameters",
            ),
            (
                "cmunext_l",
                {"width": 32, "multiples": (1, 2, 4, 8, 16), "depths": (1, 1, 1, 6, 3)},
                "[32, 64, 128, 256, 512], [1, 1, 1, 6, 3], [3, 3, 7, 7, 7]",
                "the large one, 8.3 M parameters",
            ),
        )
    ),
    FactoryEntry(
        "malunet",
        f"{_HERE}.malunet:MALUNet",
        paper=RUAN_2022,
        note="dilated gated and external attention, skips bridged over all levels: 0.18 M parameters",
        deviations=(
            _LOGITS,
            "Keys and values of the external attention share memory in the code until the network is moved to a GPU; "
            "here, until it is trained, on any device.",
        ),
        family="light",
        reference=Reference(
            "JCruan519/MALUNet models/malunet.py: MALUNet(1, 3, [8, 16, 24, 32, 48, 64], 'fc', bridge=True)",
            "transcribed",
        ),
    ),
    FactoryEntry(
        "egeunet",
        f"{_HERE}.egeunet:EGEUNet",
        paper=RUAN_2023,
        note="products with learned maps along the axes, skips that see the decoder's masks: 0.05 M parameters",
        deviations=(_LOGITS, "Masks have as many channels as there are classes; the code's have one."),
        family="light",
        reference=Reference(
            "JCruan519/EGE-UNet models/egeunet.py: EGEUNet(1, 3, [8, 16, 24, 32, 48, 64], bridge=True, gt_ds=True)",
            "transcribed",
        ),
    ),
    FactoryEntry(
        "ukan",
        f"{_HERE}.ukan:UKAN",
        paper=LI_2024,
        note="convolutions above, Kolmogorov-Arnold layers on tokens below; skips added",
        deviations=(
            "The first convolution takes any number of channels; the code's always takes 3.",
            "The dropout that the code declares but never uses is not built.",
        ),
        family="block",
        reference=Reference(
            "CUHK-AIM-Group/U-KAN Seg_UKAN/archs.py: UKAN(1, embed_dims=[256, 320, 512])", "transcribed"
        ),
    ),
    FactoryEntry(
        "ukan_s",
        f"{_HERE}.ukan:UKAN",
        defaults={"width": 8, "multiples": (1, 2, 8, 12, 16)},
        paper=LI_2024,
        note="ukan at a quarter of its width: the paper's small network",
        deviations=(
            "The first convolution takes any number of channels; the code's always takes 3.",
            "The dropout that the code declares but never uses is not built.",
        ),
        family="block",
        reference=Reference("CUHK-AIM-Group/U-KAN Seg_UKAN/archs.py: UKAN(1, embed_dims=[64, 96, 128])", "transcribed"),
    ),
    FactoryEntry(
        "lv_unet",
        f"{_HERE}.lv_unet:LVUNet",
        paper=JIANG_2024,
        encoder_paper=HOWARD_2019,
        note="MobileNetV3's levels, then 1x1 convolutions whose activation looks at neighbours: 0.93 M parameters",
        deviations=(
            "Starts from random weights; the code's MobileNetV3 starts from ImageNet weights.",
            "slope stays as it is set; the code can raise it from 0 to 1 in training and then fuses the convolutions.",
        ),
        family="light",
        reference=Reference("juntaoJianggavin/LV-UNet LV_UNet.py: LV_UNet(1, 3)", "transcribed"),
        packages=("torchvision",),
    ),
    FactoryEntry(
        "mk_unet",
        f"{_HERE}.mk_unet:MKUNet",
        paper=RAHMAN_2025,
        note="depthwise kernels of three sizes at once, channel and spatial attention, gated skips: 0.32 M parameters",
        deviations=(
            _GREY,
            "Logits of the finest level alone, like the code; the heads of three more, which it declares but never "
            "uses, are not built.",
        ),
        family="light",
        reference=Reference("lepotatoguy/MK-UNet mkunet_network.py: MK_UNet(1, 3)", "transcribed"),
    ),
    *(
        FactoryEntry(
            name,
            f"{_HERE}.lw_net:LittleNet",
            defaults={"twice": twice},
            paper=GALDRAN_2020,
            note=note,
            family="light",
            reference=Reference(
                f"agaldran/lwnet models/get_model.py: get_arch({arch!r})", "golden" if twice else "transcribed"
            ),
        )
        for name, twice, note, arch in (
            ("lw_unet", False, "three narrow levels of residual blocks: 0.03 M parameters", "unet"),
            (
                "lw_wnet",
                True,
                "two lw_unet in a row, both supervised; the second sees the first's logits",
                "wnet",
            ),
        )
    ),
    FactoryEntry(
        "rolling_unet",
        f"{_HERE}.rolling_unet:RollingUNet",
        paper=LIU_2024_ROLLING,
        note="MLPs on channels that are rolled over the whole map, at the coarser levels: the network M",
        deviations=("Norms that the code declares but never uses are not built.",),
        family="block",
        reference=Reference("Jiaoyang45/Rolling-Unet archs.py: Rolling_Unet_M(1, 3)", "golden"),
    ),
)
