"""A Ray cluster: connect to it, look at its nodes before anything runs, and what trials ask of them."""

from __future__ import annotations

import logging
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from unetzoo._util.batch_job import cores
from unetzoo._util.text import shortened, visible
from unetzoo.bench.limits import GIB
from unetzoo.bench.prepared import Prepared, other_versions, versions
from unetzoo.bench.suite import Suite
from unetzoo.errors import UnetzooError, one_line

LOCAL, RUNNING = "local", "auto"  # an address for: start a cluster on this machine; the one that runs on this machine
ANSWER_SECONDS = 30.0
NODE_SECONDS = 120.0  # for a worker to start on each node, and answer
STORE_BYTES = 75 * 2**20  # the smallest object store that Ray accepts: arrays never travel
VARIABLES = {  # read as Ray is imported and as it starts; those that are set already stay
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # no GPU is visible to a trial without one (ray-project/ray#54868)
    "RAY_raylet_start_wait_time_s": "120",  # of a node that starts on a busy machine
    "RAY_USAGE_STATS_ENABLED": "0",
}
PROBE = "import logging, ray, sys; ray.init(address=sys.argv[1], log_to_driver=False, logging_level=logging.ERROR)"


@dataclass(frozen=True)
class Node:
    """A node of a cluster.

    Attributes:
        id: Its id.
        name: Its host name.
        cpus: Its cores.
        gpus: Its GPUs.
        memory: Its memory in bytes.
        resources: All its resources by name.
    """

    id: str
    name: str
    cpus: float
    gpus: float
    memory: float
    resources: Mapping[str, float]


@dataclass(frozen=True)
class Demand:
    """Demands of a trial on a node; ``resources`` are those that Ray does not know by itself."""

    cpus: int
    gpus: float = 0.0
    memory: int = 0
    resources: Mapping[str, float] = field(default_factory=dict)

    def fits(self, node: Node) -> bool:
        """Return True if a node has all of it."""
        own = all(node.resources.get(name, 0.0) >= amount for name, amount in self.resources.items())
        return own and self.cpus <= node.cpus and self.gpus <= node.gpus and self.memory <= node.memory

    @property
    def words(self) -> str:
        """The demand for a message."""
        return _amounts(self.cpus, self.gpus, self.memory, self.resources)

    @property
    def options(self) -> dict[str, Any]:
        """The demand as options of a Ray task."""
        memory = {"memory": self.memory} if self.memory else {}
        return {"num_cpus": self.cpus, "num_gpus": self.gpus, "resources": dict(self.resources), **memory}


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Yield Ray, connected to a cluster, or to a local one that is started and stopped.

    Args:
        address: "local", "auto" for the cluster that runs on this machine, or HOST:PORT of a cluster's head.

    Raises:
        UnetzooError: If Ray is not installed, or no cluster answers.
    """
    ours = {name: value for name, value in VARIABLES.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        import ray  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise UnetzooError("--ray needs the package ray, which is not installed: pip install 'unetzoo[ray]'") from None
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    local = {"num_cpus": cores(), "object_store_memory": STORE_BYTES, "include_dashboard": False}
    try:
        if address != LOCAL:
            check_answer(address)
        try:
            ray.init(address=address, **quiet, **(local if address == LOCAL else {}))
        except Exception as error:  # of many types, some bare; such as a TMPDIR that is too long for sockets
            raise UnetzooError(f"--ray {address}: Ray cannot start: {one_line(error)}") from None
        yield ray
    finally:
        ray.shutdown()
        for name in ours:
            os.environ.pop(name, None)


def check_answer(address: str) -> None:
    """Check that a cluster answers, in a process of its own, because Ray ends its process if one does not.

    Raises:
        UnetzooError: If none answers within 30 s.
    """
    deadline = time.monotonic() + ANSWER_SECONDS
    if address != RUNNING:
        _check_port(address)
    command = [sys.executable, "-c", PROBE, address]
    try:
        left = deadline - time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=left, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise UnetzooError(f"--ray {address}: no Ray cluster answers there within {ANSWER_SECONDS:g} s") from None
    if done.returncode:
        said = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise UnetzooError(f"--ray {address}: no Ray cluster answers there: {shortened(visible(said), 500)}")


def _check_port(address: str) -> None:
    found = re.fullmatch(r"\[?([^\s/\[\]]+?)\]?:(\d{1,5})", address)
    if found is None:
        raise UnetzooError(
            f"--ray {visible(address)!r} is not HOST:PORT of a Ray cluster's head, such as 10.0.0.1:6379, nor 'auto' "
            "or 'local'; run this on a node of the cluster, not through ray://"
        )
    try:
        socket.create_connection((found[1], int(found[2])), timeout=ANSWER_SECONDS / 2).close()
    except (OSError, OverflowError) as error:
        raise UnetzooError(f"--ray {address}: nobody answers there: {error}") from None


def living(ray: Any) -> list[Node]:
    """Return the nodes of a cluster that live and have cores.

    Raises:
        UnetzooError: If there is none.
    """
    found = []
    for node in ray.nodes():
        has = node["Resources"]
        if node["Alive"] and has.get("CPU", 0.0) > 0:
            sizes = (has["CPU"], has.get("GPU", 0.0), has.get("memory", 0.0))
            found.append(Node(node["NodeID"], visible(node["NodeManagerHostname"]), *sizes, has))
    if not found:
        raise UnetzooError("no node of the Ray cluster has a core")
    return found


def check_versions(ray: Any, prepared: Prepared, nodes: Sequence[Node]) -> None:
    """Check that all nodes have the versions of this machine, unless they may differ.

    Raises:
        UnetzooError: If one has not, or does not answer.
    """
    differing = []
    for node, found in zip(nodes, _ask_versions(ray, nodes), strict=True):
        if found["unetzoo"] == "none":
            raise UnetzooError(f"node {node.name} has no unetzoo; install it in the environment of all nodes")
        if words := other_versions(found, prepared.run):
            differing.append(f"node {node.name} has {words}")
    if differing and not prepared.run.allow_mixed:
        raise UnetzooError(f"{'; '.join(differing)}; use one environment on all nodes, or give --allow-mixed")


def _ask_versions(ray: Any, nodes: Sequence[Node]) -> list[dict[str, str]]:
    def found(names: list[str]) -> dict[str, str]:  # travels as code, as a node may have no unetzoo, or another
        import platform
        from importlib.metadata import PackageNotFoundError, version

        there = {"python": ".".join(platform.python_version_tuple()[:2])}
        for name in names:
            try:
                there[name] = version(name)
            except PackageNotFoundError:
                there[name] = "none"
        return there

    names = [name for name in versions() if name != "python"]
    return on_each(ray, nodes, found, names)


def on_each(ray: Any, nodes: Sequence[Node], function: Any, *arguments: Any) -> list[Any]:
    """Return what a function returns on each of some nodes.

    Raises:
        UnetzooError: If a node does not answer.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # pyright: ignore[reportMissingImports]

    call = ray.remote(function)
    asked = []
    for node in nodes:
        there = NodeAffinitySchedulingStrategy(node.id, soft=False)
        asked.append(call.options(num_cpus=0, max_retries=0, scheduling_strategy=there).remote(*arguments))
    answers, deadline = [], time.monotonic() + NODE_SECONDS
    for node, answer in zip(nodes, asked, strict=True):
        try:
            answers.append(ray.get(answer, timeout=max(0.0, deadline - time.monotonic())))
        except ray.exceptions.RayError as error:
            raise UnetzooError(f"node {node.name} cannot run trials: {first_line(error)}") from None
    return answers


def first_line(error: BaseException) -> str:
    """Return an error of Ray in one line: the cause, which ends the traceback that it holds."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return shortened(visible(lines[-1] if "Traceback" in str(error) else (lines or [type(error).__name__])[0]), 500)


def demand(suite: Suite, baseline: bool, memory: int, nodes: Sequence[Node]) -> Demand:
    """Return what a trial asks of a node.

    Args:
        suite: The suite of the trial.
        baseline: True for a trivial predictor, which needs one core, and a GPU only where the suite asks for it.
        memory: Predicted memory of its process in bytes, counted if it uses no GPU; 0 if not known.
        nodes: The nodes.
    """
    options, recipe = suite.ray, suite.train
    on_gpu = recipe.device == "cuda" or (recipe.device == "auto" and any(node.gpus > 0 for node in nodes))
    gpus = options.gpus if options.gpus is not None else float(recipe.devices if on_gpu else 0)
    if baseline:
        return Demand(1, gpus if recipe.device == "cuda" else 0.0, resources=options.resources)
    smallest = int(min((node.cpus for node in nodes if node.gpus >= gpus), default=1))
    cpus = options.cpus or recipe.threads or smallest
    if suite.measure.where == "exclusive":
        cpus = max(cpus, smallest)
    predicted = 0 if gpus else memory
    asked = predicted if options.memory_gib is None else round(options.memory_gib * GIB)
    return Demand(max(1, cpus), gpus, asked, options.resources)


def check_demand(demands: Mapping[str, Demand], nodes: Sequence[Node]) -> None:
    """Check that some node has what each trial asks for.

    Args:
        demands: Trial in words -> what it asks for.
        nodes: The nodes.

    Raises:
        UnetzooError: If none has.
    """
    for trial, asked in demands.items():
        if not any(asked.fits(node) for node in nodes):
            kinds = dict.fromkeys(
                _amounts(node.cpus, node.gpus, node.memory, {n: node.resources.get(n, 0) for n in asked.resources})
                for node in nodes
            )
            raise UnetzooError(
                f"{trial}: a trial needs {asked.words}, and no node of the Ray cluster has that; the nodes have "
                f"{' or '.join(kinds)}; see [ray] in the suite file"
            )


def _amounts(cpus: float, gpus: float, memory: float, resources: Mapping[str, float]) -> str:
    words = [f"{cpus:g} cores"]
    words += [f"{gpus:g} GPUs"] if gpus else []
    words += [f"{memory / GIB:.1f} GiB"] if memory else []
    return ", ".join([*words, *(f"{amount:g} of {visible(name)}" for name, amount in resources.items())])
