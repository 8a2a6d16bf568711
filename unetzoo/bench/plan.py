"""Predicted cost of a suite, before anything is trained."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

from unetzoo._util.plugins import import_plugins
from unetzoo.bench.expand import expand
from unetzoo.bench.limits import GIB
from unetzoo.bench.need import Need, fits_here, memory_to_plan, predict, reason
from unetzoo.bench.output import OutputFolders
from unetzoo.bench.step_times import Samples, cpu_threads, time_model
from unetzoo.bench.suite import Suite
from unetzoo.bench.trials import Trial
from unetzoo.data.base import DatasetInfo, SegmentationDataset
from unetzoo.data.decoded import Decoded
from unetzoo.errors import Strict
from unetzoo.machine.device import check_devices, resolve_device, resolve_precision
from unetzoo.measure.counts import count_training_flops
from unetzoo.train.loop import make_optimizer
from unetzoo.train.recipe import steps_for


class PlanRow(Strict):
    """One model of a suite.

    Attributes:
        label: The model's label.
        trials: Trials of the model, one per seed.
        need: Its predicted memory and size.
        width: The width chosen to match the reference; None if nothing was matched.
        matched: How it was matched: what, reference, target, reached, ratio.
        step_seconds: Time of a training step, its data included; None if not measured.
        image_seconds: Time of a validation image; None if not measured.
        trial_seconds: Time of training, validation and test; None if not measured.
    """

    label: str
    trials: int
    need: Need
    width: float | None = None
    matched: dict[str, Any] = {}
    step_seconds: float | None = None
    image_seconds: float | None = None
    trial_seconds: float | None = None


class Plan(Strict):
    """The predicted cost of a suite.

    Attributes:
        suite: Name of the suite.
        data: Name of the data set.
        device: Device type.
        precision: Resolved precision.
        threads: CPU threads of a trial.
        steps: Budget of a training in steps, if it is given so.
        minutes: Budget of a training in minutes, if it is given so.
        flops: Budget of a training in floating-point operations, if it is given so.
        limit_bytes: Memory that a trial may use; None if not known.
        limit_source: Source of that limit, in words.
        rows: One row per model.
        most_steps: Most steps of a training until it has converged, if it is given so; the times are for all of them.
    """

    suite: str
    data: str
    device: str
    precision: str
    threads: int
    steps: int | None
    minutes: float | None
    flops: float | None
    limit_bytes: int | None
    limit_source: str
    rows: list[PlanRow]
    most_steps: int | None = None

    def _table(self) -> tuple[list[str], list[list[str]]]:
        """Return heads and cells: parameters, MACs, memory, whether it fits, minutes of a trial."""

        def amount(value: float | None, unit: float, digits: int = 1) -> str:
            return "-" if value is None else f"{value / unit:,.{digits}f}"

        heads = ["model", "trials", "params (M)", "MACs (G)", "training (MiB)", "process (MiB)", "fits", "minutes"]
        rows = [
            [
                row.label,
                str(row.trials),
                amount(row.need.params, 1e6, 2),
                amount(row.need.macs, 1e9, 2),
                amount(row.need.memory.train.total if row.need.memory else None, 2**20),
                amount(row.need.process_bytes, 2**20),
                {True: "yes", False: "no", None: "-"}[row.need.fits],
                amount(row.trial_seconds, 60),
            ]
            for row in self.rows
        ]
        return heads, rows

    def _words(self) -> tuple[str, list[str]]:
        """Return what stands above and below the table."""
        minutes = "-" if self.seconds is None else f"{self.seconds / 60:,.1f}"
        problems = [f"{row.label}: {row.need.problem}" for row in self.rows if row.need.problem]
        above = f"Plan of {self.suite!r} on {self.data}: {self.device}, {self.precision}, {self.threads} threads"
        return above, [*problems, f"all trials: {minutes} min, one after the other"]

    def __repr__(self) -> str:
        """Return the plan as a table."""
        (heads, rows), (above, below) = self._table(), self._words()
        widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
        lines = [above]
        for first, *rest in [heads, *rows]:
            cells = [first.ljust(widths[0]), *(c.rjust(w) for c, w in zip(rest, widths[1:], strict=True))]
            lines.append("  ".join(cells))
        return "\n".join([*lines, *below])

    __str__ = __repr__

    def _repr_html_(self) -> str:
        (heads, rows), (above, below) = self._table(), self._words()

        def line(cells: list[str], tag: str) -> str:
            return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"

        table = f"<table>{line(heads, 'th')}{''.join(line(row, 'td') for row in rows)}</table>"
        return f"<div><p><b>{escape(above)}</b></p>{table}{''.join(f'<p>{escape(text)}</p>' for text in below)}</div>"

    @property
    def seconds(self) -> float | None:
        """Duration of all trials one after the other; None if that of one is not known."""
        each = [row.trial_seconds for row in self.rows]
        return None if None in each else sum(row.trials * (row.trial_seconds or 0.0) for row in self.rows)


def plan_suite(
    suite: Suite,
    *,
    limit: int | None = None,
    timed: bool = True,
    on_model: Callable[[str], None] = lambda label: None,
    on_data: Callable[[SegmentationDataset], None] = lambda dataset: None,
) -> Plan:
    """Predict memory and time of every model of a suite.

    Args:
        suite: The suite.
        limit: Bytes of memory to plan for; default: the suite's limit, or else this machine's memory.
        timed: Measure a few steps of each model; otherwise nothing is allocated.
        on_model: Called with each label before its model is examined.
        on_data: Called with the data set once it is open.

    Returns:
        The plan; a model that fails has the reason in its row.

    Raises:
        UnetzooError: If the suite or its data is not valid.
    """
    import_plugins(suite.imports)
    dataset = suite.data.open()
    on_data(dataset)
    info, common = dataset.info, suite.train
    device = resolve_device(common.device)
    check_devices(common.devices, device)
    precision = resolve_precision(common.precision, device)
    threads = common.threads or OutputFolders(Path()).threads
    own = suite.limits.memory_gib
    limit, source = memory_to_plan(limit, device) if limit or not own else (round(own * GIB), "limits.memory_gib")
    trials = [trial for trial in expand(suite, dataset) if not trial.model.baseline]  # baselines cost almost nothing
    infer_shape = (suite.measure.batch_size, info.channels, suite.measure.size, suite.measure.size)
    data = Decoded(dataset)
    rows = []
    for trial in {trial.model.label: trial for trial in trials}.values():
        label, recipe = trial.model.label, trial.train
        on_model(label)
        train_shape = (recipe.batch_size // recipe.devices, info.channels, recipe.crop, recipe.crop)
        need = predict(
            trial.model.config, train_shape, infer_shape, info.ignore_index, recipe, device, precision, limit
        )
        if need.largest_batch is not None:
            need = need.model_copy(update={"largest_batch": need.largest_batch * recipe.devices})
        matched = trial.model.matched
        width = trial.model.options.get("width") if matched else None
        row = PlanRow(label=label, trials=len(suite.seeds), need=need, width=width, matched=matched)
        if timed and fits_here(need, device):
            row = _timed(row, trial, Samples(data, recipe, trial.model.config), info, device, precision, threads)
        rows.append(row)
    return Plan(
        suite=suite.name,
        data=info.name,
        device=device,
        precision=precision,
        threads=threads,
        steps=common.steps,
        minutes=common.minutes,
        flops=common.flops,
        most_steps=common.most_steps if common.until is not None else None,
        limit_bytes=limit,
        limit_source=source,
        rows=rows,
    )


def _timed(
    row: PlanRow, trial: Trial, samples: Samples, info: DatasetInfo, device: str, precision: str, threads: int
) -> PlanRow:
    """Return the row with its times, or with the problem if the model fails on real tensors."""
    recipe = trial.train
    try:
        with cpu_threads(threads):
            step, image = time_model(trial.model.config, recipe, samples, info, device, precision)
    except Exception as error:
        return row.model_copy(update={"need": row.need.model_copy(update={"problem": reason(error)})})
    steps = recipe.steps or math.ceil(60 * (recipe.minutes or 0) / step)
    if recipe.until is not None:
        steps = recipe.most_steps
    if recipe.flops is not None:
        shape = (recipe.batch_size, *row.need.train_shape[1:])
        steps = steps_for(
            recipe.flops, count_training_flops(trial.model.config, shape, partial(make_optimizer, recipe))
        )
    trainings = [steps]
    if recipe.tune is not None:
        rates = len(recipe.tune.lr)
        trainings = [*[recipe.tune.steps] * rates, steps] if recipe.tune.steps else [steps] * rates
    validations = sum(math.ceil(each / recipe.validate_every) for each in trainings)
    scoring = image * (validations * samples.images["val"] + samples.images["test"])
    seconds = {"step_seconds": step, "image_seconds": image, "trial_seconds": sum(trainings) * step + scoring}
    return row.model_copy(update={name: round(value, 4) for name, value in seconds.items()})
