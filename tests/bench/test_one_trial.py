"""A prepared run: one trial at a time, its exit codes, the status from files, and costs on a machine that is shared."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from support.command import run as command
from unetzoo.bench import claims, prepared
from unetzoo.bench.claims import take
from unetzoo.bench.heart import Heart
from unetzoo.bench.output import OutputFolders
from unetzoo.bench.prepared import Prepared, find_trial, read_newest
from unetzoo.bench.run import prepare, run
from unetzoo.bench.status import read_status
from unetzoo.bench.suite_file import read_suite
from unetzoo.records.record import read_record

SUITE = """
models = ["unet_d2"]
set = { width = 4 }
seeds = 1
[data]
name = "cells"
options = { n_train = 3, n_val = 2, n_test = 2, size = 48 }
[train]
steps = 4
batch_size = 2
crop = 48
validate_every = 2
threads = 1
[measure]
size = 48
repeats = 5
attempts = 1
[limits]
checkpoint_seconds = 0
minutes = 60
"""


@pytest.fixture
def suite_file(tmp_path: Path) -> Path:
    (tmp_path / "suite.toml").write_text(SUITE)
    return tmp_path / "suite.toml"


def newest(out: Path) -> Prepared:
    found = read_newest(out)
    assert found is not None
    return found


def ids(out: Path) -> dict[str, str]:
    """Return the id of each prepared trial by its model's label."""
    return {line.trial["model"]["label"]: line.id for line in newest(out).trials}


def test_one_trial_runs_once_and_its_record_is_that_of_a_whole_run(suite_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = command("bench", suite_file, "--out", out, "--prepare")
    assert done.returncode == 0
    known = ids(out)
    assert done.stdout.split() == list(known.values())
    assert not list((out / "records").glob("*.json"))
    assert {state.state for state in read_status(out)} == {"waiting"}
    first = command("trial", out, known["unet_d2"])
    assert (first.returncode, "started" in first.stdout) == (0, True)
    again = command("trial", out, known["unet_d2"])
    assert (again.returncode, "started" in again.stdout) == (0, False)
    assert command("trial", out, known["otsu"]).returncode == 0
    run(read_suite(suite_file), tmp_path / "whole")
    for path in (out / "records").glob("*.json"):
        kept = [read_record(p) for p in (path, tmp_path / "whole" / "records" / path.name)]
        assert kept[0].model_dump(exclude={"cost", "environment"}) == kept[1].model_dump(
            exclude={"cost", "environment"}
        )
    states = json.loads(command("status", out, "--json").stdout)
    assert sorted(state["state"] for state in states) == ["done"] * 2 + ["waiting"] * (len(known) - 2)


def test_wrong_input_is_code_2(suite_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, words in ((tmp_path / "none", "must be on a disk that all machines share"), (tmp_path, "--prepare")):
        done = command("trial", folder, "abc")
        assert (done.returncode, words in done.stderr) == (2, True)
    out = tmp_path / "out"
    prepare(suite_file, out)
    known = ids(out)
    done = command("trial", out, "nonsense")
    assert (done.returncode, f"such as {next(iter(known.values()))}" in done.stderr) == (2, True)
    original = prepared.versions
    monkeypatch.setattr(prepared, "versions", lambda: {**original(), "torch": "1.0"})
    done = command("trial", out, known["otsu"])
    assert done.returncode == 2
    assert "torch 1.0 and not" in done.stderr
    assert not list((out / "records").glob("*.json"))
    monkeypatch.undo()
    assert command("bench", suite_file, "--out", out, "--prepare", "--allow-mixed").returncode == 0
    monkeypatch.setattr(prepared, "versions", lambda: {**original(), "torch": "1.0"})
    assert command("trial", out, known["otsu"]).returncode == 0
    file = newest(out).file
    file.write_text(file.read_text().replace("otsu", "ostu"))
    done = command("trial", out, known["otsu"])
    assert (done.returncode, "damaged" in done.stderr) == (2, True)
    assert command("status", tmp_path / "none").returncode == 2


def test_a_prepared_run_outlives_another_in_its_folder(suite_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = prepare(suite_file, out)
    suite_file.write_text(SUITE.replace("steps = 4", "steps = 5"))
    second = prepare(suite_file, out)
    for one in (first, second):
        for line in one.trials:
            assert find_trial(out, line.id)[1].stem == line.stem
    assert newest(out).digest == second.digest
    os.utime(second.file, (1, 1))
    assert prepare(suite_file, out).digest == second.digest
    assert newest(out).digest == second.digest


def test_a_failed_trial_is_code_1_and_is_retried_if_it_was_prepared_so(suite_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    suite_file.write_text(SUITE.replace("minutes = 60", "minutes = 0.0001"))
    prepare(suite_file, out)
    name = ids(out)["unet_d2"]
    for _ in range(2):
        done = command("trial", out, name)
        assert (done.returncode, "timeout: " in done.stderr) == (1, True)
    (state,) = (state for state in read_status(out) if state.state == "failed")
    assert state.detail.startswith("timeout: ended after")
    suite_file.write_text(SUITE)
    done = command("bench", suite_file, "--out", out, "--prepare", "--retry", "failed")
    assert done.returncode == 0
    assert command("trial", out, name).returncode == 0


def test_a_trial_of_a_living_process_is_code_75_and_of_a_silent_one_taken_over(
    suite_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    prepare(suite_file, out)
    line = next(line for line in newest(out).trials if line.trial["model"]["label"] == "otsu")
    monkeypatch.setattr(claims, "_machine", lambda: "another machine")
    claim = take(OutputFolders(out).claims, line.stem, 0, 6)
    monkeypatch.undo()
    assert claim is not None
    with Heart() as heart:
        heart.keep(claim)
        heart.tell(claim, {"phase": "train", "step": 3, "steps": 9})
        time.sleep(0.5)
        done = command("trial", out, line.id)
        assert (done.returncode, f"is run by process {os.getpid()} on" in done.stderr) == (75, True)
        (state,) = (state for state in read_status(out) if state.state == "running")
        assert (state.trial, state.detail) == (line.stem, "train, step 3/9")
        assert state.age is not None
        assert 0 <= state.age < 60
        heart._claims.clear()  # it falls silent and does not let go
        done = command("trial", out, line.id)
        assert done.returncode == 0
        assert "silent for 6 s" in done.stdout


@pytest.mark.skipif(not hasattr(signal, "SIGUSR2"), reason="a signal of POSIX")
@pytest.mark.parametrize("number", ["SIGUSR2", pytest.param("SIGTERM", marks=pytest.mark.nightly)])
def test_a_stopped_trial_is_code_75_and_goes_on(suite_file: Path, tmp_path: Path, number: str) -> None:
    out = tmp_path / "out"
    suite_file.write_text(SUITE.replace("steps = 4", "steps = 20000").replace("_every = 2", "_every = 20000"))
    prepare(suite_file, out)
    command_ = [sys.executable, "-m", "unetzoo.cli", "trial", str(out), ids(out)["unet_d2"]]
    process = subprocess.Popen(command_, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list(out.glob("trials/*/checkpoint.pt")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(getattr(signal, number))
    _, said = process.communicate(timeout=60)
    assert process.returncode == 75, said
    assert "the same command continues it" in said
    assert not list((out / "records").glob("*.json"))
    assert not list((out / "claims").glob("*.beat"))
    states: list[Any] = [state.state for state in read_status(out)]
    assert states.count("stopped") == 1
