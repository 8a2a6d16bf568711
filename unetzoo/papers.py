"""The citations. An entry's paper is the one its network is from; a part's source is in the part's docstring."""

from __future__ import annotations

from unetzoo.errors import Strict


class Paper(Strict):
    """Where a network was published. ``code`` is the authors' own, ``code_licence`` its licence as stated there."""

    title: str
    authors: str
    year: int
    arxiv: str | None = None
    doi: str | None = None
    code: str | None = None
    code_licence: str | None = None

    @property
    def link(self) -> str | None:
        if self.arxiv:
            return f"https://arxiv.org/abs/{self.arxiv}"
        return f"https://doi.org/{self.doi}" if self.doi else None

    def __str__(self) -> str:
        where = self.link or "unpublished"
        return f"{self.authors}: {self.title} ({self.year}), {where}"


RONNEBERGER_2015 = Paper(
    title="U-Net: Convolutional Networks for Biomedical Image Segmentation",
    authors="Olaf Ronneberger, Philipp Fischer, Thomas Brox",
    year=2015,
    arxiv="1505.04597",
    doi="10.1007/978-3-319-24574-4_28",
    code="https://lmb.informatik.uni-freiburg.de/people/ronneber/u-net/",
    code_licence=None,
)
QIN_2020 = Paper(
    title="U²-Net: Going Deeper with Nested U-Structure for Salient Object Detection",
    authors="Xuebin Qin, Zichen Zhang, Chenyang Huang, Masood Dehghan, Osmar R. Zaiane, Martin Jagersand",
    year=2020,
    arxiv="2005.09007",
    doi="10.1016/j.patcog.2020.107404",
    code="https://github.com/xuebinqin/U-2-Net",
    code_licence="Apache-2.0",
)
IBTEHAZ_2019 = Paper(
    title="MultiResUNet: Rethinking the U-Net Architecture for Multimodal Biomedical Image Segmentation",
    authors="Nabil Ibtehaz, M. Sohel Rahman",
    year=2019,
    arxiv="1902.04049",
    doi="10.1016/j.neunet.2019.08.025",
    code="https://github.com/nibtehaz/MultiResUNet",
    code_licence="MIT",
)
XU_2022 = Paper(
    title="DCSAU-Net: A Deeper and More Compact Split-Attention U-Net for Medical Image Segmentation",
    authors="Qing Xu, Zhicheng Ma, Na He, Wenting Duan",
    year=2022,
    arxiv="2202.00972",
    doi="10.1016/j.compbiomed.2023.106626",
    code="https://github.com/xq141839/DCSAU-Net",
    code_licence="MIT",
)
CHEN_2024 = Paper(
    title="TinyU-Net: Lighter Yet Better U-Net with Cascaded Multi-receptive Fields",
    authors="Junren Chen, Rui Chen, Wei Wang, Junlong Cheng, Lei Zhang, Liangyin Chen",
    year=2024,
    doi="10.1007/978-3-031-72114-4_60",
    code="https://github.com/ChenJunren-Lab/TinyU-Net",
    code_licence="MIT",
)
VALANARASU_2022 = Paper(
    title="UNeXt: MLP-based Rapid Medical Image Segmentation Network",
    authors="Jeya Maria Jose Valanarasu, Vishal M. Patel",
    year=2022,
    arxiv="2203.04967",
    doi="10.1007/978-3-031-16443-9_3",
    code="https://github.com/jeya-maria-jose/UNeXt-pytorch",
    code_licence="MIT",
)
IGLOVIKOV_2018 = Paper(
    title="TernausNet: U-Net with VGG11 Encoder Pre-Trained on ImageNet for Image Segmentation",
    authors="Vladimir Iglovikov, Alexey Shvets",
    year=2018,
    arxiv="1801.05746",
    code="https://github.com/ternaus/TernausNet",
    code_licence="MIT",
)
