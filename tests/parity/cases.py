"""The entry that each golden file belongs to, and a table of all results.

python tests/parity/cases.py    # a Markdown table; exit code 1 unless every row is OK at its level
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from torch import Tensor, nn

import unetzoo

sys.path.insert(0, str(Path(__file__).parents[1]))
from parity.parity import check

GOLDEN = Path(__file__).parent / "golden"

# golden file -> entry, its options, level: "exact", or "sym" for the same up to the order of concatenation
CASES: dict[str, tuple[str, dict[str, Any], str]] = {
    "unet_milesial": ("unet", {"in_channels": 3, "num_classes": 2}, "exact"),
    "unet_paper": ("unet_paper", {"in_channels": 1, "num_classes": 2}, "exact"),
    "unet_leejunhyun": ("unet_upconv", {}, "exact"),
    "attunet_leejunhyun": ("attention_unet", {}, "exact"),
    "r2unet_leejunhyun_t2": ("r2unet", {}, "exact"),
    "unetpp_nested": ("unetpp", {}, "exact"),
    "unetpp_nested_ds": ("unetpp_ds", {}, "exact"),
    "unet3plus": ("unet3plus", {}, "exact"),
    "resunet_rishikksh20": ("resunet", {}, "exact"),
    "u2netp": ("u2netp", {"in_channels": 3, "num_classes": 1}, "exact"),
    "multiresunet": ("multiresunet", {"in_channels": 3, "num_classes": 2}, "exact"),
    "dcsaunet": ("dcsau_net", {"in_channels": 3, "num_classes": 1}, "exact"),
    "tinyunet": ("tiny_unet", {"in_channels": 3, "num_classes": 2}, "exact"),
    "unext": ("unext", {"in_channels": 3, "num_classes": 1}, "exact"),
    "transunet_r50_vit_b16": ("transunet", {"in_channels": 3, "num_classes": 9}, "exact"),
    "swinunet_tiny": ("swin_unet", {"in_channels": 3, "num_classes": 9}, "exact"),
    "utnet": ("utnet", {"in_channels": 1, "num_classes": 4}, "exact"),
    "monai_unet_res2": ("monai_unet", {"in_channels": 1, "num_classes": 2}, "exact"),
    "monai_basicunet": ("basic_unet", {"in_channels": 1, "num_classes": 2}, "exact"),
    "nnunet_plainconv_2d": ("nnunet_plain", {"in_channels": 1, "num_classes": 2}, "exact"),
    "mednext_s_k3_2d": ("mednext_s", {"in_channels": 1, "num_classes": 2}, "exact"),
    "doubleunet": ("double_unet", {"in_channels": 3, "num_classes": 1}, "exact"),
    "lwnet_wnet": ("lw_wnet", {"in_channels": 3, "num_classes": 1}, "exact"),
    "medt": ("medt", {"in_channels": 3, "num_classes": 2}, "exact"),
    "ubench_rolling_unet_m": ("rolling_unet", {"in_channels": 3, "num_classes": 1}, "exact"),
    "utransformer_hxlh50k": ("u_transformer", {"in_channels": 3, "num_classes": 2}, "exact"),
    "ubench_hiformer": ("hi_former", {"in_channels": 3, "num_classes": 1}, "exact"),
    "ternausnet_unet16": ("ternausnet16", {"in_channels": 3, "num_classes": 1}, "exact"),
}
# golden file -> what the checker says of shapes where the reference registers a parameter and never uses it
UNUSED = {
    "mednext_s_k3_2d": "DIFF(-1*1)",
    "medt": "DIFF(-1*2 -1*2x16x1x1 -1*16 -1*16x16x1x1 ...)",
    "ubench_hiformer": "DIFF(-6*96 -1*96x96 -1*96x192 -1*192 ...)",
    "ubench_rolling_unet_m": "DIFF(-4*256 -2*512)",
}


class AllScales(nn.Module):
    """A network that returns every supervised scale, since the golden files have those too."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> list[Tensor]:
        forward_all = getattr(self.network, "forward_all", None)
        return forward_all(x) if forward_all else [self.network(x)]


def found(golden: str, *, quick: bool) -> dict[str, Any]:
    """Return the checker's result for a golden file; ``quick`` skips its larger images."""
    name, options, _ = CASES[golden]
    return check(GOLDEN / f"{golden}.json", lambda: AllScales(unetzoo.create_model(name, **options)), quick=quick)


def wrong(golden: str, result: dict[str, Any]) -> list[str]:
    """Return the parts that differ from the reference: parameters, shapes, outputs or auxiliary outputs."""
    level = CASES[golden][2]
    fine = ("OK", UNUSED.get(golden, "OK"))
    bad = [key for key in ("params", "shapes", level) if not str(result[key]).startswith(fine)]
    count, total = result.get(f"aux_{level}", "0/0").split("/")
    return bad + ["auxiliary outputs"] * (count != total)


def main() -> int:
    print("| entry | options | reference | parameters | shapes | outputs | auxiliary outputs |")
    print("|---|---|---|---|---|---|---|")
    failed = 0
    for golden, (name, options, level) in CASES.items():
        result = found(golden, quick=False)
        failed += bool(wrong(golden, result))
        asked = ", ".join(f"{key}={value}" for key, value in options.items())
        reference = unetzoo.model_info(name).reference
        cells = (result["params"], result["shapes"], f"{level}: {result[level]}", result.get(f"aux_{level}", "-"))
        print(f"| `{name}` | {asked} | {reference.code if reference else golden} | {' | '.join(cells)} |", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
