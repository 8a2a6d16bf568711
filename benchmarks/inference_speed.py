"""Time of segmenting one image by `unetzoo.predict` and by others, in interleaved rounds.

    python benchmarks/inference_speed.py --sizes 512 2048 --rounds 20 --out inference.json
    python benchmarks/inference_speed.py --sizes 10000 --rounds 2 --apart --out large.json

The network is `unet` with random weights and statistics. Up to a tile's size an image passes through the network whole;
larger ones in tiles that overlap by a quarter, blended by Gaussian weights. With ``--apart`` each run has a process of
its own, whose peak memory is stored too; `predict` then reads a memory map and writes another one, as its users would.
Candidates whose package is not installed are left out, which is said. Needs the extras `bench` and `export`.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import unetzoo
from unetzoo.inference.network import computed
from unetzoo.machine.device import cpu_has_bfloat16, cpu_name

TILE = 512
OVERLAP = 0.25
CLASSES = 2
Run = Callable[[], Any]


def make_model(width: int) -> nn.Module:
    """Return a U-Net whose running statistics are not those of a new one, so that folding them has work to do."""
    torch.manual_seed(0)
    model = unetzoo.create_model("unet", in_channels=3, num_classes=CLASSES, width=width).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2.0)
    return model


def make_image(size: int) -> np.ndarray:
    """Return an image (3, size, size) of noise in uint8."""
    return np.random.default_rng(0).integers(0, 256, (3, size, size), dtype=np.uint8)


def ours(model: nn.Module, size: int, folder: Path, **options: Any) -> Run:
    """Return a run of `predict`, from memory to memory."""
    image = make_image(size)
    return lambda: unetzoo.predict(model, image, tile=TILE, overlap=int(OVERLAP * TILE), **options)


def ours_on_disk(model: nn.Module, size: int, folder: Path, **options: Any) -> Run:
    """Return a run of `predict` from a memory map to a memory map."""
    source = np.memmap(folder / "image.raw", np.uint8, "w+", shape=(3, size, size))
    for top in range(0, size, TILE):
        rows = source[:, top : top + TILE]
        rows[:] = np.random.default_rng(top).integers(0, 256, rows.shape, dtype=np.uint8)
    source.flush()
    image = np.memmap(folder / "image.raw", np.uint8, "r", shape=(3, size, size))
    out = np.memmap(folder / "classes.raw", np.uint8, "w+", shape=(size, size))
    overlap = int(OVERLAP * TILE)
    return lambda: unetzoo.predict(model, image, tile=TILE, overlap=overlap, output="classes", out=out, **options)


def eager(model: nn.Module, size: int, folder: Path) -> Run:
    """Return a plain float32 loop over the tiles, without blending: the network's own time."""
    image = torch.from_numpy(make_image(size)).float()[None] / 255
    side = min(TILE, size)
    step = side - int(OVERLAP * side)
    starts = sorted({*range(0, size - side, step), size - side})

    @torch.inference_mode()
    def run() -> None:
        for top in starts:
            for left in starts:
                model(image[..., top : top + side, left : left + side]).softmax(1)

    return run


def monai(model: nn.Module, size: int, folder: Path) -> Run:
    """Return MONAI's sliding window in float32 with the same tiles, overlap and kind of weights."""
    from monai.inferers.utils import sliding_window_inference

    image = torch.from_numpy(make_image(size)).float()[None] / 255
    side = min(TILE, size)

    @torch.inference_mode()
    def run() -> None:
        logits = sliding_window_inference(image, (side, side), 1, model, OVERLAP, "gaussian")
        assert isinstance(logits, torch.Tensor)
        logits.softmax(1)

    return run


def openvino(model: nn.Module, size: int, folder: Path, precision: str) -> Run:
    """Return a pass through OpenVINO; only for images of one tile."""
    import openvino as ov

    image = torch.from_numpy(make_image(size)).float()[None] / 255
    exported = ov.convert_model(model, example_input=image, input=[tuple(image.shape)])
    options = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    request = ov.Core().compile_model(exported, "CPU", options).create_infer_request()
    return lambda: request.infer([image.numpy()])


def onnxruntime(model: nn.Module, size: int, folder: Path) -> Run:
    """Return a pass through ONNX Runtime in float32; only for images of one tile."""
    import onnxruntime as ort

    image = torch.from_numpy(make_image(size)).float()[None] / 255
    program = torch.onnx.export(model, (image,), dynamo=True, input_names=["image"], verbose=False)
    assert program is not None
    program.save(folder / "model.onnx")
    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = ort.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
    given = {"image": image.numpy()}
    return lambda: session.run(None, given)


CANDIDATES: dict[str, Callable[..., Run]] = {
    "unetzoo auto": ours,
    "unetzoo float32": partial(ours, precision="float32"),
    "unetzoo auto, batch 4": partial(ours, batch=4),
    "unetzoo by OpenVINO, bfloat16": partial(ours, backend="openvino", precision="bfloat16"),
    "unetzoo auto, memory map": ours_on_disk,
    "unetzoo float32, memory map": partial(ours_on_disk, precision="float32"),
    "eager float32": eager,
    "MONAI float32": monai,
    "OpenVINO bfloat16": partial(openvino, precision="bf16"),
    "OpenVINO float32": partial(openvino, precision="f32"),
    "ONNX Runtime float32": onnxruntime,
}


def names_for(size: int, *, apart: bool) -> list[str]:
    """Return the candidates that take an image of ``size``; runtimes take one tile, and memory maps are for --apart."""
    names = [n for n in CANDIDATES if ("memory map" in n) == apart or n in ("MONAI float32",)]
    return [n for n in names if size <= TILE or n.split()[0] in ("unetzoo", "eager", "MONAI")]


def build(name: str, model: nn.Module, size: int, folder: Path) -> Run | None:
    """Return a candidate's run after one that is not counted; None, and a line, if its package is missing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporters
            run = CANDIDATES[name](model, size, folder)
            run()
    except ImportError as error:
        print(f"{name}: left out ({error})", file=sys.stderr)
        return None
    return run


def interleave(runs: dict[str, Run], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each run in each round; every other round goes backwards through the candidates."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for i in range(rounds):
        for name in list(runs) if i % 2 == 0 else reversed(list(runs)):
            begun = time.perf_counter()
            runs[name]()
            seconds[name].append(time.perf_counter() - begun)
    return seconds


def measure(size: int, width: int, rounds: int) -> list[dict[str, Any]]:
    """Time all candidates at one size in this process."""
    model = make_model(width)
    with tempfile.TemporaryDirectory() as folder:
        built = {name: build(name, model, size, Path(folder)) for name in names_for(size, apart=False)}
        seconds = interleave({name: run for name, run in built.items() if run}, rounds)
    unetzoo.predict(model, make_image(min(size, TILE)))
    said = str(computed(model))
    return [{"size": size, "width": width, "candidate": name, "seconds": s} for name, s in seconds.items()] + [
        {"size": size, "width": width, "computed": said}
    ]


def measure_apart(size: int, width: int, rounds: int, threads: int) -> list[dict[str, Any]]:
    """Time all candidates at one size, each run in a process of its own."""
    rows: dict[str, dict[str, Any]] = {}
    for _ in range(rounds):
        for name in names_for(size, apart=True):
            command = [sys.executable, __file__, "--one", name, "--sizes", size, "--width", width, "--threads", threads]
            done = subprocess.run([*map(str, command)], check=True, capture_output=True, text=True)  # noqa: S603
            found = json.loads(done.stdout.splitlines()[-1])
            row = rows.setdefault(
                name, {"size": size, "width": width, "candidate": name, "seconds": [], "peak_bytes": []}
            )
            row["seconds"].append(found["seconds"])
            row["peak_bytes"].append(found["peak_bytes"])
            print(f"{size} {name}: {found['seconds']:.2f} s, {found['peak_bytes'] / 2**20:.0f} MiB", flush=True)
    return list(rows.values())


def one(name: str, size: int, width: int) -> None:
    """Run one candidate once, after a pass over a small image, and print its seconds and the process's peak memory."""
    model = make_model(width)
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        CANDIDATES[name](model, min(size, TILE // 2), Path(folder))()
        run = CANDIDATES[name](model, size, Path(folder))
        begun = time.perf_counter()
        run()
        seconds = time.perf_counter() - begun
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"seconds": seconds, "peak_bytes": peak}))


def conditions(threads: int) -> dict[str, Any]:
    """Return what the timings depend on."""
    return {
        "cpu": cpu_name(),
        "bfloat16": cpu_has_bfloat16(),
        "threads": threads,
        "load": os.getloadavg()[0],
        "torch": torch.__version__,
        "tile": TILE,
        "overlap": OVERLAP,
        "begun": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def table(rows: Iterable[dict[str, Any]]) -> str:
    """Return the median seconds of each candidate, and its ratio to "unetzoo auto" in the same rounds."""
    rows = [row for row in rows if "seconds" in row]
    lines = []
    for row in rows:
        same = [r for r in rows if r["size"] == row["size"] and r["candidate"].startswith("unetzoo auto")]
        ratio = np.median(np.array(row["seconds"]) / np.array(same[0]["seconds"])) if same else float("nan")
        lines.append(f"{row['size']:6} {row['candidate']:28} {np.median(row['seconds']):8.3f} s  {ratio:6.2f}")
    return "\n".join(lines)


def main() -> None:
    """Time the candidates at each size and write a JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 2048])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--apart", action="store_true", help="a process for each run, and its peak memory")
    parser.add_argument("--out", type=Path, default=Path("inference.json"))
    parser.add_argument("--one", choices=CANDIDATES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.one:
        one(options.one, options.sizes[0], options.width)
        return
    rows: list[dict[str, Any]] = []
    for size in options.sizes:
        if options.apart:
            rows += measure_apart(size, options.width, options.rounds, options.threads)
        else:
            rows += measure(size, options.width, options.rounds)
        options.out.write_text(json.dumps({"conditions": conditions(options.threads), "rows": rows}, indent=1) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
