"""The page of all entries, ``reports/zoo``: paper, cost, topology, and the code each is known to match.

    python benchmarks/zoo.py                     # measure new or changed entries, then write the page
    python benchmarks/zoo.py --only unet,u2net   # measure only these
    python benchmarks/zoo.py --only unet --no-time --out /tmp/zoo
    python benchmarks/zoo.py --page              # write the page again from what was measured
    python benchmarks/zoo.py --parity            # reports/zoo/parity.md: all golden files
    python benchmarks/zoo.py --parameters        # unetzoo/models/parameters.json: counts available without torch

Each entry is measured in a process of its own and saved at once to ``entries.jsonl``: interrupt with Ctrl-C and run
again to continue. An entry that fails becomes a row with the reason, and is tried again the next time. An entry is
measured again if its options, its version, the machine, torch, the precision or the number of threads changed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from unetzoo._util.atomic import write_atomic
from unetzoo._util.plugins import import_plugins
from unetzoo.errors import UnetzooError, nearest, one_line
from unetzoo.gallery.measured import EntryMeasurements
from unetzoo.models import parameters
from unetzoo.models.factory import resolve_model
from unetzoo.models.registry import entries, model_info

ROOT = Path(__file__).resolve().parents[1]
SHAPE = (1, 3, 256, 256)  # (N, C, H, W)
STAMP = ("torch", "cpu", "device", "precision", "threads")  # fields of the environment on which times depend
LIMIT = 1800  # seconds per entry


def measure(name: str, key: str, args: argparse.Namespace, report: Callable[[EntryMeasurements], None]) -> None:
    """Measure all measurements of one entry; a failed step is recorded and the others continue.

    Args:
        name: Registered entry.
        key: Stored with the measurements, to see later if they are still valid.
        args: Arguments of the command line.
        report: Called with the measurements so far after each step.
    """
    import torch

    from unetzoo.gallery.paired import time_ratio
    from unetzoo.gallery.topology import topology
    from unetzoo.machine.environment import environment
    from unetzoo.machine.lock import MachineLock
    from unetzoo.measure.counts import count_parameters, side_read, stages
    from unetzoo.measure.rehearsal import Rehearsal, tensor_memory

    torch.set_num_threads(args.threads)
    config = resolve_model(name)
    how = {"precision": args.precision, "channels_last": True}

    def count() -> dict[str, Any]:
        side = side_read(config, SHAPE[-1])
        return {
            "side": side,
            "parameters": count_parameters(config.build()),
            "macs": sum(s.macs for s in stages(config, side, side)),
        }

    def memory() -> dict[str, Any]:
        for images in (1, 2):  # batch norm on maps of one pixel does not train on one image
            if found := tensor_memory(config, 1, (images, *SHAPE[1:]), SHAPE, **how):
                return {"memory": found, "train_images": images}
        raise UnetzooError("it does not run on tensors without values, so memory cannot be predicted")

    def time() -> dict[str, Any]:
        torch.manual_seed(0)
        ours, unet = (Rehearsal(c, 1, fake=False, **how) for c in (config, resolve_model("unet")))
        images = ours.images(SHAPE)
        works = partial(ours.forward, images), partial(unet.forward, images)
        with MachineLock().alone():
            ratio = time_ratio(*works, rounds=args.rounds, seconds=args.seconds)
        return {"ratio": ratio}

    steps: dict[str, Callable[[], dict[str, Any]]] = {
        "counts": count,
        "topology": lambda: {"topology": topology(config)},
        "memory": memory,
    }
    now = environment("cpu", args.precision)
    found: dict[str, Any] = {"name": name, "key": key, "environment": {k: now[k] for k in STAMP}}
    failed: dict[str, list[str]] = {}
    for step, work in (steps | ({"time": time} if args.time else {})).items():
        try:
            found |= work()
        except Exception as error:  # a network may raise anything
            failed.setdefault(one_line(error), []).append(step)
            found["failed"] = "; ".join(f"{', '.join(where)}: {why}" for why, where in failed.items())
        report(EntryMeasurements(**found))


def apart(name: str, key: str, args: argparse.Namespace) -> EntryMeasurements:
    """Run `measure` in a process of its own, and record it if the process dies.

    Args:
        name: Registered entry.
        key: Stored with the measurements.
        args: Arguments of the command line.
    """
    call = [sys.executable, __file__, f"--one={name}", f"--key={key}", f"--precision={args.precision}"]
    call += [f"--{k}={getattr(args, k)}" for k in ("threads", "rounds", "seconds")]
    call += ["--time" if args.time else "--no-time", *(f"--import={module}" for module in args.imports)]
    environment = os.environ | {"OMP_NUM_THREADS": str(args.threads)}
    try:
        done = subprocess.run(call, capture_output=True, text=True, timeout=LIMIT, env=environment)  # noqa: S603
        output, why = done.stdout, _ending(done)
    except subprocess.TimeoutExpired as error:
        output, why = (error.stdout or b"").decode(), f"took more than {LIMIT // 60} minutes"
    reports = [line for line in output.splitlines() if line.startswith("{")]
    found = EntryMeasurements.from_json(reports[-1], name) if reports else EntryMeasurements(name=name, key=key)
    return found.model_copy(update={"failed": why}) if why else found


def _ending(done: subprocess.CompletedProcess[str]) -> str | None:
    if done.returncode < 0:
        return f"its process was ended by {signal.Signals(-done.returncode).name} (out of memory?)"
    return (done.stderr.strip().splitlines() or ["no reason given"])[-1] if done.returncode else None


def stamp(args: argparse.Namespace) -> list[Any]:
    """Return the values of `STAMP` on this machine."""
    from unetzoo.machine.environment import environment

    now = environment("cpu", args.precision) | {"threads": args.threads}
    return [now[key] for key in STAMP]


def key_of(name: str, stamp: list[Any]) -> str:
    """Return a hash of everything that the measurements of an entry depend on."""
    parts = [resolve_model(name).model_dump(), model_info(name).fingerprint(), *stamp]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def run(names: list[str], args: argparse.Namespace) -> int:
    """Measure missing or outdated entries, save each at once, and write the page.

    Args:
        names: Entries to consider.
        args: Arguments of the command line.

    Returns:
        Exit code: 0, or 130 if interrupted.
    """
    from unetzoo.gallery.page import (  # pandas and matplotlib: not for `--one`
        read_measurements,
        write_measurements,
        write_zoo,
    )

    folder: Path = args.out
    found, now = read_measurements(folder), stamp(args)
    code = 0
    try:
        for i, name in enumerate(names, start=1):
            old, key = found.get(name), key_of(name, now)
            if old and old.key == key and not old.failed and (old.ratio or not args.time):
                continue
            print(f"[{i}/{len(names)}] {name} ...", end=" ", flush=True)
            found[name] = measurements = apart(name, key, args)
            write_measurements(folder, found)
            print(_line(measurements), flush=True)
    except KeyboardInterrupt:
        print("interrupted; run again to go on", flush=True)
        code = 130
    print(write_zoo(folder, entries(), found, (folder / "parity.md").exists()))
    return code


def _line(measurements: EntryMeasurements) -> str:
    if measurements.failed:
        return f"failed: {measurements.failed}"
    ratio = f", {measurements.ratio.median:.2f} times unet" if measurements.ratio else ""
    return f"{(measurements.parameters or 0) / 1e6:.2f} M, {(measurements.macs or 0) / 1e9:.2f} GMACs{ratio}"


def write_parameters() -> None:
    """Write the parameter counts of the built-in entries, computed on the meta device."""
    import torch

    from unetzoo.measure.counts import count_parameters

    with torch.device("meta"):
        own = {n: count_parameters(resolve_model(n).build()) for n, e in entries().items() if e.family != "own"}
    write_atomic(parameters.FILE, json.dumps(own, indent=1) + "\n")
    print(f"{parameters.FILE}: {len(own)} entries")


def write_parity(folder: Path) -> int:
    """Write the table of ``tests/parity/cases.py`` to ``parity.md``; return the exit code of that script."""
    call = [sys.executable, "-u", str(ROOT / "tests/parity/cases.py")]
    lines = [
        "# Parity",
        "",
        "Entries against golden files of their reference code: `python tests/parity/cases.py`.",
        "",
    ]
    with subprocess.Popen(call, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        for line in process.stdout or ():
            print(line, end="", flush=True)
            lines.append(line.rstrip())
    if process.returncode:
        lines += ["", f"**Not all are OK, or the table is not whole (exit code {process.returncode}).**"]
    write_atomic(folder / "parity.md", "\n".join(lines) + "\n")
    print(folder / "parity.md")
    return process.returncode


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--out", type=Path, default=Path("reports/zoo"), help="the folder (default: %(default)s)")
    parser.add_argument("--only", metavar="A,B", help="measure only these entries")
    parser.add_argument(
        "--precision",
        choices=("float32", "bfloat16"),
        default="float32",
        help="precision of time and memory (default: %(default)s)",
    )
    parser.add_argument("--threads", type=int, default=1, help="threads of the timing (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=21, help="most rounds of the timing (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=60, help="rough length of the timing (default: %(default)s)")
    parser.add_argument("--time", action=argparse.BooleanOptionalAction, default=True, help="measure the time, too")
    parser.add_argument(
        "--import", dest="imports", metavar="FILE.py", action="append", default=[], help="file that registers models"
    )
    parser.add_argument("--parity", action="store_true", help="only write parity.md")
    parser.add_argument("--page", action="store_true", help="measure nothing, write the page alone")
    parser.add_argument("--parameters", action="store_true", help="only write unetzoo/models/parameters.json")
    parser.add_argument(
        "--one", help=argparse.SUPPRESS
    )  # measure this entry here and print the measurements; used by `apart`
    parser.add_argument("--key", help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    args = _arguments(argv)
    try:
        import_plugins(args.imports)
        if args.one is not None:
            measure(args.one, args.key, args, lambda measurements: print(measurements.model_dump_json(), flush=True))
            return 0
        if args.parameters:
            write_parameters()
        if args.parity:
            return write_parity(args.out)
        if args.parameters:
            return 0
        known = entries()
        names = args.only.split(",") if args.only else list(known)
        for name in names:
            if name not in known:
                raise UnetzooError(f"--only {name!r} is not a model; {nearest(name, known)}")
        return run([] if args.page else names, args)
    except UnetzooError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
