"""Jobs of an engine: a trial to run, or what is measured for it beforehand, and how it goes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from unetzoo.bench.claims import Claim
from unetzoo.bench.output import OutputFolders
from unetzoo.bench.suite import Suite
from unetzoo.bench.trials import Trial
from unetzoo.records.record import Record, Status

if TYPE_CHECKING:
    from unetzoo.data.base import DatasetInfo


@dataclass
class Job:
    """A trial to run, or what is measured for it beforehand; updated by each of its messages until it has ended.

    Attributes:
        suite: The suite of the trial.
        trial: The trial itself.
        blank: Its record, as far as it is known before the trial runs.
        folders: Folders of the output.
        data: Label of its data set in a collection; None for a single suite.
        info: Description of the data set, which only a trial opens.
        task: What its process does: the trial, the measurement of its model's costs, or a rehearsal of training steps.
        status: How the trial ended; None while it runs, and if it was stopped.
        reason: Why it failed, in one line.
        stopped: True if it ended because the user asked it to, whether or not it could save a checkpoint.
        last: Its last message.
        environment: Its report on the machine and the software.
        again: True once it was started anew because its fork server died.
        cells: What its process needs of notebook cells; see `unetzoo.bench.cells`.
        before: What its record was when the job was made, by `unetzoo.bench.queue.signature`.
        claim: The claim on the trial; None for a measurement, and while another process runs the trial.
        lost: True if the trial noticed that another process has taken it over.
        elsewhere: True if another process has ended the trial and written its record.
    """

    suite: Suite
    trial: Trial
    blank: Record
    folders: OutputFolders
    data: str | None = None
    info: DatasetInfo | None = None
    task: Literal["trial", "costs", "rehearsal"] = "trial"
    status: Status | None = None
    reason: str | None = None
    stopped: bool = False
    last: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    again: bool = False
    cells: bytes = b""
    before: str | None = None
    claim: Claim | None = None
    lost: bool = False
    elsewhere: bool = False

    def receive(self, message: dict[str, Any]) -> None:
        """Update the job from a message of its trial."""
        if not message:  # a sign of life
            return
        self.last = message
        self.status, self.reason = message.get("status"), message.get("reason")
        self.stopped = message.get("stopped", False)
        self.lost = message.get("lost", False)
        self.environment = message.get("environment", self.environment)

    def progress(self) -> dict[str, Any]:
        """Return how far the trial is, for its heartbeat."""
        return {name: self.last[name] for name in ("phase", "step", "steps", "val_dice") if name in self.last}

    def start_over(self) -> None:
        """Forget all messages, because the trial is started again."""
        self.last, self.environment, self.again = {}, {}, True
        self.status, self.reason, self.lost = None, None, False


@dataclass
class StopRequest:
    """The user's request to a run: with ``stop``, nothing new starts and running trials save themselves and end."""

    stop: bool = False
