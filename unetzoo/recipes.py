"""Every variant that is a diff of data: one to three lines each."""

from __future__ import annotations

from unetzoo.papers import RONNEBERGER_2015
from unetzoo.registry import register_model
from unetzoo.spec import UNetSpec, replace

BASE = UNetSpec()
PAPER = replace(BASE, padding="valid", norm="none", dropout=0.5, init="he_normal")
RELEASE = replace(PAPER, up_act=True, keep_last_up_width=True, skip="concat_up_first")

register_model(
    "unet_paper",
    PAPER,
    paper=RONNEBERGER_2015,
    note="the paper's network: valid convolutions, no norm, 572x572 -> 388x388",
    deviations=("The text gives no dropout rate; 0.5 at the two coarsest levels is the released network's.",),
)
register_model(
    "unet_2015_release",
    RELEASE,
    paper=RONNEBERGER_2015,
    note="the Caffe network of the release: last up-convolution 128 wide, ReLU after each, upsampled map first",
    deviations=("Initialised as the paper says; the released solver is not rebuilt.",),
)
register_model(
    "unet",
    BASE,
    paper=RONNEBERGER_2015,
    note="what is called U-Net today: same padding, batch norm, 2x2 transposed convolutions",
    deviations=("Padded convolutions, batch norm, no dropout, torch's initialisation.",),
)

for _name, _changes, _note in (
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
):
    register_model(
        _name,
        replace(BASE, **_changes),
        paper=RONNEBERGER_2015,
        note=_note,
        deviations=("An ablation of unet; see its diff.",),
    )

import unetzoo.standalone.entries_a  # noqa: E402, F401
