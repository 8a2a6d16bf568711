"""The commands that show a variant, train it again, or use what it has learnt; and the folders of its trials."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from unetzoo._util.language import _
from unetzoo._util.tail import tail
from unetzoo.records.fields import dig, of_grid, seed_of
from unetzoo.records.manifest import read_manifest
from unetzoo.records.record import Record

WEIGHTS = "model.safetensors"
LOG = "log.txt"
LOG_LINES = 20  # of a trial that succeeded
ID = re.compile(r"[0-9a-f]{6,64}")  # others are not looked for: a record's id is text from outside


class TrialFolders:
    """The folders of a run's trials, which have their logs and weights; none in a repository of records.

    Args:
        folder: Output folder of the run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        names = sorted(path.name for path in (folder / "trials").glob("*/"))
        self._by_id = {name.rpartition("-")[2]: name for name in names}
        self.prefix, self.run = "", "."
        if (folder.parent / "prepared").is_dir() and read_manifest(folder.parent) is not None:
            self.prefix, self.run = f"{folder.name}/", ".."
        self.prepared = (folder / self.run / "prepared").is_dir()

    def of(self, record: Record) -> str | None:
        """Return the folder of a trial relative to that of the run; None if there is none."""
        name = self._by_id.get(record.id) if ID.fullmatch(record.id) else None
        return None if name is None else f"trials/{name}"

    def log(self, record: Record) -> str:
        """Return the end of a trial's log: that of its record if it failed, else of the file if it is there."""
        if record.log_tail or record.status != "ok" or (own := self.of(record)) is None:
            return record.log_tail or ""
        return tail(self.folder / own / LOG, LOG_LINES)


def commands(records: Sequence[Record], folders: TrialFolders) -> list[tuple[str, str]]:
    """Return (purpose, command) of each way to go on with a variant, to be run in the folder of the report.

    Args:
        records: Its records; empty if none can be read.
        folders: The folders of the run's trials.
    """
    if not records:
        return []
    first = records[0]
    found = [(_("its options, stages and costs"), shlex.join(["unetzoo", "show", *_model(first)]))]
    suite = shlex.quote(f"{first.suite}.toml") if first.suite else "SUITE.toml"
    target = f"--out {shlex.quote(folders.run)}"
    found.append((_("the trials that are missing, by the suite's file"), f"unetzoo bench {suite} {target}"))
    if folders.prepared:
        trial = folders.prefix + first.id
        purpose = _("seed {seed} again, once its record is moved away", seed=seed_of(first))
        found.append((purpose, shlex.join(["unetzoo", "trial", folders.run, trial])))
    trained = next((own for r in records if r.weights and (own := folders.of(r)) and _has_weights(folders, own)), None)
    if trained is not None:
        found.append((_("masks of your images"), f"unetzoo predict {shlex.quote(trained)} IMAGES"))
        found.append((_("the trained network for other runtimes"), f"unetzoo export {shlex.quote(trained)} --to onnx"))
    return found


def _has_weights(folders: TrialFolders, own: str) -> bool:
    return (folders.folder / own / WEIGHTS).is_file()


def _model(record: Record) -> list[str]:
    """Return name, channels and changed options of a model as arguments of ``unetzoo show``."""
    model = record.trial.get("model")
    words = [str(dig(model, "name") or record.id)]
    for key, option in (("in_channels", "--in-channels"), ("num_classes", "--num-classes")):
        if (value := dig(model, key)) is not None:
            words += [option, str(value)]
    options = dig(model, "options") if isinstance(dig(model, "options"), Mapping) else {}
    for name, value in options.items():
        if value is not None and (name in record.model.diff or not of_grid(record)):
            words += ["--set", f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
    return words
