"""Networks with an encoder and a decoder of their own: which file, which options, whose paper."""

from __future__ import annotations

from unetzoo import papers
from unetzoo.registry import register_model

_HERE = "unetzoo.standalone"

_U2NET = "Logits; the code ends in a sigmoid. Its U2NET and U2NETP are one class here."
register_model(
    "u2net",
    f"{_HERE}.u2net:U2Net",
    paper=papers.QIN_2020,
    note="every stage is a small U-Net; six side outputs, fused",
    deviations=(_U2NET,),
)
register_model(
    "u2netp",
    f"{_HERE}.u2net:U2Net",
    defaults={"small": True},
    paper=papers.QIN_2020,
    note="the paper's small U²-Net†: 1.1 M parameters",
    deviations=(_U2NET,),
)
register_model(
    "multiresunet",
    f"{_HERE}.multiresunet:MultiResUNet",
    paper=papers.IBTEHAZ_2019,
    note="blocks of three receptive fields, residual paths on the skips",
    deviations=("num_classes are the logits given; the code gives one more than asked for.",),
)
register_model(
    "dcsau_net",
    f"{_HERE}.dcsau_net:DCSAUNet",
    paper=papers.XU_2022,
    note="a 7x7 first layer and split-attention blocks",
    deviations=("The dropout that the code declares and never uses is not built.",),
)
register_model(
    "tiny_unet",
    f"{_HERE}.tiny_unet:TinyUNet",
    paper=papers.CHEN_2024,
    note="cascaded multi-receptive fields: 0.48 M parameters",
)
_UNEXT = "The first convolution takes any number of channels; the code's always takes 3."
register_model(
    "unext",
    f"{_HERE}.unext:UNeXt",
    paper=papers.VALANARASU_2022,
    note="convolutions above, shifted MLPs on tokens below; skips added",
    deviations=(_UNEXT,),
)
register_model(
    "unext_s",
    f"{_HERE}.unext:UNeXt",
    defaults={"width": 8, "multiples": (1, 2, 4, 8, 16)},
    paper=papers.VALANARASU_2022,
    note="UNeXt-S: half the width and less below",
    deviations=(_UNEXT,),
)
_TERNAUS = "Starts from random weights; the paper's starts from VGG's of ImageNet."
register_model(
    "ternausnet16",
    f"{_HERE}.ternausnet:TernausNet",
    paper=papers.IGLOVIKOV_2018,
    note="VGG16's convolutions as encoder, bilinear upsampling",
    deviations=(_TERNAUS, "The paper's network is ternausnet11; this is its larger sister in the same code."),
)
register_model(
    "ternausnet11",
    f"{_HERE}.ternausnet:TernausNet",
    defaults={"encoder": "vgg11", "up": "transposed3x3"},
    paper=papers.IGLOVIKOV_2018,
    note="VGG11's convolutions as encoder, transposed 3x3 convolutions up",
    deviations=(_TERNAUS, "Any number of classes; the code's gives one."),
)
register_model(
    "dcunet",
    f"{_HERE}.dcunet:DCUNet",
    paper=papers.LOU_2021,
    note="two multi-resolution channels a block, mirrored borders",
    deviations=("Logits; the authors' PyTorch code ends in a tanh, the paper in a sigmoid.",),
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
        paper=papers.JEGOU_2017,
        note=_note,
        deviations=(_TIRAMISU,),
    )
register_model(
    "kiunet",
    f"{_HERE}.kiunet:KiUNet",
    paper=papers.VALANARASU_2020,
    note="a U-Net and an overcomplete network side by side, fused at each level",
    deviations=("No ReLU after the head, so these are logits; layers the code never uses are not built.",),
)
register_model(
    "fr_unet",
    f"{_HERE}.fr_unet:FRUNet",
    paper=papers.LIU_2022,
    note="a triangular grid of blocks that keeps full resolution; five outputs averaged",
    deviations=("Layers the code declares and never uses are not built.",),
)
_IMAGENET = "Starts from random weights; the authors' encoder starts from ImageNet's."
register_model(
    "ce_net",
    f"{_HERE}.ce_net:CENet",
    paper=papers.GU_2019,
    note="ResNet-34, dense atrous convolutions and a pyramid of max pools at the bottleneck",
    deviations=(_IMAGENET, "Logits; the code ends in a sigmoid.", "Pools larger than the map cover the map."),
)
register_model(
    "linknet",
    f"{_HERE}.linknet:LinkNet",
    paper=papers.CHAURASIA_2017,
    note="ResNet-18 whose maps are added to the decoder's",
    deviations=(_IMAGENET, "Logits; the code ends in a log-softmax."),
)
register_model(
    "ladder_net",
    f"{_HERE}.ladder_net:LadderNet",
    paper=papers.ZHUANG_2018,
    note="two U-Nets in a row, residual blocks with shared weights",
    deviations=("Logits; the code ends in a log-softmax.", "No batch norm, as in the code's LadderNetv65."),
)
register_model(
    "enet",
    f"{_HERE}.enet:ENet",
    paper=papers.PASZKE_2016,
    note="fast residual encoder-decoder with unpooling by indices: 0.35 M parameters",
    deviations=("As davidtvs/PyTorch-ENet: no bias in any convolution; the authors' own code is in Lua.",),
)
register_model(
    "segnet",
    f"{_HERE}.segnet:SegNet",
    paper=papers.BADRINARAYANAN_2017,
    note="VGG-16 down and up, unpooling by indices, no other skips",
    deviations=(
        _IMAGENET,
        "As say4n/pytorch-segnet: transposed convolutions in the decoder; the authors' own code is for Caffe.",
    ),
)
