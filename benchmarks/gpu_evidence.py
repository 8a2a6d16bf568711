"""Runs, within some minutes, the trials that settle most of what the claims leave open; see gpu-evidence.sh.

    python benchmarks/gpu_evidence.py --minutes 60 --list            # only what would run, by a plan measured here
    python benchmarks/gpu_evidence.py --minutes 60                   # run it into reports
    python benchmarks/gpu_evidence.py --minutes 60 --device any      # also without a GPU

A batch is one data set of a claim's suite, the variants that its open parts name, and the seeds that these lack for a
verdict (three), or one seed more. Batches are ordered by the open parts that bear on them for each second they are
planned to take; a further seed counts half, since it narrows an interval and settles a part only perhaps. What the time
ends is saved and goes on another time.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unetzoo.bench.collection import Collection
from unetzoo.bench.plan import plan_suite
from unetzoo.bench.run import run
from unetzoo.bench.suite_file import read_suite
from unetzoo.claims.definition import Claim, Part, claims_folder, read_claims
from unetzoo.claims.evidence import judge_part
from unetzoo.claims.run import Asking, ask, named
from unetzoo.claims.trained import score_predictions
from unetzoo.errors import UnetzooError
from unetzoo.machine.device import resolve_device
from unetzoo.records.fields import label_of, seed_of
from unetzoo.records.reading import read_all
from unetzoo.report.verdicts.family import MIN_SEEDS

FURTHER = 0.5  # weight of a part for a seed beyond those that a verdict needs
Open = dict[tuple[str, str], list[Part]]  # suite file without its ending, label of the data set -> parts


@dataclass(frozen=True)
class Batch:
    """Seeds of the variants of a suite that open parts name, on one data set.

    Attributes:
        suite: Name of the suite's file, without its ending.
        data: Label of the data set.
        seeds: Seeds that are there afterwards.
        seconds: Planned duration.
        worth: Open parts that bear on it, weighed.
    """

    suite: str
    data: str
    seeds: int
    seconds: float
    worth: float


def open_parts(claims: Iterable[Claim], results: Path) -> Open:
    """Find the parts that compare variants and are undecided or not run.

    Args:
        claims: The claims.
        results: Folder of the results of the suites.

    Returns:
        The parts by suite and data set; a part on two data sets is among those of both.
    """
    found: Open = {}
    for claim in claims:
        if claim.suite is None or not claim.suite.startswith("suites/"):  # one of another report
            continue
        for part in claim.parts:
            if part.data is None or judge_part(part, results / claim.results_folder, claim.parts).word not in (
                "undecided",
                "not run yet",
            ):
                continue
            for label in {part.data, part.against_data or part.data}:
                found.setdefault((Path(claim.suite).stem, label), []).append(part)
    return found


def done(folder: Path) -> dict[str, int]:
    """Return the number of finished seeds of each variant in a folder of results."""
    seeds: dict[str, set[int]] = {}
    for record in read_all(folder)[0] if (folder / "records").is_dir() else []:
        if record.status == "ok" and not record.baseline:
            seeds.setdefault(label_of(record), set()).add(seed_of(record))
    return {label: len(found) for label, found in seeds.items()}


def batches(
    suite: str, data: str, parts: int, seconds: Mapping[str, float], have: Mapping[str, int], most: int
) -> list[Batch]:
    """Return what can be run of a data set, in order: first the seeds that a verdict needs, then one at a time.

    Args:
        suite: Name of the suite.
        data: Label of the data set.
        parts: Open parts that bear on it.
        seconds: Planned seconds of a trial by variant.
        have: Finished seeds by variant.
        most: Seeds of the suite.
    """
    found, now = [], {label: have.get(label, 0) for label in seconds}
    for target in dict.fromkeys([min(MIN_SEEDS, most), *range(MIN_SEEDS + 1, most + 1)]):
        missing = sum(max(0, target - now[label]) * each for label, each in seconds.items())
        if missing > 0:
            found.append(Batch(suite, data, target, missing, parts * (1.0 if target <= MIN_SEEDS else FURTHER)))
        now = {label: max(target, count) for label, count in now.items()}
    return found


def chosen(lines: Iterable[list[Batch]], seconds: float) -> list[Batch]:
    """Return the batches to run in their order, the most parts for a second first, until the time is used up.

    Args:
        lines: For each data set its batches, each of which needs those before it.
        seconds: The time.
    """
    waiting, found = [list(line) for line in lines if line], []
    while heads := [line for line in waiting if line and line[0].seconds <= seconds]:
        best = max(heads, key=lambda line: line[0].worth / line[0].seconds)
        found.append(best.pop(0))
        seconds -= found[-1].seconds
    return found


def plan_all(opened: Open, results: Path, minutes: float, say: Any = print) -> list[Batch]:
    """Return the batches for some minutes, by a plan that is measured on this machine.

    Args:
        opened: The open parts.
        results: Folder of the results of the suites.
        minutes: Time for trials.
        say: Called with a line on what is done.
    """
    lines = []
    for (name, label), parts in opened.items():
        suite, count = asked(name, parts).suites[label], len(parts)
        say(f"planning {name} on {label}, which {count} open part{'s' * (count != 1)} wait for", flush=True)
        seconds = {row.label: row.trial_seconds for row in plan_suite(suite).rows}
        if problems := [each for each, taken in seconds.items() if taken is None]:
            say(f"left out: {name} on {label}: {', '.join(problems)} cannot be timed here", flush=True)
            continue
        known = {each: taken for each, taken in seconds.items() if taken is not None}
        lines.append(batches(name, label, count, known, done(results / name / label), len(suite.seeds)))
    return chosen(lines, 60 * minutes)


def asked(name: str, parts: Sequence[Part]) -> Collection:
    """Return a suite of the claims with the variants that some parts name.

    Args:
        name: Name of its file, without the ending.
        parts: The parts.
    """
    collection = read_suite(claims_folder() / "suites" / f"{name}.toml")
    assert isinstance(collection, Collection)
    suites = {label: named(suite, parts, label) for label, suite in collection.suites.items()}
    return collection.model_copy(update={"suites": suites})


def main() -> int:
    """Plan, run and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, required=True, help="time for trials, after planning")
    parser.add_argument("--out", type=Path, default=Path("reports/claims"), help="folder of the claims' page")
    parser.add_argument("--results", type=Path, default=Path("reports"), help="folder of the suites' results")
    parser.add_argument("--device", choices=["cuda", "any"], default="cuda")
    parser.add_argument("--list", action="store_true", help="only say what would run")
    args = parser.parse_args()
    if not args.minutes > 0:
        parser.error(f"--minutes {args.minutes:g} must be above 0")
    if args.device == "cuda" and resolve_device("auto") != "cuda":
        parser.error("torch sees no CUDA device; --device any runs without one")
    opened = open_parts(read_claims(claims_folder()), args.results)
    found = plan_all(opened, args.results, args.minutes)
    for batch in found:
        print(f"{batch.suite} on {batch.data}, {batch.seeds} seeds: {batch.seconds / 60:.1f} min")
    if not found:
        print(f"nothing that is open fits into {args.minutes:g} minutes")
    if args.list or not found:
        return 0
    timer = threading.Timer(60 * args.minutes, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        for batch in found:
            suite = asked(batch.suite, opened[batch.suite, batch.data])
            run(suite, args.results / batch.suite, data=batch.data, seeds=batch.seeds)
    except KeyboardInterrupt:
        print("the time is over, or Ctrl-C: trials are saved, and the same command goes on with them")
    finally:
        timer.cancel()
    for name, label in {(batch.suite, batch.data): None for batch in found}:
        folder = args.results / name / label
        if done(folder):
            score_predictions(folder, asked(name, opened[name, label]).suites[label])
    print(ask(Asking(out=args.out, results=args.results)))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UnetzooError as error:
        sys.exit(f"error: {error}")
