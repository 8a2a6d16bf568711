"""Measure what scheduling costs: trials that only sleep, by many workers on one folder, and a start of 10,000 trials.

    python benchmarks/scheduling.py [--seconds 10] [--rounds 3] [--workers 1,4,16,64] [--trials 10000]

Each worker is a process that does what a harness on a machine of its own does: it claims trials in the folder that all
share, beats for them, sleeps in place of a training, proves its claim, and writes the record. The workers are forked
once all is imported, so what is measured is the share of time that claims, heartbeats, waiting and records take, not
the imports of a trial.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from unetzoo._util.atomic import write_atomic
from unetzoo.bench.heart import Heart
from unetzoo.bench.output import OutputFolders
from unetzoo.bench.prepared import find_trial, write_prepared
from unetzoo.bench.queue import Queue
from unetzoo.bench.run import _open
from unetzoo.bench.status import read_status
from unetzoo.bench.suite import Suite
from unetzoo.bench.watcher import Watcher
from unetzoo.machine.device import cpu_name
from unetzoo.records.record import read_record

ROOT = Path(__file__).resolve().parents[1]
REPORT = ROOT / "reports" / "scheduling"
POLL_SECONDS = 0.05
SUITE = {
    "name": "scheduling",
    "models": ["unet_d2"],
    "baselines": False,
    "data": {"name": "cells", "options": {"n_train": 3, "n_val": 1, "n_test": 2, "size": 48}},
    "train": {"steps": 2, "batch_size": 2, "crop": 32, "threads": 1},
}


def run_workers(workers: int, rounds: int, seconds: float, out: Path) -> dict[str, Any]:
    """Run ``rounds`` sleeping trials for each worker, and return how long that took and what of it was no sleep."""
    template = read_record(next(iter(sorted((ROOT / "reports/zoo-cells/records").glob("unet-*.json")))))
    stems = [f"trial-s{number}-{number:012x}" for number in range(workers * rounds)]
    (out / "records").mkdir(parents=True)
    fork = multiprocessing.get_context("fork")
    ready, ran = fork.Barrier(workers + 1), fork.Queue()
    given = (stems, out, seconds, template, ready, ran)
    processes = [fork.Process(target=_work, args=given) for _ in range(workers)]
    for process in processes:
        process.start()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ready.wait()
    begun = time.monotonic()
    ended = [ran.get(timeout=60 + 2 * rounds * seconds) for _ in stems]
    for process in processes:
        process.join()
    took = max(at for _, at in ended) - begun  # until the last record is written
    records = {path.stem for path in (out / "records").glob("*.json")}
    if {stem for stem, _ in ended} != set(stems) or records != set(stems):
        raise SystemExit(f"{len(stems)} trials ended as {len(set(ended))} with {len(records)} records")
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "workers": workers,
        "trials": len(stems),
        "seconds": round(took, 3),
        "asleep": rounds * seconds,
        "lost": round(1 - rounds * seconds / took, 4),
        "cpu_seconds": round(spent.ru_utime + spent.ru_stime - before.ru_utime - before.ru_stime, 3),
    }


def _work(stems: list[str], out: Path, seconds: float, template: Any, ready: Any, ran: Any) -> None:
    """Do what a harness does, with a sleep in place of a trial."""
    suite = SimpleNamespace(limits=SimpleNamespace(stale_seconds=120.0))
    with Heart() as heart:
        queue = Queue([_job(stem, out, suite) for stem in stems], heart)
        ready.wait()
        while queue.open():
            job: Any = queue.take()
            queue.ended()
            if job is None:
                time.sleep(POLL_SECONDS)
                continue
            time.sleep(seconds)
            job.claim.renew()
            record = template.model_copy(update={"id": job.trial.stem[-12:]})
            write_atomic(job.folders.record(job.trial), record.to_json())
            ran.put((job.trial.stem, time.monotonic()))
            job.status = "ok"
            queue.release(job)


def _job(stem: str, out: Path, suite: Any) -> Any:
    return SimpleNamespace(
        trial=SimpleNamespace(stem=stem), folders=OutputFolders(out), suite=suite, before=None, claim=None, status=None,
        reason=None, elsewhere=False, progress=dict,
    )  # fmt: skip


def start(trials: int, out: Path) -> list[dict[str, Any]]:
    """Return the seconds of each thing that happens to a suite of many trials before its first one runs."""
    import torch  # noqa: F401  # its import is no part of what grows with the trials

    suite = Suite.from_mapping({**SUITE, "seeds": trials}, "scheduling.py")
    small = Suite.from_mapping({**SUITE, "seeds": 1}, "scheduling.py")
    _open(small, out / "small", False, Watcher())  # imports
    found: list[dict[str, Any]] = []

    def timed(what: str, call: Callable[[], Any]) -> Any:
        begun, cpu = time.monotonic(), time.process_time()
        result = call()
        spent = {"seconds": round(time.monotonic() - begun, 3), "cpu_seconds": round(time.process_time() - cpu, 3)}
        found.append({"what": what, **spent})
        return result

    members, todo = timed("check the suite, make its trials", lambda: _open(suite, out, False, Watcher()))
    prepared = timed("write the prepared run", lambda: write_prepared(out, members, todo))
    with Heart() as heart:
        timed("claim the first trial", lambda: Queue(todo, heart).take())
    timed("find one trial of the prepared run", lambda: find_trial(out, prepared.trials[-1].id))
    timed("unetzoo status", lambda: read_status(out))
    return found


def answer(found: dict[str, Any]) -> str:
    """Return the largest share that was lost, and the time until the first trial, in a sentence."""
    worst = max(found["workers"], key=lambda row: row["lost"])
    before = sum(row["seconds"] for row in found["start"][:3])
    return (
        f"At most {100 * worst['lost']:.1f} % of the time of trials that last {found['trial_seconds']:g} s "
        f"({worst['workers']} workers); a suite of {found['trials']:,} trials starts within {before:.1f} s."
    )


def crowding(found: dict[str, Any]) -> str:
    """Return how much of this machine's processors the most workers took, which would have their own elsewhere."""
    most = max(found["workers"], key=lambda row: row["workers"])
    busy = most["cpu_seconds"] / (most["seconds"] * found["cores"])
    least = min(found["workers"], key=lambda row: row["workers"])
    each, alone = (row["cpu_seconds"] / row["workers"] / row["seconds"] for row in (most, least))
    return (
        f"The {most['workers']} workers share {found['cores']} cores here, keep them busy for {busy:.0%} of the time, "
        f"and wait for each other, since their sleeps end together. Each takes {each:.1%} "
        f"of a core, a worker by itself {alone:.1%}."
    )


def page(found: dict[str, Any]) -> str:
    """Return the page of the figures, which says under which conditions they were taken."""
    lines = [
        "# What scheduling costs",
        "",
        "How much time do claims, heartbeats and records take from the trials of a suite?",
        "",
        answer(found),
        "",
        f"Trials of {found['trial_seconds']:g} s that only sleep, run by workers that share one folder. Each worker is"
        " a forked process that does all that a harness on a machine of its own does: claim, heartbeat, proof of the"
        " claim, record. No trial is started, so imports are not in it. Lost: the share of the time that was no sleep.",
        "",
        f"{found['cpu']}, {found['cores']} cores, load {found['load'][0]} before and {found['load'][1]} after;"
        f" Python {found['python']}, {found['system']}. Made by `benchmarks/scheduling.py`.",
        "",
        "| workers | trials | seconds | of them asleep | lost | processor seconds |",
        "|--:|--:|--:|--:|--:|--:|",
        *(
            f"| {row['workers']} | {row['trials']} | {row['seconds']:.1f} | {row['asleep']:g} |"
            f" {100 * row['lost']:.1f} % | {row['cpu_seconds']:.2f} |"
            for row in found["workers"]
        ),
        "",
        crowding(found),
        "",
        f"## Start of a suite of {found['trials']:,} trials",
        "",
        "| what | seconds | processor seconds |",
        "|:--|--:|--:|",
        *(f"| {row['what']} | {row['seconds']:.2f} | {row['cpu_seconds']:.2f} |" for row in found["start"]),
        "",
        "The first three come before the first trial.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", default="1,4,16,64")
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=REPORT)
    given = parser.parse_args()
    before = round(os.getloadavg()[0], 1)
    with tempfile.TemporaryDirectory() as folder:
        started = start(given.trials, Path(folder) / "start")
        rows = [
            run_workers(workers, given.rounds, given.seconds, Path(folder) / str(workers))
            for workers in map(int, given.workers.split(","))
        ]
    found = {
        "trial_seconds": given.seconds,
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "load": [before, round(os.getloadavg()[0], 1)],
        "python": platform.python_version(),
        "system": platform.platform(),
        "workers": rows,
        "trials": given.trials,
        "start": started,
    }
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "scheduling.json").write_text(json.dumps(found, indent=1) + "\n")
    (given.out / "README.md").write_text(page(found))


if __name__ == "__main__":
    main()
