"""Synthetic records for tests of whatever reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from unetzoo.records.frame import tables
from unetzoo.records.record import Record
from unetzoo.report.alarms import red_lines
from unetzoo.report.judgement import judge_all
from unetzoo.report.sections import context
from unetzoo.report.statistics import summarise

NASTY = "<b>x|y</b> $a$ `c`\nd"
IMAGE_EFFECT = np.linspace(-0.05, 0.05, 12)


def record(
    label: str = "unet", seed: int = 0, dice: Any = 0.8, images: int = 6, status: str = "ok", **change: Any
) -> dict[str, Any]:
    """Return a record as JSON; ``dice`` is the membrane Dice of every image, or one value per image."""
    values = [None if d is None else float(d) for d in (np.full(images, dice) if np.isscalar(dice) else dice)]
    per_image = {
        f"slice_{k}": {m: {"interior": 0.9, "membrane": v} for m in ("dice", "iou")} for k, v in enumerate(values)
    }
    known = [v for v in values if v is not None]
    mean = float(np.mean(known)) if known else None
    classes = {"membrane": {"dice": mean, "iou": mean}, "interior": {"dice": 0.9, "iou": 0.9}}
    names = list(classes)
    made = {
        "id": f"{hash_of(label):08x}{seed}",
        "status": status,
        "reason": None if status == "ok" else "loss is not | finite\nat step 3",
        "suite": "upsampling",
        "trial": {
            "protocol": 1,
            "model": {"name": label.split("_")[0], "label": label, "options": {}},
            "data": {"name": "isbi", "options": {}, "digest": "d1"},
            "train": {"steps": 10, "batch_size": 2, "lr": 0.001},
            "seed": seed,
        },
        "model": {
            "paper": {"title": "U-Net", "authors": ["A", "B"], "year": 2015},
            "diff": {"up": ["a", label]},
        },
        "data": {
            "class_names": ["interior", "membrane"],
            "foreground": [1],
            "splits": {"test": {"n": images, "digest": "ff"}},
        },
        "result": {
            "dice": mean,
            "iou": mean,
            "per_class": classes,
            "pooled": classes,
            "per_image": per_image,
            "undefined": dict.fromkeys(names, 0),
            "missed": dict.fromkeys(names, 1),
            "best_step": 8,
            "best_val_dice": 0.7,
        },
        "curves": {"train": [[1, 0.9], [10, 0.3]], "val": [[5, 0.5, 0.6], [10, 0.4, None]]},
        "cost": {
            "params": 1_900_000 * (1 + len(label)),
            "macs": 10**9,
            "shape": [1, 1, 64, 64],
            "train_shape": [2, 1, 64, 64],
            "peak_train_bytes": 2**27,
            "memory_method": "tracked",
            "latency_p50_ms": 20.0,
            "latency_p90_ms": 25.0,
            "latency_repeats": 10,
            "latency_method": "timer",
        },
        "environment": {"torch": "2.9", "device": "cpu", "threads": 1},
    }
    if status != "ok":
        made |= {"result": None, "curves": None, "cost": None}
    return made | change


def hash_of(text: str) -> int:
    return int.from_bytes(text.encode()[-4:], "big")


def folder_of(path: Path, *records: dict[str, Any]) -> Path:
    (path / "records").mkdir(parents=True)
    for made in records:
        (path / "records" / f"{made['id']}.json").write_text(json.dumps(made))
    return path


def noisy(label: str, seed: int, mean: float, **change: Any) -> dict[str, Any]:
    noise = np.random.default_rng([seed, hash_of(label)]).normal(0, 0.004, len(IMAGE_EFFECT))
    return record(label, seed, mean + IMAGE_EFFECT + noise, **change)


def outputs(folder: Path) -> dict[str, bytes]:
    found = [p for p in sorted(folder.rglob("*")) if p.is_file() and "records" not in p.parts]
    return {str(p.relative_to(folder)): p.read_bytes() for p in found}


def load(*records: dict[str, Any]) -> Any:
    return tables([Record.model_validate_json(json.dumps(r)) for r in records], [])


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
    """Return a record with every field, as JSON."""
    made = noisy(label, seed, mean)
    metrics = {"dice": mean, "iou": 0.7 * mean, "precision": 0.81, "recall": 0.78, "specificity": 0.95}
    metrics |= {"nsd": 0.88, "hd95": 6.25, "assd": 1.5, "boundary_iou": 0.55}
    made["result"] |= {
        "foreground": metrics,
        "calibration": {"brier": 0.0712, "ece": 0.0345},
        "false_alarms": {"interior": 5, "membrane": 2},
        "penalised": {"interior": 0, "membrane": 3},
        "policy": {"both_empty": "exclude", "tolerance": 2.0, "unit": "px", "rules": {"miss": "0 for overlaps"}},
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
        "predicted_train_seconds": 58.0,
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
    if made["status"] != "ok":
        return made
    made["result"] |= {"foreground": {"dice": dice, "recall": 1.0}, "calibration": {"brier": 0.2}}
    made["result"] |= {"predictions": f"constant {label}", "false_alarms": {"membrane": 1}, "best_val_dice": None}
    return made


def everything(path: Path) -> Path:
    """Return records of four variants and three seeds with every field, four baselines, and failures."""
    scores = {"unet": 0.80, "unet_bilinear": 0.802, "unet_noskip": 0.70, NASTY: 0.45}
    made = [
        full(label, seed, mean, noise=label == "unet_bilinear" and seed > 0, unit=2 + k)
        for k, (label, mean) in enumerate(scores.items())
        for seed in (0, 1, 2)
    ]
    for one in made[9:]:
        one["flags"] = [{"kind": "collapse", "text": f"one class fills {NASTY} <script>x</script>"}]
        one["result"]["policy"]["rules"] = {NASTY: NASTY}
        one["cost"]["phases"] = {NASTY: 3.0, **one["cost"]["phases"]}
        one["model"]["matched"] = {"what": "params", "reference": NASTY, "ratio": 0.98}
    made[10]["result"]["predictions"] = made[9]["result"]["predictions"]
    made[4]["resumed"] = [120]
    made[5]["tuning"][1]["chosen"], made[5]["tuning"][2]["chosen"] = False, True
    known = {"all background": 0.0, "all foreground": 0.36, "otsu": 0.41, "logistic regression": 0.55}
    made += [baseline(label, dice) for label, dice in known.items()]
    stopped = [
        full("unet_big", s, 0, status=status, reason=f"{status} in phase 'train'", result=None, cost=None)
        for s, status in enumerate(("timeout", "hung"))
    ]
    return folder_of(path, *made, *stopped)


def variables_of(*records: dict[str, Any]) -> dict[str, Any]:
    t = load(*records)
    return context(t, summarise(t), judge_all(t))


def flagged(*records: dict[str, Any]) -> str:
    return "\n".join(red_lines(load(*records)))
