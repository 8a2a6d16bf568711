"""The Ray engine without a cluster: what nodes are asked for, copies of a run, and the driver's choices."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from support.command import run as command
from unetzoo.bench import ray_cluster, ray_run
from unetzoo.bench.jobs import StopRequest
from unetzoo.bench.one_trial import _check_digest
from unetzoo.bench.prepared import Prepared
from unetzoo.bench.ray_cluster import Demand, Node, check_answer, check_demand, connected, demand
from unetzoo.bench.ray_run import _Driver
from unetzoo.bench.ray_worker import Ended, Task, read_files, run_task, write_files
from unetzoo.bench.run import prepare
from unetzoo.bench.suite import Suite
from unetzoo.bench.watcher import Watcher
from unetzoo.errors import UnetzooError
from unetzoo.records.record import read_record

GIB = 2**30
SUITE: dict[str, Any] = {
    "name": "s",
    "models": ["unet_d2"],
    "data": {"name": "cells", "options": {"n_train": 3, "n_val": 1, "n_test": 2, "size": 48}},
    "train": {"steps": 2, "batch_size": 2, "crop": 32, "threads": 1},
}
NODES = [Node("1", "big", 8, 2, 32 * GIB, {"CPU": 8, "GPU": 2}), Node("2", "small", 2, 0, 4 * GIB, {"CPU": 2})]


def suite(**change: Any) -> Suite:
    return Suite.from_mapping({**SUITE, **change}, "s.toml")


@pytest.mark.parametrize(
    ("change", "baseline", "asked"),
    [
        ({}, False, Demand(1, 1.0)),  # the cluster has GPUs, and the device is chosen where the trial runs
        ({"train": {**SUITE["train"], "device": "cpu"}}, False, Demand(1, 0.0, 3 * GIB)),
        ({"train": {**SUITE["train"], "device": "cpu", "threads": 0}}, False, Demand(2, 0.0, 3 * GIB)),
        ({"train": {**SUITE["train"], "device": "cuda"}}, True, Demand(1, 1.0)),
        ({}, True, Demand(1)),
        ({"ray": {"cpus": 4, "gpus": 0.5, "memory_gib": 2}}, False, Demand(4, 0.5, 2 * GIB)),
        ({"ray": {"gpus": 0, "memory_gib": 0}, "measure": {"where": "exclusive"}}, False, Demand(2)),
    ],
)
def test_what_a_trial_asks_for(change: dict[str, Any], baseline: bool, asked: Demand) -> None:
    assert demand(suite(**change), baseline, 3 * GIB, NODES) == asked


def test_resources_that_no_node_has_are_named() -> None:
    check_demand({"unet": Demand(8, 2.0, 32 * GIB)}, NODES)
    with pytest.raises(UnetzooError, match=r"unet: a trial needs 4 cores, 1 GPUs, 64.0 GiB, .* 8 cores, 2 GPUs"):
        check_demand({"unet": Demand(4, 1.0, 64 * GIB)}, NODES)
    with pytest.raises(UnetzooError, match=r"1 of A100, and no node .* 0 of A100"):
        check_demand({"unet": Demand(1, resources={"A100": 1})}, NODES)


def test_an_address_that_is_wrong_or_answers_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        with pytest.raises(UnetzooError, match=rf"--ray 127.0.0.1:{port}: nobody answers there: .*refused"):
            check_answer(f"127.0.0.1:{port}")
        server.listen()
        monkeypatch.setattr(ray_cluster, "PROBE", "import time; time.sleep(60)")
        monkeypatch.setattr(ray_cluster, "ANSWER_SECONDS", 0.2)
        with pytest.raises(UnetzooError, match=r"no Ray cluster answers there within 0\.2 s"):
            check_answer(f"127.0.0.1:{port}")
    for address in ("ray://10.0.0.1:10001", "nonsense", "host:99999999"):
        with pytest.raises(UnetzooError, match="is not HOST:PORT"):
            check_answer(address)


def test_wrong_use_is_code_2(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UnetzooError, match=r"pip install 'unetzoo\[ray\]'"), connected("local"):
        pass
    for options, words in (
        (("--ray", "--slurm"), "--slurm and --ray: give one of them"),
        (("--ray", "--jobs", "2"), "--jobs has no effect with --ray"),
        (("--ray", "--out", tmp_path / "out"), "pip install 'unetzoo[ray]'"),
        (("--ray", "nowhere"), "pip install 'unetzoo[ray]'"),
    ):
        done = command("bench", *options)
        assert (done.returncode, words in done.stderr) == (2, True), done.stderr
    assert not (tmp_path / "out").exists()


def test_a_node_without_the_disk_sends_the_record_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial of a copy comes back as files; without a copy, or with other data, it has no record."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # so that the trial waits for no timing of other tests
    small = suite()
    prepared = prepare(small, tmp_path / "out")
    line = next(line for line in prepared.trials if line.trial["model"]["label"] == "otsu")
    task = Task(str(tmp_path / "out"), ("ray/none", "x"), line.id, cpus=1, carried=True)
    content = {f"prepared/{prepared.file.name}": prepared.file.read_bytes()}
    assert run_task(Task(task.out, task.sign, line.id), {}, lambda messages: False).outcome == "unseen"
    assert run_task(task, content, lambda messages: True).line == "not begun"
    told: list[dict[str, Any]] = []
    ended = run_task(task, content, lambda messages: bool(told.extend(messages)))
    assert ended.outcome == "ok", ended.line
    assert any(one.get("message", {}).get("phase") == "end" for one in told)
    assert not any(name.startswith(("prepared", "claims")) for name in ended.files)
    write_files(tmp_path / "out", ended.files)
    record = read_record(tmp_path / f"out/records/{line.stem}.json")
    assert (record.status, record.id, record.environment["threads"]) == ("ok", line.id, 1)
    assert record.samples
    assert all((tmp_path / "out/records" / sample.image).exists() for sample in record.samples)
    other: Any = SimpleNamespace(suite=small, trial=SimpleNamespace(data=SimpleNamespace(name="cells", digest="x")))
    with pytest.raises(UnetzooError, match="data set 'cells' has another content"):
        _check_digest(other)


def test_files_stay_below_the_folder(tmp_path: Path) -> None:
    for name in ("../x", "/x", "a/../../x"):
        with pytest.raises(ValueError, match="leads out of the folder"):
            write_files(tmp_path / "out", {name: b""})
    files = {"records/a.json": b"1", "trials/a/log.txt": b"2", "records/images/b.png": b"3"}
    write_files(tmp_path / "out", {**files, "claims/c.json": b"", "trials/a/.part": b"", "trials/a/decoded-1/x": b""})
    assert read_files(tmp_path / "out") == files


class FakeRay:
    """Runs each task at once in the driver, by a function of the trial's id and the number of its attempt."""

    def __init__(self, outcome: Callable[[str, int], Any]) -> None:
        self.outcome, self.attempts, self.exceptions = (
            outcome,
            dict[str, int](),
            SimpleNamespace(RayError=_RayError, TaskCancelledError=_CancelledError),
        )
        self.options: list[dict[str, Any]] = []

    def remote(self, function: Any) -> Any:
        def call(task: Task, copy: Any, desk: Any) -> object:
            self.attempts[task.trial] = self.attempts.get(task.trial, 0) + 1
            return _Ref(self.outcome(task.trial, self.attempts[task.trial]))

        def options(**given: Any) -> Any:
            self.options.append(given)
            return SimpleNamespace(remote=call)

        return SimpleNamespace(options=options)

    def wait(self, refs: list[Any], **_: Any) -> tuple[list[Any], list[Any]]:
        return refs, []

    def get(self, ref: Any, timeout: float = 0) -> Any:
        if isinstance(ref, list):
            return ref
        if isinstance(ref.ended, Exception):
            raise ref.ended
        return ref.ended

    def put(self, value: Any) -> Any:
        return value


class _RayError(Exception):
    pass


class _CancelledError(_RayError):
    pass


class _Ref:
    def __init__(self, ended: Any) -> None:
        self.ended = ended


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepare(suite(baselines=False), tmp_path_factory.mktemp("prepared"))


@pytest.mark.parametrize(
    ("outcomes", "attempts", "without"),
    [
        (["crashed", "crashed", "crashed"], 3, "said nothing"),
        (["again", "unseen", _RayError("node died")], 3, "node died"),
    ],
)
def test_what_is_started_again(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch, outcomes: list[Any], attempts: int, without: str
) -> None:
    monkeypatch.setattr(ray_run, "AGAIN_SECONDS", 0.0)
    ray = FakeRay(lambda trial, n: ended(outcomes[n - 1]))
    driver = make_driver(ray, prepared)
    driver.run()
    assert sum(ray.attempts.values()) == attempts
    assert without in driver.without_record[0]
    asked = {"num_cpus": 1, "num_gpus": 0.0, "resources": {}, "max_retries": 100}
    assert ray.options[0] == {**asked, "name": f"unetzoo {prepared.trials[0].stem}"}


def test_a_node_that_refuses_ends_the_run(prepared: Prepared) -> None:
    with pytest.raises(UnetzooError, match="node n1: said nothing"):
        make_driver(FakeRay(lambda trial, n: ended("refused")), prepared).run()


def ended(outcome: str | Exception) -> Ended | Exception:
    return outcome if isinstance(outcome, Exception) else Ended(outcome, "said nothing", "n1")


def make_driver(ray: Any, prepared: Prepared, demands: Mapping[str, Demand] | None = None) -> _Driver:
    driver = _Driver(ray, prepared, ("ray/x", "x"), Watcher(), StopRequest())
    driver._demands = dict(demands or {line.id: Demand(1) for line in prepared.trials})
    driver.__dict__["_desk"] = SimpleNamespace(news=SimpleNamespace(remote=lambda stop: []))
    return driver
