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
