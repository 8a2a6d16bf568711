"""Networks with an encoder and a decoder of their own: which file, which options, whose paper."""

from __future__ import annotations

from unetzoo.entry import Reference
from unetzoo.papers import SIMONYAN_2014, Paper
from unetzoo.registry import register_model

_HERE = "unetzoo.standalone"

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

_U2NET = "Logits; the code ends in a sigmoid. Its U2NET and U2NETP are one class here."
register_model(
    "u2net",
    f"{_HERE}.u2net:U2Net",
    paper=QIN_2020,
    note="every stage is a small U-Net; six side outputs, fused",
    deviations=(_U2NET,),
    family="context",
    reference=Reference("xuebinqin/U-2-Net model/u2net.py: U2NET(3, 1)", "transcribed"),
)
register_model(
    "u2netp",
    f"{_HERE}.u2net:U2Net",
    defaults={"small": True},
    paper=QIN_2020,
    note="the paper's small U²-Net†: 1.1 M parameters",
    deviations=(_U2NET,),
    family="light",
    reference=Reference("xuebinqin/U-2-Net model/u2net.py: U2NETP(3, 1)", "golden"),
)
register_model(
    "multiresunet",
    f"{_HERE}.multiresunet:MultiResUNet",
    paper=IBTEHAZ_2019,
    note="blocks of three receptive fields, residual paths on the skips",
    deviations=("Returns num_classes logits; the code returns one more than asked for.",),
    family="context",
    reference=Reference("nibtehaz/MultiResUNet pytorch/MultiResUNet.py: MultiResUnet(3, 1)", "golden"),
)
register_model(
    "dcsau_net",
    f"{_HERE}.dcsau_net:DCSAUNet",
    paper=XU_2022,
    note="a 7x7 first layer and split-attention blocks",
    deviations=("The dropout that the code declares but never uses is not built.",),
    family="attention",
    reference=Reference("xq141839/DCSAU-Net pytorch_dcsaunet/DCSAU_Net.py: Model(3, 1)", "golden"),
)
register_model(
    "tiny_unet",
    f"{_HERE}.tiny_unet:TinyUNet",
    paper=CHEN_2024,
    note="cascaded multi-receptive fields: 0.48 M parameters",
    family="light",
    reference=Reference("ChenJunren-Lab/TinyU-Net TinyU-Net.py: TinyUNet(3, 2)", "golden"),
)
_UNEXT = "The first convolution takes any number of channels; the code's always takes 3."
register_model(
    "unext",
    f"{_HERE}.unext:UNeXt",
    paper=VALANARASU_2022,
    note="convolutions above, shifted MLPs on tokens below; skips added",
    deviations=(_UNEXT,),
    family="light",
    reference=Reference("jeya-maria-jose/UNeXt-pytorch archs.py: UNext(1, 3)", "golden"),
)
register_model(
    "unext_s",
    f"{_HERE}.unext:UNeXt",
    defaults={"width": 8, "multiples": (1, 2, 4, 8, 16)},
    paper=VALANARASU_2022,
    note="UNeXt-S: half the width and less below",
    deviations=(_UNEXT,),
    family="light",
    reference=Reference("jeya-maria-jose/UNeXt-pytorch archs.py: UNext_S(1, 3)", "transcribed"),
)
_TERNAUS = "Starts from random weights unless pretrained is set; the paper's starts from VGG's ImageNet weights."
register_model(
    "ternausnet16",
    f"{_HERE}.ternausnet:TernausNet",
    defaults={"encoder": "vgg16", "pretrained": False},
    paper=IGLOVIKOV_2018,
    encoder_paper=SIMONYAN_2014,
    note="VGG16's convolutions as encoder, bilinear upsampling",
    deviations=(_TERNAUS, "The paper's network is ternausnet11; this is its larger sister in the same code."),
    family="paper",
    reference=Reference(
        "ternaus/TernausNet ternausnet/models.py: UNet16(1, 32, pretrained=False, is_deconv=False)", "golden"
    ),
)
register_model(
    "ternausnet11",
    f"{_HERE}.ternausnet:TernausNet",
    defaults={"encoder": "vgg11", "pretrained": False, "up": "transposed_3x3"},
    paper=IGLOVIKOV_2018,
    encoder_paper=SIMONYAN_2014,
    note="VGG11's convolutions as encoder, transposed 3x3 convolutions up",
    deviations=(_TERNAUS, "Any number of classes; the code has one."),
    family="paper",
    reference=Reference("ternaus/TernausNet ternausnet/models.py: UNet11(32, pretrained=False)", "transcribed"),
)
register_model(
    "dcunet",
    f"{_HERE}.dcunet:DCUNet",
    paper=LOU_2021,
    note="two multi-resolution channels per block, mirrored borders",
    deviations=("Logits; the authors' PyTorch code ends in a tanh, the paper in a sigmoid.",),
    family="context",
    reference=Reference("AngeLouCN/DC-UNet dc_unet-pytorch/DC_UNet.py: DC_Unet(3, 1, nf=32)", "transcribed"),
)
_TIRAMISU = "Logits; the code ends in a log-softmax."
for _name, _options, _note in (
    (
        "fcdensenet57",
        {"width": 12, "stem_multiple": 4, "layers": (4, 4, 4, 4, 4), "bottleneck_layers": 4},
        "56 layers in dense blocks of 4, growth rate 12",
    ),
    (
        "fcdensenet67",
        {"layers": (5, 5, 5, 5, 5), "bottleneck_layers": 5},
        "67 layers in dense blocks of 5, growth rate 16",
    ),
    ("fcdensenet103", {}, "103 layers in dense blocks of 4 to 15, growth rate 16"),
):
    register_model(
        _name,
        f"{_HERE}.fcdensenet:FCDenseNet",
        defaults=_options,
        paper=JEGOU_2017,
        note=_note,
        deviations=(_TIRAMISU,),
        family="dense",
        reference=Reference(
            f"bfortuner/pytorch_tiramisu models/tiramisu.py: FCDenseNet{_name.removeprefix('fcdensenet')}(12)",
            "transcribed",
        ),
    )
register_model(
    "kiunet",
    f"{_HERE}.kiunet:KiUNet",
    paper=VALANARASU_2020,
    note="a U-Net and an overcomplete network side by side, fused at each level",
    deviations=(
        "No logit is negative: the code ends in a ReLU (final_relu=False leaves it out). Layers that the code never "
        "uses are not built.",
    ),
    family="context",
    reference=Reference("jeya-maria-jose/KiU-Net-pytorch arch/ae.py: kiunet()", "transcribed"),
)
register_model(
    "fr_unet",
    f"{_HERE}.fr_unet:FRUNet",
    paper=LIU_2022,
    note="a triangular grid of blocks that keeps full resolution; five outputs averaged",
    deviations=(
        "Layers that the code declares but never uses are not built. Initial weights are torch's own, as in the code, "
        "whose call of Kaiming's has no effect.",
    ),
    family="context",
    reference=Reference(
        "lseventeen/FR-UNet models/fr_unet.py: FR_UNet(1, 1, feature_scale=2, dropout=0.2, fuse=True, out_ave=True)",
        "transcribed",
    ),
)
_IMAGENET = "Starts from random weights; the authors' encoder starts from ImageNet weights."
register_model(
    "ce_net",
    f"{_HERE}.ce_net:CENet",
    paper=GU_2019,
    note="ResNet-34, dense atrous convolutions and a pyramid of max pools at the bottleneck",
    deviations=(_IMAGENET, "Logits; the code ends in a sigmoid.", "Pools larger than the map cover the map."),
    family="context",
    reference=Reference("Guzaiwang/CE-Net src/lib/models/networks/cenet.py: CE_Net_(1, 3)", "transcribed"),
)
register_model(
    "linknet",
    f"{_HERE}.linknet:LinkNet",
    paper=CHAURASIA_2017,
    note="ResNet-18 whose maps are added to the decoder's",
    deviations=(_IMAGENET, "Logits; the code ends in a log-softmax."),
    family="residual",
    reference=Reference("e-lab/pytorch-linknet models/linknet.py: LinkNet(12)", "transcribed"),
)
register_model(
    "ladder_net",
    f"{_HERE}.ladder_net:LadderNet",
    paper=ZHUANG_2018,
    note="two U-Nets in a row, residual blocks with shared weights",
    deviations=("Logits; the code ends in a log-softmax.", "No batch norm, as in the code's LadderNetv65."),
    family="context",
    reference=Reference("juntang-zhuang/LadderNet src/LadderNetv65.py: LadderNetv6(4, 10, 2, 1)", "transcribed"),
)
register_model(
    "enet",
    f"{_HERE}.enet:ENet",
    paper=PASZKE_2016,
    note="fast residual encoder-decoder with unpooling by indices: 0.35 M parameters",
    deviations=(
        "As in davidtvs/PyTorch-ENet since March 2021 (its issue 50): convolutions without bias. The authors' own code "
        "is in Lua.",
    ),
    family="light",
    reference=Reference(
        "davidtvs/PyTorch-ENet models/enet.py: ENet(12, encoder_relu=False, decoder_relu=True)", "transcribed"
    ),
)
register_model(
    "segnet",
    f"{_HERE}.segnet:SegNet",
    paper=BADRINARAYANAN_2017,
    note="VGG-16 down and up, unpooling by indices, no other skips",
    deviations=(
        _IMAGENET,
        "As in say4n/pytorch-segnet: transposed convolutions in the decoder. The authors' own code is for Caffe. "
        "The VGG-16 from which that code copies weights is left out.",
    ),
    family="residual",
    reference=Reference("say4n/pytorch-segnet src/model.py: SegNet(3, 12)", "transcribed"),
)
