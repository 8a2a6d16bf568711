"""A suite on a real Slurm of one node gives the records of a local run, also where tasks run out of time."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from support import real_slurm
from support.command import run as command
from support.engines import SUITE, lasting, write_suite
from unetzoo.bench.run import run
from unetzoo.bench.suite_file import read_suite
from unetzoo.records.record import read_record


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Start a cluster whose commands this process finds."""
    if why := real_slurm.missing():
        pytest.skip(why)
    with real_slurm.cluster(tmp_path / "slurm") as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        package = str(Path(__file__).parents[2])
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([package, os.environ.get("PYTHONPATH", "")]))
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        yield


def slurm(*arguments: str) -> str:
    return subprocess.run(arguments, capture_output=True, text=True, check=True).stdout


def wait_until_empty(seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while slurm("squeue", "--noheader"):
        assert time.monotonic() < deadline, slurm("squeue") + slurm("scontrol", "show", "jobs")
        time.sleep(1)


@pytest.mark.nightly  # needs slurm-wlm and root, and takes minutes
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("cluster")
def test_records_are_those_of_a_local_run(tmp_path: Path, clean_registry: Any) -> None:
    """Twelve trials in two arrays; one task is put back in the queue in mid-trial, one gets the signal of its end."""
    suite_file = write_suite(tmp_path, SUITE.replace("seeds = 4", "seeds = 12").replace("= 20", "= 80"))
    local = run(read_suite(suite_file), tmp_path / "local")
    assert list(local["status"]) == ["ok"] * 12
    out = tmp_path / "out"
    done = command("bench", suite_file, "--out", out, "--slurm")
    assert done.returncode == 0, done.stderr
    assert "12 trials in 12 tasks" in done.stdout
    assert "is still queued" in command("bench", suite_file, "--out", out, "--slurm").stderr
    for seed, strike in ((0, ("scontrol", "requeue")), (1, ("scancel", "--batch", "--signal=USR2"))):
        deadline = time.monotonic() + 300
        while not list(out.glob(f"trials/*-s{seed}-*/checkpoint.pt")):
            assert time.monotonic() < deadline, slurm("squeue")
            time.sleep(0.1)
        job = (out / "slurm" / "jobs.txt").read_text().split()[0]
        # scancel repeats a signal that Slurm cannot pass on any more, as the task puts itself back, and then fails.
        subprocess.run([*strike, f"{job}_{seed}"], capture_output=True, check=False)
    wait_until_empty(600)
    logs = "\n".join(path.read_text() for path in sorted((out / "slurm").glob("*.log")))
    assert lasting(out) == lasting(tmp_path / "local"), logs
    resumed = [
        record.trial["seed"] for path in (out / "records").glob("*.json") if (record := read_record(path)).resumed
    ]
    assert sorted(resumed) == [0, 1], logs
    assert (out / "index.html").exists(), logs
    assert command("status", out).stdout.startswith("12 trials: 12 done")
    assert "nothing to submit" in command("bench", suite_file, "--out", out, "--slurm").stdout
