"""A suite on a stand-in for Slurm gives the records of a local run, whatever happens to its tasks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support import slurm as stand_in
from support.command import run as command
from support.engines import SUITE, lasting, write_suite
from unetzoo.bench.run import prepare, run
from unetzoo.bench.slurm import _gpus, bundles, max_array_size, scripts
from unetzoo.bench.slurm_options import SlurmOptions
from unetzoo.bench.suite_file import read_suite
from unetzoo.errors import UnetzooError
from unetzoo.records.record import read_record


@pytest.fixture
def suite_file(tmp_path: Path, clean_registry: Any) -> Path:
    return write_suite(tmp_path)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a stand-in whose commands are in PATH."""
    folder = tmp_path / "cluster"
    monkeypatch.setenv("PATH", f"{stand_in.install(folder)}:{os.environ['PATH']}")
    package = str(Path(__file__).parents[2])
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # so that tasks wait for no timing of other tests
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([package, os.environ.get("PYTHONPATH", "")]))
    return folder


@pytest.mark.timeout(600)
@pytest.mark.skipif(sys.platform != "linux", reason="the stand-in looks at /proc")
@pytest.mark.parametrize("kinds", [["node"], pytest.param(["timeout", "kill", "node"], marks=pytest.mark.nightly)])
def test_records_are_those_of_a_local_run_whatever_happens(
    kinds: list[str], cluster: Path, tmp_path: Path, clean_registry: Any
) -> None:
    """The node of a task is killed; nightly also the harness of another, and a third is out of time."""
    trials = len(kinds) + 1
    suite_file = write_suite(tmp_path, SUITE.replace("seeds = 4", f"seeds = {trials}").replace("= 20", "= 80"))
    assert list(run(read_suite(suite_file), tmp_path / "local")["status"]) == ["ok"] * trials
    out = tmp_path / "out"
    faults = [
        {"task": task, "kind": kind, "when": f"{out}/trials/*-s{task}-*/checkpoint.pt"}
        for task, kind in enumerate(kinds)
    ]
    (cluster / "faults.json").write_text(stand_in.json.dumps(faults))
    done = command("bench", suite_file, "--out", out, "--slurm")
    assert done.returncode == 0, done.stderr
    assert f"{trials} trials in {trials} tasks: jobs 1, and 2 for the report" in done.stdout
    assert command("bench", suite_file, "--out", out, "--slurm").stderr.count("job 1 of this run is still queued") == 1
    assert stand_in.wait(cluster, 480), "\n".join(path.read_text() for path in (out / "slurm").glob("*.log"))
    assert sorted((cluster / "struck.txt").read_text().split()) == sorted(
        [*(f"1_{n}" for n in range(len(kinds))), *kinds]
    )
    assert lasting(out) == lasting(tmp_path / "local")
    assert sum(bool(read_record(path).resumed) for path in (out / "records").glob("*.json")) == len(kinds)
    assert (out / "index.html").exists() or list(out.glob("*.html"))
    assert command("status", out).stdout.startswith(f"{trials} trials: {trials} done")
    (cluster / "faults.json").write_text("[]")
    assert "nothing to submit" in command("bench", suite_file, "--out", out, "--slurm").stdout


def test_scripts_hold_the_options_and_split_at_the_largest_array(
    suite_file: Path, cluster: Path, tmp_path: Path
) -> None:
    prepared = prepare(suite_file, tmp_path / "out", write=False)
    assert not (tmp_path / "out" / "prepared").exists()
    options = SlurmOptions(
        partition="gpu", account="a b", time="1:00:00", gres="gpu:1", mem="8G", cpus=4, constraint="a100",
        modules=["m"], venv="/envs/x y", max_parallel=3, setup=["ulimit -n 4096"],
        extra=["--reservation=r"], task_minutes=0,
    )  # fmt: skip
    array, report = scripts(prepared, options, {}, 0.02)
    for line in (
        "#SBATCH --partition=gpu", "#SBATCH --account='a b'", "#SBATCH --time=1:00:00", "#SBATCH --gres=gpu:1",
        "#SBATCH --mem=8G", "#SBATCH --cpus-per-task=4", "#SBATCH --constraint=a100", "#SBATCH --array=0-3%3",
        "#SBATCH --requeue", "#SBATCH --signal=B:USR2@120", "#SBATCH --reservation=r", "module load m",
        "source '/envs/x y'/bin/activate || exit 2", "ulimit -n 4096",
    ):  # fmt: skip
        assert f"\n{line}\n" in array.text
    assert "report" in report.text
    assert "--margin 0.02" in report.text
    assert "--gres" not in report.text
    for script in (array, report):
        assert subprocess.run(["bash", "-n"], input=script.text, text=True, check=False).returncode == 0
    (cluster / "small").touch()
    assert max_array_size() == 3
    assert [len(script.tasks) for script in scripts(prepared, options, {}, None)] == [3, 1, 0]
    assert [len(task) for task in bundles(prepared, {(None, "slow"): 200.0}, 400)] == [2, 2]
    assert [len(task) for task in bundles(prepared, {}, 600)] == [1, 1, 1, 1]


def test_a_trial_gets_the_gpus_that_it_trains_on(suite_file: Path, tmp_path: Path) -> None:
    suite = read_suite(suite_file)
    suite = suite.model_copy(update={"train": suite.train.changed({"devices": 2, "batch_size": 4}, "")})
    assert _gpus([suite], SlurmOptions()) == ["--gres=gpu:2"]
    for enough in ("gpu:2", "gpu:a100:4", "shard:1,gpu:2g.10gb:2"):
        assert _gpus([suite], SlurmOptions(gres=enough)) == []
    for few in ("gpu", "gpu:1", "gpu:a100", "gpu:a100:1,shard:2"):
        with pytest.raises(UnetzooError, match=r"a trial trains on devices = 2; give 'gpu:2'"):
            _gpus([suite], SlurmOptions(gres=few))
    assert _gpus([suite], SlurmOptions(extra=["--gpus=2"])) == []
    on_cpu = suite.model_copy(update={"train": suite.train.changed({"device": "cpu"}, "")})
    assert _gpus([on_cpu], SlurmOptions()) == []


def test_a_dry_run_prints_the_scripts_and_writes_nothing(suite_file: Path, tmp_path: Path) -> None:
    done = command("bench", suite_file, "--out", tmp_path / "out", "--slurm", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "#SBATCH --array=0-3%2" in done.stdout
    assert not (tmp_path / "out").exists()


def test_what_slurm_refuses_is_said_in_a_line(suite_file: Path, cluster: Path, tmp_path: Path) -> None:
    (cluster / "refuse").write_text("Batch job submission failed: Invalid partition name specified")
    done = command("bench", suite_file, "--out", tmp_path / "out", "--slurm")
    assert done.returncode == 2
    assert "Invalid partition name specified" in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("error: sbatch refuses ")


def test_without_sbatch_the_remedy_is_said(suite_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    done = command("bench", suite_file, "--out", tmp_path / "out", "--slurm")
    assert done.returncode == 2
    assert "sbatch is not found" in done.stderr


@pytest.mark.parametrize(
    ("table", "named"),
    [
        ({"partion": "gpu"}, r"unknown option 'slurm\.partion'; did you mean partition"),
        ({"partition": "gpu\nrm -rf /"}, "must be one line of printable characters"),
        ({"extra": ["reservation=x"]}, "is not an option of sbatch"),
        ({"extra": ["--array=0-9"]}, "cannot be changed"),
        ({"venv": "a", "conda": "b"}, "give one of them"),
        ({"max_parallel": 0}, "max_parallel = 0"),
    ],
)
def test_bad_options_are_refused(suite_file: Path, table: dict[str, Any], named: str) -> None:
    from unetzoo.bench.suite import Suite

    made = read_suite(suite_file).model_dump()
    with pytest.raises(UnetzooError, match=named):
        Suite.from_mapping({**made, "slurm": table}, "s.toml")
