"""Measure the selective scan by length and chunk, and state-space networks beside convolutional ones.

    python benchmarks/state_space.py                 # measure what is missing, then write reports/state-space (quiet)
    python benchmarks/state_space.py --page          # write the page again from what was measured
    python benchmarks/state_space.py --only scan     # or networks

Each measurement is saved at once to ``measured.jsonl``: interrupt with Ctrl-C and run again to continue. A row is
measured again if the machine, torch, the threads or the version of the network changed. Times are taken while no other
process of unetzoo measures; those of a scan and of a reference scan, or of a network and unet, alternate in each round.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from unetzoo._util.atomic import write_atomic
from unetzoo.errors import UnetzooError, one_line
from unetzoo.models.registry import model_info
from unetzoo.report.words import MIB

ROOT = Path(__file__).resolve().parents[1]
RECORD = "measured.jsonl"
CHANNELS, STATES = 64, 16
LENGTHS = (1024, 4096, 16384, 65536)
CHUNKS = (16, 64, 256, 1024, 4096)
LONG = 16384  # tokens of the scans that differ in their chunk
STATE_SPACE = ("vm_unet", "ultralight_vm_unet", "u_mamba_bot")
CONVOLUTIONAL = ("unet", "nnunet_residual", "egeunet", "unet_convnext")
SIDES = (256, 512)
STAMP = ("torch", "cpu", "threads")  # fields of the environment on which times depend
COMMAND = "python benchmarks/state_space.py"

Measured = dict[str, Any]


def scan_cases(lengths: tuple[int, ...], chunks: tuple[int, ...]) -> list[Measured]:
    """Return the scans to measure: every length at the usual chunk, and every chunk at one length.

    Args:
        lengths: Tokens of a sequence.
        chunks: Tokens that a scan takes at a time.
    """
    from unetzoo.nn.state_space import CHUNK

    one = LONG if LONG in lengths else max(lengths)
    pairs = dict.fromkeys([(length, CHUNK) for length in lengths] + [(one, chunk) for chunk in chunks])
    return [{"what": "scan", "length": length, "chunk": chunk} for length, chunk in pairs]


def network_cases(sides: tuple[int, ...]) -> list[Measured]:
    """Return the networks to measure, at each side of the image."""
    return [
        {"what": "network", "name": name, "side": side, "version": model_info(name).version}
        for side in sides
        for name in (*STATE_SPACE, *CONVOLUTIONAL)
    ]


def scan_of(length: int, chunk: int, *, train: bool) -> Callable[[], object]:
    """Return a scan of one sequence, forward alone or with the backward pass."""
    import torch

    from unetzoo.nn.state_space import selective_scan

    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 1, length, CHANNELS, generator=generator).requires_grad_(train)
    step = torch.rand(1, 1, length, CHANNELS, generator=generator) * 0.1
    rate = -torch.rand(1, CHANNELS, STATES, generator=generator) - 0.1
    write, read = (torch.randn(1, 1, length, STATES, generator=generator) for _ in range(2))
    through = torch.ones(1, CHANNELS)

    def work() -> None:
        with torch.set_grad_enabled(train):
            y = selective_scan(x, step, rate, write, read, through, chunk=chunk)
            if train:
                y.sum().backward()

    return work


def peak(work: Callable[[], object]) -> int:
    """Return the bytes of the tensors that a piece of work makes or views, at their peak."""
    from unetzoo.measure.tracker import MemoryTracker

    tracker = MemoryTracker()
    with tracker:
        work()
    return tracker.peak.total()


def measure_scan(case: Measured, rounds: int) -> Measured:
    """Measure time and memory of a scan, relative to the shortest length at its usual chunk."""
    from unetzoo.gallery.paired import time_ratio
    from unetzoo.nn.state_space import CHUNK

    found: Measured = {}
    for what, train in (("inference", False), ("training", True)):
        work = scan_of(case["length"], case["chunk"], train=train)
        found[f"{what}_peak"] = peak(work)
        ratio = time_ratio(work, scan_of(LENGTHS[0], CHUNK, train=train), rounds=rounds)
        found[what] = ratio.model_dump()
    return found


def measure_network(case: Measured, rounds: int) -> Measured:
    """Measure parameters, operations, memory and times of a network, the times relative to unet."""
    from unetzoo.gallery.paired import time_ratio
    from unetzoo.measure.counts import count_parameters, stages
    from unetzoo.measure.rehearsal import Rehearsal, tensor_memory
    from unetzoo.models.factory import resolve_model

    config, unet = (resolve_model(name, in_channels=3, num_classes=2) for name in (case["name"], "unet"))
    side, shape = case["side"], (2, 3, case["side"], case["side"])  # batch norm wants two images to train
    memory = tensor_memory(config, 2, shape, (1, *shape[1:]), precision="float32")
    found: Measured = {
        "parameters": count_parameters(config.build()),
        "macs": sum(stage.macs for stage in stages(config, side, side)),
        "inference_peak": memory.infer.total if memory else None,
        "training_peak": memory.train.total if memory else None,
    }
    ours, theirs = (Rehearsal(c, 2, precision="float32", fake=False) for c in (config, unet))
    images, masks = ours.images(shape), ours.masks(shape)
    forward = [partial(r.forward, images[:1]) for r in (ours, theirs)]
    step = [partial(r.step, images, masks) for r in (ours, theirs)]
    for what, (work, other) in (("inference", forward), ("training", step)):
        found[what] = time_ratio(work, other, rounds=rounds, seconds=120).model_dump()
    return found


def missing(cases: list[Measured], known: list[Measured], stamp: Measured) -> Iterator[Measured]:
    """Yield the cases that were not measured on this machine with this torch."""
    done = [{k: row.get(k) for k in (*case, "stamp")} for row in known for case in cases if case.items() <= row.items()]
    yield from (case for case in cases if {**case, "stamp": stamp} not in done)


def read_record(folder: Path) -> list[Measured]:
    """Return the rows of the record; none if there is no file.

    Raises:
        UnetzooError: If a line is not a JSON object.
    """
    path = folder / RECORD
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines() if path.exists() else [], 1):
        try:
            row = json.loads(line)
            kind = row["what"]
        except (ValueError, TypeError, KeyError) as error:
            raise UnetzooError(f"{path}: line {number} is not a measurement ({one_line(error)})") from None
        if kind in ("scan", "network"):
            rows.append(row)
    return rows


def run(args: argparse.Namespace) -> None:
    """Measure what is missing and save each row at once."""
    import torch

    from unetzoo.machine.environment import environment
    from unetzoo.machine.lock import MachineLock

    torch.set_num_threads(args.threads)
    now = environment("cpu", "float32")
    stamp = {key: now[key] for key in STAMP}
    cases = scan_cases(args.lengths, args.chunks) if args.only in (None, "scan") else []
    cases += network_cases(args.sides) if args.only in (None, "networks") else []
    known = read_record(args.out)
    args.out.mkdir(parents=True, exist_ok=True)
    for case in list(missing(cases, known, stamp)):
        print(", ".join(f"{key} {value}" for key, value in case.items()), flush=True)
        with MachineLock().alone():
            found = (measure_scan if case["what"] == "scan" else measure_network)(case, args.rounds)
        known = [row for row in known if not case.items() <= row.items()]
        known.append({**case, "stamp": stamp, **found})
        write_atomic(args.out / RECORD, "".join(json.dumps(row) + "\n" for row in known))


def write_page(folder: Path) -> Path:
    """Write README.md from the record; without one it says that nothing was measured yet.

    Args:
        folder: ``reports/state-space``.
    """
    rows = read_record(folder)
    lines = ["# State-space networks beside convolutional ones", ""]
    lines += [
        "What do networks of selective state spaces cost on a CPU, and does their scan's time grow with its length?"
    ]
    if not rows:
        lines += ["", f"Not measured yet. On a machine that does nothing else, run `{COMMAND}`."]
    else:
        lines += ["", answer(rows)]
        stamps = sorted({", ".join(f"{k} {v}" for k, v in row["stamp"].items()) for row in rows})
        lines += [
            "",
            f"Measured in float32 with {'; '.join(stamps)}. Times are medians of rounds in which both ran; the ",
        ]
        lines[-1] += "10th to 90th percentile of the ratio stands in brackets, wide where other work ran beside. "
        lines[-1] += f"Again: `{COMMAND}`."
        lines += scan_table([row for row in rows if row["what"] == "scan"])
        networks = [row for row in rows if row["what"] == "network"]
        lines += network_table(networks)
        known = {(row["name"], row["side"]) for row in networks}
        lacking = [
            f"`{c['name']}` at {c['side']} px" + " by itself" * (c["name"] == "unet")
            for c in network_cases(SIDES)
            if (c["name"], c["side"]) not in known
        ]
        if networks and lacking:
            lines += ["", f"Not measured yet: {', '.join(lacking)}."]
    lines += [
        "",
        "Which of them segments better, in about equal time: [state-space-trained](../state-space-trained/README.md).",
    ]
    path = folder / "README.md"
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(path, "\n".join(lines) + "\n")
    return path


def answer(rows: list[Measured]) -> str:
    """Return what was found, in a sentence or two."""
    from unetzoo.nn.state_space import CHUNK

    told = []
    scans = sorted((r for r in rows if r["what"] == "scan" and r["chunk"] == CHUNK), key=lambda r: r["length"])
    if scans and scans[-1]["length"] > scans[0]["length"] == LENGTHS[0]:
        first, last = scans[0], scans[-1]
        told.append(
            f"{last['length'] / first['length']:.0f} times the tokens take {last['inference']['median']:.0f} times as "
            f"long, {last['training']['median']:.0f} times with the backward pass, and "
            f"{last['training_peak'] / first['training_peak']:.0f} times the memory then."
        )
    networks = [r for r in rows if r["what"] == "network" and r["name"] in STATE_SPACE]
    if not networks:
        told.append("The networks are not measured yet.")
    for side in sorted({r["side"] for r in networks}):
        ratios = [f"{r['name']} {r['training']['median']:.2g}" for r in networks if r["side"] == side]
        told.append(f"A training step at {side} px, in times unet's: {', '.join(ratios)}.")
    return " ".join(told)


def scan_table(rows: list[Measured]) -> list[str]:
    """Return the lines on the scan."""
    if not rows:
        return []
    lines = ["", "## The selective scan", ""]
    lines += [
        f"One sequence, {CHANNELS} channels, {STATES} states; the ratio is to {LENGTHS[0]} tokens at the usual chunk."
    ]
    lines += ["", "| tokens | chunk | inference, ms | ratio | peak, MiB | with backward, ms | ratio | peak, MiB |"]
    lines += ["|--:|--:|--:|--:|--:|--:|--:|--:|"]
    for row in sorted(rows, key=lambda row: (row["length"], row["chunk"])):
        cells = [cell for what in ("inference", "training") for cell in _times(row, what)]
        lines.append(f"| {row['length']:,} | {row['chunk']:,} | {' | '.join(cells)} |")
    return lines


def network_table(rows: list[Measured]) -> list[str]:
    """Return the lines on the networks."""
    if not rows:
        return []
    lines = ["", "## Networks", "", "Inference on one image, a training step on two; ratios are to unet's time."]
    lines += [
        "",
        "| network | image, px | parameters, M | MACs, G | inference, ms | to unet | peak, MiB | step, ms | to unet ",
    ]
    lines[-1] += "| peak, MiB |"
    lines += ["|:--|--:|--:|--:|--:|--:|--:|--:|--:|--:|"]
    order = (*STATE_SPACE, *CONVOLUTIONAL)
    for row in sorted(rows, key=lambda row: (row["side"], order.index(row["name"]) if row["name"] in order else 99)):
        cells = [cell for what in ("inference", "training") for cell in _times(row, what)]
        kind = "state space" if row["name"] in STATE_SPACE else "convolutional"
        name = f"{row['name']} ({kind}) | {row['side']}"
        lines.append(f"| {name} | {row['parameters'] / 1e6:.2f} | {row['macs'] / 1e9:.1f} | {' | '.join(cells)} |")
    return lines


def _times(row: Measured, what: str) -> tuple[str, str, str]:
    """Return time, ratio and peak of inference or training as cells."""
    ratio, held = row[what], row[f"{what}_peak"]
    spread = f"{ratio['median']:.2f} ({ratio['p10']:.2f} to {ratio['p90']:.2f})"
    return f"{ratio['p50_ms']:.1f}", spread, f"{held / MIB:.0f}" if held else "-"


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def main(argv: list[str] | None = None) -> int:
    """Measure and write the page; return an exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "reports/state-space")
    parser.add_argument("--only", choices=("scan", "networks"))
    parser.add_argument("--page", action="store_true", help="only write the page")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--lengths", type=_numbers, default=LENGTHS, help="tokens, separated by commas")
    parser.add_argument("--chunks", type=_numbers, default=CHUNKS, help="tokens, separated by commas")
    parser.add_argument("--sides", type=_numbers, default=SIDES, help="sides of the image in px, separated by commas")
    args = parser.parse_args(argv)
    try:
        if not args.page:
            run(args)
        print(write_page(args.out))
    except UnetzooError as error:
        print(f"error: {error}")
        return 2
    except KeyboardInterrupt:
        print("interrupted; run again to go on")
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
