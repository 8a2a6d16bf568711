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
LOU_2021 = Paper(
    title="DC-UNet: Rethinking the U-Net Architecture with Dual Channel Efficient CNN for Medical Images Segmentation",
    authors="Ange Lou, Shuyue Guan, Murray Loew",
    year=2021,
    arxiv="2006.00414",
    doi="10.1117/12.2582338",
    code="https://github.com/AngeLouCN/DC-UNet",
    code_licence=None,
)
JEGOU_2017 = Paper(
    title="The One Hundred Layers Tiramisu: Fully Convolutional DenseNets for Semantic Segmentation",
    authors="Simon Jégou, Michal Drozdzal, David Vazquez, Adriana Romero, Yoshua Bengio",
    year=2017,
    arxiv="1611.09326",
    doi="10.1109/CVPRW.2017.156",
    code="https://github.com/SimJeg/FC-DenseNet",
    code_licence="MIT",
)
VALANARASU_2020 = Paper(
    title="KiU-Net: Towards Accurate Segmentation of Biomedical Images using Over-complete Representations",
    authors="Jeya Maria Jose Valanarasu, Vishwanath A. Sindagi, Ilker Hacihaliloglu, Vishal M. Patel",
    year=2020,
    arxiv="2006.04878",
    doi="10.1007/978-3-030-59719-1_36",
    code="https://github.com/jeya-maria-jose/KiU-Net-pytorch",
    code_licence="MIT",
)
LIU_2022 = Paper(
    title="Full-Resolution Network and Dual-Threshold Iteration for Retinal Vessel and Coronary Angiograph "
    "Segmentation",
    authors="Wentao Liu, Huihua Yang, Tong Tian, Zhiwei Cao, Xipeng Pan, Weijin Xu, Yang Jin, Feng Gao",
    year=2022,
    doi="10.1109/JBHI.2022.3188710",
    code="https://github.com/lseventeen/FR-UNet",
    code_licence=None,
)
GU_2019 = Paper(
    title="CE-Net: Context Encoder Network for 2D Medical Image Segmentation",
    authors="Zaiwang Gu, Jun Cheng, Huazhu Fu, Kang Zhou, Huaying Hao, Yitian Zhao, Tianyang Zhang, Shenghua Gao, "
    "Jiang Liu",
    year=2019,
    arxiv="1903.02740",
    doi="10.1109/TMI.2019.2903562",
    code="https://github.com/Guzaiwang/CE-Net",
    code_licence=None,
)
CHAURASIA_2017 = Paper(
    title="LinkNet: Exploiting Encoder Representations for Efficient Semantic Segmentation",
    authors="Abhishek Chaurasia, Eugenio Culurciello",
    year=2017,
    arxiv="1707.03718",
    doi="10.1109/VCIP.2017.8305148",
    code="https://github.com/e-lab/pytorch-linknet",
    code_licence=None,
)
ZHUANG_2018 = Paper(
    title="LadderNet: Multi-path networks based on U-Net for medical image segmentation",
    authors="Juntang Zhuang",
    year=2018,
    arxiv="1810.07810",
    code="https://github.com/juntang-zhuang/LadderNet",
    code_licence=None,
)
PASZKE_2016 = Paper(
    title="ENet: A Deep Neural Network Architecture for Real-Time Semantic Segmentation",
    authors="Adam Paszke, Abhishek Chaurasia, Sangpil Kim, Eugenio Culurciello",
    year=2016,
    arxiv="1606.02147",
    code="https://github.com/e-lab/ENet-training",
    code_licence=None,
)
BADRINARAYANAN_2017 = Paper(
    title="SegNet: A Deep Convolutional Encoder-Decoder Architecture for Image Segmentation",
    authors="Vijay Badrinarayanan, Alex Kendall, Roberto Cipolla",
    year=2017,
    arxiv="1511.00561",
    doi="10.1109/TPAMI.2016.2644615",
    code="https://github.com/alexgkendall/caffe-segnet",
    code_licence=None,
)
