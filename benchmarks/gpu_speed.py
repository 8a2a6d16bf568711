"""Images per second of training and inference on a GPU, beside published figures; see gpu.sh, which calls it.

    python benchmarks/gpu_speed.py --out reports/speed-gpu            # measure, then write the page
    python benchmarks/gpu_speed.py --out reports/speed-gpu --page     # write the page again
    python benchmarks/gpu_speed.py --device cpu --side 32 --batch 2 --out /tmp/x   # only that it runs

Every network is measured in each precision, as it is and compiled, on random pixels that lie on the device: neither
loading nor augmentation counts. One that fails or does not fit is a row with the reason. Before them, each augmentation
makes crops from 8 images of 512x512, on the device in batches and in the loader on one core.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from itertools import count, cycle
from pathlib import Path
from typing import Any

import torch

from unetzoo import create_dataset
from unetzoo._util.atomic import write_atomic
from unetzoo.data.device_crops import DeviceCrops
from unetzoo.data.stream import Normalization, TrainingCrops
from unetzoo.errors import one_line
from unetzoo.machine.environment import environment
from unetzoo.measure.counts import count_parameters
from unetzoo.measure.latency import synchronize
from unetzoo.measure.rehearsal import Rehearsal
from unetzoo.models.factory import ModelConfig, resolve_model

SECONDS = 240  # after which no further network is begun
WARM_UP, FEWEST, TIMED = 3, 5, 1.0  # passes to warm up, passes at least, and seconds of a timing
SIX = ("unet", "unet_bilinear", "unet_noskip", "attention_unet", "unetpp", "nnunet_plain")
ANCHORS = """
Published, for scale: NVIDIA's U-Net of 31 M parameters at 572x572 on an A100, TensorFlow 2, batch 16: 141 images/s in
training and 463 in inference (float16); nnU-Net in 2-D at 192x160: 1,345 images/s in training (NVIDIA Deep Learning
Examples). Other GPUs, libraries and input pipelines: not a comparison.
"""


def networks(side: int | None, batch: int) -> Iterator[tuple[str, ModelConfig, tuple[int, int, int, int]]]:
    """Yield a label, a model and the shape of its images.

    Args:
        side: Side of all images, to try the script; None: those of the table.
        batch: Images in a batch.
    """
    paper = side or 572
    yield "unet_paper", resolve_model("unet_paper", in_channels=1, num_classes=2), (batch, 1, paper, paper)
    for name in ("unet", "nnunet_plain"):
        yield (
            f"{name}, large",
            resolve_model(name, in_channels=1, num_classes=2),
            _square(batch, side, 512),
        )
    for name in SIX:
        yield name, resolve_model(name, in_channels=3, num_classes=2), (batch, 3, *_square(batch, side, 256)[2:])


def _square(batch: int, side: int | None, usual: int) -> tuple[int, int, int, int]:
    return batch, 1, side or usual, side or usual


def measure(label: str, config: ModelConfig, shape: tuple[int, int, int, int], device: str) -> Iterator[dict[str, Any]]:
    """Yield the timings of a network in each precision, eager and compiled, training and inference."""
    precisions = ["float32", "bfloat16"] + (["float16"] if device == "cuda" else [])
    for precision in precisions:
        for compiled in (False, True) if device == "cuda" and precision == "bfloat16" else (False,):
            facts = {"model": label, "precision": precision, "compiled": compiled, "shape": shape}
            try:
                work = Rehearsal(config, config.num_classes, precision=precision, device=device, fake=False)
                facts["params"] = count_parameters(work.model)
                if compiled:
                    work.model.network.compile()
                images, masks = work.images(shape), work.masks(shape)
                for what, act in (
                    ("inference", lambda: work.forward(images)),  # noqa: B023
                    ("training", lambda: work.step(images, masks)),  # noqa: B023
                ):
                    yield {**facts, "what": what, **timed(act, device, shape[0])}
            except Exception as error:
                yield {**facts, "what": "failed", "problem": one_line(error)}
            if device == "cuda":
                torch.cuda.empty_cache()


def measure_crops(batch: int, crop: int, device: str) -> Iterator[dict[str, Any]]:
    """Yield crops per second of each augmentation, on the device from drawn numbers on, and in the loader."""
    data = create_dataset("cells", n_train=8, n_val=1, n_test=1, size=2 * crop)
    normalization = Normalization.of(data)
    for name in ("flips", "strong", "nnunet", "paper2015"):
        crops = TrainingCrops(data, normalization, crop=crop, seed=0, length=10**9, augment=name)
        made = DeviceCrops(crops, torch.device(device))
        draws = [[crops.numbers(first + i) for i in range(batch)] for first in range(0, 20 * batch, batch)]
        numbers, index = cycle(draws), count()
        for where, one, each in (
            (device, lambda: made.batch(next(numbers)), batch),  # noqa: B023
            ("loader", lambda: crops[next(index)], 1),  # noqa: B023
        ):
            rate = timed(one, device, each)["images_per_second"]
            yield {"augment": name, "where": where, "crop": crop, "batch": batch, "crops_per_second": rate}


def timed(act: Callable[[], object], device: str, batch: int) -> dict[str, Any]:
    """Time some passes, each synchronised, and the peak of the allocator."""
    for _ in range(WARM_UP):
        act()
    synchronize(device)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    taken: list[float] = []
    while len(taken) < FEWEST or sum(taken) < TIMED:
        begun = time.perf_counter()
        act()
        synchronize(device)
        taken.append(time.perf_counter() - begun)
    peak = torch.cuda.max_memory_allocated() if device == "cuda" else None
    return {"seconds": taken, "images_per_second": round(batch * len(taken) / sum(taken), 1), "peak_bytes": peak}


def write_page(folder: Path) -> None:
    """Write README.md from gpu.json; without that file it says that nothing was measured.

    Args:
        folder: ``reports/speed-gpu``.
    """
    file = folder / "gpu.json"
    if not file.exists():
        text = "# Speed on a GPU\n\nNot measured: no machine with a CUDA GPU was to be had. On one, run "
        write_atomic(folder / "README.md", text + "`bash benchmarks/gpu.sh`.\n" + ANCHORS)
        return
    content = json.loads(file.read_text())
    e = content["environment"]
    lines = ["# Speed on a GPU\n", f"{e['device_name']}, torch {e['torch']}, {content['begun']} UTC.\n"]
    if content["suite"]:
        lines.append(
            "The quick suite, end to end: " + ", ".join(f"{n} {s}" for s, n in content["suite"].items()) + ".\n"
        )
    lines += ["| augmentation | crops | where | crops/s |", "|---|---|---|---|"]
    for c in content["crops"]:
        size = f"{c['batch']}x{c['crop']}x{c['crop']}"
        lines.append(f"| {c['augment']} | {size} | {c['where']} | {c['crops_per_second']:,.0f} |")
    lines += [ANCHORS, "| network | images | precision | images/s in training | in inference | peak of training |"]
    lines.append("|---|---|---|---|---|---|")
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for each in content["measurements"]:
        key = (each["model"], "x".join(map(str, each["shape"])), each["precision"], each["compiled"])
        rows.setdefault(key, {})[each["what"]] = each
    for (model, size, precision, compiled), found in rows.items():
        how = precision + (", compiled" if compiled else "")
        if problem := found.get("failed"):
            lines.append(f"| {model} | {size} | {how} | {problem['problem']} | | |")
            continue
        training, inference = found["training"], found["inference"]
        peak = f"{training['peak_bytes'] / 2**30:.1f} GiB" if training["peak_bytes"] else ""
        rates = f"{training['images_per_second']:,.0f} | {inference['images_per_second']:,.0f}"
        lines.append(f"| {model} | {size} | {how} | {rates} | {peak} |")
    write_atomic(folder / "README.md", "\n".join(lines) + "\n")


def _suite(folder: Path | None) -> dict[str, int]:
    """Return status -> trials of the suite that ran before."""
    if folder is None:
        return {}
    import unetzoo

    return unetzoo.read_records(folder)["status"].value_counts().to_dict()


def main() -> None:
    """Measure, or only write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("reports/speed-gpu"))
    parser.add_argument("--suite", type=Path, help="folder of the suite that ran before")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--side", type=int, help="side of all images, to try the script")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--page", action="store_true")
    args = parser.parse_args()
    if args.page:
        write_page(args.out)
        return
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch sees no CUDA device; --device cpu tries the script")
    begun, clock = time.strftime("%Y-%m-%d %H:%M", time.gmtime()), time.monotonic()
    torch.backends.cudnn.benchmark = True
    found: list[dict[str, Any]] = []
    content: dict[str, Any] = {
        "begun": begun,
        "environment": environment(args.device, "bfloat16"),
        "suite": _suite(args.suite),
    }
    content["crops"] = list(measure_crops(args.batch, args.side or 256, args.device))
    for label, config, shape in networks(args.side, args.batch):
        if time.monotonic() - clock > SECONDS:
            print(f"{label}: left out, the time is up", flush=True)
            continue
        for each in measure(label, config, shape, args.device):
            found.append(each)
            print(
                label, each["precision"], each["what"], each.get("images_per_second", each.get("problem")), flush=True
            )
        write_atomic(args.out / "gpu.json", json.dumps({**content, "measurements": found}, indent=1) + "\n")
    write_page(args.out)


if __name__ == "__main__":
    main()
