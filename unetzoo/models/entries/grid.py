"""Variants of the U-Net that are specs of the grid."""

from __future__ import annotations

from unetzoo.grid.spec import UNetSpec, replace
from unetzoo.models import papers
from unetzoo.models.entry import Entry, Reference
from unetzoo.models.grid_entry import GridEntry

BASE = UNetSpec()
PAPER = replace(BASE, padding="valid", norm="none", dropout=0.5, init="he_normal", skip="concat_up_first")
RELEASE = replace(PAPER, up_act=True, keep_last_up_width=True)
UPCONV = replace(BASE, up="nearest_conv3x3", conv_bias=True)
ATTENTION = replace(UPCONV, skip="attention")
UNETPP = replace(BASE, width=32, decoder="nested", up="bilinear_aligned", up_width="kept", conv_bias=True)
UNET3PLUS = replace(BASE, decoder="full_scale", up="bilinear", conv_bias=True, head_kernel=3, init="he_normal")
UNET3PLUS_DS = replace(UNET3PLUS, deep_supervision=True)


ENTRIES: tuple[Entry, ...] = (
    GridEntry(
        "unet_paper",
        PAPER,
        paper=papers.RONNEBERGER_2015,
        note="the paper's network: valid convolutions, no norm, 572x572 -> 388x388",
        deviations=(
            "The text gives no dropout rate; 0.5 at the two coarsest levels is that of the released network.",
            "Nor does it say which map comes first in a concatenation; here it is the upsampled one, as in the release "
            "and in jvanvugt/pytorch-unet.",
        ),
        family="paper",
        reference=Reference(
            "jvanvugt/pytorch-unet unet.py: UNet(1, 2, depth=5, wf=6, padding=False, batch_norm=False, "
            "up_mode='upconv')",
            "golden",
        ),
    ),
    GridEntry(
        "unet_2015_release",
        RELEASE,
        paper=papers.RONNEBERGER_2015,
        note="the Caffe network of the release: last up-convolution 128 wide, ReLU after each, upsampled map first",
        deviations=("Initialised as the paper says; the released solver is not rebuilt.",),
        family="paper",
    ),
    GridEntry(
        "unet",
        BASE,
        paper=papers.RONNEBERGER_2015,
        note="what is called U-Net today: same padding, batch norm, 2x2 transposed convolutions",
        deviations=("Padded convolutions, batch norm, no dropout, torch's initialisation.",),
        family="paper",
        reference=Reference("milesial/Pytorch-UNet unet/unet_model.py: UNet(3, 2, bilinear=False)", "golden"),
    ),
    GridEntry(
        "unet_bilinear_halved",
        replace(BASE, up="bilinear_aligned", halve_before_up=True),
        paper=papers.RONNEBERGER_2015,
        note="milesial/Pytorch-UNet with bilinear=True: bilinear interpolation, and all widths below it halved",
        deviations=("Two changes at once, as in that repository; unet_bilinear changes the way up alone.",),
        family="paper",
        reference=Reference("milesial/Pytorch-UNet unet/unet_model.py: UNet(3, 2, bilinear=True)", "transcribed"),
    ),
    GridEntry(
        "unet_upconv",
        UPCONV,
        paper=papers.RONNEBERGER_2015,
        note="U_Net of LeeJunHyun/Image_Segmentation: nearest neighbour, then 3x3 convolution, batch norm, ReLU",
        deviations=("Padded convolutions with bias and batch norm, another way up, no dropout.",),
        family="paper",
        reference=Reference("LeeJunHyun/Image_Segmentation network.py: U_Net(3, 1)", "golden"),
    ),
    GridEntry(
        "unet_brain_mri",
        replace(BASE, width=32, skip="concat_up_first"),
        paper=papers.BUDA_2019,
        note="mateuszbuda/brain-segmentation-pytorch: unet of half the width, upsampled map first",
        deviations=("Returns logits where the reference returns their sigmoid.",),
        family="paper",
        reference=Reference(
            "mateuszbuda/brain-segmentation-pytorch unet.py: UNet(3, 1, init_features=32)", "transcribed"
        ),
    ),
    GridEntry(
        "attention_unet",
        ATTENTION,
        paper=papers.OKTAY_2018,
        note="attention gates on the skips, as AttU_Net of LeeJunHyun/Image_Segmentation",
        deviations=("2-D, where the paper's is 3-D; the gate sees the upsampled map, the paper's the coarse one.",),
        family="attention",
        reference=Reference("LeeJunHyun/Image_Segmentation network.py: AttU_Net(3, 1)", "golden"),
    ),
    GridEntry(
        "r2unet",
        replace(UPCONV, block="recurrent"),
        paper=papers.ALOM_2018,
        note="recurrent residual blocks, as R2U_Net of LeeJunHyun/Image_Segmentation with t=2",
        deviations=("Widths 64 to 1024; the paper's are 16 to 128 or 256.",),
        family="recurrent",
        reference=Reference("LeeJunHyun/Image_Segmentation network.py: R2U_Net(3, 1, t=2)", "golden"),
    ),
    GridEntry(
        "r2attention_unet",
        replace(ATTENTION, block="recurrent"),
        paper=papers.ALOM_2018,
        note="recurrent residual blocks and attention gates, as R2AttU_Net of LeeJunHyun/Image_Segmentation with t=2",
        deviations=("A combination of that repository; neither paper has it.",),
        family="recurrent",
        reference=Reference("LeeJunHyun/Image_Segmentation network.py: R2AttU_Net(3, 1, t=2)", "transcribed"),
    ),
    *(
        GridEntry(
            name,
            replace(UNETPP, deep_supervision=deep),
            paper=papers.ZHOU_2018,
            note=f"nested decoder with dense skips, as NestedUNet of 4uiiurz1/pytorch-nested-unet; {note}",
            deviations=("Batch norm and bilinear interpolation (align_corners), which the authors' Keras code lacks.",),
            family="nested",
            reference=Reference(
                f"4uiiurz1/pytorch-nested-unet archs.py: NestedUNet(1, 3, deep_supervision={deep})", "golden"
            ),
        )
        for name, deep, note in (
            ("unetpp", False, "one head"),
            ("unetpp_ds", True, "a head for each of the finest level's maps, the last one main"),
        )
    ),
    *(
        GridEntry(
            name,
            spec,
            paper=papers.HUANG_2020,
            note=f"full-scale skips, as ZJUGiveLab/UNet-Version; {note}",
            deviations=(
                "Returns logits where the reference returns their sigmoid.",
                "Convolutions start He-normal with bias 0; the reference keeps torch's biases and draws norm weights "
                "from N(1, 0.02).",
                *(
                    (
                        "The classification branch learns from the foreground that the network itself finds, and all "
                        "logits pass during training; the paper's learns from labels.",
                    )
                    if spec.class_guided
                    else ()
                ),
            ),
            family="nested",
            reference=Reference(
                f"ZJUGiveLab/UNet-Version models/UNet_3Plus.py: {reference}(3, 1)",
                "golden" if name == "unet3plus" else "transcribed",
            ),
        )
        for name, spec, reference, note in (
            ("unet3plus", UNET3PLUS, "UNet_3Plus", "one head"),
            ("unet3plus_ds", UNET3PLUS_DS, "UNet_3Plus_DeepSup", "a head for every level"),
            (
                "unet3plus_cgm",
                replace(UNET3PLUS_DS, class_guided=True),
                "UNet_3Plus_DeepSup_CGM",
                "a head for every level, logits gated by the bottleneck",
            ),
        )
    ),
    GridEntry(
        "sa_unet",
        replace(
            BASE,
            width=16,
            depth=4,
            up="transposed_3x3",
            skip="concat_up_first",
            bottleneck="spatial_attention",
            conv_bias=True,
            norm_eps=1e-3,
            dropout=0.1,
            dropout_kind="block",
            dropout_at="layers",
        ),
        paper=papers.GUO_2020,
        note="spatial attention in the bottleneck, DropBlock before each norm, as clguo/SA-UNet",
        deviations=(
            "Returns logits where the reference returns their sigmoid; torch's initialisation and batch norm momentum.",
        ),
        family="attention",
        reference=Reference(
            "clguo/SA-UNet SA_UNet.py: SA_UNet(input_size=(512, 512, 3), start_neurons=16)", "transcribed"
        ),
    ),
    *(
        GridEntry(
            name,
            replace(BASE, **changes),
            paper=paper,
            note=note,
            deviations=("That paper's parts placed on unet; the network is not its own.",),
            family="attention" if "attention" in changes else "block",
        )
        for name, changes, paper, note in (
            ("se_unet", {"attention": "se"}, papers.HU_2017, "a weight per channel after each block"),
            ("scse_unet", {"attention": "scse"}, papers.ROY_2018, "weights per channel and per pixel after each block"),
            ("cbam_unet", {"attention": "cbam"}, papers.WOO_2018, "channel, then spatial attention after each block"),
            ("mobile_unet", {"block": "separable"}, papers.HOWARD_2017, "depthwise-separable convolutions"),
            ("unet_residual", {"block": "residual"}, papers.HE_2015, "two 3x3 layers with a shortcut"),
            ("unet_dense", {"block": "dense"}, papers.HUANG_2016, "four layers, each on all before it, then 1x1"),
            ("unet_inception", {"block": "inception"}, papers.SZEGEDY_2015, "four branches side by side, twice"),
            (
                "unet_convnext",
                {"block": "convnext", "norm": "layer_per_pixel", "act": "gelu", "conv_bias": True, "norm_eps": 1e-6},
                papers.LIU_2022,
                "two ConvNeXt layers a level: depthwise 7x7, layer norm, GELU",
            ),
        )
    ),
    *(
        GridEntry(
            name,
            replace(BASE, **changes),
            paper=papers.RONNEBERGER_2015,
            note=note,
            deviations=("An ablation of unet; see its diff.",),
            family="ablation",
        )
        for name, changes, note in (
            ("unet_bilinear", {"up": "bilinear"}, "1x1 convolution and bilinear interpolation; widths unchanged"),
            ("unet_nearest", {"up": "nearest"}, "1x1 convolution and nearest-neighbour upsampling; widths unchanged"),
            ("unet_pixelshuffle", {"up": "pixelshuffle"}, "3x3 sub-pixel convolution (Shi et al. 2016, 1609.05158)"),
            ("unet_d2", {"depth": 2}, "two resolution levels"),
            ("unet_d3", {"depth": 3}, "three resolution levels"),
            ("unet_d4", {"depth": 4}, "four resolution levels"),
            ("unet_d5", {"depth": 5}, "five resolution levels: the same network as unet"),
            ("unet_d6", {"depth": 6}, "six resolution levels"),
            ("unet_w16", {"width": 16}, "a quarter of the width"),
            ("unet_w32", {"width": 32}, "half the width"),
            ("unet_noskip", {"skip": "none"}, "no skip connections"),
            ("unet_addskip", {"skip": "add"}, "skips added instead of concatenated (as in FusionNet, 1612.05360)"),
        )
    ),
)
