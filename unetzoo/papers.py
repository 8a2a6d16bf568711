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
OKTAY_2018 = Paper(
    title="Attention U-Net: Learning Where to Look for the Pancreas",
    authors="Ozan Oktay, Jo Schlemper, Loic Le Folgoc, Matthew Lee, Mattias Heinrich, Kazunari Misawa, Kensaku Mori, "
    "Steven McDonagh, Nils Y. Hammerla, Bernhard Kainz, Ben Glocker, Daniel Rueckert",
    year=2018,
    arxiv="1804.03999",
    code="https://github.com/ozan-oktay/Attention-Gated-Networks",
    code_licence="MIT",
)
ALOM_2018 = Paper(
    title="Recurrent Residual Convolutional Neural Network based on U-Net (R2U-Net) for Medical Image Segmentation",
    authors="Md Zahangir Alom, Mahmudul Hasan, Chris Yakopcic, Tarek M. Taha, Vijayan K. Asari",
    year=2018,
    arxiv="1802.06955",
)
BUDA_2019 = Paper(
    title="Association of genomic subtypes of lower-grade gliomas with shape features automatically extracted by a "
    "deep learning algorithm",
    authors="Mateusz Buda, Ashirbani Saha, Maciej A. Mazurowski",
    year=2019,
    arxiv="1906.03720",
    doi="10.1016/j.compbiomed.2019.05.002",
    code="https://github.com/mateuszbuda/brain-segmentation-pytorch",
    code_licence="MIT",
)
ZHOU_2018 = Paper(
    title="UNet++: A Nested U-Net Architecture for Medical Image Segmentation",
    authors="Zongwei Zhou, Md Mahfuzur Rahman Siddiquee, Nima Tajbakhsh, Jianming Liang",
    year=2018,
    arxiv="1807.10165",
    doi="10.1007/978-3-030-00889-5_1",
    code="https://github.com/MrGiovanni/UNetPlusPlus",
    code_licence="Arizona State University's, for non-commercial use",
)
HUANG_2020 = Paper(
    title="UNet 3+: A Full-Scale Connected UNet for Medical Image Segmentation",
    authors="Huimin Huang, Lanfen Lin, Ruofeng Tong, Hongjie Hu, Qiaowei Zhang, Yutaro Iwamoto, Xianhua Han, "
    "Yen-Wei Chen, Jian Wu",
    year=2020,
    arxiv="2004.08790",
    code="https://github.com/ZJUGiveLab/UNet-Version",
)
ZHANG_2018 = Paper(
    title="Road Extraction by Deep Residual U-Net",
    authors="Zhengxin Zhang, Qingjie Liu, Yunhong Wang",
    year=2018,
    arxiv="1711.10684",
    doi="10.1109/LGRS.2018.2802944",
)
JHA_2019 = Paper(
    title="ResUNet++: An Advanced Architecture for Medical Image Segmentation",
    authors="Debesh Jha, Pia H. Smedsrud, Michael A. Riegler, Dag Johansen, Thomas de Lange, Pål Halvorsen, "
    "Håvard D. Johansen",
    year=2019,
    arxiv="1911.07067",
    code="https://github.com/DebeshJha/ResUNetPlusPlus",
)
HU_2017 = Paper(
    title="Squeeze-and-Excitation Networks",
    authors="Jie Hu, Li Shen, Samuel Albanie, Gang Sun, Enhua Wu",
    year=2017,
    arxiv="1709.01507",
    code="https://github.com/hujie-frank/SENet",
    code_licence="Apache-2.0",
)
ROY_2018 = Paper(
    title="Concurrent Spatial and Channel Squeeze & Excitation in Fully Convolutional Networks",
    authors="Abhijit Guha Roy, Nassir Navab, Christian Wachinger",
    year=2018,
    arxiv="1803.02579",
    doi="10.1007/978-3-030-00928-1_48",
)
WOO_2018 = Paper(
    title="CBAM: Convolutional Block Attention Module",
    authors="Sanghyun Woo, Jongchan Park, Joon-Young Lee, In So Kweon",
    year=2018,
    arxiv="1807.06521",
    code="https://github.com/Jongchan/attention-module",
    code_licence="MIT",
)
HOWARD_2017 = Paper(
    title="MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications",
    authors="Andrew G. Howard, Menglong Zhu, Bo Chen, Dmitry Kalenichenko, Weijun Wang, Tobias Weyand, "
    "Marco Andreetto, Hartwig Adam",
    year=2017,
    arxiv="1704.04861",
)
SIMONYAN_2014 = Paper(
    title="Very Deep Convolutional Networks for Large-Scale Image Recognition",
    authors="Karen Simonyan, Andrew Zisserman",
    year=2014,
    arxiv="1409.1556",
)
HE_2015 = Paper(
    title="Deep Residual Learning for Image Recognition",
    authors="Kaiming He, Xiangyu Zhang, Shaoqing Ren, Jian Sun",
    year=2015,
    arxiv="1512.03385",
)
HUANG_2016 = Paper(
    title="Densely Connected Convolutional Networks",
    authors="Gao Huang, Zhuang Liu, Laurens van der Maaten, Kilian Q. Weinberger",
    year=2016,
    arxiv="1608.06993",
    code="https://github.com/liuzhuang13/DenseNet",
    code_licence="BSD-3-Clause",
)
SZEGEDY_2015 = Paper(
    title="Rethinking the Inception Architecture for Computer Vision",
    authors="Christian Szegedy, Vincent Vanhoucke, Sergey Ioffe, Jonathon Shlens, Zbigniew Wojna",
    year=2015,
    arxiv="1512.00567",
)
LIU_2022 = Paper(
    title="A ConvNet for the 2020s",
    authors="Zhuang Liu, Hanzi Mao, Chao-Yuan Wu, Christoph Feichtenhofer, Trevor Darrell, Saining Xie",
    year=2022,
    arxiv="2201.03545",
    code="https://github.com/facebookresearch/ConvNeXt",
    code_licence="MIT",
)
TAN_2019 = Paper(
    title="EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
    authors="Mingxing Tan, Quoc V. Le",
    year=2019,
    arxiv="1905.11946",
    code="https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet",
    code_licence="Apache-2.0",
)
HOWARD_2019 = Paper(
    title="Searching for MobileNetV3",
    authors="Andrew Howard, Mark Sandler, Grace Chu, Liang-Chieh Chen, Bo Chen, Mingxing Tan, Weijun Wang, Yukun Zhu, "
    "Ruoming Pang, Vijay Vasudevan, Quoc V. Le, Hartwig Adam",
    year=2019,
    arxiv="1905.02244",
)
LIU_2021 = Paper(
    title="Swin Transformer: Hierarchical Vision Transformer using Shifted Windows",
    authors="Ze Liu, Yutong Lin, Yue Cao, Han Hu, Yixuan Wei, Zheng Zhang, Stephen Lin, Baining Guo",
    year=2021,
    arxiv="2103.14030",
    code="https://github.com/microsoft/Swin-Transformer",
    code_licence="MIT",
)
XIE_2021 = Paper(
    title="SegFormer: Simple and Efficient Design for Semantic Segmentation with Transformers",
    authors="Enze Xie, Wenhai Wang, Zhiding Yu, Anima Anandkumar, Jose M. Alvarez, Ping Luo",
    year=2021,
    arxiv="2105.15203",
    code="https://github.com/NVlabs/SegFormer",
    code_licence="NVIDIA Source Code License (non-commercial)",
)
WOO_2023 = Paper(
    title="ConvNeXt V2: Co-designing and Scaling ConvNets with Masked Autoencoders",
    authors="Sanghyun Woo, Shoubhik Debnath, Ronghang Hu, Xinlei Chen, Zhuang Liu, In So Kweon, Saining Xie",
    year=2023,
    arxiv="2301.00808",
    code="https://github.com/facebookresearch/ConvNeXt-V2",
    code_licence="MIT",
)
LU_2022 = Paper(
    title="Half-UNet: A Simplified U-Net Architecture for Medical Image Segmentation",
    authors="Haoran Lu, Yifei She, Jun Tie, Shengzhou Xu",
    year=2022,
    doi="10.3389/fninf.2022.911679",
)
GUO_2020 = Paper(
    title="SA-UNet: Spatial Attention U-Net for Retinal Vessel Segmentation",
    authors="Changlu Guo, Márton Szemenyei, Yugen Yi, Wenle Wang, Buer Chen, Changqi Fan",
    year=2020,
    arxiv="2004.03696",
    code="https://github.com/clguo/SA-UNet",
)
