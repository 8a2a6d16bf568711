"""The record of a trial: one JSON file, written atomically, and all that the report reads.

A record is a fact. ``result`` and ``curves`` are functions of the trial (same seed, same machine, same thread count:
same values); ``cost`` and ``environment`` are measured. This module does not import torch, because the report reads
records on machines that have never trained anything.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from unetzoo._util.text import REASON, TAIL, shortened, visible_values
from unetzoo.errors import Strict, UnetzooError
from unetzoo.records.parts import Cost, Curves, Event, Flag, ModelDescription, Result, Sample, Try

if TYPE_CHECKING:
    from typing_extensions import Self

WEIGHTS_NOT_SAVED = "weights-not-saved"  # kind of the flag of a trial that succeeded and whose weights are missing
_ESCAPED = re.compile(rb"\\[bfru]")
_CHECKSUM = re.compile(rb',\s*"checksum": *"[0-9a-f]{64}"\s*\}\s*\Z')
Status = Literal["ok", "crashed", "killed", "oom", "nan", "timeout", "hung"]


class Record(Strict):
    """The outcome of one trial, whether it succeeded or failed.

    Attributes:
        version: Version of the format that the record was read from: 2, or 1, whose scores of images are dictionaries.
        id: The trial's id.
        status: How the trial ended.
        reason: Why it failed, in one line.
        log_tail: Last lines of its log, if it failed.
        suite: Name of the suite.
        question: The suite's question.
        baseline: True for a trivial predictor.
        trial: The resolved trial: model, data, train, measure, score, seed, protocol.
        model: Description of the model.
        data: The data set: classes, class_names, foreground, ignore_index, channels, sizes and hashes of the splits.
        result: Test scores.
        curves: Learning curves.
        cost: Measured cost.
        tuning: The learning rates that were tried.
        events: The order in which the data was read.
        resumed: Steps at which an interrupted training was continued.
        flags: Reasons to suspect the result.
        samples: A few test images.
        weights: SHA-256 of the file with the trained weights, if it was saved.
        environment: The machine and the software.

    In its file, the record ends with ``checksum``, a SHA-256 of all other fields, which reading verifies. Older files
    have none.
    """

    version: Literal[1, 2] = 2
    id: str
    status: Status
    reason: str | None = None
    log_tail: str | None = None
    suite: str
    question: str = ""
    baseline: bool = False
    trial: dict[str, Any]
    model: ModelDescription
    data: dict[str, Any]
    result: Result | None = None
    curves: Curves | None = None
    cost: Cost | None = None
    tuning: list[Try] = []
    events: list[Event] = []
    resumed: list[int] = []
    flags: list[Flag] = []
    samples: list[Sample] = []
    weights: str | None = None
    environment: dict[str, Any] = {}

    def to_json(self) -> str:
        """Return the record as JSON with one line per field, without spaces: compact, and still readable in a diff."""
        # Dumped in Python's own types, because pydantic's JSON fails at text that is not sound Unicode.
        fields = json.loads(json.dumps(visible_values(self.model_dump()), allow_nan=False, default=str)) | {
            "version": 2
        }
        if self.weights is None:
            del fields["weights"]
        fields["checksum"] = checksum(fields)
        close = {"allow_nan": False, "separators": (",", ":")}
        lines = (f" {json.dumps(key)}: {json.dumps(value, **close)}" for key, value in fields.items())
        return "{\n" + ",\n".join(lines) + "\n}\n"

    @classmethod
    def from_json(cls, text: str | bytes, where: str) -> Self:
        """Parse and validate JSON, and compare it with its checksum if it has one.

        Args:
            text: The JSON.
            where: Source of the text, such as a file name; error messages begin with it.

        Raises:
            DamagedRecordError: If it is not JSON, not what its checksum says, or has no checksum and is not valid.
            UnetzooError: If it is valid JSON of another version of the format.
        """
        try:
            fields = json.loads(text)
        except (ValueError, RecursionError):
            fields = None
        stated = None
        if isinstance(fields, dict):
            stated = fields.pop("checksum", None)
            if stated is not None and stated != checksum(fields):
                raise DamagedRecordError(f"{where}: damaged, its content does not match its checksum")
        raw = text.encode(errors="surrogatepass") if isinstance(text, str) else text
        if fields is not None and not _plain(raw):
            text = json.dumps(visible_values(fields))
        elif stated is not None and isinstance(fields, dict):
            text = _without_checksum(raw, fields)
        try:
            record = super().from_json(text, where)
        except UnetzooError as error:
            if isinstance(fields, dict) and (stated is not None or fields.get("version", 1) not in (1, 2)):
                raise
            raise DamagedRecordError(shortened(str(error), REASON)) from None
        return record._bounded()

    def _bounded(self) -> Self:
        """Return the record with no text longer than a new one has."""
        texts = {"reason": (self.reason, REASON), "log_tail": (self.log_tail, TAIL)}
        long = {name: shortened(text, limit) for name, (text, limit) in texts.items() if text and len(text) > 2 * limit}
        return self.model_copy(update=long) if long else self


def _plain(raw: bytes) -> bool:
    """Return True if this JSON has no character, as such or escaped, that `visible_values` changes."""
    return raw.isascii() and b"\x7f" not in raw and (b"\\" not in raw or _ESCAPED.search(raw) is None)


def _without_checksum(raw: bytes, fields: dict[str, Any]) -> bytes:
    """Return the JSON of a record without its last field, the checksum, or ``fields`` as JSON if it is not the last."""
    cut = _CHECKSUM.search(raw)
    return raw[: cut.start()] + b"}" if cut else json.dumps(fields).encode()


class DamagedRecordError(UnetzooError):
    """A file that was a record and is not valid any more, or that holds the record of another trial."""


def checksum(fields: dict[str, Any]) -> str:
    """Return the SHA-256 of a record's fields as JSON with sorted keys, however its file is laid out."""
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def read_record(path: Path) -> Record:
    """Read a record.

    Raises:
        UnetzooError: If the file cannot be read or is not a record, or its name ends with the id of another trial; the
            message names it.
    """
    try:
        record = Record.from_json(path.read_bytes(), f"{path}: not a unetzoo record")
    except OSError as error:
        raise UnetzooError(f"{path}: cannot be read: {error.strerror}") from None
    named = re.search(r"-([0-9a-f]{12})$", path.stem)
    if named and named[1] != record.id:
        raise DamagedRecordError(f"{path}: not the record of this trial, but of trial {shortened(record.id, 40)}")
    return record


def recorded_weights(file: Path) -> tuple[str, Path] | None:
    """Return the checksum of a trial's weights that its record states, and the record.

    Args:
        file: ``OUT/trials/TRIAL/model.safetensors``; its record is ``OUT/records/TRIAL.json``.

    Returns:
        None if the file is not in the folder of a trial, or its record is missing, damaged or states no checksum.
    """
    folder = file.absolute().parent
    path = folder.parent.with_name("records") / f"{folder.name}.json"
    if folder.parent.name != "trials" or not path.is_file():
        return None
    try:
        weights = read_record(path).weights
    except UnetzooError:
        return None
    return (weights, path) if weights else None
