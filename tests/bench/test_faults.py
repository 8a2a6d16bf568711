"""Faults injected into long runs: no record is lost or wrong, and a resumed trial ends bit for bit the same."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from unetzoo.bench.run import run
from unetzoo.bench.suite import Suite
from unetzoo.bench.suite_file import read_suite
from unetzoo.bench.watcher import Watcher
from unetzoo.records.record import read_record

SUITE = """
models = ["own_faulty"]
seeds = 4
imports = ["faulty_models.py"]
baselines = false
[data]
name = "cells"
options = { n_train = 3, n_val = 1, n_test = 2, size = 48 }
[train]
steps = 10
batch_size = 2
crop = 48
validate_every = 3
threads = 1
precision = "float32"
[measure]
size = 48
repeats = 5
attempts = 1
[limits]
checkpoint_seconds = 0
hang_minutes = 0.2
"""
SEEDS = 4
# Status of a trial after each kind of fault, unless it succeeds despite it.
STATUS = {"kill": "killed", "terminate": "killed", "exit": "crashed", "raise": "crashed", "hang": "hung", "oom": "oom"}
STATUS |= {"nan": "nan", "full disk": "crashed", "read-only": "crashed"}
# Calls 1 to 3 of a network in training mode are those of the measurements; a full attempt makes ten.
IN_TRIAL = [
    *({"kind": "kill", "where": "train", "at": at} for at in (1, *range(2, 9))),
    *({"kind": kind, "where": "train", "at": at} for kind in ("raise", "exit", "terminate") for at in (3, 5, 7)),
    *({"kind": kind, "where": "train", "at": at} for kind in ("oom", "nan") for at in (4, 6)),
    {"kind": "hang", "where": "train", "at": 4},
    *({"kind": "kill", "where": "checkpoint*.pt", "at": at} for at in (1, 2, 4, 6)),
    *({"kind": "full disk", "where": "checkpoint*.pt", "at": at} for at in (1, 3, 5)),
    {"kind": "read-only", "where": "checkpoint*.pt", "at": 2},
    *({"kind": kind, "where": "*.json", "at": 1} for kind in ("kill", "full disk", "read-only")),
    *({"kind": kind, "where": "model.safetensors", "at": 1} for kind in ("kill", "full disk")),
    {"kind": "clock", "where": "train", "at": 6},
    {"kind": "clock", "where": "train", "at": 1},
]


@pytest.fixture(scope="module")
def suite_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("faults")
    (folder / "faulty_models.py").write_text((Path(__file__).parents[1] / "support/faulty_models.py").read_text())
    (folder / "suite.toml").write_text(SUITE)
    replace = Path.replace
    yield folder / "suite.toml"
    Path.replace = replace  # type: ignore[method-assign]


@pytest.fixture(scope="module")
def whole(suite_file: Path) -> tuple[Suite, Path]:
    """Return the suite, and a folder of a run in which nothing went wrong."""
    suite, out = read_suite(suite_file), suite_file.parent / "whole"
    assert list(run(suite, out, jobs=2)["status"]) == ["ok"] * SEEDS
    return suite, out


def lasting(out: Path) -> dict[str, Any]:
    """Return the parts of a folder's records and weights that must not depend on the faults."""
    kept: dict[str, Any] = {}
    for path in sorted((out / "records").glob("*.json")):
        kept[path.name] = read_record(path).model_dump(exclude={"cost", "environment", "resumed"})
    for path in sorted((out / "trials").glob("*/model.safetensors")):
        kept[f"{path.parent.name} weights"] = path.read_bytes()
    return kept


def inject(suite_file: Path, seed: int, fault: dict[str, Any]) -> None:
    (suite_file.parent / f"fault-{seed}.json").write_text(json.dumps(fault))


def damage(path: Path, random_: random.Random) -> str:
    """Damage a file as a power loss does: cut short, empty, or filled with zeros."""
    content = path.read_bytes()
    kind = random_.choice(["cut", "empty", "zeros"])
    at = random_.randrange(1, len(content)) if kind != "empty" else 0
    path.write_bytes(content[:at] + (bytes(len(content) - at) if kind == "zeros" else b""))
    return f"{kind} {path.suffix}"


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("in_trials", "at_least"), [(16, 24), pytest.param(len(IN_TRIAL), 50, marks=pytest.mark.nightly)]
)
def test_faults_lose_nothing(
    in_trials: int, at_least: int, whole: tuple[Suite, Path], suite_file: Path, capsys: Any
) -> None:
    suite, reference = whole
    out, dice = suite_file.parent / f"tortured-{in_trials}", random.Random(2015)
    faults = dice.sample(IN_TRIAL, in_trials)
    struck: Counter[str] = Counter()
    resumed = rounds = 0
    while faults:
        rounds += 1
        assert rounds < 40
        planned = {seed: faults.pop() for seed in range(SEEDS) if faults}
        for seed, fault in planned.items():
            inject(suite_file, seed, fault)
        run(suite, out, jobs=2, retry_failed=True)
        for seed, fault in planned.items():
            if (suite_file.parent / f"fault-{seed}.json").exists():  # it had ended before the fault: try again
                faults.insert(0, fault)
                continue
            struck[f"{fault['kind']} in {fault['where']}"] += 1
            (path,) = (out / "records").glob(f"own_faulty-s{seed}-*.json")
            record = read_record(path)
            # A full disk is handled by freeing space or by skipping the checkpoint or weights, so those trials succeed.
            spared = fault["kind"] == "full disk" or fault["where"] != "*.json"
            ends_well = fault["kind"] == "clock" or (fault["where"] != "train" and fault["kind"] != "kill" and spared)
            assert record.status == ("ok" if ends_well else STATUS[fault["kind"]]), (fault, record.reason)
            assert (record.reason is None) == ends_well
            unsaved = [flag.kind for flag in record.flags if flag.kind == "weights-not-saved"]
            assert bool(unsaved) == (ends_well and fault["where"] == "model.safetensors")
        for path in sorted((out / "records").glob("*.json")):
            if read_record(path).status == "ok":  # otherwise there would be nothing left to disturb
                struck[damage(path, dice)] += 1
        for path in sorted((out / "trials").glob("*/checkpoint.pt")):
            if dice.random() < 0.3:
                struck[damage(path, dice)] += 1
            else:
                resumed += 1  # the next attempt begins there
    for path in sorted((out / "trials").glob("*/model.safetensors"))[:2]:
        struck[damage(path, dice)] += 1  # in trials without a complete record, which run again
    assert list(run(suite, out, jobs=2, retry_failed=True)["status"]) == ["ok"] * SEEDS
    expected, found = lasting(reference), lasting(out)
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []
    assert resumed >= at_least // 4
    assert struck.total() >= at_least
    leftovers = [p.name for p in out.rglob(".*") if p.is_file()]
    assert leftovers == []
    with capsys.disabled():
        print(f"\n{struck.total()} faults injected, 0 records lost or wrong, {resumed} attempts resumed: ", end="")
        print(", ".join(f"{count} x {what}" for what, count in sorted(struck.items())))


class Interrupt(Watcher):
    """A watcher that sends Ctrl-C (or another signal) during training; with ``again``, once more while stopping."""

    def __init__(self, after: int, again: bool = False, number: signal.Signals = signal.SIGINT) -> None:
        self.left, self.again, self.number, self.asked = after, again, number, 0

    def change(self, job: Any) -> None:
        self.left -= job.last.get("phase") == "train"
        if self.left == 0:
            self.left = -1
            os.kill(os.getpid(), self.number)

    def stopping(self) -> None:
        self.asked += 1
        if self.again:
            os.kill(os.getpid(), signal.SIGINT)


def test_interrupted_anywhere_it_goes_on_where_it_stopped(whole: tuple[Suite, Path], tmp_path: Path) -> None:
    suite, reference = whole
    resumed: set[int] = set()
    for after, again, number in (
        (3, False, signal.SIGINT),
        (9, False, signal.SIGTERM),
        (5, True, signal.SIGINT),
        (14, False, signal.SIGINT),
    ):
        watcher = Interrupt(after, again, number)
        with pytest.raises(KeyboardInterrupt):
            run(suite, tmp_path, watcher=watcher)
        assert watcher.asked == 1
    assert list(run(suite, tmp_path, jobs=2)["status"]) == ["ok"] * SEEDS
    for path in (tmp_path / "records").glob("*.json"):
        resumed.update(read_record(path).resumed)
    assert resumed
    assert lasting(tmp_path) == lasting(reference)


def test_the_harness_killed_takes_its_trial_along(whole: tuple[Suite, Path], suite_file: Path, tmp_path: Path) -> None:
    suite, reference = whole
    command = [sys.executable, "-m", "unetzoo.cli", "bench", str(suite_file), "--out", str(tmp_path)]
    harness = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list((tmp_path / "records").glob("*.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.5)
    trials = _descendants(harness.pid)
    harness.kill()
    harness.wait()
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{trial}").exists() for trial in trials) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(trials) >= 2, "there was no trial under way"
    assert not [trial for trial in trials if Path(f"/proc/{trial}").exists()], "a trial outlived its harness"
    assert list(run(suite, tmp_path, jobs=2)["status"]) == ["ok"] * SEEDS
    assert lasting(tmp_path) == lasting(reference)


def test_a_termination_of_all_processes_is_no_failure(suite_file: Path, tmp_path: Path) -> None:
    """The signal comes as ``timeout``, a batch system or a service manager sends it."""
    changed = tmp_path / "long.toml"
    changed.write_text(SUITE.replace("steps = 10", "steps = 100000").replace('"faulty', f'"{suite_file.parent}/faulty'))
    command = [sys.executable, "-m", "unetzoo.cli", "bench", str(changed), "--out", str(tmp_path / "out")]
    harness = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 60
    while not list((tmp_path / "out").glob("trials/*/checkpoint.pt")) and time.monotonic() < deadline:
        time.sleep(0.05)
    trials = _descendants(harness.pid)
    os.killpg(harness.pid, signal.SIGTERM)
    for trial in trials:
        with suppress(ProcessLookupError):
            os.kill(trial, signal.SIGTERM)
    assert harness.wait(timeout=30) == 130
    assert list((tmp_path / "out" / "records").glob("*.json")) == []
    assert list((tmp_path / "out").glob("trials/*/checkpoint.pt"))


def _descendants(ancestor: int) -> list[int]:
    """Return the ids of the fork server and the trials below it."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    found = [ancestor]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found[1:]


def test_two_harnesses_on_one_folder(whole: tuple[Suite, Path], suite_file: Path, tmp_path: Path) -> None:
    """Each trial runs in one of them, and both wait until all have ended."""
    suite, reference = whole
    command = [sys.executable, "-m", "unetzoo.cli", "bench", str(suite_file), "--out", str(tmp_path), "--jobs", "1"]
    harnesses = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [harness.communicate(timeout=200)[0] for harness in harnesses]
    assert [harness.returncode for harness in harnesses] == [0, 0]
    assert lasting(tmp_path) == lasting(reference)
    trained = [
        line.split(" seed ")[1].split(":")[0] for text in said for line in text.splitlines() if "started" in line
    ]
    assert sorted(trained) == [str(seed) for seed in suite.seeds]


class Held:
    """A process that holds the claim on a trial until its standard input ends."""

    def __init__(self, out: Path, trial: str) -> None:
        code = (
            "import sys; from pathlib import Path; from unetzoo.bench.claims import take\n"
            "from unetzoo.bench.heart import Heart\n"
            "with Heart() as heart:\n"
            "    heart.keep(take(Path(sys.argv[1]), sys.argv[2], 0, 6))\n"
            "    print(flush=True)\n"
            "    sys.stdin.read()\n"
        )
        command = [sys.executable, "-c", code, str(out / "claims"), trial]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.process.stdout.readline()

    def end(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        assert self.process.wait(timeout=30) == 0
        self.process.stdout.close()


def test_a_trial_of_another_process_is_waited_for_or_left(whole: tuple[Suite, Path], tmp_path: Path) -> None:
    suite = whole[0].model_copy(update={"seeds": [0]})
    trial = next((whole[1] / "records").glob("own_faulty-s0-*.json")).stem
    other = Held(tmp_path, trial)

    class Told(Watcher):
        def __init__(self) -> None:
            self.waits: list[str] = []
            self.unfinished = 0

        def wait(self, owner: str) -> None:
            self.waits.append(owner)
            other.end()

        def left(self, jobs: list[Any]) -> None:
            self.unfinished = len(jobs)

    told = Told()
    assert len(run(suite, tmp_path, wait=False, watcher=told)) == 0
    assert (told.unfinished, told.waits) == (1, [])
    assert list(run(suite, tmp_path, watcher=told)["status"]) == ["ok"]
    assert told.waits[0].startswith(f"process {other.process.pid} on ")
    assert not list((tmp_path / "claims").iterdir())


def test_limits_end_a_trial(whole: tuple[Suite, Path], suite_file: Path, tmp_path: Path) -> None:
    suite, _ = whole
    limits = {"minutes": 0.02, "hang_minutes": 5.0}
    changed = Suite.from_mapping({**suite.model_dump(), "seeds": [0], "limits": limits}, "suite")
    inject(suite_file, 0, {"kind": "hang", "where": "train", "at": 6})
    trials = run(changed, tmp_path / "slow")
    assert list(trials["status"]) == ["timeout"]
    assert "ended after limits.minutes = 0.02" in trials["reason"][0]
    (suite_file.parent / "fault-0.json").unlink(missing_ok=True)

    limits = {"memory_gib": 0.5}  # less than torch itself takes
    changed = Suite.from_mapping({**suite.model_dump(), "seeds": [0], "limits": limits}, "suite")
    trials = run(changed, tmp_path / "small")
    assert list(trials["status"]) == ["oom"], trials["reason"][0]
