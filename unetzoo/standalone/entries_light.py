"""Entries: networks of few parameters, and U-KAN, which has the shape of one."""

from __future__ import annotations

from unetzoo.entry import Reference
from unetzoo.papers import Paper
from unetzoo.registry import register_model

_HERE = "unetzoo.standalone"

DINH_2023 = Paper(
    title="1M parameters are enough? A lightweight CNN-based model for medical image segmentation",
    authors="Binh-Duong Dinh, Thanh-Thu Nguyen, Thi-Thao Tran, Van-Truong Pham",
    year=2023,
    arxiv="2306.16103",
    code="https://github.com/duong-db/U-Lite",
)
TANG_2023 = Paper(
    title="CMUNeXt: An Efficient Medical Image Segmentation Network based on Large Kernel and Skip Fusion",
    authors="Fenghe Tang, Jianrui Ding, Lingtao Wang, Chunping Ning, S. Kevin Zhou",
    year=2023,
    arxiv="2308.01239",
    code="https://github.com/FengheTan9/CMUNeXt",
)
RUAN_2022 = Paper(
    title="MALUNet: A Multi-Attention and Light-weight UNet for Skin Lesion Segmentation",
    authors="Jiacheng Ruan, Suncheng Xiang, Mingye Xie, Ting Liu, Yuzhuo Fu",
    year=2022,
    arxiv="2211.01784",
    code="https://github.com/JCruan519/MALUNet",
)
RUAN_2023 = Paper(
    title="EGE-UNet: an Efficient Group Enhanced UNet for skin lesion segmentation",
    authors="Jiacheng Ruan, Mingye Xie, Jingsheng Gao, Ting Liu, Yuzhuo Fu",
    year=2023,
    arxiv="2307.08473",
    doi="10.1007/978-3-031-43901-8_46",
    code="https://github.com/JCruan519/EGE-UNet",
)
LI_2024 = Paper(
    title="U-KAN Makes Strong Backbone for Medical Image Segmentation and Generation",
    authors="Chenxin Li, Xinyu Liu, Wuyang Li, Cheng Wang, Hengyu Liu, Yifan Liu, Zhen Chen, Yixuan Yuan",
    year=2024,
    arxiv="2406.02918",
    doi="10.1609/aaai.v39i5.32491",
    code="https://github.com/CUHK-AIM-Group/U-KAN",
)
_ANY = "Any number of image channels and classes; the code has 3 and 1."
_LOGITS = "Logits; the code ends in a sigmoid."

register_model(
    "ulite",
    f"{_HERE}.ulite:ULite",
    paper=DINH_2023,
    note="axial depthwise 7x7 convolutions, dilated ones at the bottleneck: 0.88 M parameters",
    deviations=(_ANY,),
    family="light",
    reference=Reference("duong-db/U-Lite model/ULite.py: ULite()", "transcribed"),
)
for _name, _options, _arguments, _note in (
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
):
    register_model(
        _name,
        f"{_HERE}.cmunext:CMUNeXt",
        defaults=_options,
        paper=TANG_2023,
        note=f"large depthwise kernels, inverted bottlenecks and fused skips; {_note}",
        family="light",
        reference=Reference(f"FengheTan9/CMUNeXt network/CMUNeXt.py: CMUNeXt(3, 1, {_arguments})", "transcribed"),
    )
register_model(
    "malunet",
    f"{_HERE}.malunet:MALUNet",
    paper=RUAN_2022,
    note="dilated gated and external attention, skips bridged over all levels: 0.18 M parameters",
    deviations=(
        _LOGITS,
        "Keys and values of the external attention share memory in the code until the network is moved to a GPU; here, "
        "until it is trained, on any device.",
    ),
    family="light",
    reference=Reference(
        "JCruan519/MALUNet models/malunet.py: MALUNet(1, 3, [8, 16, 24, 32, 48, 64], 'fc', bridge=True)", "transcribed"
    ),
)
register_model(
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
)
register_model(
    "ukan",
    f"{_HERE}.ukan:UKAN",
    paper=LI_2024,
    note="convolutions above, Kolmogorov-Arnold layers on tokens below; skips added",
    deviations=(
        "The first convolution takes any number of channels; the code's always takes 3.",
        "The dropout that the code declares but never uses is not built.",
    ),
    family="block",
    reference=Reference("CUHK-AIM-Group/U-KAN Seg_UKAN/archs.py: UKAN(1, embed_dims=[256, 320, 512])", "transcribed"),
)
