"""MLflow: a run in an experiment of the suite's name, in a database in the folder of the run or on a server."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from unetzoo.bench.trackers.tracker import Ending, TrackedTrial, Tracker

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # before the import

from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

if TYPE_CHECKING:
    from mlflow.entities import Run

MOST_PARAMS, MOST_METRICS, LONGEST = 100, 1000, 500  # of one request, and characters of a value
FLUSH_SECONDS = 5.0
STATUS = {"ok": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}
TAG = "unetzoo.trial"
UNFIT = re.compile(r"[^\w./ -]")


class Adapter(Tracker):
    """A trial as a run of MLflow; see `Tracker`."""

    def __init__(self, folder: Path, trial: TrackedTrial) -> None:
        super().__init__(folder, trial)
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        folder.mkdir(parents=True, exist_ok=True)
        uri = self.store(folder)
        self._client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        experiment = self._experiment(None if uri.startswith("http") else (folder / "artifacts").as_uri())
        run = self._stopped(experiment)
        if run is None:
            run = self._client.create_run(experiment, run_name=trial.name, tags={TAG: trial.id})
            params = [Param(UNFIT.sub("_", key), str(value)[:LONGEST]) for key, value in trial.settings.items()]
            for start in range(0, len(params), MOST_PARAMS):
                self._client.log_batch(run.info.run_id, params=params[start : start + MOST_PARAMS])
        else:
            self._client.update_run(run.info.run_id, status="RUNNING")
        self._run, self._waiting, self._flushed = run.info.run_id, list[Metric](), time.monotonic()

    @classmethod
    def store(cls, folder: Path) -> str:
        """Return ``MLFLOW_TRACKING_URI`` if it is set, else the address of the database."""
        return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder / 'mlflow.db'}"

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Take the values of a step; they are stored a few seconds later, many at a time."""
        now = round(1000 * time.time())
        self._waiting += [Metric(UNFIT.sub("_", name), value, now, step) for name, value in values.items()]
        if time.monotonic() - self._flushed >= FLUSH_SECONDS:
            self._flush()

    def end(self, ending: Ending) -> None:
        """Take the end of the trial, and close its run."""
        self.log(ending.step, ending.values)
        self._flush()
        if ending.reason:
            self._client.set_tag(self._run, "unetzoo.reason", ending.reason)
        if ending.record is not None:
            self._client.log_text(self._run, ending.record.read_text(), "record.json")
        for key, png in ending.pictures.items():
            self._client.log_artifact(self._run, str(self._file(key, png)), "pictures")
        self._client.set_terminated(self._run, STATUS[ending.status])

    def _experiment(self, artifacts: str | None) -> str:
        """Return the id of the suite's experiment, which is made if it is missing."""
        name = self.trial.project
        if (found := self._client.get_experiment_by_name(name)) is not None:
            return found.experiment_id
        try:
            return self._client.create_experiment(name, artifact_location=artifacts)
        except MlflowException:  # another process was first
            if (found := self._client.get_experiment_by_name(name)) is None:
                raise
            return found.experiment_id

    def _stopped(self, experiment: str) -> Run | None:
        """Return the trial's run if it was stopped."""
        runs = self._client.search_runs([experiment], f"tags.`{TAG}` = '{self.trial.id}'", max_results=1)
        return runs[0] if runs and runs[0].info.status in ("KILLED", "RUNNING") else None

    def _flush(self) -> None:
        while self._waiting:
            self._client.log_batch(self._run, metrics=self._waiting[:MOST_METRICS])
            del self._waiting[:MOST_METRICS]
        self._flushed = time.monotonic()

    def _file(self, key: str, png: bytes) -> Path:
        """Return a picture as a file, which MLflow copies."""
        file = self.folder / "sent" / f"{UNFIT.sub('_', key).replace('/', '_')}.png"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(png)
        return file
