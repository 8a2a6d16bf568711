"""The harness, end to end on tiny trials: records, failures, resuming."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch

import unetzoo
from support.command import run as command
from unetzoo.bench.run import run
from unetzoo.bench.suite import Suite
from unetzoo.bench.suite_file import read_suite
from unetzoo.bench.watcher import Watcher
from unetzoo.errors import UnetzooError
from unetzoo.records.record import Record, checksum, read_record

TINY = """
seeds = {seeds}
models = {models}
imports = {imports}
baselines = false
[data]
name = "cells"
options = {{ n_train = 3, n_val = 1, n_test = 2, size = 48 }}
[train]
steps = {steps}
batch_size = 2
crop = 48
validate_every = 2
threads = 1
[measure]
size = 48
repeats = 5
attempts = 1
"""

OWN_MODELS = '''
import os, signal, time
import torch
import unetzoo
from torch import nn
from unetzoo.measure import latency

latency.PRODUCT_SIDE["cpu"] = 64  # nothing here depends on a timing

class Head(nn.Module):
    """One convolution."""
    def __init__(self, in_channels, num_classes):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, num_classes, 3, padding=1)
    def forward(self, x):
        return self.conv(x)

@unetzoo.register_model("own_fine")
class Fine(Head): ...

@unetzoo.register_model("own_crash")
class Crash(Head):
    def forward(self, x):
        print("the last words")
        raise RuntimeError("it <b>broke</b> here")

@unetzoo.register_model("own_killed")
class Killed(Head):
    def forward(self, x):
        os.kill(os.getpid(), signal.SIGKILL)

@unetzoo.register_model("own_exit")
class Exit(Head):
    def forward(self, x):
        os._exit(7)

@unetzoo.register_model("own_oom")
class OutOfMemory(Head):
    def forward(self, x):
        return torch.empty(2**60, dtype=torch.uint8)

@unetzoo.register_model("own_nan")
class NotANumber(Head):
    def forward(self, x):
        return self.conv(x) * float("nan") if self.training else self.conv(x)

@unetzoo.register_model("own_parent")
class Parent(Head):
    def __init__(self, in_channels, num_classes):
        super().__init__(in_channels, num_classes)
        if os.fork() == 0:  # inherits the trial's pipe and outlives it
            time.sleep(90)
            os._exit(0)

@unetzoo.register_model("own_shape")
class Shape(Head):
    def forward(self, x):
        return self.conv(x)[..., 1:, :]
'''


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write one file of models for all tests here, since names register once per process."""
    path = tmp_path_factory.mktemp("own") / "own_models.py"
    path.write_text(OWN_MODELS)
    return path


def make_suite(folder: Path, own: Path, models: list[str], seeds: int = 1, steps: int = 4) -> Path:
    path = folder / "tiny.toml"
    narrow = [
        f'{{ name = "{name}", label = "{name}"{"" if name.startswith("own") else ", set = { width = 4, depth = 2 }"} }}'
        for name in models
    ]
    path.write_text(TINY.format(models=f"[{', '.join(narrow)}]", seeds=seeds, steps=steps, imports=f"['{own}']"))
    return path


class Counter(Watcher):
    """A watcher that keeps the number of trials that already had a record."""

    reused = 0

    def start(self, todo: list[Any], reused: int) -> None:
        self.reused = reused


def reused(suite: Suite, out: Path, **options: Any) -> int:
    counter = Counter()
    run(suite, out, watcher=counter, **options)
    return counter.reused


def records(out: Path) -> dict[str, Record]:
    return {path.name: read_record(path) for path in sorted((out / "records").glob("*.json"))}


def lasting(record: Record) -> dict[str, Any]:
    """Return the part of a record that must be equal when the trial runs again, that is all but measurements."""
    return record.model_dump(exclude={"cost", "environment"})


@pytest.fixture(scope="module")
def finished(own: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Suite, Path]:
    """Run a suite of three models and two seeds to its end."""
    folder = tmp_path_factory.mktemp("bench")
    suite = read_suite(make_suite(folder, own, ["unet", "unet_paper", "own_fine"], seeds=2))
    trials = run(suite, folder / "out")
    assert list(trials["status"]) == ["ok"] * 6
    return suite, folder / "out"


def test_a_record_holds_what_it_should(finished: tuple[Suite, Path]) -> None:
    _, out = finished
    found = records(out)
    assert len(found) == 6
    for record in found.values():
        assert record.status == "ok"
        assert record.result is not None
        assert record.cost is not None
        assert record.curves is not None
        assert list(record.result.per_image) == ["test-000", "test-001"]
        assert 0 <= (record.result.dice or 0) <= 1
        assert [step for step, _, _ in record.curves.val] == [2, 4]
        cost = record.cost
        assert cost.params > 0
        assert cost.macs > 0
        assert 0 < cost.latency_p50_ms <= cost.latency_p90_ms
        assert (cost.peak_infer_bytes or 0) <= (cost.peak_train_bytes or 0)
        assert cost.train_seconds is not None
        assert cost.wall_seconds is not None
        assert cost.train_seconds < cost.wall_seconds
        assert record.environment["threads"] == 1
        assert record.environment["torch"]
        assert record.data["splits"]["train"]["n"] == 3
        for sample in record.samples:
            for name in (sample.image, sample.truth, sample.prediction):
                assert (out / "records" / name).is_file()
        assert Record.from_json(record.to_json(), "again") == record


def test_the_headline_is_the_mean_of_the_images(finished: tuple[Suite, Path]) -> None:
    for record in records(finished[1]).values():
        assert record.result is not None
        per_image = [scores["dice"]["cell"] for scores in record.result.per_image.values()]
        known = [score for score in per_image if score is not None]
        assert record.result.dice == pytest.approx(sum(known) / len(known), abs=1e-6)


def test_a_trials_weights_load(finished: tuple[Suite, Path]) -> None:
    folder = next((finished[1] / "trials").glob("unet-s0-*"))
    model = unetzoo.load_model(folder)
    assert model(torch.zeros(1, 1, 20, 20)).shape == (1, 2, 20, 20)
    from unetzoo.train.weights import read_header

    assert len(read_header(folder)["normalization"]["mean"]) == 1
    expected = model.unetzoo_expected
    assert (expected.channels, expected.downscale, expected.dtypes) == (1, 1, ())
    assert len(expected.histogram[0]) == 64


def test_run_again_does_nothing_and_again_elsewhere_gives_the_same(
    finished: tuple[Suite, Path], tmp_path: Path
) -> None:
    suite, out = finished
    before = {path: path.stat().st_mtime_ns for path in (out / "records").iterdir()}
    assert reused(suite, out) == 6
    assert {path: path.stat().st_mtime_ns for path in (out / "records").iterdir()} == before
    run(suite, tmp_path / "elsewhere", jobs=2)
    ours, theirs = records(out), records(tmp_path / "elsewhere")
    assert list(ours) == list(theirs)
    for name in ours:
        assert lasting(ours[name]) == lasting(theirs[name])


def test_a_missing_record_alone_is_run_again(finished: tuple[Suite, Path]) -> None:
    suite, out = finished
    path = next((out / "records").glob("own_fine-s1-*.json"))
    before = read_record(path)
    path.unlink()
    assert reused(suite, out) == 5
    assert lasting(read_record(path)) == lasting(before)


def test_every_failure_is_a_record_and_the_suite_goes_on(own: Path, tmp_path: Path) -> None:
    names = ["own_crash", "own_killed", "own_exit", "own_oom", "own_nan", "own_shape", "own_fine"]
    suite = read_suite(make_suite(tmp_path, own, names))
    trials = run(suite, tmp_path / "out", jobs=2)
    found = {r.trial["model"]["name"]: r for r in records(tmp_path / "out").values()}
    assert {name: found[name].status for name in names} == {
        "own_crash": "crashed",
        "own_killed": "killed",
        "own_exit": "crashed",
        "own_oom": "oom",
        "own_nan": "nan",
        "own_shape": "crashed",
        "own_fine": "ok",
    }
    assert sum(trials["status"] != "ok") == 6
    assert found["own_crash"].reason == "RuntimeError: it <b>broke</b> here"
    assert "the last words" in (found["own_crash"].log_tail or "")
    assert "Traceback" in (found["own_crash"].log_tail or "")
    assert "SIGKILL" in (found["own_killed"].reason or "")
    assert "exit code 7" in (found["own_exit"].reason or "")
    assert "loss is nan at step 1" in (found["own_nan"].reason or "")
    assert "must return logits of shape" in (found["own_shape"].reason or "")
    # A failure is not run again unless asked for.
    assert reused(suite, tmp_path / "out") == 7
    assert reused(suite, tmp_path / "out", retry_failed=True) == 1


def test_interrupted_it_keeps_what_is_done(own: Path, tmp_path: Path) -> None:
    path = make_suite(tmp_path, own, ["own_crash", "unet"], seeds=1, steps=100_000)
    out = tmp_path / "out"
    path.write_text(path.read_text().replace("validate_every = 2", "validate_every = 100000"))
    deadline = time.monotonic() + 120

    def interrupt() -> None:
        while not list((out / "trials").glob("unet-*/log.txt")) and time.monotonic() < deadline:
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    done = command("bench", path, "--out", out)
    thread.join()
    assert done.returncode == 130
    assert done.stderr.startswith("interrupted; 1 records are kept")
    assert [record.status for record in records(out).values()] == ["crashed"]


def test_out_that_cannot_be_written(own: Path, tmp_path: Path) -> None:
    suite = read_suite(make_suite(tmp_path, own, ["unet"]))
    (tmp_path / "file").write_text("")
    with pytest.raises(UnetzooError, match=r"file/records: cannot be written"):
        run(suite, tmp_path / "file")


def test_no_jobs_at_all(tmp_path: Path) -> None:
    with pytest.raises(UnetzooError, match="jobs = 0 must be 1 or more"):
        run("no such suite", tmp_path, jobs=0)


def test_a_damaged_record_is_set_aside_and_run_again(finished: tuple[Suite, Path]) -> None:
    suite, out = finished
    path = next((out / "records").glob("own_fine-s0-*.json"))
    before = read_record(path)
    path.write_text(path.read_text()[:100])
    assert reused(suite, out) == 5
    assert lasting(read_record(path)) == lasting(before)
    assert path.with_suffix(".json.damaged").is_file()


def test_a_child_of_a_trial_does_not_hold_up_the_suite(own: Path, tmp_path: Path) -> None:
    begun = time.monotonic()
    trials = run(read_suite(make_suite(tmp_path, own, ["own_parent"])), tmp_path / "out")
    assert list(trials["status"]) == ["ok"]
    assert time.monotonic() - begun < 60


def test_a_model_that_changes_while_the_suite_runs_is_refused(own: Path, tmp_path: Path) -> None:
    suite = read_suite(make_suite(tmp_path, own, ["own_fine"], seeds=2))
    before = own.read_text()

    class Edits(Watcher):
        def end(self, job: Any) -> None:
            own.write_text(before + "# changed")

    try:
        trials = run(suite, tmp_path / "out", watcher=Edits())
    finally:
        own.write_text(before)
    assert sorted(trials["status"]) == ["crashed", "ok"]
    assert "'own_fine' has changed since the suite was started" in " ".join(trials["reason"].dropna())


def test_a_sweep_may_be_longer_than_the_training(own: Path, tmp_path: Path) -> None:
    path = make_suite(tmp_path, own, ["own_fine"])
    path.write_text(path.read_text().replace("steps = 4", "steps = 4\ntune = { lr = [1e-3, 1e-2], steps = 6 }"))
    run(read_suite(path), tmp_path / "out")
    (record,) = records(tmp_path / "out").values()
    assert record.status == "ok"
    assert [t.steps for t in record.tuning] == [6, 6]
    assert record.result is not None
    assert record.result.steps == 4


def test_a_truncated_record_is_named(finished: tuple[Suite, Path], tmp_path: Path) -> None:
    source = next((finished[1] / "records").glob("*.json"))
    (tmp_path / "cut.json").write_text(source.read_text()[:100])
    with pytest.raises(UnetzooError, match=r"cut\.json: not a unetzoo record"):
        read_record(tmp_path / "cut.json")
    assert json.loads(source.read_text())["version"] == 2


def test_a_record_of_another_version_is_left_alone(own: Path, tmp_path: Path) -> None:
    suite = read_suite(make_suite(tmp_path, own, ["own_fine"]))
    run(suite, tmp_path / "out")
    (path,) = (tmp_path / "out" / "records").glob("*.json")
    fields = {**json.loads(path.read_text()), "version": 3}
    del fields["checksum"]
    path.write_text(json.dumps({**fields, "checksum": checksum(fields)}))
    with pytest.raises(UnetzooError, match="another version of unetzoo wrote it"):
        run(suite, tmp_path / "out")
    assert '"version": 3' in path.read_text()


GUARDED_AND_NOT = """
from pathlib import Path

import unetzoo

bare = Path("bare")
if __name__ == "__main__":
    unetzoo.run("tiny.toml", "guarded")
    bare.mkdir()
if bare.exists():
    unetzoo.run("tiny.toml", bare)
"""


def test_a_script_without_a_guard_is_told_so(own: Path, tmp_path: Path) -> None:
    make_suite(tmp_path, own, ["own_fine"])
    (tmp_path / "script.py").write_text(GUARDED_AND_NOT)
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert len(list((tmp_path / "guarded" / "records").glob("*.json"))) == 1, done.stderr
    assert done.returncode == 1
    assert "must do so under 'if __name__ == \"__main__\":'" in done.stderr
    assert not list((tmp_path / "bare" / "records").glob("*.json"))
