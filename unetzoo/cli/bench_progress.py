"""The live view of a run: bars on a terminal, a line per event elsewhere."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from importlib import import_module
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from unetzoo.bench.jobs import Job
from unetzoo.bench.trials import Trial
from unetzoo.bench.watcher import Watcher
from unetzoo.data.base import SegmentationDataset
from unetzoo.data.folders.folder import Folder

SOON = 2.0  # seconds after which checks before the trials have a bar


class LiveWatcher(Watcher):
    """Shows phase, step, loss, validation Dice and time left of each trial, and progress and time left of the suite.

    Args:
        console: Where to print; bars are drawn only if it is a terminal.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.live = console.is_terminal
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            disable=not self.live,
        )
        self.tasks: dict[str, TaskID] = {}
        self.since: dict[str, float] = {}  # check before the trials -> when it began
        self.reported_validations: dict[str, int] = {}
        self.total, self.done, self.begun = 0, 0, time.monotonic()
        self.unfinished = 0  # trials that other processes still run in the end
        self.report: threading.Thread | None = None  # imports what writes the report

    def __enter__(self) -> LiveWatcher:
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    def wait(self, owner: str) -> None:
        line = f"waiting: the trials that are left are run by {owner}"
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def left(self, jobs: list[Job]) -> None:
        self.unfinished = len(jobs)

    def note(self, line: str) -> None:
        self.console.print(f"note: {line}", highlight=False, markup=False, soft_wrap=True)

    def stopping(self) -> None:
        self.console.print("stopping: running trials save themselves; Ctrl-C again ends them at once", highlight=False)

    def data(self, dataset: SegmentationDataset) -> None:
        if isinstance(dataset, Folder):
            for line in (m for m in dataset.messages if not m.startswith("warning: ")):  # those are logged
                self.console.print(f"data: {line}", highlight=False, markup=False, soft_wrap=True)

    def files(self, what: str, done: int, total: int) -> None:
        begun = self.since.setdefault(what, time.monotonic())
        if done == total:
            del self.since[what]
            if (task := self.tasks.pop(what, None)) is not None:
                self.bars.remove_task(task)
        elif what in self.tasks:
            self.bars.update(self.tasks[what], completed=done)
        elif time.monotonic() - begun >= SOON:
            self.tasks[what] = self.bars.add_task(what, total=total, completed=done, note="")
            if not self.live:
                self.console.print(f"{what}: {total}", highlight=False, markup=False)

    def check(self, data: str) -> None:
        self.console.print(f"{data}: checking the data", highlight=False, markup=False)

    def start(self, todo: list[Trial], reused: int) -> None:
        self.total, self.begun = len(todo), time.monotonic()
        kept = f", {reused} already done" if reused else ""
        self.console.print(f"{len(todo)} trials to run{kept}", highlight=False)
        if todo:
            self.suite = self.bars.add_task("suite", total=len(todo), note="")

    def decided(self, line: str) -> None:
        self.console.print(line, highlight=False, markup=False)

    def change(self, job: Job) -> None:
        name = _title(job)
        if name not in self.tasks:
            self.tasks[name] = self.bars.add_task(escape(name), total=job.trial.train.steps or 1, note="")
            if not self.live and job.task == "trial":
                self.console.print(f"{name}: started", highlight=False, markup=False)
            last = self.done + len(self.tasks) >= self.total  # trivial predictors come last
            if job.task == "trial" and (job.trial.model.baseline or last) and self.report is None:
                self.report = threading.Thread(target=_import_report, name="report", daemon=True)
                self.report.start()
        elif not self.live and job.last.get("validations", 0) > self.reported_validations.get(name, 0):
            self.reported_validations[name] = job.last["validations"]
            line = f"{name}: step {job.last['step']}/{job.last['steps']}  {_note(job.last)}"
            self.console.print(line, highlight=False, markup=False)
        self.bars.update(
            self.tasks[name],
            completed=job.last.get("step", 0),
            total=job.last.get("steps"),
            note=escape(_note(job.last)),
        )

    def measured(self, job: Job) -> None:
        self.bars.remove_task(self.tasks.pop(_title(job)))
        self.console.print(f"{_title(job)} measured{_ending(job.last)}", highlight=False, markup=False)

    def end(self, job: Job) -> None:
        if job.stopped:
            self.console.print(f"{_name(job)}: stopped; the same command continues it", highlight=False, markup=False)
            return
        self.done += 1
        left = (time.monotonic() - self.begun) / self.done * (self.total - self.done)
        if (task := self.tasks.pop(_title(job), None)) is not None:
            self.bars.remove_task(task)
        colour = "green" if job.status == "ok" else "red"
        what = f"{job.status}: {job.reason}" if job.reason else str(job.status)
        line = f"{self.done}/{self.total} {escape(_name(job))}: [{colour}]{escape(what)}[/]{escape(_ending(job.last))}"
        self.console.print(line, highlight=False)
        self.bars.update(self.suite, completed=self.done, note=f"about {_duration(left)} left" if left else "")


def _import_report() -> None:
    """Import what writes the report while the last trials run; where that fails, writing it will say so."""
    with suppress(Exception):
        import_module("unetzoo.report.page")


def _name(job: Job) -> str:
    return f"{_label(job)} seed {job.trial.seed}"


def _title(job: Job) -> str:
    """Return what the job's bar is called: the trial, or the costs of its model."""
    return f"{_label(job)}: costs" if job.task == "costs" else _name(job)


def _label(job: Job) -> str:
    return job.trial.model.label if job.data is None else f"{job.data}: {job.trial.model.label}"


def _note(message: dict[str, Any]) -> str:
    if message.get("phase") != "train":
        return str(message.get("phase", "starting"))
    step, steps, seconds = message["step"], message["steps"], message["seconds"]
    dice = message["val_dice"]
    parts = [f"loss {message['loss']:.3f}", f"val Dice {'-' if dice is None else f'{dice:.3f}'}"]
    return "  ".join([*parts, f"{_duration(seconds / step * (steps - step))} left"])


def _ending(message: dict[str, Any]) -> str:
    dice, seconds = message.get("dice"), message.get("seconds")
    text = "" if dice is None else f", test Dice {dice:.4f}"
    return text + ("" if seconds is None else f", {_duration(seconds)}")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}h{minutes % 60:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"
