"""Residual U-Nets with strides in their blocks, and Half-UNet."""

from __future__ import annotations

from unetzoo.models import papers
from unetzoo.models.entry import Entry, Reference
from unetzoo.models.factory_entry import FactoryEntry

LOGITS = "Returns logits where the reference returns their sigmoid."


ENTRIES: tuple[Entry, ...] = (
    FactoryEntry(
        "resunet",
        "unetzoo.standalone.resunet:resunet",
        paper=papers.ZHANG_2018,
        note="pre-activation residual blocks that halve by stride, four levels, as in rishikksh20/ResUnet",
        deviations=(
            LOGITS,
            "Shortcuts are 3x3 convolutions with batch norm, as in that repository; the paper's are 1x1.",
        ),
        family="residual",
        reference=Reference("rishikksh20/ResUnet core/res_unet.py: ResUnet(3)", "golden"),
    ),
    FactoryEntry(
        "resunetpp",
        "unetzoo.standalone.resunet:ResUNetPP",
        paper=papers.JHA_2019,
        note="resunet with squeeze-and-excitation, ASPP and attention on the upsampled maps, as in rishikksh20/ResUnet",
        deviations=(
            LOGITS,
            "As in that repository, ASPP has no pooled branch and applies ReLU before batch norm.",
            "Initial weights are torch's own; the code draws those of ASPP from He's normal distribution.",
        ),
        family="residual",
        reference=Reference("rishikksh20/ResUnet core/res_unet_plus.py: ResUnetPlusPlus(3)", "transcribed"),
    ),
    FactoryEntry(
        "half_unet",
        "unetzoo.standalone.half_unet:HalfUNet",
        paper=papers.LU_2022,
        note="one width at all levels, ghost modules, all levels upsampled and summed in place of a decoder",
        deviations=(
            LOGITS,
            "Ghost modules as in alxfgh/Half-UNet, all else as in the paper: that code fuses the pooled maps, so its "
            "output is half the size, and builds its last two modules anew, untrained, in every forward pass.",
        ),
        family="light",
    ),
)
