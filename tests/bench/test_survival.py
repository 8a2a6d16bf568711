"""Trials that die, print or start what they should not: the suite ends, and each of its records can be read."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

import unetzoo
from unetzoo._util.tail import tail
from unetzoo.bench import fork_server, local, logs
from unetzoo.bench.logs import LOG_BYTES, trim
from unetzoo.bench.run import run
from unetzoo.bench.suite import Suite
from unetzoo.bench.watcher import Watcher
from unetzoo.machine.processes import condition
from unetzoo.models import registry
from unetzoo.records.manifest import read_manifest
from unetzoo.records.record import WEIGHTS_NOT_SAVED, Record, read_record
from unetzoo.report import write_report

MODELS = '''
import os, signal, subprocess, sys, time
from pathlib import Path
import torch
import unetzoo
from torch import nn
from unetzoo.bench import run_trial
from unetzoo.measure import latency

latency.PRODUCT_SIDE["cpu"] = 64  # nothing here depends on a timing
HERE = Path(__file__).parent

class Head(nn.Module):
    """One convolution."""
    def __init__(self, in_channels, num_classes):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, num_classes, 3, padding=1)
    def forward(self, x):
        return self.conv(x)

@unetzoo.register_model("survive_fine")
class Fine(Head): ...

@unetzoo.register_model("survive_unsound")
class Unsound(Head):
    def forward(self, x):
        print("\\x1b[2J\\0", "x" * 12_000_000)
        sys.stderr.buffer.write(b"caf\\xe9\\n")
        raise ValueError("cannot read " + os.fsdecode(b"/data/caf\\xe9.npy") + "\\0" + "y" * 10**7)

class Orphaned(Head):
    """Starts a process in a session of its own, as a service does."""
    def forward(self, x):
        if not isinstance(x, torch._subclasses.FakeTensor):
            process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
            (HERE / f"{type(self).__name__}-{process.pid}.pid").touch()
            self.end()
        return self.conv(x)

@unetzoo.register_model("survive_daemon_killed")
class DaemonKilled(Orphaned):
    def end(self):
        os.kill(os.getpid(), signal.SIGKILL)

@unetzoo.register_model("survive_daemon_raises")
class DaemonRaises(Orphaned):
    def end(self):
        raise RuntimeError("it broke")

@unetzoo.register_model("survive_daemon_alone")
class DaemonAlone(Orphaned):
    def end(self):
        from unetzoo.machine.processes import look
        for pid in (look(os.getppid()).parent, os.getpid()):  # the harness and the trial
            os.kill(pid, signal.SIGKILL)

def save_model(*arguments, **options):
    """Fail once at the end of a trial, as the file 'fault' says."""
    fault = HERE / "fault"
    if fault.exists():
        kind = fault.read_text()
        fault.unlink()
        if kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(28, "No space left on device")
    return original(*arguments, **options)

original, run_trial.save_model = run_trial.save_model, save_model
'''
DATA = {"name": "cells", "options": {"n_train": 3, "n_val": 4, "n_test": 2, "size": 48}}
TRAIN = {"steps": 4, "batch_size": 2, "crop": 48, "validate_every": 2, "threads": 1}


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    from unetzoo.bench import run_trial

    path, before = tmp_path_factory.mktemp("survive") / "survivors.py", run_trial.save_model
    path.write_text(MODELS)
    yield path
    run_trial.save_model = before
    for name in unetzoo.list_models("survive_*"):
        del registry._REGISTRY.entries[name]


def suite(plugin: Path, *models: Any, **changes: Any) -> Suite:
    made = {"name": "s", "models": list(models), "data": DATA, "train": TRAIN, "imports": [str(plugin)]}
    measure = {"size": 48, "repeats": 5, "attempts": 1}
    return Suite.from_mapping({**made, "measure": measure, "baselines": False, **changes}, "s.toml")


def records(out: Path) -> dict[str, Record]:
    found = [read_record(path) for path in sorted((out / "records").glob("*.json"))]
    return {f"{record.trial['model']['name']} {record.trial['seed']}": record for record in found}


class Notes(Watcher):
    """A watcher that keeps the notes on what broke, and kills the fork server before the first trial or at a step."""

    def __init__(self, kill_at: tuple[str, ...] = ()) -> None:
        self.notes: list[str] = []
        self.kill_at = list(kill_at)
        self.killed: set[int] = set()

    def note(self, line: str) -> None:
        if "no verdicts" not in line:  # said of all these suites: they have two test images
            self.notes.append(line)

    def start(self, todo: list[Any], reused: int) -> None:
        self._kill("start")

    def change(self, job: Any) -> None:
        if job.last.get("phase") == "train":
            self._kill("train")

    def _kill(self, when: str) -> None:
        server = fork_server.server_id()
        if server is not None and when in self.kill_at and server not in self.killed:
            self.kill_at.remove(when)
            self.killed.add(server)
            os.kill(server, signal.SIGKILL)
            while condition(server) != "ended":
                time.sleep(0.01)


def test_unsound_and_endless_text_leaves_the_folder_usable(plugin: Path, tmp_path: Path) -> None:
    made = suite(plugin, {"name": "survive_unsound", "label": "a\x1b[31mb"}, "survive_fine")
    for _ in range(2):  # the second time the records are there already
        trials = run(made, tmp_path)
        assert sorted(trials["status"]) == ["crashed", "ok"]
    record = records(tmp_path)["survive_unsound 0"]
    assert (record.reason or "").startswith("ValueError: cannot read /data/caf\\xe9.npy\\x00yyy")
    assert (record.reason or "").endswith(" more characters]")
    assert record.trial["model"]["label"] == "a\\x1b[31mb"
    assert 'File "' in (record.log_tail or "")  # not pushed out by the long line
    for path in (tmp_path / "records").glob("*.json"):
        assert path.stat().st_size < 300_000
    assert max(path.stat().st_size for path in (tmp_path / "trials").glob("*/log.txt")) <= LOG_BYTES
    page = write_report(tmp_path)
    for path in (page, tmp_path / "results.csv", tmp_path / "summary.md"):
        text = path.read_text()
        assert "caf\\xe9" in text.replace("\\\\", "\\")
        assert not {"\0", "\x1b"} & set(text)
    assert page.stat().st_size < 3_000_000


def test_ends_of_logs_are_read_in_bounded_memory(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("".join(f"line {n}\n" for n in range(100)))
    assert tail(log) == "\n".join(f"line {n}" for n in range(40, 100))
    log.write_bytes(b"one line " * 10**5 + b"\xe9\x1b\nlast\rwords\0")
    found = tail(log).splitlines()
    assert found[0].endswith(" more bytes before]")
    assert found[1].endswith(" more characters]")
    assert found[-2:] == ["last", "words\\x00"]
    with log.open("wb") as file:
        file.truncate(2**40)  # a sparse file
    assert len(tail(log)) < 20_000
    assert tail(tmp_path / "none") == ""


def test_a_long_log_loses_its_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"LOG_BYTES": 1000, "HEAD_BYTES": 100, "END_BYTES": 300}.items():
        monkeypatch.setattr(logs, name, value)
    log = tmp_path / "log.txt"
    with log.open("ab", buffering=0) as file:
        for n in range(300):
            file.write(b"%09d\n" % n)
            trim(log)
            assert log.stat().st_size <= 1000
    lines = log.read_text().splitlines()
    assert lines[0] == "000000000"
    assert lines[-1] == "000000299"
    assert sum("cut here" in line for line in lines) == 1
    trim(tmp_path / "none")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process adopt orphans")
def test_nothing_that_a_trial_started_outlives_it(plugin: Path, tmp_path: Path) -> None:
    run(suite(plugin, "survive_daemon_killed", "survive_daemon_raises"), tmp_path)
    assert [record.status for record in records(tmp_path).values()] == ["killed", "crashed"]
    started = {path.stem.partition("-")[0]: int(path.stem.partition("-")[2]) for path in plugin.parent.glob("*.pid")}
    assert started.keys() == {"DaemonKilled", "DaemonRaises"}
    assert {condition(pid) for pid in started.values()} == {"ended"}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process adopt orphans")
def test_nothing_outlives_a_harness_and_a_trial_that_are_killed_at_once(plugin: Path, tmp_path: Path) -> None:
    file = tmp_path / "s.json"
    file.write_text(suite(plugin, "survive_daemon_alone").model_dump_json())
    code = (
        "import json, sys; from unetzoo.bench.run import run; from unetzoo.bench.suite import Suite\n"
        "if __name__ == '__main__':\n"
        "    run(Suite.from_mapping(json.load(open(sys.argv[1])), 's'), sys.argv[2])\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(file), str(tmp_path / "out")], check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL
    (pid,) = (int(path.stem.partition("-")[2]) for path in plugin.parent.glob("DaemonAlone-*.pid"))
    deadline = time.monotonic() + 30
    while condition(pid) != "ended" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert condition(pid) == "ended"


@pytest.mark.nightly  # starts four servers, each of which imports torch
@pytest.mark.skipif(sys.platform != "linux", reason="there is a fork server on Linux alone")
def test_a_killed_fork_server_is_started_again(plugin: Path, tmp_path: Path) -> None:
    """The first trial starts although it was killed before; one that dies with it is started again, but only once."""
    fork_server.start_method()
    watcher = Notes(kill_at=("start", "train", "train"))
    endless = suite(plugin, "survive_fine", train={**TRAIN, "steps": 10**7, "validate_every": 10**7})
    trials = run(endless, tmp_path, watcher=watcher)
    assert watcher.kill_at == []
    assert len(watcher.notes) == 2
    assert all("was killed; it is started again" in note for note in watcher.notes)
    assert list(trials["status"]) == ["killed"]
    assert str(trials["reason"].iloc[0]).startswith("its fork server was killed a second time")


def test_a_trial_killed_after_its_last_step_has_a_whole_account(plugin: Path, tmp_path: Path) -> None:
    made = suite(plugin, "survive_fine", limits={"checkpoint_seconds": 0})
    whole = run(made, tmp_path / "whole")
    (plugin.parent / "fault").write_text("kill")
    assert list(run(made, tmp_path / "killed")["status"]) == ["killed"]
    assert list(run(made, tmp_path / "killed", retry_failed=True)["status"]) == ["ok"]
    (expected,), (found,) = records(tmp_path / "whole").values(), records(tmp_path / "killed").values()
    assert found.events == expected.events
    assert [event.items for event in found.events if event.split == "val"] == [4, 0]
    assert (expected.resumed, found.resumed) == ([], [4])
    assert found.result == expected.result
    assert len(whole) == 1


def test_weights_lost_to_a_full_disk_are_made_again(plugin: Path, tmp_path: Path) -> None:
    made = suite(plugin, "survive_fine")
    (plugin.parent / "fault").write_text("full disk")
    run(made, tmp_path)
    (before,) = records(tmp_path).values()
    assert [flag.kind for flag in before.flags if flag.kind == WEIGHTS_NOT_SAVED] == [WEIGHTS_NOT_SAVED]
    assert before.weights is None
    run(made, tmp_path)
    assert not list(tmp_path.glob("trials/*/model.safetensors"))
    run(made, tmp_path, retry_failed=True)
    (after,) = records(tmp_path).values()
    assert (after.result, after.flags) == (before.result, [f for f in before.flags if f.kind != WEIGHTS_NOT_SAVED])
    (weights,) = tmp_path.glob("trials/*/model.safetensors")
    unetzoo.load_model(weights.parent)
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    watcher = Notes()
    run(made, tmp_path, retry_failed=True, watcher=watcher)  # damaged weights are made again, too
    assert "does not match its checksum" in " ".join(watcher.notes)
    assert records(tmp_path)["survive_fine 0"].weights == after.weights
    unetzoo.load_model(weights.parent)


def test_damaged_files_of_a_folder_are_made_again(plugin: Path, tmp_path: Path) -> None:
    """A record with another value, one under another's name, and a damaged list of a collection."""
    from unetzoo.bench.collection import collection_from

    left_out = {"data", "reference", "match", "limits"}
    text = suite(plugin, "survive_fine", seeds=2).model_dump(exclude=left_out)
    entries = [{**DATA, "label": "a"}, {**DATA, "label": "b"}]
    collection = collection_from({**text, "data": entries}, "c.toml", tmp_path)
    out = tmp_path / "out"
    run(collection, out)
    manifest = read_manifest(out)
    first, second = sorted((out / "a" / "records").glob("*.json"))
    dice = read_record(first).result.dice  # type: ignore[union-attr]
    first.write_text(first.read_text().replace(f'"dice":{dice!r}', '"dice":0.948', 1))
    second.write_bytes(first.read_bytes())
    (out / "collection.json").write_text("{")
    watcher = Notes()
    trials: pd.DataFrame = run(collection.model_copy(update={"only": ("a",)}), out, watcher=watcher)
    assert list(trials["status"]) == ["ok", "ok"]
    assert read_record(first).result.dice == dice  # type: ignore[union-attr]
    assert read_manifest(out) == manifest
    assert len(watcher.notes) == 3
    assert sum("is set aside as" in note for note in watcher.notes) == 3
    assert first.with_suffix(".json.damaged").is_file()
    assert (out / "collection.json.damaged").is_file()


def test_a_gap_in_the_harness_own_clock_ends_no_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    """All processes were stopped for an hour, and the harness is the first to wake."""
    now = 1000.0
    monkeypatch.setattr(local, "time", SimpleNamespace(monotonic=lambda: now))
    job = SimpleNamespace(last={"phase": "train"})
    trial = local._Running(job, None, None, began=990.0, last_sign=999.0, oom_kills=None, server=None, started=None)  # type: ignore[arg-type]
    limits = local.Limits(minutes=2, hang_minutes=1)
    looked = local._forgive_gap([trial], now)
    now += 3600
    assert trial.over(limits) is not None
    looked = local._forgive_gap([trial], looked)
    assert trial.over(limits) is None
    for _ in range(130):  # half a second each: now it is the trial that is silent
        now += 0.5
        looked = local._forgive_gap([trial], looked)
    status, _ = trial.over(limits) or ("", "")
    assert status == "timeout" or status == "hung"
