"""What MONAI, nnU-Net and MedNeXt build, in two dimensions: which file, which options, whose paper."""

from __future__ import annotations

from unetzoo.entry import Proof, Reference
from unetzoo.papers import ZHOU_2018, Paper
from unetzoo.registry import register_model

_HERE = "unetzoo.standalone"
_MONAI = "MONAI 1.6.1 monai/networks/nets/"
_NNUNET = "dynamic-network-architectures 0.4.4 architectures/unet.py: "
_MEDNEXT = "MIC-DKFZ/MedNeXt nnunet_mednext/network_architecture/mednextv1/MedNextV1.py: MedNeXt(1, 32, 2, "

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

register_model(
    "monai_unet",
    f"{_HERE}.monai_unet:MONAIUNet",
    paper=KERFOOT_2018,
    note="strided convolutions down, transposed ones up, residual units; half the image's size from the first layer on",
    deviations=("norm='auto' is MONAI's default, instance norm, with residual units, and batch norm without them.",),
    family="framework",
    reference=Reference(
        f"{_MONAI}unet.py: UNet(2, 1, 2, (16, 32, 64, 128, 256), (2, 2, 2, 2), num_res_units=2)", "golden"
    ),
)
register_model(
    "basic_unet",
    f"{_HERE}.basic_unet:BasicUNet",
    paper=FALK_2019,
    note="a narrow U-Net with instance norm and leaky ReLU",
    deviations=("As in MONAI: padded convolutions and instance norm, which the paper's network lacks.",),
    family="framework",
    reference=Reference(f"{_MONAI}basic_unet.py: BasicUNet(2, 1, 2)", "golden"),
)
register_model(
    "basic_unetpp",
    f"{_HERE}.basic_unet:BasicUNetPlusPlus",
    paper=ZHOU_2018,
    note="basic_unet with nested skips and a head for each of the finest level's maps, the last one main",
    deviations=(
        "As in MONAI, not as in the authors' code: instance norm, leaky ReLU, transposed convolutions.",
        "MONAI builds all four heads and by default uses the last; here deep_supervision=False leaves the others out.",
    ),
    family="framework",
    reference=Reference(f"{_MONAI}basic_unetplusplus.py: BasicUNetPlusPlus(2, 1, 2)", "live"),
)
register_model(
    "vnet_2d",
    f"{_HERE}.vnet:VNet",
    paper=MILLETARI_2016,
    note="5x5 convolutions, residual over each level, 2x2 convolutions down and up",
    deviations=(
        "2-D, where the paper's is 3-D; ELU, batch norm and dropout as in MONAI.",
        "Dropout of channels; MONAI's default, Dropout3d, drops whole images in 2-D.",
        "Any number of image channels; MONAI's must divide 16.",
    ),
    family="framework",
    reference=Reference(f"{_MONAI}vnet.py: VNet(2, 1, 2)", "live"),
)
register_model(
    "segresnet_2d",
    f"{_HERE}.segresnet:SegResNet",
    paper=MYRONENKO_2018,
    note="pre-activation residual blocks with group norm, a deep encoder and a thin decoder; skips added",
    deviations=("2-D and without the paper's autoencoder branch, like MONAI's SegResNet.",),
    family="framework",
    reference=Reference(f"{_MONAI}segresnet.py: SegResNet(2, in_channels=1, out_channels=2)", "live"),
)
register_model(
    "dynunet",
    f"{_HERE}.dynunet:DynUNet",
    paper=ISENSEE_2021,
    note="nnU-Net as built by MONAI: no biases; six levels, shortcuts as an option",
    deviations=("3x3 kernels and stride 2 throughout; in MONAI both are set for each level.",),
    family="framework",
    reference=Reference(f"{_MONAI}dynunet.py: DynUNet(2, 1, 2, [3] * 6, [1, 2, 2, 2, 2, 2], [2] * 5)", "live"),
)
register_model(
    "unetr_2d",
    f"{_HERE}.unetr:UNETR",
    paper=HATAMIZADEH_2021,
    note="a vision transformer on patches of 16x16 pixels, whose tokens become the skips of a convolutional decoder",
    deviations=(
        "2-D, where the paper's is 3-D.",
        "Any image size: positions are interpolated to the image's grid; MONAI's accepts only img_size.",
        "The norms that MONAI builds but never uses are not built.",
    ),
    family="framework",
    reference=Reference(f"{_MONAI}unetr.py: UNETR(1, 2, img_size=(64, 96), spatial_dims=2)", "live"),
)
register_model(
    "swin_unetr_2d",
    f"{_HERE}.swin_unetr:SwinUNETR",
    paper=HATAMIZADEH_2022,
    note="shifted windows of attention on tokens of 2x2 pixels, a convolutional decoder from the image's size down",
    deviations=("2-D, where the paper's is 3-D; half the paper's width, which is MONAI's default.",),
    family="framework",
    reference=Reference(f"{_MONAI}swin_unetr.py: SwinUNETR(1, 2, feature_size=24, spatial_dims=2)", "live"),
)
_HEADS = "The code always builds the heads of all scales; here deep_supervision=False leaves out all but the finest."
register_model(
    "nnunet_plain",
    f"{_HERE}.nnunet:PlainConvUNet",
    paper=ISENSEE_2021,
    note="nnU-Net's own: strided convolutions, instance norm, leaky ReLU, seven levels, a head for each scale",
    deviations=("Seven stages for any data; nnU-Net plans their number from the images.", _HEADS),
    family="framework",
    reference=Reference(f"{_NNUNET}PlainConvUNet(1, 7, [32, 64, 128, 256, 512, 512, 512], ...)", "golden"),
)
register_model(
    "nnunet_resenc",
    f"{_HERE}.nnunet:ResidualEncoderUNet",
    paper=ISENSEE_2024,
    note="nnU-Net with a residual encoder of 32 blocks and a thin decoder, as its presets M, L and XL plan",
    deviations=("Seven stages for any data; nnU-Net plans their number from the images.", _HEADS),
    family="framework",
    reference=Reference(f"{_NNUNET}ResidualEncoderUNet(1, 7, [32, 64, 128, 256, 512, 512, 512], ...)", "live"),
)
_B = (2, 3, 4, 4, 4, 4, 4, 3, 2)
_L = (3, 4, 8, 8, 8, 8, 8, 4, 3)
_SIZES: tuple[tuple[str, tuple[int, ...], tuple[int, ...], Proof], ...] = (
    ("mednext_s", (2,) * 9, (2,) * 9, "golden"),
    ("mednext_b", _B, (2,) * 9, "transcribed"),
    ("mednext_m", _B, (3, 4, 4, 4, 4, 4, 4, 4, 3), "transcribed"),
    ("mednext_l", _L, _L, "transcribed"),
)
for _name, _expansion, _blocks, _proof in _SIZES:
    register_model(
        _name,
        f"{_HERE}.mednext:MedNeXt",
        defaults={"expansion": _expansion, "blocks": _blocks},
        paper=ROY_2023,
        note=f"{sum(_blocks)} ConvNeXt blocks, and one for each step down or up; skips added",
        deviations=("The 2-D setting of the code; the paper's networks are 3-D.",),
        family="framework",
        reference=Reference(
            f"{_MEDNEXT}exp_r={list(_expansion)}, kernel_size=3, block_counts={list(_blocks)}, do_res=True, "
            "do_res_up_down=True, dim='2d')",
            _proof,
        ),
    )
