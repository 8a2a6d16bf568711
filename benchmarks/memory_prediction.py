"""Predicted memory of every registered model, compared with real tensors and with the peak of the process.

    taskset -c 0 python benchmarks/memory_prediction.py reports/memory-prediction

Each model is measured in a process of its own, so that its peak is its own. Models wider than ``WIDTH`` are measured at
that width, to finish in minutes; `unet` is also measured as registered, and `unet_w16` also on a large batch, where the
memory of a process besides its tensors matters least.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

WIDTH = 32
Shape = tuple[int, int, int, int]
TRAIN, INFER, LARGE = (2, 3, 256, 256), (1, 3, 256, 256), (8, 3, 512, 512)
PRECISIONS = ("float32", "bfloat16")
BOUND = 0.10  # accepted relative error of the prediction against the tracker on real tensors
MIB = 2**20


def measure(
    name: str, options: dict[str, Any], train_shape: Shape, infer_shape: Shape, precision: str
) -> dict[str, Any]:
    """Measure all three numbers of one model, for training and inference, in bytes.

    Args:
        name: Registered model.
        options: Options to change.
        train_shape: Batch of a training step (N, C, H, W).
        infer_shape: Batch of a forward pass (N, C, H, W).
        precision: Precision of both.
    """
    import torch

    from unetzoo.measure.memory import PeakMemory, _status
    from unetzoo.measure.rehearsal import Rehearsal, tensor_memory
    from unetzoo.models.factory import resolve_model

    torch.set_num_threads(1)
    small = resolve_model("unet", num_classes=2, options={"width": 4, "depth": 2})
    work = Rehearsal(small, 2, precision=precision, fake=False)  # load the libraries' code and start threads
    work.forward(work.images((1, 3, 32, 32)))
    work.step(work.images((1, 3, 32, 32)), work.masks((1, 3, 32, 32)))
    del work
    base = _status("VmRSS")

    memory = PeakMemory("cpu")
    config = resolve_model(name, num_classes=2, options=options)
    work = Rehearsal(config, 2, precision=precision, fake=False)
    images = work.images(infer_shape)
    for _ in range(3):
        work.forward(images)
    infer = memory.peak()
    memory.restart()
    for _ in range(2):
        work.step(work.images(train_shape), work.masks(train_shape))
    train = memory.peak()
    del work, images
    measured = {"base": base, "process": {"train": train, "infer": infer}, "method": memory.method}
    for key, fake in (("tracked", False), ("predicted", True)):
        tensors = tensor_memory(config, 2, train_shape, infer_shape, precision=precision, fake=fake)
        assert tensors is not None
        measured[key] = tensors.model_dump()
    return measured


def cases() -> list[tuple[str, dict[str, Any], Shape, Shape]]:
    """Return (model, changed options, training shape, inference shape) of everything to measure."""
    import unetzoo

    found = []
    for name in unetzoo.list_models():
        wide = unetzoo.model_info(name).options.get("width", 0)
        found.append((name, {"width": WIDTH} if wide > WIDTH else {}, TRAIN, INFER))
    return [*found, ("unet", {}, TRAIN, INFER), ("unet_w16", {}, LARGE, LARGE)]


def main(folder: Path) -> None:
    """Measure every case in a process of its own; write ``measured.json`` and ``README.md`` to the folder."""
    rows = []
    for name, options, train_shape, infer_shape in cases():
        for precision in PRECISIONS:
            call = [sys.executable, __file__, "--one", json.dumps([name, options, train_shape, infer_shape, precision])]
            done = subprocess.run(call, check=True, capture_output=True, text=True)  # noqa: S603
            label = name + "".join(f" {k}={v}" for k, v in options.items())
            if train_shape != TRAIN:
                label += f" at {times(train_shape)}"
            rows.append({"model": label, "precision": precision, **json.loads(done.stdout)})
            print(label, precision, *(f"{ratio:.3f}" for ratio in ratios(rows[-1], "train")), flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "measured.json").write_text(json.dumps(rows, indent=1) + "\n")
    (folder / "README.md").write_text(page(rows))


def times(shape: Shape) -> str:
    """Format a shape as '2x3x256x256'."""
    return "x".join(map(str, shape))


def ratios(row: dict[str, Any], what: str) -> tuple[float, float]:
    """Return predicted / tracked and process peak / predicted, for ``what`` in 'train' or 'infer'."""
    predicted = row["predicted"][what]["total"]
    return predicted / row["tracked"][what]["total"], row["process"][what] / predicted


def _short_of(row: dict[str, Any], factor: float) -> float:
    """Return the bytes that the process takes beyond ``factor`` times the prediction."""
    return max(row["process"][what] - factor * row["predicted"][what]["total"] for what in ("train", "infer"))


def answer(rows: list[dict[str, Any]]) -> str:
    """Return in a sentence how far off the predictions of a training are."""
    worst = max(abs(ratios(row, "train")[0] - 1) for row in rows)
    factors = [ratios(row, "train")[1] for row in rows]
    return (
        f"Predictions for training were within {worst:.3%} of the tensors' peak, and the process took "
        f"{statistics.median(factors):.2f} times as much (median; at most {max(factors):.2f} times)."
    )


def page(rows: list[dict[str, Any]]) -> str:
    """Return the README from the measured rows."""
    import torch

    from unetzoo.machine.device import cpu_name

    lines = [
        "# Predicted memory against measured",
        "",
        "How far is the memory that `unetzoo plan` predicts from what a training takes?",
        "",
        answer(rows),
        "",
        "`unetzoo plan` and `unetzoo profile` predict memory by running a model on fake tensors, which have shapes and",
        "no values. Here the prediction stands beside the same account of real tensors, and beside what the process",
        "took: its peak resident memory above what it held before the network was built.",
        "",
        f"Written by `benchmarks/memory_prediction.py` on {cpu_name()}, torch {torch.__version__}, one thread,",
        f"channels_last; bfloat16 is autocast. Training: two AdamW steps on {times(TRAIN)}; inference:",
        f"{times(INFER)}; one model besides at {times(LARGE)}. Two classes. Models wider than {WIDTH} are measured",
        f"at width {WIDTH} (they say so), and `unet` as registered besides. Sizes in MiB.",
        "",
        "The tracker sees the results of torch's operators. What a kernel takes for itself while it works, and what",
        "the allocator keeps of what was freed, is in the process's peak alone. That peak is not quite repeatable:",
        f"`unet`, `unet_d5` and `unet_w32` at width {WIDTH} are one and the same network.",
        "",
    ]
    for what, title in (("train", "Training"), ("infer", "Inference")):
        errors = [abs(ratios(row, what)[0] - 1) for row in rows]
        factors = [ratios(row, what)[1] for row in rows]
        worst = rows[errors.index(max(errors))]
        within = sum(error <= BOUND for error in errors)
        lines += [
            f"## {title}",
            "",
            f"- Predicted against tracked: worst error {max(errors):.3%} ({worst['model']}, {worst['precision']});",
            f"  {within} of {len(rows)} within {BOUND:.0%}.",
            f"- Predicted over process peak: median {statistics.median(1 / f for f in factors):.2f}, lowest "
            f"{1 / max(factors):.2f}, highest {1 / min(factors):.2f}.",
            f"- So the process takes {statistics.median(factors):.2f} times the prediction (median), "
            f"{max(factors):.2f} times at worst.",
        ]
        for precision in PRECISIONS:
            own = [ratios(row, what)[1] for row in rows if row["precision"] == precision]
            lines.append(f"  In {precision}: median {statistics.median(own):.2f}, worst {max(own):.2f}.")
        lines += [
            "",
            "| model | precision | predicted | tracked | process peak | predicted / tracked | process / predicted |",
            "|---|---|--:|--:|--:|--:|--:|",
        ]
        for row in rows:
            sizes = (row["predicted"][what]["total"], row["tracked"][what]["total"], row["process"][what])
            cells = [row["model"], row["precision"], *(f"{size / MIB:.1f}" for size in sizes)]
            lines.append("| " + " | ".join([*cells, *(f"{ratio:.3f}" for ratio in ratios(row, what))]) + " |")
        lines.append("")
    base = statistics.median(row["base"] for row in rows)
    factor = round(statistics.median(ratios(row, "train")[1] for row in rows), 2)
    short = {(row["model"], row["precision"]): _short_of(row, factor) for row in rows}
    worst = max(short, key=lambda key: short[key])
    largest = max(rows, key=lambda row: row["predicted"]["train"]["total"])
    assumed = math.ceil((base + short[worst]) / MIB / 64) * 64
    lines += [
        "## What `plan` assumes",
        "",
        f"Before its model is built a process holds {base / MIB:.0f} MiB (median): Python, torch, and torch's kernels,",
        f"loaded by a first small step. With the median factor of training, {factor:.2f}, the prediction falls short",
        f"of the process by at most {short[worst] / MIB:.0f} MiB ({worst[0]}, {worst[1]}). So `plan` takes",
        f"{factor:.2f} times the prediction and {assumed} MiB, the sum of these two rounded up to 64; that covers",
        "every row above.",
        "",
        f"The largest training above ({largest['model']}, {largest['precision']}) took",
        f"{ratios(largest, 'train')[1]:.2f} times the prediction: what comes on top grows more slowly than the batch,",
        "so the largest batch is judged with caution. Not measured: GPUs, other allocators, more threads.",
        "",
        f"Method of the process peak: {rows[0]['method']}.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if sys.argv[1] == "--one":
        print(json.dumps(measure(*json.loads(sys.argv[2]))))
    else:
        main(Path(sys.argv[1]))
