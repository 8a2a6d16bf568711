"""A training by two processes: killed, stopped and resumed, and who writes; by torch's gloo on a CPU."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy

from support.command import run as command
from unetzoo import create_model
from unetzoo.bench import execute as engine
from unetzoo.bench import fork_server
from unetzoo.bench.one_machine import OF_LAUNCHERS, OneMachine, place_in_torchrun
from unetzoo.bench.run import run
from unetzoo.bench.suite_file import read_suite
from unetzoo.bench.watcher import Watcher
from unetzoo.data.registry import create_dataset
from unetzoo.data.stream import EvaluationItems, Normalization, TrainingCrops
from unetzoo.errors import UnetzooError
from unetzoo.machine.processes import descendants
from unetzoo.records.record import read_record
from unetzoo.train.checkpoint import Checkpoint
from unetzoo.train.hooks import TrainingHooks
from unetzoo.train.loop import Interrupted, train
from unetzoo.train.recipe import Recipe

SUITE = """
models = ["two_processes"]
imports = ["model.py"]
seeds = 1
baselines = false
[data]
name = "cells"
options = { n_train = 3, n_val = 1, n_test = 2, size = 48 }
[train]
steps = 8
batch_size = 2
crop = 48
validate_every = 4
threads = 2
devices = 2
device = "cpu"
[measure]
size = 48
repeats = 5
attempts = 1
[limits]
checkpoint_seconds = 0
"""

MODEL = '''
import os
import unetzoo
from torch import nn
from unetzoo.measure import latency

latency.PRODUCT_SIDE["cpu"] = 64  # nothing here depends on a timing
print("sees", os.environ.get("CUDA_VISIBLE_DEVICES"))

@unetzoo.register_model("two_processes")
class Two(nn.Sequential):
    """One convolution, a batch norm and another."""
    def __init__(self, in_channels, num_classes):
        super().__init__(nn.Conv2d(in_channels, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, num_classes, 1))
'''


class Kills(Watcher):
    """Kills one of the processes of a trial in mid-training."""

    def change(self, job: Any) -> None:
        if job.last.get("phase") == "train" and job.last["step"] >= 3:
            for process in descendants(os.getpid()):
                if "spawn_main" in Path(f"/proc/{process}/cmdline").read_text(errors="replace"):
                    os.kill(process, signal.SIGKILL)
                    return


@pytest.mark.nightly
@pytest.mark.timeout(900)  # four processes import everything
@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_a_killed_trial_of_two_processes_is_resumed(
    tmp_path: Path, clean_registry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.py").write_text(MODEL)
    (tmp_path / "suite.toml").write_text(SUITE)
    for name in ("SLURM_NTASKS", "WORLD_SIZE", "RANK"):  # as in a batch job or under a launcher: not meant for trials
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("MASTER_PORT", "1")
    monkeypatch.setattr(engine, "_places", lambda todo, measured, watcher: [(4, 5)])
    suite, out = read_suite(tmp_path / "suite.toml"), tmp_path / "out"
    trials = run(suite, out, watcher=Kills())
    assert list(trials["status"]) == ["killed"]
    assert "SIGKILL" in trials["reason"][0]
    assert list(out.glob("trials/*/checkpoint.pt"))
    assert list(run(suite, out, retry_failed=True)["status"]) == ["ok"]
    (record,) = map(read_record, (out / "records").glob("*.json"))
    assert record.resumed
    assert record.resumed[0] >= 2
    assert record.result is not None
    assert record.result.steps == 8
    assert record.environment["batch_norm"] == "over each process's share of the batch"
    assert len(record.result.per_image) == 2
    assert "sees 4,5" in next(out.glob("trials/*/log.txt")).read_text()
    assert not list(out.glob("trials/*/checkpoint*"))
    assert not list(out.glob("claims/*.beat"))


DATA = create_dataset("cells", n_train=3, n_val=1, n_test=1, size=48)
RECIPE = Recipe(
    recipe="modern", steps=6, batch_size=4, crop=16, validate_every=2, device="cpu", devices=2, loss="cross_entropy"
)

Weights = dict[str, np.ndarray]


def trained(fabric: Fabric, recipe: Recipe, hooks: TrainingHooks | None = None) -> Weights:
    """Train a network without batch norm, and return its weights."""
    torch.manual_seed(0)
    network = create_model("unet_d2", in_channels=1, num_classes=2, width=4, norm="group")
    normalization = Normalization.of(DATA)
    crops = TrainingCrops(DATA, normalization, crop=recipe.crop, seed=5, length=100)
    validation = dict(EvaluationItems(DATA, DATA.splits["val"], normalization))
    train(fabric, network, crops, validation, DATA.info, recipe, hooks)
    return {name: value.numpy() for name, value in network.state_dict().items()}


def in_each_process(fabric: Fabric, folder: str) -> tuple[Weights, bool, list[str], list[int]]:
    """Train without a break, and with one; return what the first process has.

    Returns:
        The weights, whether those of the resumed training equal them, what the stopped one left, and the steps that
        each process told of.
    """
    torch.set_num_threads(1)
    whole = trained(fabric, RECIPE)
    steps: list[int] = []
    file = Path(folder) / "checkpoint.pt"

    def hooks(stop: int) -> TrainingHooks:
        return TrainingHooks(
            progress=lambda message: steps.append(message["step"]),
            stop=lambda: fabric.global_rank == 1 and len(steps) == stop,  # one process is asked, both stop
            checkpoint=Checkpoint(file, "toy", every=1e9),
        )

    try:
        trained(fabric, RECIPE, hooks(3))
    except Interrupted:
        left = sorted(path.name for path in Path(folder).iterdir())
    resumed = trained(fabric, RECIPE, hooks(0))
    equal = all(np.array_equal(whole[name], resumed[name]) for name in whole)
    fabric.barrier()
    return whole, bool(fabric.all_reduce(torch.tensor(float(equal)), reduce_op="sum") == 2), left, steps


@pytest.mark.skipif(sys.platform != "linux", reason="the processes are forked from a server that has the imports")
def test_a_stopped_training_of_two_processes_ends_as_without_the_stop(tmp_path: Path) -> None:
    fork_server.start_method()
    strategy = DDPStrategy(start_method="forkserver")
    fabric = Fabric(accelerator="cpu", devices=2, strategy=strategy, plugins=[OneMachine()])
    whole, equal, left, steps = fabric.launch(in_each_process, str(tmp_path))
    assert equal
    assert left == ["checkpoint.pt"]
    assert steps == [1, 2, 3, 4, 5, 6]
    alone = trained(Fabric(accelerator="cpu", devices=1), RECIPE.model_copy(update={"devices": 1}))
    for name, value in alone.items():  # the same batches, whatever the number of processes
        np.testing.assert_allclose(value, whole[name], rtol=1e-3, atol=1e-4)


def test_a_trial_takes_no_part_in_a_launchers_group(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in OF_LAUNCHERS:
        monkeypatch.setenv(name, "3")
    here = OneMachine()
    assert not here.creates_processes_externally
    assert (here.main_address, here.node_rank(), here.local_rank()) == ("127.0.0.1", 0, 0)
    assert here.main_port == here.main_port != 3
    assert not set(OF_LAUNCHERS) & set(os.environ)


def test_under_torchrun_the_first_process_runs_the_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torchrun = {"TORCHELASTIC_RUN_ID": "x", "LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "2", "RANK": "1"}
    assert place_in_torchrun({}) is None
    assert place_in_torchrun(torchrun) == (1, 2)
    with pytest.raises(UnetzooError, match=r"torchrun --nnodes 2: a trial trains on the devices of one machine"):
        place_in_torchrun({**torchrun, "WORLD_SIZE": "4"})
    for name, value in torchrun.items():
        monkeypatch.setenv(name, value)
    done = command("trial", tmp_path, "x")
    assert (done.returncode, "process 1 of 2: nothing to do" in done.stderr) == (0, True)
    monkeypatch.setenv("RANK", "0")
    assert command("trial", tmp_path, "x").returncode == 2  # no run is prepared here
