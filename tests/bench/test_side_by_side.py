"""Costs that are measured once per model, and the choice of how many trials run side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import unetzoo
from support import quick_timings
from unetzoo.bench import execute as engine
from unetzoo.bench import side_by_side
from unetzoo.bench.execute import _choose_jobs
from unetzoo.bench.expand import expand
from unetzoo.bench.jobs import Job, StopRequest
from unetzoo.bench.output import OutputFolders
from unetzoo.bench.side_by_side import Measured, choose_jobs, most_jobs
from unetzoo.bench.suite import Suite
from unetzoo.bench.trials import Trial
from unetzoo.bench.watcher import Watcher
from unetzoo.errors import UnetzooError
from unetzoo.records.record import read_record

DATA = {"name": "cells", "options": {"n_train": 4, "n_val": 2, "n_test": 2, "size": 48}}
TRAIN = {"steps": 4, "batch_size": 2, "crop": 32, "validate_every": 2}
MEASURE = {"size": 32, "repeats": 5, "attempts": 1, "seconds": 0.2}
GIB = 2**30


def suite(**changes: Any) -> Suite:
    train = {**TRAIN, **changes.pop("train", {})}
    made = {"name": "s", "models": ["unet"], "set": {"width": 4, "depth": 3}, "data": DATA, "seeds": 2}
    made["imports"] = [quick_timings.__file__]
    return Suite.from_mapping({**made, "train": train, "measure": MEASURE, "baselines": False, **changes}, "s.toml")


def trials(**changes: Any) -> list[Trial]:
    made = suite(**changes)
    return expand(made, made.data.open())


class Listener(Watcher):
    """Notes the tasks that ended and the lines on decisions."""

    def __init__(self) -> None:
        self.ended: list[tuple[str, str | None]] = []
        self.lines: list[str] = []

    def measured(self, job: Job) -> None:
        self.ended.append((job.task, job.status))

    def end(self, job: Job) -> None:
        self.ended.append((job.task, job.status))

    def decided(self, line: str) -> None:
        self.lines.append(line)


def test_costs_are_measured_once_for_all_seeds_and_kept(tmp_path: Path) -> None:
    listener = Listener()
    frame = unetzoo.run(suite(), tmp_path, watcher=listener)
    assert list(frame["status"]) == ["ok", "ok"]
    assert listener.ended == [("costs", "ok"), ("trial", "ok"), ("trial", "ok")]
    (file,) = (tmp_path / "costs").glob("*.json")
    costs = [read_record(path).cost for path in sorted((tmp_path / "records").glob("*.json"))]
    assert len({cost.latency_p50_ms for cost in costs if cost}) == 1
    assert all(cost and "measure" not in cost.phases for cost in costs)

    known = json.loads(file.read_text())
    known["cost"]["params"] += 1
    file.write_text(json.dumps(known))
    unetzoo.run(suite(seeds=3), tmp_path)
    params = {seed: record.cost.params for seed, record in _by_seed(tmp_path).items() if record.cost}
    assert params[2] == params[0] + 1, "the file was read"

    known["conditions"]["cpu"] = "another"
    file.write_text(json.dumps(known))
    unetzoo.run(suite(seeds=4), tmp_path)
    assert _by_seed(tmp_path)[3].cost.params == params[0], "on another machine they are measured again"


def _by_seed(out: Path) -> dict[int, Any]:
    return {record.trial["seed"]: record for record in map(read_record, (out / "records").glob("*.json"))}


def test_a_model_that_fails_while_it_is_measured_is_a_row_and_the_others_go_on(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "import unetzoo\nfrom torch import nn\n"
        "class Breaks(nn.Module):\n"
        "    def __init__(self, in_channels, num_classes):\n"
        "        super().__init__()\n"
        "        self.net = nn.Conv2d(in_channels, num_classes, 1)\n"
        "    def forward(self, x):\n"
        "        if len(x) > 1: raise RuntimeError('no batches')\n"
        "        return self.net(x)\n"
        "unetzoo.register_model('breaks')(Breaks)\n"
    )
    listener = Listener()
    made = suite(models=["breaks", "unet"], set={}, imports=[quick_timings.__file__, str(tmp_path / "own.py")], seeds=1)
    frame = unetzoo.run(made, tmp_path / "out", watcher=listener).set_index("model")
    assert frame.loc["breaks", "status"] == "crashed"
    assert "no batches" in str(frame.loc["breaks", "reason"])
    assert frame.loc["unet", "status"] == "ok"
    assert sorted(listener.ended) == [("costs", "crashed"), ("costs", "ok"), ("trial", "ok")]


@pytest.mark.parametrize(
    ("changes", "measured", "memory", "most"),
    [
        ({}, Measured(60, GIB, "cpu"), 64 * GIB, 2),  # as many as there are trials
        ({"seeds": 9}, Measured(60, GIB, "cpu"), 64 * GIB, 8),  # as many as there are cores
        ({"seeds": 9, "train": {"threads": 3}}, Measured(60, GIB, "cpu"), 64 * GIB, 2),
        ({"seeds": 9}, Measured(60, GIB, "cpu"), 8 * GIB, 3),  # 5.6 GiB, 1.5 each
        ({"seeds": 9}, Measured(60, 9 * GIB, "cpu"), 8 * GIB, 1),
        ({"seeds": 9}, Measured(60, GIB, "cuda"), 64 * GIB, 1),
        ({"seeds": 9}, Measured(0.1, GIB, "cpu"), 64 * GIB, 1),  # over in seconds
        ({"seeds": 9, "train": {"steps": None, "minutes": 5}}, Measured(60, GIB, "cpu"), 64 * GIB, 1),
        ({"seeds": 1}, Measured(60, GIB, "cpu"), 64 * GIB, 1),
    ],
)
def test_how_many_trials_may_run_side_by_side(
    changes: dict[str, Any], measured: Measured, memory: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(side_by_side, "cores", lambda: 8)
    found = trials(**changes)
    assert most_jobs(found, [measured] * len(found), memory) == most


@pytest.mark.parametrize(
    ("rates", "jobs"),
    [
        ({1: 2.0, 2: 3.0, 4: 3.5, 8: 3.2}, 4),
        ({1: 2.0, 2: 2.1, 4: 2.05, 8: 2.0}, 1),  # a gain of 5 % may be noise
        ({1: 2.0, 2: 3.0, 4: None}, 2),  # four do not fit
        ({1: None}, 1),
        ({1: 2.0, 2: 1.0}, 1),  # nothing beyond is tried
    ],
)
def test_the_number_with_the_most_steps_is_chosen(rates: dict[int, float | None], jobs: int) -> None:
    chosen, why = choose_jobs(8, False, lambda n: rates[n])
    assert chosen == jobs
    assert ("side by side" in why) == (jobs > 1)


def test_trials_are_rehearsed_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only that both rehearsals run and the choice is said; which one wins is the machine's to say."""
    monkeypatch.setattr(side_by_side, "WORTHWHILE_SECONDS", 0)
    monkeypatch.setattr(side_by_side, "cores", lambda: 2)
    listener = Listener()
    assert list(unetzoo.run(suite(), tmp_path, watcher=listener)["status"]) == ["ok", "ok"]
    (line,) = listener.lines
    assert "with 1" in line
    assert "with 2" in line or line.startswith("one trial")


@pytest.mark.parametrize(("side_by_side", "names"), [(1, ["a", "b", "c"]), (2, ["c", "a", "b"])])
def test_side_by_side_the_longest_training_of_a_seed_starts_first(
    side_by_side: int, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = suite(
        models=[
            {"name": "unet", "label": label, "set": {"width": w}} for label, w in zip("abc", (4, 5, 6), strict=True)
        ]
    )
    found = expand(made, made.data.open())
    jobs: list[Any] = [Job(made, trial, None, OutputFolders(Path()), None) for trial in found]  # type: ignore[arg-type]
    seconds = dict(zip([trial.costs_id for trial in found], (2.0, 1.0, 3.0), strict=False))
    measured = {costs_id: Measured(each, None, "cpu") for costs_id, each in seconds.items()}
    ran: list[Job] = []
    monkeypatch.setattr(engine, "_measure_costs", lambda todo, *_: (todo, measured))
    monkeypatch.setattr(engine, "run_queue", lambda queue, *_: ran.extend(queue._fresh))
    engine.execute(jobs, 0, side_by_side, None, True, Watcher(), StopRequest())  # type: ignore[arg-type]
    assert [job.trial.model.label for job in ran] == 2 * names
    assert [job.trial.seed for job in ran] == [0, 0, 0, 1, 1, 1]


def test_nothing_is_rehearsed_if_nothing_was_measured() -> None:
    assert _choose_jobs([], {}, Watcher(), StopRequest()) == 1


def test_jobs_must_be_a_number_or_auto(tmp_path: Path) -> None:
    with pytest.raises(UnetzooError, match="jobs = 0 must be 1 or more, or 'auto'"):
        unetzoo.run(suite(), tmp_path, jobs=0)


def test_precision_and_layout_are_chosen_once_for_all_seeds(tmp_path: Path) -> None:
    unetzoo.run(suite(train={"compute": "auto"}), tmp_path)
    first, second = (record.environment for record in _by_seed(tmp_path).values())
    assert first["compute"] == second["compute"]
    chosen, timings = first["compute"]["compute"], first["compute"]["timings"]
    assert first["precision"] == second["precision"] == chosen["precision"]
    assert len({(t["compute"]["precision"], t["compute"]["channels_last"]) for t in timings}) == len(timings) >= 2
    for record in _by_seed(tmp_path).values():
        layout = "channels_last" if chosen["channels_last"] else "contiguous"
        assert f"; {chosen['precision']}, {layout}" in record.cost.latency_method
