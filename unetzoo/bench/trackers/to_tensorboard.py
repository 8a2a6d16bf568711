"""TensorBoard: event files in a folder for each trial, written without torch or TensorFlow."""

# The classes of protocol buffers come to be at run time.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from unetzoo.bench.trackers.tracker import Ending, TrackedTrial, Tracker

PNG_SIZE = slice(16, 24)  # of the file: width and height, four bytes each


class Adapter(Tracker):
    """A trial as a run of TensorBoard; see `Tracker`."""

    def __init__(self, folder: Path, trial: TrackedTrial) -> None:
        super().__init__(folder, trial)
        place = folder / trial.name
        self._purges = any(place.glob("events.*"))
        self._writer = EventFileWriter(str(place))
        self._write(hparams_pb(dict(trial.settings), trial_id=trial.id), 0)

    @classmethod
    def store(cls, folder: Path) -> str:
        """Return the folder."""
        return str(folder)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Take the values of a step; the first hides later steps of an attempt that was stopped."""
        if self._purges:
            self._purges = False
            start = SessionLog(status=SessionLog.START)
            self._writer.add_event(Event(wall_time=time.time(), step=step, session_log=start))
        self._write(Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]), step)

    def end(self, ending: Ending) -> None:
        """Take the end of the trial, and close the file."""
        if ending.values:
            self.log(ending.step, ending.values)
        for key, png in ending.pictures.items():
            width, height = (int.from_bytes(png[PNG_SIZE][i : i + 4], "big") for i in (0, 4))
            image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=png)
            self._write(Summary(value=[Summary.Value(tag=f"pictures/{key}", image=image)]), ending.step)
        self._text("status", f"{ending.status} {ending.reason}".rstrip(), ending.step)
        if ending.record is not None:
            self._text("record", ending.record.read_text(), ending.step)
        self._writer.close()

    def _text(self, tag: str, text: str, step: int) -> None:
        """Write a text, which TensorBoard shows as it is if every line is that of a block of code."""
        block = "\n".join(f"    {line}" for line in text.splitlines())
        tensor = TensorProto(dtype=DT_STRING, string_val=[block.encode()])
        plugin = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
        self._write(Summary(value=[Summary.Value(tag=tag, metadata=plugin, tensor=tensor)]), step)

    def _write(self, summary: Summary, step: int) -> None:
        self._writer.add_event(Event(wall_time=time.time(), step=step, summary=summary))
