"""Citations of the state-space networks' papers."""

from __future__ import annotations

from unetzoo.models.papers import Paper

RUAN_2024 = Paper(
    title="VM-UNet: Vision Mamba UNet for Medical Image Segmentation",
    authors="Jiacheng Ruan, Jincheng Li, Suncheng Xiang",
    year=2024,
    arxiv="2402.02491",
    code="https://github.com/JCruan519/VM-UNet",
    code_licence="Apache-2.0",
)
ZHANG_2024 = Paper(
    title="VM-UNET-V2: Rethinking Vision Mamba UNet for Medical Image Segmentation",
    authors="Mingya Zhang, Yue Yu, Limei Gu, Tingsheng Lin, Xianping Tao",
    year=2024,
    arxiv="2403.09157",
    code="https://github.com/nobodyplayer1/VM-UNetV2",
    code_licence=None,
)
WU_2024 = Paper(
    title="UltraLight VM-UNet: Parallel Vision Mamba Significantly Reduces Parameters for Skin Lesion Segmentation",
    authors="Renkai Wu, Yinghao Liu, Pengchen Liang, Qing Chang",
    year=2024,
    arxiv="2403.20035",
    code="https://github.com/wurenkai/UltraLight-VM-UNet",
    code_licence="MIT",
)
LIAO_2024 = Paper(
    title="LightM-UNet: Mamba Assists in Lightweight UNet for Medical Image Segmentation",
    authors="Weibin Liao, Yinghao Zhu, Xinyuan Wang, Chengwei Pan, Yasha Wang, Liantao Ma",
    year=2024,
    arxiv="2403.05246",
    code="https://github.com/MrBlankness/LightM-UNet",
    code_licence=None,
)
MA_2024 = Paper(
    title="U-Mamba: Enhancing Long-range Dependency for Biomedical Image Segmentation",
    authors="Jun Ma, Feifei Li, Bo Wang",
    year=2024,
    arxiv="2401.04722",
    code="https://github.com/bowang-lab/U-Mamba",
    code_licence="Apache-2.0",
)
LIU_2024 = Paper(
    title="Swin-UMamba: Mamba-based UNet with ImageNet-based Pretraining",
    authors="Jiarun Liu, Hao Yang, Hong-Yu Zhou, Yan Xi, Lequan Yu, Yizhou Yu, Yong Liang, Guangming Shi, "
    "Shaoting Zhang, Hairong Zheng, Shanshan Wang",
    year=2024,
    arxiv="2402.03302",
    code="https://github.com/JiarunLiu/Swin-UMamba",
    code_licence="Apache-2.0",
)
