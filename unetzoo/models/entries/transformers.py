"""Networks with attention over tokens in encoder, decoder or skips, each with its options, paper and reference."""

from __future__ import annotations

from unetzoo.models.entry import Entry, Reference
from unetzoo.models.factory_entry import FactoryEntry
from unetzoo.models.papers import CAO_2021, CHEN_2021, GAO_2021, HUANG_2021, WANG_2021
from unetzoo.models.papers_further import (
    AZAD_2022,
    HEIDARI_2022,
    PENG_2023,
    PETIT_2021,
    SANDERSON_2022,
    VALANARASU_2021,
    WANG_2021_MIXED,
    WANG_2021_PVT,
    WANG_2023,
    XU_2021,
    ZHANG_2021,
)

_HERE = "unetzoo.standalone"


_ANY_SIZE = "Any image size: {}; the code accepts only the size it is built for."
_AXES = _ANY_SIZE.format("position embeddings are interpolated to the length of each axis")
_GATES = "learn_gates=True trains the gates from the start; the code trains them from its 11th epoch on."
_IMAGENET = "Starts from random weights unless pretrained is set; the code starts from ImageNet weights."
_POSITIONS = _ANY_SIZE.format("position embeddings are interpolated to the image's grid")
_UNUSED = "Layers that the code declares but never uses are not built."


ENTRIES: tuple[Entry, ...] = (
    FactoryEntry(
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
    ),
    FactoryEntry(
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
            "HuCaoFighting/Swin-Unet swin_transformer_unet_skip_expand_decoder_sys.py: "
            "SwinTransformerSys(num_classes=9)",
            "golden",
        ),
    ),
    FactoryEntry(
        "utnet",
        f"{_HERE}.utnet:UTNet",
        paper=GAO_2021,
        note="residual U-Net; pixels attend to an 8x8 reduction of the map, skips to the coarser one",
        deviations=(
            "Any image size: a pixel has the position bias of the cell of the 8x8 map in which it lies; the code "
            "accepts only maps whose sides are a multiple of 8.",
        ),
        family="transformer",
        reference=Reference(
            "yhygao/UTNet model/utnet.py: UTNet(1, 32, 4, rel_pos=True, aux_loss=False, maxpool=True)", "golden"
        ),
    ),
    FactoryEntry(
        "uctransnet",
        f"{_HERE}.uctransnet:UCTransNet",
        paper=WANG_2021,
        note="the four skips of a U-Net fused by attention among channels, then gated",
        deviations=("Logits; the code ends in a sigmoid if there is one class.", _POSITIONS),
        family="transformer",
        reference=Reference(
            "McGregorWwww/UCTransNet nets/UCTransNet.py: UCTransNet(get_CTranS_config(), 3, 1, img_size=224)",
            "transcribed",
        ),
    ),
    FactoryEntry(
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
    ),
    FactoryEntry(
        "unet_v2",
        f"{_HERE}.unet_v2:UNetV2",
        defaults={"encoder": "pvt_v2_b2", "pretrained": False},
        paper=PENG_2023,
        encoder_paper=WANG_2021_PVT,
        note="PVTv2-B2 as encoder; each skip is the product of all levels' maps",
        deviations=(
            _IMAGENET,
            "Images of any shape; the code's are squares.",
            "Layers that the code declares but never uses are not built: two heads and a transposed convolution.",
        ),
        family="transformer",
        reference=Reference("yaoppeng/U-Net_v2 PolypSeg/unet_v2/UNet_v2.py: UNetV2(32, 1)", "transcribed"),
        packages=("timm",),
    ),
    FactoryEntry(
        "fcb_former",
        f"{_HERE}.fcb_former:FCBFormer",
        defaults={"encoder": "pvt_v2_b3", "pretrained": False},
        paper=SANDERSON_2022,
        encoder_paper=WANG_2021_PVT,
        note="PVTv2-B3 at a quarter of the image's size beside a residual U-Net at its full size",
        deviations=(_IMAGENET, _ANY_SIZE.format("the branches are joined at the image's own size")),
        family="transformer",
        reference=Reference("ESandML/FCBFormer Models/models.py: FCBFormer(size=352)", "transcribed"),
        packages=("timm",),
    ),
    FactoryEntry(
        "u_transformer",
        f"{_HERE}.u_transformer:UTransformer",
        paper=PETIT_2021,
        note="self-attention in a U-Net's bottleneck, cross-attention on its skips",
        deviations=(
            "As in the code, which is not the authors': one head, and weights that sum to 1 over the queries.",
        ),
        family="transformer",
        reference=Reference(
            "HXLH50K/U-Net-Transformer models/utransformer/U_Transformer.py: U_Transformer(3, 2)", "golden"
        ),
    ),
    FactoryEntry(
        "gated_axial_unet",
        f"{_HERE}.medt:GatedAxialUNet",
        paper=VALANARASU_2021,
        note="axial attention with gated positions, added skips, a decoder of convolutions",
        deviations=(_AXES, _GATES),
        family="transformer",
        reference=Reference(
            "jeya-maria-jose/Medical-Transformer lib/models/axialnet.py: gated(img_size=128, imgchan=3)", "transcribed"
        ),
    ),
    FactoryEntry(
        "medt",
        f"{_HERE}.medt:MedT",
        paper=VALANARASU_2021,
        note="two levels of gated axial attention on the image, four on each of its 4x4 patches",
        deviations=(
            _AXES,
            _GATES,
            "The patches are computed together, so batch norm sees all of them in training; the code's takes one after "
            "the other.",
            "Layers that the code declares but never uses are not built.",
        ),
        family="transformer",
        reference=Reference(
            "jeya-maria-jose/Medical-Transformer lib/models/axialnet.py: MedT(img_size=128, imgchan=3)", "golden"
        ),
    ),
    FactoryEntry(
        "levit_unet",
        f"{_HERE}.levit_unet:LeViTUNet",
        paper=XU_2021,
        note="LeViT-384 as encoder: strided convolutions, then three levels of attention, all decoded together",
        deviations=(
            "Starts from random weights; the authors' encoder starts from ImageNet weights.",
            _ANY_SIZE.format("position biases are interpolated to the image's grid"),
        ),
        family="transformer",
        reference=Reference(
            "apple1986/LeViT-UNet LeViT-UNet-384.py: Build_LeViT_UNet_384(num_classes=9)", "transcribed"
        ),
    ),
    FactoryEntry(
        "udtransnet",
        f"{_HERE}.udtransnet:UDTransNet",
        paper=WANG_2023,
        note="ResNet-34; skips fused by attention among channels and tokens, then called up by the decoder's channels",
        deviations=(
            "Starts from random weights; the code's ResNet-34 starts from ImageNet weights.",
            "Logits; the code ends in a sigmoid if there is one class.",
            _POSITIONS,
            _UNUSED,
        ),
        family="transformer",
        reference=Reference(
            "McGregorWwww/UDTransNet nets/UDTransNet.py: UDTransNet(get_model_config(), 3, 1, img_size=224)",
            "transcribed",
        ),
    ),
    FactoryEntry(
        "trans_fuse",
        f"{_HERE}.trans_fuse:TransFuse",
        paper=ZHANG_2021,
        note="ResNet-34 and a ViT of eight layers side by side, fused at three levels; three supervised outputs",
        deviations=(
            "Starts from random weights; the authors' ResNet-34 and DeiT-Small start from ImageNet weights.",
            "The three outputs count equally in training; the code weighs them 5 : 3 : 2.",
            _POSITIONS,
            _UNUSED,
        ),
        family="transformer",
        reference=Reference("Rayicer/TransFuse lib/TransFuse.py: TransFuse_S()", "transcribed"),
    ),
    FactoryEntry(
        "hi_former",
        f"{_HERE}.hi_former:HiFormer",
        paper=HEIDARI_2022,
        note="HiFormer-B: ResNet-50's maps feed the levels of Swin-T; the finest and the coarsest are decoded",
        deviations=(
            "As in the code, the fusion by class tokens is computed but reaches no output; "
            "layers = [1, 2] makes it the paper's.",
            "Starts from random weights; the authors' ResNet-50 and Swin-T start from ImageNet weights.",
            _POSITIONS,
        ),
        family="transformer",
        reference=Reference(
            "FengheTan9/U-Bench models/Hybrid/HiFormer/HiFormer.py: hiformer(input_channel=3, num_classes=1)", "golden"
        ),
    ),
    FactoryEntry(
        "mt_unet",
        f"{_HERE}.mt_unet:MTUNet",
        paper=WANG_2021_MIXED,
        note="three convolutional levels; three of local, axial Gaussian and external attention",
        deviations=(
            _POSITIONS,
            "Images of one channel are used as they are; the code repeats the channel three times.",
            "As in the code, scores along an axis are not scaled, and the learnt bias of its distances has no effect.",
            _UNUSED,
        ),
        family="transformer",
        reference=Reference("Dootmaan/MT-UNet MTUNet.py: MTUNet(out_ch=4)", "transcribed"),
    ),
    FactoryEntry(
        "dae_former",
        f"{_HERE}.dae_former:DAEFormer",
        paper=AZAD_2022,
        note="attention of linear cost among tokens and among channels in each block; skips give queries and keys",
        deviations=(
            _ANY_SIZE.format("no layer depends on the image's size"),
            "Layers that the code declares but never uses, 18.4 M parameters, are not built.",
            "Images of one channel are used as they are; the code repeats the channel three times.",
        ),
        family="transformer",
        reference=Reference("xmindflow/DAEFormer networks/DAEFormer.py: DAEFormer(num_classes=9)", "transcribed"),
    ),
)
