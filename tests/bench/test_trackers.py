"""Trackers: stores of a real run read back by their own clients, exports, and trackers that fail."""

from __future__ import annotations

import json
import logging
import shutil
import sys
import types
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from support.command import Done
from support.command import run as command
from unetzoo.bench.jobs import Job
from unetzoo.bench.trackers import choice, to_trackio, watch
from unetzoo.bench.trackers.tracker import Ending, TrackedTrial, Tracker
from unetzoo.records.record import Record, read_record

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]  # of the trackers' clients

SUITE = """
name = "a <b>suite"
models = ["unet_d2"]
set = { width = 4 }
seeds = 1
baselines = false
[data]
name = "cells"
options = { n_train = 3, n_val = 1, n_test = 2, size = 48 }
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
"""


class Tracked(SimpleNamespace):
    done: Done
    out: Path
    path: Path
    record: Record


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Tracked:
    folder = tmp_path_factory.mktemp("tracked")
    (folder / "suite.toml").write_text(SUITE)
    levels = {name: logging.getLogger(name).level for name in ("mlflow", "alembic")}
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setattr(watch, "CLOSE_SECONDS", 600)  # MLflow makes a database, on a busy machine slowly
        track = ("--track", "tensorboard", "--track", "mlflow,tensorboard")
        done = command("bench", folder / "suite.toml", "--out", folder / "out", *track)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    (path,) = (folder / "out" / "records").glob("*.json")
    return Tracked(done=done, out=folder / "out", path=path, record=read_record(path))


def scores(record: Record) -> tuple[float, dict[int, float]]:
    """Return the test Dice, and the loss of each validation by its step."""
    assert record.result is not None
    assert record.curves is not None
    assert record.result.dice is not None
    return record.result.dice, {step: loss for step, loss, _ in record.curves.val}


def test_tensorboard_reads_what_was_written(tracked: Tracked) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert (tracked.done.returncode, tracked.done.stderr) == (0, "")
    store = EventAccumulator(str(tracked.out / "trackers" / "tensorboard" / tracked.path.stem)).Reload()
    dice, losses = scores(tracked.record)
    assert [event.step for event in store.Scalars("train/loss")] == [1, 2, 3, 4]
    assert {event.step: event.value for event in store.Scalars("val/loss")} == pytest.approx(losses)
    assert store.Scalars("test/dice")[0].value == pytest.approx(dice)
    assert store.Scalars("cost/params")[0].value == tracked.record.cost.params
    (image,) = store.Images(f"pictures/{tracked.record.samples[0].key}")
    assert (image.width, image.height) == (3 * 48 + 2 * 4, 48)
    text = store.Tensors("record")[0].tensor_proto.string_val[0].decode()
    assert tracked.record.id in text
    assert all(line.startswith("    ") for line in text.splitlines())  # shown as it is, never as HTML
    assert store.PluginTagToContent("hparams")


def test_mlflow_reads_what_was_written(tracked: Tracked, tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    uri = f"sqlite:///{tracked.out / 'trackers' / 'mlflow' / 'mlflow.db'}"
    client = MlflowClient(uri, uri)
    experiment = client.get_experiment_by_name("a <b>suite")
    (run,) = client.search_runs([experiment.experiment_id])
    dice, losses = scores(tracked.record)
    assert (run.info.run_name, run.info.status) == (tracked.path.stem, "FINISHED")
    assert (run.data.params["train.steps"], run.data.params["model.options.width"]) == ("4", "4")
    assert run.data.metrics["test/dice"] == pytest.approx(dice)
    history = client.get_metric_history(run.info.run_id, "val/loss")
    assert {point.step: point.value for point in history} == pytest.approx(losses)
    assert len(history) == len(losses)
    assert len(client.get_metric_history(run.info.run_id, "train/loss")) == 4
    file = client.download_artifacts(run.info.run_id, "record.json", str(tmp_path))
    assert Path(file).read_bytes() == tracked.path.read_bytes()
    assert len(client.list_artifacts(run.info.run_id, "pictures")) == 2

    other = tmp_path / "other"  # a run without trackers, exported to the same store
    shutil.copytree(tracked.out / "records", other / "records")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        for words in ("1 trials written:", "0 trials written, 1 already there:"):
            done = command("export-runs", other, "--to", "mlflow")
            assert (done.returncode, words in done.stdout) == (0, True), done.stderr
    assert len(client.search_runs([experiment.experiment_id])) == 2


def test_an_export_adds_nothing_twice(tracked: Tracked, tmp_path: Path) -> None:
    def files() -> list[Path]:
        return sorted((tracked.out / "trackers" / "tensorboard").rglob("events.*"))

    before = files()
    done = command("export-runs", tracked.out, "--to", "tensorboard")
    assert (done.returncode, "0 trials written, 1 already there" in done.stdout) == (0, True)
    assert files() == before
    shutil.copytree(tracked.out / "records", tmp_path / "records")
    (tmp_path / "records" / "cut.json").write_text("{")
    done = command("export-runs", tmp_path, "--to", "tensorboard")
    assert (done.returncode, "1 trials written" in done.stdout, "left out: " in done.stderr) == (1, True, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("bench", "--track", "mlflo"), "'mlflo' is not a tracker"),
        (("bench", "--track", "wandb"), "needs wandb (not installed): pip install 'unetzoo[wandb]'"),
        (("trial", "run", "id", "--track", "wandb"), "pip install 'unetzoo[wandb]'"),
        (("export-runs", "none", "--to", "wandb"), "pip install 'unetzoo[wandb]'"),
        (("export-runs", "none", "--to", "tensorboard"), "none: no such folder"),
        (("bench", "--prepare", "--track", "tensorboard"), "once all are over: unetzoo export-runs"),
    ],
)
def test_what_is_wrong_is_found_before_anything_runs(
    words: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = choice.find_spec
    monkeypatch.setattr(choice, "find_spec", lambda name: None if name == "wandb" else found(name))
    done = command(*words, cwd=tmp_path)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert not list(tmp_path.iterdir())


class Broken(Tracker):
    """A tracker that fails at its first value."""

    @classmethod
    def store(cls, folder: Path) -> str:
        return "nowhere"

    def log(self, step: int, values: Any) -> None:
        raise SystemExit("disk \x1b[31m full")

    def end(self, ending: Ending) -> None:
        raise AssertionError("it has failed already")


def test_a_tracker_that_fails_is_a_warning(tracked: Tracked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "tracker_class", lambda name: Broken)
    for name in ("records", "trials"):
        shutil.copytree(tracked.out / name, tmp_path / name)
    told: list[str] = []
    with watch.tracking(tmp_path, ["broken"], told.append) as (watcher,):
        for message in ({"phase": "data"}, {"phase": "train", "step": 1, "steps": 4, "loss": 0.5, "val_step": None}):
            watcher.change(fake_job(tracked, tmp_path, message))
        watcher.end(fake_job(tracked, tmp_path, {}))
    (line,) = told
    assert line.startswith("tracker broken failed, trials go on without it: ")
    log = (tmp_path / "trials" / tracked.path.stem / "log.txt").read_text()
    assert "unetzoo: warning: tracker broken failed; the trial goes on without it: SystemExit: disk \\x1b[31m" in log
    assert not (tmp_path / "trackers" / "broken" / "written.jsonl").exists()


def fake_job(tracked: Tracked, out: Path, last: dict[str, Any]) -> Job:
    trial = SimpleNamespace(
        stem=tracked.path.stem,
        id=tracked.record.id,
        train=SimpleNamespace(tune=None),
        model_dump=lambda mode: tracked.record.trial,
    )
    folders = SimpleNamespace(
        folder=lambda trial: out / "trials" / trial.stem,
        log=lambda trial: out / "trials" / trial.stem / "log.txt",
        record=lambda trial: out / "records" / f"{trial.stem}.json",
    )
    found: Any = {"suite": SimpleNamespace(name="s"), "trial": trial, "folders": folders, "blank": None}
    return Job(**found, last=last, status="ok")


def test_trackio_gets_a_run_of_its_own_in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a fake client, because trackio needs an older Pillow than this environment has."""
    calls: list[Any] = []
    run = SimpleNamespace(log=lambda values, step: calls.append((step, values)), finish=lambda: calls.append("end"))
    client = types.ModuleType("trackio")
    client.init = lambda **options: calls.append(options) or run  # type: ignore[attr-defined]
    client.Image = client.Markdown = lambda value: value  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "trackio", client)
    monkeypatch.setenv("TRACKIO_DIR", "")
    monkeypatch.delenv("TRACKIO_DIR")
    (tmp_path / "r.json").write_text(json.dumps({"a": "<b>"}))
    one = to_trackio.Adapter(tmp_path / "t", TrackedTrial("a/b", "set/unet-s0-1", "1", {"seed": 0}))
    one.log(3, {"train/loss": 0.5})
    one.end(Ending("ok", step=4, values={"test/dice": 0.25}, record=tmp_path / "r.json"))
    assert (calls[0]["project"], calls[0]["name"], calls[0]["config"]) == ("a-b", "set-unet-s0-1", {"seed": 0})
    assert one.store(tmp_path / "other") == str(tmp_path / "t")
    assert calls[1] == (3, {"train/loss": 0.5})
    assert calls[2][1] == {"test/dice": 0.25, "record": '    {"a": "<b>"}', "status": "ok"}
    assert calls[3] == "end"


@pytest.mark.nightly  # needs the extra "wandb", which starts a service of its own
def test_wandb_writes_an_offline_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    (tmp_path / "suite.toml").write_text(SUITE)
    done = command("bench", tmp_path / "suite.toml", "--out", tmp_path / "out", "--track", "wandb")
    assert (done.returncode, done.stderr) == (0, "")
    (record,) = (tmp_path / "out" / "records").glob("*.json")
    (store,) = (tmp_path / "out" / "trackers").rglob("*.wandb")
    content = store.read_bytes()  # records of protobuf, whose strings stand in it as they are
    for word in ("val/loss", "test/dice", "cost/params", "train.steps", read_record(record).id):
        assert word.encode() in content, word
    (copied,) = store.parent.rglob(record.name)
    assert copied.read_bytes() == record.read_bytes()
    assert len(list(store.parent.rglob("*.png"))) == 2
