"""Table of the ISBI 2012 challenge scores; empty if no suite asked for them."""

# pandas ships no types: what it returns is guessed from its source, and guessed too wide.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false

from __future__ import annotations

from typing import Any

import pandas as pd

from unetzoo._util.language import N_, _
from unetzoo.records.frame import Tables
from unetzoo.report.words import missing, number

UP = "\u00a0↑"
BEST = N_("best threshold")
HEADS = {  # score -> title, subtitle, digits
    "v_rand": ("V_rand" + UP, "", 4),
    "v_rand_max": ("V_rand" + UP, BEST, 4),
    "v_info": ("V_info" + UP, "", 4),
    "v_info_max": ("V_info" + UP, BEST, 4),
    "pixel_error": (N_("pixel error\u00a0↓"), "", 4),
    "warping_error": (N_("warping error\u00a0↓"), "", 6),
    "rand_error_min": (N_("2012 Rand error\u00a0↓"), BEST, 4),
    "pixel_f_error_min": (N_("2012 pixel error\u00a0↓"), BEST, 4),
    "split_merge_error_min": (N_("2012 warping error\u00a0↓"), BEST, 6),
}


def isbi(t: Tables, rows: list[dict[str, Any]], baselines: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the ISBI scores of each variant, mean over seeds and SD (n - 1); empty if no record has them.

    Args:
        t: Tables of the report.
        rows: Summary rows of the variants, which give the order.
        baselines: Summary rows of the trivial predictors, listed last.
    """
    shown = [name for name in HEADS if name in t.trials and t.trials[name].notna().any()]
    if not shown:
        return {}

    def line(label: str, trials: pd.DataFrame) -> dict[str, Any]:
        chosen = trials.loc[trials["model"] == label, shown]
        mean, sd = chosen.mean(), chosen.std()
        cells = [
            {
                "mean": number(mean[name], HEADS[name][2]),
                "sd": "" if missing(sd[name]) else f"± {number(sd[name], HEADS[name][2])}",
            }
            for name in shown
        ]
        return {"variant": label, "cells": cells}

    return {
        "heads": [{"title": _(HEADS[name][0]), "unit": _(HEADS[name][1])} for name in shown],
        "rows": [line(r["model"], t.done) for r in rows if r["seeds"]],
        "baselines": [line(r["model"], t.baselines) for r in baselines],
    }
