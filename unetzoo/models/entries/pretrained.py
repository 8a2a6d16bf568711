"""Entries with an encoder of timm, whose weights are random unless ``pretrained`` is set.

Depth 6 is the whole encoder, down to stride 32; width 16 gives decoder channels of 16 to 256, as in
segmentation-models-pytorch. Of timm's Hieras only that of SAM 2 takes images of any size, so it is the one here.
"""

from __future__ import annotations

from unetzoo.grid.spec import replace
from unetzoo.models import papers
from unetzoo.models.entries.grid import ATTENTION, BASE, UNET3PLUS, UNETPP
from unetzoo.models.entry import Entry
from unetzoo.models.grid_entry import GridEntry
from unetzoo.models.papers_further import RYALI_2023

ENTRIES: tuple[Entry, ...] = (
    *(
        GridEntry(
            f"{decoder}_{short}",
            replace(base, encoder=encoder, width=16, depth=6),
            paper=paper,
            encoder_paper=encoder_paper,
            note=f"the decoder of {decoder} on {encoder}",
            deviations=(f"Another encoder than that of {decoder}, one more level, and a narrower decoder.",),
            family="pretrained",
        )
        for decoder, base, paper, encoders in (
            (
                "unet",
                BASE,
                papers.RONNEBERGER_2015,
                (
                    ("resnet18", "resnet18", papers.HE_2015),
                    ("resnet34", "resnet34", papers.HE_2015),
                    ("resnet50", "resnet50", papers.HE_2015),
                    ("efficientnet_lite0", "tf_efficientnet_lite0", papers.TAN_2019),
                    ("efficientnet_b0", "efficientnet_b0", papers.TAN_2019),
                    ("mobilenetv3_large", "mobilenetv3_large_100", papers.HOWARD_2019),
                    ("convnext_tiny", "convnext_tiny", papers.LIU_2022),
                    ("convnextv2_atto", "convnextv2_atto", papers.WOO_2023),
                    ("swin_tiny", "swin_tiny_patch4_window7_224", papers.LIU_2021),
                    ("mit_b0", "mit_b0", papers.XIE_2021),
                    ("hiera_tiny", "sam2_hiera_tiny", RYALI_2023),
                ),
            ),
            ("unetpp", UNETPP, papers.ZHOU_2018, (("resnet34", "resnet34", papers.HE_2015),)),
            ("unet3plus", UNET3PLUS, papers.HUANG_2020, (("resnet34", "resnet34", papers.HE_2015),)),
            ("attention_unet", ATTENTION, papers.OKTAY_2018, (("resnet34", "resnet34", papers.HE_2015),)),
        )
        for short, encoder, encoder_paper in encoders
    ),
)
