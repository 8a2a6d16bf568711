"""How fast are suites and training steps? Paired and interleaved, because a shared machine changes all the time.

    UNETZOO_DATA=... python benchmarks/speed.py suites --run first   # a plain script against `unetzoo bench`
    python benchmarks/speed.py steps --run first                     # single steps and passes, and their sweeps
    python benchmarks/speed.py inference --run first                 # predict, other runtimes, MONAI
    python benchmarks/speed.py large --run first --rounds 2          # predict and MONAI on 10,000 x 10,000 px
    python benchmarks/speed.py options --run first                   # options of a training step, and the loader
    python benchmarks/speed.py recompute --run first                 # maps that are computed twice: time and memory
    python benchmarks/speed.py choices --run first                   # precision and layout by `compute = "auto"`
    python benchmarks/speed.py page                                  # reports/speed, and the table in README.md

``--run`` names the folder of reports/speed that gets the JSON files; a second run, on another day or under another
load, goes beside the first. Every file lists raw timings in seconds, which `unetzoo compare` takes. In each round all
candidates run one after the other, so that a slow minute slows all of them. Needs pip install 'unetzoo[bench]'.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from unetzoo._util.atomic import write_atomic

ROOT = Path(__file__).resolve().parents[1]
REPORT = ROOT / "reports" / "speed"
VARIANTS = ("unet", "unet_bilinear", "unet_nearest", "unet_pixelshuffle", "unet_noskip", "unet_d2")
PEERS = ("smp_resnet18", "monai_basic")  # of benchmarks/speed_peers.py
SUITE = """
name = "speed"
models = {models}
set = {set}
seeds = {seeds}
imports = {imports}
[data]
name = "{data}"
[train]
recipe = "modern"
steps = {steps}
batch_size = 4
crop = 256
lr = 2e-3
validate_every = 50
"""


def run_suites(args: argparse.Namespace) -> dict[str, Any]:
    """Time the plain script and `unetzoo bench` as processes, end to end, with start-up and report."""
    tasks = {
        "six variants": (VARIANTS, {"width": 16}, 1, "isbi2012"),
        "smp and MONAI": (PEERS, {}, 1, "isbi2012"),
        "two variants, three seeds": (("unet", "unet_d2"), {"width": 16}, 3, "dsb2018"),
    }
    measurements, facts = [], {}
    for task in args.tasks or tasks:
        models, options, seeds, data = tasks[task]
        values: dict[str, list[float]] = {}
        for number in range(args.rounds):
            with tempfile.TemporaryDirectory() as folder:
                candidates = _candidates(Path(folder), models, options, seeds, data, args.steps)
                stages: dict[str, dict[str, float]] = {}
                for name in list(candidates)[:: 1 if number % 2 == 0 else -1]:
                    begun = time.time()
                    seconds = _timed_process(candidates[name])
                    values.setdefault(name, []).append(seconds)
                    print(f"{task}, round {number + 1}: {name} {seconds:.1f} s", flush=True)
                    if (out := Path(candidates[name][-1].removeprefix("--out="))).is_dir():
                        stages[name] = _stages(out, begun, begun + seconds)
                        print("  " + ", ".join(f"{stage} {took:.1f} s" for stage, took in stages[name].items()))
                facts[task] = {**_outcome(Path(folder)), "stages": stages}
        measurements += [{"name": f"{task}: {n}", "group": task, "unit": "s", "values": v} for n, v in values.items()]
    return {"measurements": measurements, "facts": facts, "steps": args.steps}


def _candidates(
    folder: Path, models: tuple[str, ...], options: dict[str, int], seeds: int, data: str, steps: int
) -> dict[str, list[str]]:
    """Return the commands to compare, each with outputs of its own in ``folder``."""
    peers = str(ROOT / "benchmarks" / "speed_peers.py")
    imports = [peers] if models == PEERS else []
    plain = [
        sys.executable,
        str(ROOT / "benchmarks" / "plain_training.py"),
        "--data",
        data,
        "--models",
        ",".join(models),
    ]
    plain += [f"--set={name}={value}" for name, value in options.items()] + [f"--imports={each}" for each in imports]
    plain += ["--seeds", str(seeds), "--steps", str(steps)]
    listed = "{ " + ", ".join(f"{name} = {value}" for name, value in options.items()) + " }"
    suite = folder / "suite.toml"
    suite.write_text(
        SUITE.format(
            models=json.dumps(models), set=listed, seeds=seeds, imports=json.dumps(imports), data=data, steps=steps
        )
    )
    bench = [sys.executable, "-m", "unetzoo.cli", "bench", str(suite)]
    return {
        "plain script, loading in the process": [*plain, "--workers=0", f"--out={folder / 'plain.json'}"],
        "plain script, two loading processes": [*plain, "--workers=2", f"--out={folder / 'plain-2.json'}"],
        "unetzoo bench --jobs 1": [*bench, "--jobs=1", f"--out={folder / 'one'}"],
        "unetzoo bench": [*bench, f"--out={folder / 'auto'}"],
    }


def _timed_process(command: list[str]) -> float:
    begun = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return time.perf_counter() - begun


def _stages(out: Path, begun: float, ended: float) -> dict[str, float]:
    """Return the seconds of each stage of a run, by the times at which its files were written."""
    from unetzoo.records.record import read_record

    records = {path.stat().st_mtime: read_record(path) for path in (out / "records").glob("*.json")}
    models = {at: record.cost.wall_seconds or 0.0 for at, record in records.items() if record.cost}
    marks = {
        "start-up": max(path.stat().st_mtime for path in (out / "prepared").iterdir()),
        "costs": max(path.stat().st_mtime for path in (out / "costs").iterdir()),
        "choice of jobs": min(at - seconds for at, seconds in models.items()),
        "trials": max(models),
        "trivial predictors after them": max(records),
        "report": ended,
    }
    before = [begun, *marks.values()]
    return {name: round(at - last, 2) for (name, at), last in zip(marks.items(), before, strict=False)}


def _outcome(folder: Path) -> dict[str, Any]:
    """Return each test image's Dice by both, and the shares of a trial's time, from the last round's outputs."""
    from unetzoo.records.record import read_record

    records = [read_record(path) for path in sorted((folder / "auto" / "records").glob("*.json"))]
    models = [record for record in records if not record.baseline and record.result and record.cost]
    shares, ours = [], []
    for record in models:
        assert record.cost is not None
        assert record.result is not None
        phases = record.cost.phases
        work = sum(phases.get(name, 0.0) for name in ("train", "load", "validate", "test"))
        shares.append({"steps": record.result.steps, "share": work / sum(phases.values()), "phases": phases})
        dice = {key: list(scores["dice"].values())[1] for key, scores in record.result.per_image.items()}
        ours.append({"model": record.trial["model"]["label"], "seed": record.trial["seed"], "dice": dice})
    jobs = sorted({record.environment["jobs"] for record in models})
    plain = json.loads((folder / "plain.json").read_text())
    return {"jobs": jobs, "shares": shares, "dice": {"unetzoo bench": ours, "plain script": plain}}


def run_steps(args: argparse.Namespace) -> dict[str, Any]:
    """Time single training steps and forward passes in this process, and sweep size, batch, width and threads."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    from speed_steps import comparisons, sweeps

    return {"measurements": [*comparisons(args.rounds), *sweeps(args.rounds, args.largest)]}


def run_inference(args: argparse.Namespace) -> dict[str, Any]:
    """Time prediction by `inference_speed.py`, whole images of 512 px and tiled ones of 2048."""
    return _inference(["--sizes", "512", "2048"], args.rounds)


def run_large(args: argparse.Namespace) -> dict[str, Any]:
    """Time prediction on a large image and its peak memory, each run in a process of its own."""
    return _inference(["--sizes", str(args.side), "--apart"], args.rounds)


def _inference(options: list[str], rounds: int) -> dict[str, Any]:
    found = _script("inference_speed.py", [*options, f"--rounds={rounds}"])
    measurements = [
        {
            "name": f"{row['candidate']}, {row['size']}x{row['size']}",
            "group": "prediction",
            "unit": "s",
            "values": row["seconds"],
            **{name: row[name] for name in ("candidate", "size", "peak_bytes") if name in row},
        }
        for row in found["rows"]
        if "seconds" in row
    ]
    said = {str(row["size"]): row["computed"] for row in found["rows"] if "computed" in row}
    return {"measurements": measurements, "computed": said}


def run_options(args: argparse.Namespace) -> dict[str, Any]:
    """Compare options of a training step by `training_step.py`, and loaders by `loader.py`, as paired ratios."""
    rounds = f"--rounds={10 * args.rounds}"
    return {"measurements": [], "step": _script("training_step.py", [rounds]), "loader": _script("loader.py", [rounds])}


def run_recompute(args: argparse.Namespace) -> dict[str, Any]:
    """Time training steps that compute maps twice, and predict their memory."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    from speed_choices import recompute

    return {"measurements": recompute(args.rounds)}


def run_choices(args: argparse.Namespace) -> dict[str, Any]:
    """List how trials of each network compute, where that is chosen by timing."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    from speed_choices import choices

    return {"measurements": [], "choices": choices()}


def _script(name: str, options: list[str]) -> dict[str, Any]:
    """Run another script of this folder and return what it wrote."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "found.json"
        command = [sys.executable, str(ROOT / "benchmarks" / name), *options, "--out", str(file)]
        subprocess.run(command, check=True)  # noqa: S603
        return json.loads(file.read_text())


def main() -> None:
    """Run a part and write its file, or the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
        "suites": run_suites,
        "steps": run_steps,
        "inference": run_inference,
        "large": run_large,
        "options": run_options,
        "recompute": run_recompute,
        "choices": run_choices,
    }
    parser.add_argument("part", choices=(*parts, "page"))
    parser.add_argument("--run", default="first", help="folder of reports/speed (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=100, help="training steps of a trial (default: %(default)s)")
    parser.add_argument("--largest", type=int, default=2048, help="largest side in px (default: %(default)s)")
    parser.add_argument("--side", type=int, default=10_000, help="of the large image in px (default: %(default)s)")
    parser.add_argument("--tasks", action="append", help="only these tasks of the suites")
    args = parser.parse_args()
    if args.part == "page":
        sys.path.insert(0, str(ROOT / "benchmarks"))
        from speed_page import write_page

        write_page(REPORT, ROOT / "README.md")
        return
    begun = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
    found = parts[args.part](args)
    from unetzoo.machine.environment import environment

    conditions = {**environment("cpu", "bfloat16"), "load_before": os.getloadavg()[2], "begun": begun}
    content = {"kind": "unetzoo-speed", "version": 1, "environment": conditions, **found}
    file = REPORT / args.run / f"{args.part}.json"
    write_atomic(file, json.dumps(content, indent=1) + "\n")
    print(file)


if __name__ == "__main__":
    main()
