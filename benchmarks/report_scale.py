"""Time and memory of reports, of resuming a finished suite, and of start-up, against the number of trials.

    python benchmarks/report_scale.py --trials 10,100,1000,10000 --pictures 500 --resume 500 \
        --out reports/speed/NAME/scale.json    # then benchmarks/speed.py page

Makes synthetic run folders from a committed record (kept in --folder for the next run) and runs the command line on
them, each time in a new process. Times are CPU seconds (user and system) of that process and its children, so that
other work on the machine hardly changes them; wall time is printed beside them. Memory is the peak resident set. The
folders are made by other processes, since Linux counts the memory of the one that starts a command as the command's.
Each report prints the time of its stages.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from unetzoo.records.record import checksum, read_record

TEMPLATE = Path(__file__).parents[1] / "reports/worlds/vessels/records"
LIMITS = {"report": (30.0, 1024), "pictures": (30.0, 1024), "resume": (3.0, 1024), "start": (0.3, 1024)}
START = (["--help"], ["list"], ["bench", "--help"])
POINTS = 40  # of each learning curve
SIDE = 256  # of the pictures, in pixels
Json = dict[str, Any]


class Measured(NamedTuple):
    """One run of the command line."""

    name: str
    kind: str
    trials: int
    cpu_seconds: float
    wall_seconds: float
    peak_mib: float


def template() -> Json:
    """Return the record that all others are made from."""
    return json.loads(read_record(next(iter(sorted(TEMPLATE.glob("unet-s0-*.json"))))).to_json())


def made(base: Json, label: str, trial: Json, key: str, pictures: bool) -> Json:
    """Return a record with scores of its own: an effect of the variant, the seed and each image, and noise."""
    record = json.loads(json.dumps(base))
    record.pop("checksum", None)
    noise = random.Random(key)  # noqa: S311
    level = random.Random(label).gauss(0.72, 0.02) + noise.gauss(0, 0.005)  # noqa: S311
    result = record["result"]
    images = result["per_image"]["images"]
    at = [level + random.Random(image).gauss(0, 0.04) + noise.gauss(0, 0.01) for image in images]  # noqa: S311
    for metric, by_class in result["per_image"]["scores"].items():
        scale = 10 if metric in ("hd95", "assd") else 1
        for name in by_class:
            by_class[name] = [round(scale * min(max(score, 0.0), 1.0), 6) for score in at]
    level = round(level, 6)
    result |= {"dice": level, "iou": round(level / (2 - level), 6), "best_val_dice": level, "predictions": key}
    result["foreground"] |= {"dice": level, "iou": result["iou"]}
    result["groups"] = {image: f"group {k // 2}" for k, image in enumerate(images)}
    steps = [10 * (k + 1) for k in range(POINTS)]
    record["curves"] = {
        "train": [[step, 0.3 + 1 / step + noise.gauss(0, 0.01)] for step in steps],
        "val": [[step, 0.4 + 1 / step, level * (1 - 1 / step)] for step in steps],
    }
    record["cost"]["train_seconds"] *= noise.uniform(0.95, 1.05)
    record["cost"]["latency_p50_ms"] *= random.Random(label).uniform(0.5, 2)  # noqa: S311
    record["samples"] = [
        {"key": image, "image": f"images/i{k}.png", "truth": f"images/t{k}.png", "prediction": f"images/{key}{k}.png"}
        for k, image in enumerate(images[: 3 * pictures])
    ]
    return record | {"id": key, "trial": trial, "suite": "scale", "environment": base["environment"]}


def trials_of(base: Json, trials: int, variants: int) -> Iterator[tuple[str, str, Json]]:
    """Yield the label, the id and the fields of each trial, seeds outermost."""
    for k in range(trials):
        seed, label = k // variants, f"variant_{k % variants:03d}" if k % variants else "unet"
        model = base["trial"]["model"] | {"label": label, "name": label}
        trial = base["trial"] | {"model": model, "seed": seed}
        yield label, hashlib.sha256(f"{label} {seed}".encode()).hexdigest()[:12], trial


def write_record(folder: Path, label: str, record: Json) -> None:
    """Write a record as `unetzoo.records.record.Record.to_json` lays it out."""
    record = record | {"checksum": checksum(record)}
    lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(value)}" for name, value in record.items())
    path = folder / "records" / f"{label}-s{record['trial']['seed']}-{record['id']}.json"
    path.write_text(f"{{\n{lines}\n}}\n")


def write_pictures(folder: Path, names: set[str]) -> None:
    """Write images of noise and masks of a few blobs."""
    (folder / "records/images").mkdir(exist_ok=True)
    for name in names:
        noise = random.Random(name)  # noqa: S311
        coarse = Image.frombytes("L", (16, 16), noise.randbytes(256)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        if not name.startswith("images/i"):
            coarse = coarse.point([int(value > 150) for value in range(256)])
        coarse.save(folder / "records" / name)


def write_folder(folder: Path, trials: int, variants: int, pictures: bool) -> Path:
    """Write a run folder unless it is there, and return it."""
    if folder.is_dir():
        return folder
    (folder / "records").mkdir(parents=True)
    base = template()
    for label, key, trial in trials_of(base, trials, variants):
        record = made(base, label, trial, key, pictures)
        write_record(folder, label, record)
        if pictures:
            write_pictures(folder, {sample[what] for sample in record["samples"] for what in sample if what != "key"})
    return folder


def write_suite(folder: Path, trials: int) -> list[str]:
    """Write a suite and a record for each of its trials unless they are there; return the arguments that resume it."""
    suite, out = folder / "suite.toml", folder / "out"
    if not suite.is_file():
        from unetzoo.bench.expand import expand
        from unetzoo.bench.suite import Suite
        from unetzoo.bench.suite_file import read_suite
        from unetzoo.models.registry import list_models

        (out / "records").mkdir(parents=True)
        names = list_models()[: max(1, trials // 10)]
        seeds = trials // len(names)
        suite.write_text(f'models = {json.dumps(names)}\nseeds = {seeds}\n\n[data]\nname = "cells"\n')
        base, read = template(), read_suite(suite)
        assert isinstance(read, Suite)
        for trial in expand(read, read.data.open()):
            fields = trial.model_dump(mode="json")
            record = made(base, trial.model.label, fields, trial.id, pictures=False)
            write_record(out, trial.model.label, record | {"baseline": trial.model.baseline})
    return ["bench", str(suite), "--out", str(out)]


def apart(work: Callable[..., Any], *arguments: Any) -> Any:
    """Return the result of a function that another process has computed."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, arguments)


def measure(name: str, kind: str, trials: int, arguments: list[str], repeats: int = 1) -> Measured:
    """Run the command line in a new process, and return the run that took the least CPU time.

    Raises:
        SystemExit: If the command fails.
    """
    runs = []
    for _ in range(repeats):
        begin = time.perf_counter()
        process = subprocess.Popen([sys.executable, "-m", "unetzoo.cli", *arguments], stdout=subprocess.DEVNULL)  # noqa: S603
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise SystemExit(f"unetzoo {' '.join(arguments)}: exit code {process.returncode}")
        wall = time.perf_counter() - begin
        runs.append(Measured(name, kind, trials, used.ru_utime + used.ru_stime, wall, used.ru_maxrss / 1024))
    best = min(runs, key=lambda run: run.cpu_seconds)
    seconds, mib = LIMITS[kind]
    over = "" if best.cpu_seconds <= seconds and best.peak_mib <= mib else f"  over {seconds:g} s or {mib} MiB"
    print(
        f"{name:34} {trials:7,} {best.cpu_seconds:10.2f} {best.wall_seconds:10.2f} {best.peak_mib:10.0f}{over}",
        flush=True,
    )
    return best


def main() -> None:
    """Make the folders, measure, print a table and write the measurements as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", default="10,100,1000,10000", help="sizes of the reports without pictures")
    parser.add_argument("--pictures", type=int, default=500, help="trials of the report with pictures, 0 for none")
    parser.add_argument("--resume", type=int, default=500, help="trials of the finished suite, 0 for none")
    parser.add_argument("--variants", type=int, default=100)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/unetzoo-scale"))  # noqa: S108
    parser.add_argument("--out", type=Path, help="file for the measurements, as JSON")
    options = parser.parse_args()
    begun = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
    print("CPU seconds (user + system) count; wall seconds depend on what else the machine does.")
    print(f"{'command':34} {'trials':>7} {'CPU s':>10} {'wall s':>10} {'peak MiB':>10}", flush=True)
    found = [measure(f"unetzoo {' '.join(words)}", "start", 0, words, repeats=5) for words in START]
    for trials in [int(size) for size in options.trials.split(",") if size]:
        folder = apart(write_folder, options.folder / f"plain-{trials}", trials, options.variants, False)
        found.append(measure("unetzoo report", "report", trials, ["report", str(folder), "--timings"]))
    if options.pictures:
        name = f"pictures-{options.pictures}"
        folder = apart(write_folder, options.folder / name, options.pictures, options.variants, True)
        found.append(measure("unetzoo report, with pictures", "pictures", options.pictures, ["report", str(folder)]))
    if options.resume:
        resume = apart(write_suite, options.folder / f"suite-{options.resume}", options.resume)
        found.append(measure("unetzoo bench, all trials done", "report", options.resume, resume))
        found.append(measure("unetzoo bench, report there, too", "resume", options.resume, resume))
    if options.out:
        from unetzoo.machine.environment import environment

        rows = [
            run._asdict() | {"limit_seconds": LIMITS[run.kind][0], "limit_mib": LIMITS[run.kind][1]} for run in found
        ]
        conditions = {**environment("cpu", "float32"), "begun": begun}
        content = {"environment": conditions, "variants": options.variants, "measurements": rows}
        options.out.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
