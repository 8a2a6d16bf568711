"""Networks with attention over tokens in encoder, decoder or skips: which file, which options, whose paper."""

from __future__ import annotations

from unetzoo.entry import Reference
from unetzoo.papers import Paper
from unetzoo.registry import register_model

_HERE = "unetzoo.standalone"

CHEN_2021 = Paper(
    title="TransUNet: Transformers Make Strong Encoders for Medical Image Segmentation",
    authors="Jieneng Chen, Yongyi Lu, Qihang Yu, Xiangde Luo, Ehsan Adeli, Yan Wang, Le Lu, Alan L. Yuille, Yuyin Zhou",
    year=2021,
    arxiv="2102.04306",
    code="https://github.com/Beckschen/TransUNet",
    code_licence=None,
)
CAO_2021 = Paper(
    title="Swin-Unet: Unet-like Pure Transformer for Medical Image Segmentation",
    authors="Hu Cao, Yueyue Wang, Joy Chen, Dongsheng Jiang, Xiaopeng Zhang, Qi Tian, Manning Wang",
    year=2021,
    arxiv="2105.05537",
    doi="10.1007/978-3-031-25066-8_9",
    code="https://github.com/HuCaoFighting/Swin-Unet",
    code_licence=None,
)
GAO_2021 = Paper(
    title="UTNet: A Hybrid Transformer Architecture for Medical Image Segmentation",
    authors="Yunhe Gao, Mu Zhou, Dimitris Metaxas",
    year=2021,
    arxiv="2107.00781",
    doi="10.1007/978-3-030-87199-4_6",
    code="https://github.com/yhygao/UTNet",
    code_licence="MIT",
)
WANG_2021 = Paper(
    title="UCTransNet: Rethinking the Skip Connections in U-Net from a Channel-wise Perspective with Transformer",
    authors="Haonan Wang, Peng Cao, Jiaqi Wang, Osmar R. Zaiane",
    year=2021,
    arxiv="2109.04335",
    doi="10.1609/aaai.v36i3.20144",
    code="https://github.com/McGregorWwww/UCTransNet",
    code_licence=None,
)
HUANG_2021 = Paper(
    title="MISSFormer: An Effective Medical Image Segmentation Transformer",
    authors="Xiaohong Huang, Zhifang Deng, Dandan Li, Xueguang Yuan",
    year=2021,
    arxiv="2109.07162",
    doi="10.1109/TMI.2022.3230943",
    code="https://github.com/ZhifangDeng/MISSFormer",
    code_licence=None,
)

_ANY_SIZE = "Any image size: {}; the code accepts only the size it is built for."
_POSITIONS = _ANY_SIZE.format("position embeddings are interpolated to the image's grid")
register_model(
    "transunet",
    f"{_HERE}.transunet:TransUNet",
    paper=CHEN_2021,
    note="ResNet-50 without its last stage, ViT-Base on its map, a convolutional decoder with three skips",
    deviations=(
        "Starts from random weights; the authors' encoder starts from ImageNet-21k weights.",
        _POSITIONS,
        "Images of one channel are used as they are; the code repeats the channel three times.",
    ),
    family="transformer",
    reference=Reference(
        "Beckschen/TransUNet networks/vit_seg_modeling.py: VisionTransformer(R50-ViT-B_16, num_classes=9)",
        "golden",
    ),
)
register_model(
    "swin_unet",
    f"{_HERE}.swin_unet:SwinUNet",
    paper=CAO_2021,
    note="shifted-window transformer (Swin-T) down and up, no convolutions but patch embedding and head",
    deviations=(
        "Starts from random weights; the authors' encoder and decoder start from ImageNet weights.",
        _ANY_SIZE.format("windows are padded with tokens that no token of the image sees"),
        "up = 'bilinear' or 'transposed' and fewer skips are ablations of the paper; the code has neither.",
    ),
    family="transformer",
    reference=Reference(
        "HuCaoFighting/Swin-Unet swin_transformer_unet_skip_expand_decoder_sys.py: SwinTransformerSys(num_classes=9)",
        "golden",
    ),
)
register_model(
    "utnet",
    f"{_HERE}.utnet:UTNet",
    paper=GAO_2021,
    note="residual U-Net; pixels attend to an 8x8 reduction of the map, skips to the coarser one",
    deviations=(
        "Any image size: a pixel has the position bias of the cell of the 8x8 map in which it lies; the code accepts "
        "only maps whose sides are a multiple of 8.",
    ),
    family="transformer",
    reference=Reference(
        "yhygao/UTNet model/utnet.py: UTNet(1, 32, 4, rel_pos=True, aux_loss=False, maxpool=True)", "golden"
    ),
)
register_model(
    "uctransnet",
    f"{_HERE}.uctransnet:UCTransNet",
    paper=WANG_2021,
    note="the four skips of a U-Net fused by attention among channels, then gated",
    deviations=("Logits; the code ends in a sigmoid if there is one class.", _POSITIONS),
    family="transformer",
    reference=Reference(
        "McGregorWwww/UCTransNet nets/UCTransNet.py: UCTransNet(get_CTranS_config(), 3, 1, img_size=224)", "transcribed"
    ),
)
register_model(
    "missformer",
    f"{_HERE}.missformer:MISSFormer",
    paper=HUANG_2021,
    note="transformer blocks with depthwise convolutions, and a transformer that bridges all skips",
    deviations=(
        _ANY_SIZE.format("the number of the bridge's tokens follows from the image's size"),
        "Layers that the code declares but never uses, 7.0 M parameters, are not built.",
        "Images of one channel are used as they are; the code repeats the channel three times.",
    ),
    family="transformer",
    reference=Reference("ZhifangDeng/MISSFormer networks/MISSFormer.py: MISSFormer(9)", "transcribed"),
)
