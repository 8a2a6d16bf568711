"""Convolutional networks outside the grid, each with its options, paper and reference."""

from __future__ import annotations

from unetzoo.models.entry import Entry, Reference
from unetzoo.models.factory_entry import FactoryEntry
from unetzoo.models.papers import (
    BADRINARAYANAN_2017,
    CHAURASIA_2017,
    CHEN_2024,
    GU_2019,
    IBTEHAZ_2019,
    IGLOVIKOV_2018,
    JEGOU_2017,
    LIU_2022_FRUNET,
    LOU_2021,
    PASZKE_2016,
    QIN_2020,
    SIMONYAN_2014,
    VALANARASU_2020,
    VALANARASU_2022,
    XU_2022,
    ZHUANG_2018,
)
from unetzoo.models.papers_further import JHA_2020, TANG_2022

_HERE = "unetzoo.standalone"


_U2NET = "Logits; the code ends in a sigmoid. Its U2NET and U2NETP are one class here."
_UNEXT = "The first convolution takes any number of channels; the code's always takes 3."
_TERNAUS = "Starts from random weights unless pretrained is set; the paper's starts from VGG's ImageNet weights."
_TIRAMISU = "Logits; the code ends in a log-softmax."
_IMAGENET = "Starts from random weights; the authors' encoder starts from ImageNet weights."


ENTRIES: tuple[Entry, ...] = (
    FactoryEntry(
        "u2net",
        f"{_HERE}.u2net:U2Net",
        paper=QIN_2020,
        note="every stage is a small U-Net; six side outputs, fused",
        deviations=(_U2NET,),
        family="context",
        reference=Reference("xuebinqin/U-2-Net model/u2net.py: U2NET(3, 1)", "transcribed"),
    ),
    FactoryEntry(
        "u2netp",
        f"{_HERE}.u2net:U2Net",
        defaults={"small": True},
        paper=QIN_2020,
        note="the paper's small U²-Net†: 1.1 M parameters",
        deviations=(_U2NET,),
        family="light",
        reference=Reference("xuebinqin/U-2-Net model/u2net.py: U2NETP(3, 1)", "golden"),
    ),
    FactoryEntry(
        "multiresunet",
        f"{_HERE}.multiresunet:MultiResUNet",
        paper=IBTEHAZ_2019,
        note="blocks of three receptive fields, residual paths on the skips",
        deviations=("Returns num_classes logits; the code returns one more than asked for.",),
        family="context",
        reference=Reference("nibtehaz/MultiResUNet pytorch/MultiResUNet.py: MultiResUnet(3, 1)", "golden"),
    ),
    FactoryEntry(
        "dcsau_net",
        f"{_HERE}.dcsau_net:DCSAUNet",
        paper=XU_2022,
        note="a 7x7 first layer and split-attention blocks",
        deviations=("The dropout that the code declares but never uses is not built.",),
        family="attention",
        reference=Reference("xq141839/DCSAU-Net pytorch_dcsaunet/DCSAU_Net.py: Model(3, 1)", "golden"),
    ),
    FactoryEntry(
        "tiny_unet",
        f"{_HERE}.tiny_unet:TinyUNet",
        paper=CHEN_2024,
        note="cascaded multi-receptive fields: 0.48 M parameters",
        family="light",
        reference=Reference("ChenJunren-Lab/TinyU-Net TinyU-Net.py: TinyUNet(3, 2)", "golden"),
    ),
    FactoryEntry(
        "unext",
        f"{_HERE}.unext:UNeXt",
        paper=VALANARASU_2022,
        note="convolutions above, shifted MLPs on tokens below; skips added",
        deviations=(_UNEXT,),
        family="light",
        reference=Reference("jeya-maria-jose/UNeXt-pytorch archs.py: UNext(1, 3)", "golden"),
    ),
    FactoryEntry(
        "unext_s",
        f"{_HERE}.unext:UNeXt",
        defaults={"width": 8, "multiples": (1, 2, 4, 8, 16)},
        paper=VALANARASU_2022,
        note="UNeXt-S: half the width and less below",
        deviations=(_UNEXT,),
        family="light",
        reference=Reference("jeya-maria-jose/UNeXt-pytorch archs.py: UNext_S(1, 3)", "transcribed"),
    ),
    FactoryEntry(
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
    ),
    FactoryEntry(
        "ternausnet11",
        f"{_HERE}.ternausnet:TernausNet",
        defaults={"encoder": "vgg11", "pretrained": False, "up": "transposed_3x3"},
        paper=IGLOVIKOV_2018,
        encoder_paper=SIMONYAN_2014,
        note="VGG11's convolutions as encoder, transposed 3x3 convolutions up",
        deviations=(_TERNAUS, "Any number of classes; the code has one."),
        family="paper",
        reference=Reference("ternaus/TernausNet ternausnet/models.py: UNet11(32, pretrained=False)", "transcribed"),
    ),
    FactoryEntry(
        "dcunet",
        f"{_HERE}.dcunet:DCUNet",
        paper=LOU_2021,
        note="two multi-resolution channels per block, mirrored borders",
        deviations=("Logits; the authors' PyTorch code ends in a tanh, the paper in a sigmoid.",),
        family="context",
        reference=Reference("AngeLouCN/DC-UNet dc_unet-pytorch/DC_UNet.py: DC_Unet(3, 1, nf=32)", "transcribed"),
    ),
    *(
        FactoryEntry(
            name,
            f"{_HERE}.fcdensenet:FCDenseNet",
            defaults=options,
            paper=JEGOU_2017,
            note=note,
            deviations=(_TIRAMISU,),
            family="dense",
            reference=Reference(
                f"bfortuner/pytorch_tiramisu models/tiramisu.py: FCDenseNet{name.removeprefix('fcdensenet')}(12)",
                "transcribed",
            ),
        )
        for name, options, note in (
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
        )
    ),
    FactoryEntry(
        "kiunet",
        f"{_HERE}.kiunet:KiUNet",
        paper=VALANARASU_2020,
        note="a U-Net and an overcomplete network side by side, fused at each level",
        deviations=(
            "No logit is negative: the code ends in a ReLU (final_relu=False leaves it out). Layers that the code "
            "never uses are not built.",
        ),
        family="context",
        reference=Reference("jeya-maria-jose/KiU-Net-pytorch arch/ae.py: kiunet()", "transcribed"),
    ),
    FactoryEntry(
        "fr_unet",
        f"{_HERE}.fr_unet:FRUNet",
        paper=LIU_2022_FRUNET,
        note="a triangular grid of blocks that keeps full resolution; five outputs averaged",
        deviations=(
            "Layers that the code declares but never uses are not built. Initial weights are torch's own, as in the "
            "code, whose call of Kaiming's has no effect.",
        ),
        family="context",
        reference=Reference(
            "lseventeen/FR-UNet models/fr_unet.py: FR_UNet(1, 1, feature_scale=2, dropout=0.2, fuse=True, "
            "out_ave=True)",
            "transcribed",
        ),
    ),
    FactoryEntry(
        "ce_net",
        f"{_HERE}.ce_net:CENet",
        paper=GU_2019,
        note="ResNet-34, dense atrous convolutions and a pyramid of max pools at the bottleneck",
        deviations=(_IMAGENET, "Logits; the code ends in a sigmoid.", "Pools larger than the map cover the map."),
        family="context",
        reference=Reference("Guzaiwang/CE-Net src/lib/models/networks/cenet.py: CE_Net_(1, 3)", "transcribed"),
    ),
    FactoryEntry(
        "linknet",
        f"{_HERE}.linknet:LinkNet",
        paper=CHAURASIA_2017,
        note="ResNet-18 whose maps are added to the decoder's",
        deviations=(_IMAGENET, "Logits; the code ends in a log-softmax."),
        family="residual",
        reference=Reference("e-lab/pytorch-linknet models/linknet.py: LinkNet(12)", "transcribed"),
    ),
    FactoryEntry(
        "ladder_net",
        f"{_HERE}.ladder_net:LadderNet",
        paper=ZHUANG_2018,
        note="two U-Nets in a row, residual blocks with shared weights",
        deviations=("Logits; the code ends in a log-softmax.", "No batch norm, as in the code's LadderNetv65."),
        family="context",
        reference=Reference("juntang-zhuang/LadderNet src/LadderNetv65.py: LadderNetv6(4, 10, 2, 1)", "transcribed"),
    ),
    FactoryEntry(
        "enet",
        f"{_HERE}.enet:ENet",
        paper=PASZKE_2016,
        note="fast residual encoder-decoder with unpooling by indices: 0.35 M parameters",
        deviations=(
            "As in davidtvs/PyTorch-ENet since March 2021 (its issue 50): convolutions without bias. The authors' own "
            "code is in Lua.",
        ),
        family="light",
        reference=Reference(
            "davidtvs/PyTorch-ENet models/enet.py: ENet(12, encoder_relu=False, decoder_relu=True)", "transcribed"
        ),
    ),
    FactoryEntry(
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
    ),
    FactoryEntry(
        "double_unet",
        f"{_HERE}.double_unet:DoubleUNet",
        paper=JHA_2020,
        encoder_paper=SIMONYAN_2014,
        note="a U-Net on VGG-19 whose mask weighs the image for a second U-Net; both supervised",
        deviations=(
            _IMAGENET,
            "With several classes one minus the probability of the first weighs the image; the code has one class.",
        ),
        family="context",
        reference=Reference("DebeshJha/2020-CBMS-DoubleU-Net doubleunet_pytorch.py: build_doubleunet()", "golden"),
    ),
    FactoryEntry(
        "cmunet",
        f"{_HERE}.cmunet:CMUNet",
        paper=TANG_2022,
        note="seven ConvMixer layers in a U-Net's bottleneck, gates of three scales on its skips",
        family="attention",
        reference=Reference("FengheTan9/CMU-Net src/network/CMUNet.py: CMUNet(3, 1)", "transcribed"),
    ),
)
