"""The report on records with every field: baselines, flags, noise, budgets, memory, phases, metrics, order."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from test_report import IMAGE_EFFECT, NASTY, folder_of, hash_of, load, noisy, outputs, record

from unetzoo.report import write_report
from unetzoo.report.alarms import MOST_FLAGS, best_baseline, red_lines
from unetzoo.report.costs import core_share
from unetzoo.report.frame import METRICS, read_records
from unetzoo.report.plan import budget, matched, order_of_reading
from unetzoo.report.plots import NAMES
from unetzoo.report.sections import context
from unetzoo.report.statistics import compare, score_grids, summarise
from unetzoo.report.words import compute

ORDER = [
    {"what": "read", "split": "train", "items": 20},
    {"what": "read", "split": "val", "items": 4, "step": 5},
    {"what": "select", "split": "val", "step": 5},
    {"what": "read", "split": "test", "items": 12},
]
MIB = 2**20


def breakdown(unit: int, skips: int | None = 8) -> dict[str, Any]:
    parts = {"parameters": 7, "gradients": 7, "optimizer": 14, "activations": 60, "other": 12}
    made = {name: n * unit * MIB for name, n in parts.items()}
    return made | {"total": sum(made.values()), "skips": None if skips is None else skips * unit * MIB}


def tensors(unit: int) -> dict[str, Any]:
    return {"train": breakdown(unit), "infer": {"total": 30 * unit * MIB, "parameters": 7 * unit * MIB}}


def timing(precision: str, p50: float, noise: bool = False) -> dict[str, Any]:
    return {
        "precision": precision,
        "shape": [1, 1, 64, 64],
        "p50_ms": p50,
        "p90_ms": 1.2 * p50,
        "spread": 0.08 + 0.3 * noise,
        "repeats": 20,
        "images_per_second": 1000 / p50,
        "calibration": [4.1e11, 4.2e11],
        "utilisation": 0.43,
        "attempts": 3 if noise else 1,
        "noisy": noise,
    }


def full(label: str, seed: int, mean: float, noise: bool = False, unit: int = 2, **change: Any) -> dict[str, Any]:
    """A record with every field, as JSON."""
    made = noisy(label, seed, mean)
    metrics = {"dice": mean, "iou": 0.7 * mean, "precision": 0.81, "recall": 0.78, "specificity": 0.95}
    metrics |= {"nsd": 0.88, "hd95": 6.25, "assd": 1.5, "boundary_iou": 0.55}
    made["result"] |= {
        "foreground": metrics,
        "calibration": {"brier": 0.0712, "ece": 0.0345},
        "false_alarms": {"interior": 5, "membrane": 2},
        "penalised": {"interior": 0, "membrane": 3},
        "policy": {"empty": "0/0 undefined", "nsd_tolerance": 2.0, "unit": "px"},
        "predictions": f"{hash_of(label):x}-{seed}",
        "steps": 10 + seed,
    }
    for scores in made["result"]["per_class"].values():
        scores |= {m: metrics[m] for m in ("precision", "hd95")}
    made["cost"] |= {
        "peak_infer_bytes": 2**25,
        "latency_p50_ms": 10.0 * unit + seed,
        "latency_p90_ms": 12.0 * unit + seed,
        "tensors": tensors(unit),
        "predicted": tensors(unit) | {"train": breakdown(unit) | {"total": 98 * unit * MIB}},
        "timings": [timing("bfloat16", 10.0 * unit + seed, noise), timing("float32", 31.0)],
        "train_seconds": 60.0 + seed,
        "images_per_second": 14.3,
        "wall_seconds": 100.0,
        "phases": {"data": 4.0, "measure": 21.0, "train": 60.0 + seed, "validate": 9.0, "test": 2.0, "write": 1.0},
        "train_flops": int(2.5e15),
        "tuning_seconds": 33.0,
    }
    made["tuning"] = [
        {"lr": lr, "val_dice": 0.5, "val_loss": 0.4, "steps": 10, "seconds": 16.5, "chosen": lr == 0.002}
        for lr in (0.0005, 0.002, 0.008)
    ]
    made["model"]["matched"] = {
        "what": "params",
        "reference": "unet",
        "target": 1_941_122,
        "reached": 1_946_945,
        "ratio": 1.003,
    }
    made["events"] = ORDER
    return made | change


def baseline(label: str, dice: float, **change: Any) -> dict[str, Any]:
    change = {"id": label.replace(" ", "-"), "baseline": True, "cost": None, "curves": None, **change}
    made = record(label, 0, np.full(12, dice), **change)
    made["trial"]["train"] = {}
    made["result"] |= {"foreground": {"dice": dice, "recall": 1.0}, "calibration": {"brier": 0.2}}
    made["result"] |= {"predictions": f"constant {label}", "false_alarms": {"membrane": 1}}
    return made


def everything(path: Path) -> Path:
    """Four variants x three seeds with all that can be told of them, four baselines, and failures."""
    scores = {"unet": 0.80, "unet_bilinear": 0.802, "unet_noskip": 0.70, NASTY: 0.45}
    made = [
        full(label, seed, mean, noise=label == "unet_bilinear" and seed > 0, unit=2 + k)
        for k, (label, mean) in enumerate(scores.items())
        for seed in (0, 1, 2)
    ]
    for one in made[9:]:
        one["flags"] = [{"kind": "collapse", "text": f"one class fills {NASTY} <script>x</script>"}]
        one["result"]["policy"]["empty"] = NASTY
        one["cost"]["phases"] = {NASTY: 3.0, **one["cost"]["phases"]}
        one["model"]["matched"] = {"what": "params", "reference": NASTY, "ratio": 0.98}
    made[10]["result"]["predictions"] = made[9]["result"]["predictions"]
    made[4]["resumed"] = [120]
    made[5]["tuning"][1]["chosen"], made[5]["tuning"][2]["chosen"] = False, True
    known = {"all background": 0.0, "all foreground": 0.36, "otsu": 0.41, "logistic regression": 0.55}
    made += [baseline(label, dice) for label, dice in known.items()]
    stopped = [full("unet_big", s, 0, status=status, reason=f"{status} in phase 'train'", result=None, cost=None)
               for s, status in enumerate(("timeout", "hung"))]
    return folder_of(path, *made, *stopped)


def facts_of(*records: dict[str, Any]) -> dict[str, Any]:
    t = load(*records)
    return context(t, summarise(t), compare(score_grids(t.images), "unet"), {}, "unet")
