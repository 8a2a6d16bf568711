"""Records as pandas tables: one row per trial, per trial and image, per trial and class, or per point of a curve."""

# pandas ships no types: what it returns is guessed from its source, and guessed too wide.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from unetzoo._util.paths import user_path
from unetzoo._util.spreadsheet import safe_cell
from unetzoo.records.columns import (
    CURVES,
    PER_CLASS,
    PER_IMAGE,
    class_rows,
    curve_columns,
    frame_of_columns,
    frame_of_rows,
    image_columns,
    safe_columns,
    trial_columns,
    trial_frame,
)
from unetzoo.records.fields import class_names, label_of, seed_of, tell_apart
from unetzoo.records.learnt import unlearnt
from unetzoo.records.manifest import read_manifest
from unetzoo.records.reading import read_all, read_members
from unetzoo.records.record import Record


@dataclass(frozen=True)
class Tables:
    """Input of the report. ``trials`` has every record; the other tables have only models' trials with status ok."""

    records: list[Record]  # readable ones, sorted by label, seed and id
    unreadable: list[tuple[str, str]]  # (file name, why)
    classes: dict[str, str]  # class name -> its form in column names
    phases: dict[str, str]  # phase -> its column in ``trials``
    trials: pd.DataFrame  # see `read_records`
    images: pd.DataFrame  # scores of one image: mean over the foreground classes, NaN if undefined for all
    per_class: pd.DataFrame
    curves: pd.DataFrame  # a training point has a loss, a validation point a val_dice

    @property
    def models(self) -> list[Record]:
        """Records of models, that is all but the baselines."""
        return [r for r in self.records if not r.baseline]

    @property
    def unlearnt(self) -> dict[str, str]:
        """Trial id of each model's run that did not learn, with the reason in the language of the report.

        See `unetzoo.records.learnt`; the reasons in ``trials`` are in English.
        """
        known = set(self.trials.loc[self.trials["unlearnt"].notna(), "id"])
        baselines = [r for r in self.records if r.baseline]
        found = {r.id: unlearnt(r, baselines) for r in self.models if r.id in known}
        return {trial: why.reason for trial, why in found.items() if why is not None}

    @property
    def leaking(self) -> bool:
        """True if over 5 % of the test images resemble an image of another split."""
        return any(r.data.get("near_duplicates") for r in self.models)

    @property
    def done(self) -> pd.DataFrame:
        """Finished trials of models that have a test score."""
        return self._scored(self.trials[~self.trials["baseline"]])

    @property
    def baselines(self) -> pd.DataFrame:
        """Finished trials of trivial predictors that have a test score."""
        return self._scored(self.trials[self.trials["baseline"]])

    @staticmethod
    def _scored(trials: pd.DataFrame) -> pd.DataFrame:
        return trials.loc[(trials["status"] == "ok") & trials["dice"].notna(), :]


def csv_text(table: pd.DataFrame) -> str:
    """Return a table as CSV in which no text is a formula to a spreadsheet."""
    safe = table.rename(columns=safe_cell)
    for position, kind in enumerate(safe.dtypes):
        if pd.api.types.is_object_dtype(kind) or isinstance(kind, pd.StringDtype):
            safe.isetitem(position, safe.iloc[:, position].map(safe_cell, na_action="ignore"))
    return safe.to_csv(index=False, lineterminator="\n")


def read_records(folder: Path | str) -> pd.DataFrame:
    """Return the records of ``folder/records/*.json`` as a table, one row per trial, sorted by model, seed and id.

    Values that a trial did not measure are missing (NaN or NA), and so are scores and costs of a failed trial. A
    record that cannot be read is a row with status 'unreadable'. Columns:

    - ``model`` (label), ``name`` (registered), ``baseline`` (a trivial predictor), ``seed``, ``status`` (ok, crashed,
      killed, oom, nan, timeout, hung, or unreadable), ``reason`` of a failure, ``id``
    - test scores, means over images and foreground classes: ``dice``, ``iou``, ``precision``, ``recall``,
      ``specificity``, ``nsd``, ``hd95``, ``assd``, ``boundary_iou``; over pixels: ``brier``, ``ece``; for single
      classes ``dice_<class>``, ``iou_<class>`` and so on
    - if the suite asked for them, the scores of `unetzoo.metrics.isbi`, named as in `ISBI` and `ISBI_BEST` of
      `unetzoo.metrics.policy`
    - counts of images, summed over foreground classes: ``undefined``, ``missed``, ``false_alarms``, ``penalised``
    - of the chosen weights ``train_dice`` (on a few images), ``val_dice`` and ``best_step``; ``steps`` trained;
      ``lr``, the learning rate used
    - ``params``; ``macs`` of one image; bytes: ``peak_train_bytes``, ``peak_infer_bytes`` (process or allocator),
      ``tensor_train_bytes``, ``tensor_infer_bytes`` (tensors alone), ``predicted_train_bytes``,
      ``predicted_infer_bytes`` (the same without allocating anything)
    - ``latency_p50_ms``, ``latency_p90_ms``, ``latency_spread`` ((p90 - p10) / median), ``images_per_second_infer``,
      ``utilisation`` (relative to a matrix product on the same machine), ``latency_float32_ms``, ``noisy`` and
      ``noisy_float32`` (True if that timing was noisy)
    - ``train_seconds``, ``predicted_train_seconds`` (before training, from a few steps), ``images_per_second``
      (training), ``wall_seconds``, ``train_flops``, ``tuning_seconds``, ``phase_<name>`` (seconds), ``data_share``
      (share of the training time spent waiting for data)
    - ``resumed`` (number of times an interrupted training was resumed), ``device``, ``compute_precision``, ``threads``
    - ``flags`` ('kind: text; ...'), ``unlearnt`` (why the run did not learn), ``still_rising`` (True if its best
      checkpoint was the last), ``predictions`` (a hash of all predicted class maps)

    For a collection (``folder/<label>/records/*.json``) the first column is 'data', the data set's label, and there
    are no columns for single classes, which data sets do not share; read ``folder/<label>`` by itself for those.

    Args:
        folder: Output folder of a run, or of a collection.

    Raises:
        UnetzooError: If the folder or its records are missing.
    """
    folder = user_path(folder, "read_records: folder")
    if (manifest := read_manifest(folder)) is None:
        return load(folder).trials
    return joined({label: tables(*found) for label, found in read_members(folder, manifest).items()})


def joined(members: dict[str, Tables]) -> pd.DataFrame:
    """Return the trials of several data sets, given by label, as one table; see `read_records`."""
    phases = dict.fromkeys(column for t in members.values() for column in t.phases.values())
    rows = [{"data": label, **row} for label, t in members.items() for row in t.trials.to_dict("records")]
    return frame_of_rows(rows, ["data", *trial_columns([], phases)])


def load(folder: Path) -> Tables:
    """Read ``folder/records/*.json`` into tables.

    Raises:
        UnetzooError: If the folder or its records are missing.
    """
    return tables(*read_all(folder))


def tables(records: list[Record], unreadable: list[tuple[str, str]]) -> Tables:
    """Build all tables, with rows sorted by (label, seed, id), so that file names do not change the report.

    Args:
        records: The readable records.
        unreadable: (file name, reason) of the others.
    """
    records = sorted(tell_apart(records), key=lambda r: (label_of(r), seed_of(r), r.id))
    done = [r for r in records if r.status == "ok" and r.result]
    scored = [name for r in done if r.result for name in r.result.per_class]
    present = set(scored)
    declared = [name for r in records for name in class_names(r) if name in present]
    classes = safe_columns([*declared, *scored])
    timed = safe_columns(phase for r in records if r.status == "ok" and r.cost for phase in r.cost.phases)
    phases = {phase: f"phase_{column}" for phase, column in timed.items()}
    models = [r for r in done if not r.baseline]
    return Tables(
        records,
        unreadable,
        classes,
        phases,
        trial_frame(records, unreadable, classes, phases),
        frame_of_columns([image_columns(r) for r in models], PER_IMAGE),
        frame_of_rows([row for r in models for row in class_rows(r)], PER_CLASS),
        frame_of_columns([curve_columns(r) for r in records if r.status == "ok" and not r.baseline], CURVES),
    )
