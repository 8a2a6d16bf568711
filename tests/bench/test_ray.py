"""A suite on Ray: the records of a local run, although a node is lost and another takes its place."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.engines import lasting, write_suite
from unetzoo.bench.jobs import Job
from unetzoo.bench.ray_run import run_on_ray
from unetzoo.bench.run import run
from unetzoo.bench.suite_file import read_suite
from unetzoo.bench.watcher import Watcher
from unetzoo.records.record import read_record

STORE = 75 * 2**20
HEAD = {"num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False, "include_log_monitor": False}


class Strikes(Watcher):
    """Removes the one node that has cores once a trial trains, and adds another, which has to do the rest."""

    def __init__(self, cluster: Any) -> None:
        self.cluster, self.notes, self.struck = cluster, list[str](), False
        self.node = cluster.add_node(wait=False, num_cpus=1, object_store_memory=STORE)
        cluster.wait_for_nodes(timeout=240)  # on a busy machine

    def note(self, line: str) -> None:
        self.notes.append(line)

    def change(self, job: Job) -> None:
        if job.last.get("phase") == "train" and not self.struck:
            self.struck = True
            self.cluster.remove_node(self.node, allow_graceful=False)
            # not waited for: on a busy machine Ray would give up, while the node joins a little later
            self.node = self.cluster.add_node(wait=False, num_cpus=1, object_store_memory=STORE)


@pytest.fixture
def for_workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    package = str(Path(__file__).parents[2])
    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "240")  # on a busy machine
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([package, os.environ.get("PYTHONPATH", "")]))
    with tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as folder:  # short, for Ray's sockets
        monkeypatch.setenv("TMPDIR", folder)  # so that trials wait for no timing of other tests
        yield


@pytest.mark.nightly  # needs the extra "ray", and starts some ten processes
@pytest.mark.skipif(sys.platform != "linux", reason="Ray's test cluster, and processes that end with their parent")
@pytest.mark.filterwarnings("ignore")  # of Ray's own
@pytest.mark.timeout(900)
def test_records_are_those_of_a_local_run_although_a_node_is_lost_and_one_is_added(
    for_workers: None, tmp_path: Path, clean_registry: Any
) -> None:
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    suite_file = write_suite(tmp_path)
    cluster = Cluster(initialize_head=True, head_node_args=HEAD)
    try:
        strikes = Strikes(cluster)
        table, without = run_on_ray(read_suite(suite_file), tmp_path / "out", address=cluster.address, watcher=strikes)
    finally:
        cluster.shutdown()
    assert (list(table["status"]), without) == (["ok"] * 4, [])
    assert strikes.struck
    assert any("was lost, and goes on" in line for line in strikes.notes), strikes.notes
    run(read_suite(suite_file), tmp_path / "local")
    assert lasting(tmp_path / "out") == lasting(tmp_path / "local")
    assert any(read_record(path).resumed for path in (tmp_path / "out/records").glob("*.json"))
