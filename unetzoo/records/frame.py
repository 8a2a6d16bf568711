"""Records as pandas tables: one row per trial, per trial and image, per trial and class, or per point of a curve."""

# pandas ships no types: what it returns is guessed from its source, and guessed too wide.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from unetzoo._util.language import ENGLISH, language
from unetzoo._util.paths import user_path
from unetzoo._util.spreadsheet import safe_cell
from unetzoo.metrics.policy import ISBI, ISBI_BEST, SURFACE
from unetzoo.records.fields import (
    chosen_rate,
    class_names,
    data_of,
    foreground,
    headline,
    label_of,
    name_of,
    seed_of,
    tell_apart,
)
from unetzoo.records.image_scores import ImageScores
from unetzoo.records.learnt import still_rising, unlearnt
from unetzoo.records.manifest import read_manifest
from unetzoo.records.reading import read_all, read_members
from unetzoo.records.record import Cost, Record, Result

METRICS = ["dice", "iou", "precision", "recall", "specificity", "nsd", "hd95", "assd", "boundary_iou", "brier", "ece"]
COUNTS = ["undefined", "missed", "false_alarms", "penalised"]
STORED = ["params", "macs", "peak_train_bytes", "peak_infer_bytes"]  # named as in a record's cost
TENSORS = ["tensor_train_bytes", "tensor_infer_bytes", "predicted_train_bytes", "predicted_infer_bytes"]
LATENCY = ["latency_p50_ms", "latency_p90_ms"]
TIMING = ["latency_spread", "images_per_second_infer", "utilisation", "latency_float32_ms"]
TRAINING = [
    "train_seconds",
    "predicted_train_seconds",
    "images_per_second",
    "wall_seconds",
    "train_flops",
    "tuning_seconds",
    "data_share",
]
COSTS = [*STORED, *TENSORS, *LATENCY, *TIMING, *TRAINING]  # summarised by the median over seeds
TAIL = [
    "resumed",
    "device",
    "compute_precision",
    "threads",
    "flags",
    "unlearnt",
    "still_rising",
    "predictions",
    "id",
    "reason",
]
PER_IMAGE = ["id", "model", "seed", "data", "image", "dice", "iou", *SURFACE]
PER_CLASS = ["model", "seed", "class", "dice", "iou", "pooled_dice", "pooled_iou", *COUNTS]
CURVES = ["model", "seed", "step", "loss", "val_dice"]

Columns = dict[str, Sequence[Any]]

INTEGERS = {"seed", "best_step", "steps", "step", "threads", "resumed", "train_flops", *COUNTS, *STORED, *TENSORS}
BOOLEANS = {"baseline", "still_rising", "noisy", "noisy_float32"}
TEXTS = {"model", "name", "status", "data", "image", "class", *TAIL} - {"resumed", "threads", "still_rising"}


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
    return _frame(rows, ["data", *_columns([], phases)])


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
        _trials(records, unreadable, classes, phases),
        _joined([_image_columns(r) for r in models], PER_IMAGE),
        _frame([row for r in models for row in _class_rows(r)], PER_CLASS),
        _joined([_curve_columns(r) for r in records if r.status == "ok" and not r.baseline], CURVES),
    )


def safe_columns(names: Iterable[str]) -> dict[str, str]:
    """Map names to unique ones of letters, digits and underscores only: 'cell wall' -> 'cell_wall'."""
    columns: dict[str, str] = {}
    for name in dict.fromkeys(names):
        base = re.sub(r"[^0-9A-Za-z]+", "_", name).strip("_") or "class"
        column, n = base, 2
        while column in columns.values():
            column, n = f"{base}_{n}", n + 1
        columns[name] = column
    return columns


def _frame(rows: list[dict[str, Any]], columns: list[str]) -> pd.DataFrame:
    return _typed(pd.DataFrame(rows, columns=pd.Index(columns)))


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    for column in frame.columns:
        if column in INTEGERS:
            frame[column] = pd.array(frame[column].tolist(), dtype="Int64")
        elif column in BOOLEANS:
            frame[column] = pd.array(frame[column].tolist(), dtype="boolean")
        elif column not in TEXTS:
            frame[column] = pd.to_numeric(frame[column]).astype(float)
        elif frame.empty:
            frame[column] = frame[column].astype(object)  # not the numbers that pandas takes it for
    return frame


def _trials(
    records: list[Record], unreadable: list[tuple[str, str]], classes: dict[str, str], phases: dict[str, str]
) -> pd.DataFrame:
    baselines = [r for r in records if r.baseline]
    rows = [_trial_row(r, classes, phases) | _learning(r, baselines) for r in records]
    rows += [{"id": Path(n).stem, "baseline": False, "status": "unreadable", "reason": w} for n, w in unreadable]
    found = {key for row in rows for key in row}
    every = [f"{metric}_{column}" for metric in METRICS for column in classes.values()]
    by_class = [column for column in every if column in found or column.startswith(("dice_", "iou_"))]
    by_class += [name for name in (*ISBI, *ISBI_BEST) if name in found]
    return _frame(rows, _columns(by_class, phases.values()))


def _columns(by_class: Iterable[str], phases: Iterable[str]) -> list[str]:
    columns = ["model", "name", "baseline", "seed", "status", *METRICS, *by_class, *COUNTS]
    columns += ["train_dice", "val_dice", "best_step", "steps", "lr", *STORED, *TENSORS]
    columns += [*LATENCY, "noisy", *TIMING, "noisy_float32", *TRAINING]
    return [*columns, *phases, *TAIL]


def _learning(record: Record, baselines: list[Record]) -> dict[str, Any]:
    if record.baseline or record.status != "ok":
        return {}
    with language(ENGLISH):
        found = unlearnt(record, baselines)
    return {"unlearnt": found.reason if found else None, "still_rising": still_rising(record)}


def _trial_row(record: Record, classes: dict[str, str], phases: dict[str, str]) -> dict[str, Any]:
    threads = record.environment.get("threads")
    row: dict[str, Any] = {
        "model": label_of(record),
        "name": name_of(record),
        "baseline": record.baseline,
        "seed": seed_of(record),
        "status": record.status,
        "resumed": len(record.resumed),
        "device": record.environment.get("device"),
        "compute_precision": record.environment.get("precision"),
        "threads": threads if isinstance(threads, int) else None,
        "flags": "; ".join(" ".join(f"{f.kind}: {f.text}".split()) for f in record.flags) or None,
        "id": record.id,
        "reason": " ".join(record.reason.split()) if record.reason else None,
    }
    if record.status != "ok":
        return row  # a failed trial keeps its row, but partial measurements must not enter a mean
    if not record.baseline:
        row["lr"] = chosen_rate(record)
    if record.cost:
        row |= _cost_columns(record, record.cost, phases)
    if record.result:
        row |= _score_columns(record, record.result, classes)
    return row


def _score_columns(record: Record, result: Result, classes: dict[str, str]) -> dict[str, Any]:
    scores = {**result.foreground, **result.calibration, "dice": result.dice, "iou": result.iou}
    row = {metric: scores.get(metric) for metric in METRICS}
    for name, by_metric in result.per_class.items():
        row |= {f"{metric}_{classes[name]}": score for metric, score in by_metric.items() if metric in METRICS}
    row |= {name: result.isbi[name] for name in (*ISBI, *ISBI_BEST) if name in result.isbi}
    counted = foreground(record)
    for what in COUNTS:
        counts = {k: n for k, n in getattr(result, what).items() if counted is None or k in counted}
        row[what] = sum(counts.values()) if counts else None
    row |= {"train_dice": result.train_dice, "val_dice": result.best_val_dice, "steps": result.steps}
    return row | {"best_step": None if record.baseline else result.best_step, "predictions": result.predictions}


def _cost_columns(record: Record, cost: Cost, phases: dict[str, str]) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(cost, name) for name in [*STORED, *LATENCY, *TRAINING]}
    for kind, memory in (("tensor", cost.tensors), ("predicted", cost.predicted)):
        if memory:
            row |= {f"{kind}_train_bytes": memory.train.total, f"{kind}_infer_bytes": memory.infer.total}
    if timing := headline(record):
        full = next((t for t in cost.timings if t.precision == "float32"), None)
        row |= {
            "noisy": timing.noisy,
            "latency_spread": timing.spread,
            "images_per_second_infer": timing.images_per_second,
            "utilisation": timing.utilisation,
            "latency_float32_ms": full.p50_ms if full else None,
            "noisy_float32": full.noisy if full else None,
        }
    return row | {phases[phase]: seconds for phase, seconds in cost.phases.items()}


def _joined(parts: list[Columns], names: list[str]) -> pd.DataFrame:
    """Return columns of several records as one table; much smaller on its way there than rows would be."""
    return _typed(pd.DataFrame({name: [v for part in parts for v in part[name]] for name in names}))


def _image_columns(record: Record) -> Columns:
    scores = ImageScores.of(record.result.per_image if record.result else {})
    keys = list(scores)
    who = {"id": record.id, "model": label_of(record), "seed": seed_of(record), "data": data_of(record)}
    found: Columns = {name: [value] * len(keys) for name, value in who.items()}
    counted = foreground(record)
    return found | {"image": keys} | {m: scores.means(m, counted).tolist() for m in ("dice", "iou", *SURFACE)}


def _class_rows(record: Record) -> list[dict[str, Any]]:
    result = record.result
    if result is None:
        return []
    return [
        {
            "model": label_of(record),
            "seed": seed_of(record),
            "class": name,
            **{metric: scores.get(metric) for metric in ("dice", "iou")},
            **{f"pooled_{metric}": result.pooled.get(name, {}).get(metric) for metric in ("dice", "iou")},
            **{what: getattr(result, what).get(name) for what in COUNTS},
        }
        for name, scores in result.per_class.items()
    ]


def _curve_columns(record: Record) -> Columns:
    train = record.curves.train if record.curves else []
    val = [(step, dice) for step, _, dice in record.curves.val if dice is not None] if record.curves else []
    rows = len(train) + len(val)
    return {
        "model": [label_of(record)] * rows,
        "seed": [seed_of(record)] * rows,
        "step": [step for step, _ in train] + [step for step, _ in val],
        "loss": [loss for _, loss in train] + [math.nan] * len(val),
        "val_dice": [math.nan] * len(train) + [dice for _, dice in val],
    }
