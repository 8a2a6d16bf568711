"""Citations of the papers that introduced the networks; sources of single parts are in their docstrings."""

from __future__ import annotations

from unetzoo.errors import Strict


class Paper(Strict):
    """Publication of a network.

    Attributes:
        title: Title.
        authors: Names, separated by commas.
        year: Year of publication.
        arxiv: arXiv identifier.
        doi: DOI.
        code: Address of the authors' code.
        code_licence: Licence of that code, as stated there.
    """

    title: str
    authors: str
    year: int
    arxiv: str | None = None
    doi: str | None = None
    code: str | None = None
    code_licence: str | None = None

    @property
    def link(self) -> str | None:
        """Address of the paper: arXiv if it is there, else its DOI; None without both."""
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
LIU_2022_FRUNET = Paper(
    title="Full-Resolution Network and Dual-Threshold Iteration for Retinal Vessel and Coronary Angiograph "
    "Segmentation",
    authors="Wentao Liu, Huihua Yang, Tong Tian, Zhiwei Cao, Xipeng Pan, Weijin Xu, Yang Jin, Feng Gao",
    year=2022,
    doi="10.1109/JBHI.2022.3188710",
    code="https://github.com/lseventeen/FR-UNet",
    code_licence="MIT",
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


KERFOOT_2018 = Paper(
    title="Left-Ventricle Quantification Using Residual U-Net",
    authors="Eric Kerfoot, James Clough, Ilkay Oksuz, Jack Lee, Andrew P. King, Julia A. Schnabel",
    year=2018,
    doi="10.1007/978-3-030-12029-0_40",
    code="https://github.com/Project-MONAI/MONAI",
    code_licence="Apache-2.0",
)
FALK_2019 = Paper(
    title="U-Net: deep learning for cell counting, detection, and morphometry",
    authors="Thorsten Falk, Dominic Mai, Robert Bensch, Özgün Çiçek, Ahmed Abdulkadir, Yassine Marrakchi, Anton Böhm, "
    "Jan Deubner, Zoe Jäckel, Katharina Seiwald, Alexander Dovzhenko, Olaf Tietz, Cristina Dal Bosco, Sean Walsh, "
    "Deniz Saltukoglu, Tuan Leng Tay, Marco Prinz, Klaus Palme, Matias Simons, Ilka Diester, Thomas Brox, "
    "Olaf Ronneberger",
    year=2019,
    doi="10.1038/s41592-018-0261-2",
)
ISENSEE_2021 = Paper(
    title="nnU-Net: a self-configuring method for deep learning-based biomedical image segmentation",
    authors="Fabian Isensee, Paul F. Jaeger, Simon A. A. Kohl, Jens Petersen, Klaus H. Maier-Hein",
    year=2021,
    arxiv="1904.08128",
    doi="10.1038/s41592-020-01008-z",
    code="https://github.com/MIC-DKFZ/nnUNet",
    code_licence="Apache-2.0",
)
ISENSEE_2024 = Paper(
    title="nnU-Net Revisited: A Call for Rigorous Validation in 3D Medical Image Segmentation",
    authors="Fabian Isensee, Tassilo Wald, Constantin Ulrich, Michael Baumgartner, Saikat Roy, Klaus Maier-Hein, "
    "Paul F. Jaeger",
    year=2024,
    arxiv="2404.09556",
    code="https://github.com/MIC-DKFZ/nnUNet",
    code_licence="Apache-2.0",
)
ROY_2023 = Paper(
    title="MedNeXt: Transformer-driven Scaling of ConvNets for Medical Image Segmentation",
    authors="Saikat Roy, Gregor Koehler, Constantin Ulrich, Michael Baumgartner, Jens Petersen, Fabian Isensee, "
    "Paul F. Jaeger, Klaus Maier-Hein",
    year=2023,
    arxiv="2303.09975",
    code="https://github.com/MIC-DKFZ/MedNeXt",
    code_licence=None,
)
MILLETARI_2016 = Paper(
    title="V-Net: Fully Convolutional Neural Networks for Volumetric Medical Image Segmentation",
    authors="Fausto Milletari, Nassir Navab, Seyed-Ahmad Ahmadi",
    year=2016,
    arxiv="1606.04797",
    doi="10.1109/3DV.2016.79",
    code="https://github.com/faustomilletari/VNet",
    code_licence=None,
)
MYRONENKO_2018 = Paper(
    title="3D MRI brain tumor segmentation using autoencoder regularization",
    authors="Andriy Myronenko",
    year=2018,
    arxiv="1810.11654",
    doi="10.1007/978-3-030-11726-9_28",
)
HATAMIZADEH_2021 = Paper(
    title="UNETR: Transformers for 3D Medical Image Segmentation",
    authors="Ali Hatamizadeh, Yucheng Tang, Vishwesh Nath, Dong Yang, Andriy Myronenko, Bennett Landman, Holger Roth, "
    "Daguang Xu",
    year=2021,
    arxiv="2103.10504",
    doi="10.1109/WACV51458.2022.00181",
    code="https://github.com/Project-MONAI/research-contributions",
    code_licence=None,
)
HATAMIZADEH_2022 = Paper(
    title="Swin UNETR: Swin Transformers for Semantic Segmentation of Brain Tumors in MRI Images",
    authors="Ali Hatamizadeh, Vishwesh Nath, Yucheng Tang, Dong Yang, Holger Roth, Daguang Xu",
    year=2022,
    arxiv="2201.01266",
    doi="10.1007/978-3-031-08999-2_22",
    code="https://github.com/Project-MONAI/research-contributions",
    code_licence=None,
)


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


FAN_2020 = Paper(
    title="MA-Net: A Multi-Scale Attention Network for Liver and Tumor Segmentation",
    authors="Tongle Fan, Guanglei Wang, Yan Li, Hongrui Wang",
    year=2020,
    doi="10.1109/ACCESS.2020.3025372",
)
KIRILLOV_2019 = Paper(
    title="Panoptic Feature Pyramid Networks",
    authors="Alexander Kirillov, Ross Girshick, Kaiming He, Piotr Dollár",
    year=2019,
    arxiv="1901.02446",
    doi="10.1109/CVPR.2019.00656",
)
ZHAO_2017 = Paper(
    title="Pyramid Scene Parsing Network",
    authors="Hengshuang Zhao, Jianping Shi, Xiaojuan Qi, Xiaogang Wang, Jiaya Jia",
    year=2017,
    arxiv="1612.01105",
    doi="10.1109/CVPR.2017.660",
    code="https://github.com/hszhao/PSPNet",
    code_licence="BSD-2-Clause",
)
LI_2018 = Paper(
    title="Pyramid Attention Network for Semantic Segmentation",
    authors="Hanchao Li, Pengfei Xiong, Jie An, Lingxue Wang",
    year=2018,
    arxiv="1805.10180",
)
CHEN_2018 = Paper(
    title="Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation",
    authors="Liang-Chieh Chen, Yukun Zhu, George Papandreou, Florian Schroff, Hartwig Adam",
    year=2018,
    arxiv="1802.02611",
    doi="10.1007/978-3-030-01234-2_49",
    code="https://github.com/tensorflow/models/tree/master/research/deeplab",
    code_licence="Apache-2.0",
)
XIAO_2018 = Paper(
    title="Unified Perceptual Parsing for Scene Understanding",
    authors="Tete Xiao, Yingcheng Liu, Bolei Zhou, Yuning Jiang, Jian Sun",
    year=2018,
    arxiv="1807.10221",
    doi="10.1007/978-3-030-01228-1_26",
    code="https://github.com/CSAILVision/unifiedparsing",
    code_licence="BSD-3-Clause",
)
RANFTL_2021 = Paper(
    title="Vision Transformers for Dense Prediction",
    authors="René Ranftl, Alexey Bochkovskiy, Vladlen Koltun",
    year=2021,
    arxiv="2103.13413",
    doi="10.1109/ICCV48922.2021.01196",
    code="https://github.com/isl-org/DPT",
    code_licence="MIT",
)


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
