"""Result of a measurement as data: one JSON file for each claim, from which page and verdict are made."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t

from unetzoo._util.atomic import write_atomic
from unetzoo.errors import Strict, UnetzooError


class Estimate(Strict):
    """A quantity with its 95 % interval; exact ones have bounds equal to the value.

    Attributes:
        value: The value.
        low: Lower bound.
        high: Upper bound.
        n: Number of independent repetitions behind the interval.
        noisy: True if the machine was not quiet; then the quantity is a positive one, and may be wrong by a factor.
    """

    value: float
    low: float
    high: float
    n: int = 1
    noisy: bool = False


class Table(Strict):
    """A table of results.

    Attributes:
        title: What it shows, with units.
        columns: Headings.
        rows: Cells; None where there is no value.
    """

    title: str
    columns: list[str]
    rows: list[list[str | float | int | bool | None]]


class Plot(Strict):
    """Instructions to draw a table.

    Attributes:
        table: Index of the table.
        kind: 'lines' over x, or 'bars', one for each row.
        x: Column on the horizontal axis, or with the names of bars.
        y: Column with the values.
        series: Column that separates lines or colours of bars.
        log: True for logarithmic axes (of bars: of values).
        line: A value to mark, such as a bound.
        caption: What to see.
    """

    table: int
    kind: str
    x: str
    y: str
    series: str | None = None
    log: bool = False
    line: float | None = None
    caption: str


class Measured(Strict):
    """Findings of one measurement.

    Attributes:
        quantities: Name -> estimate; the parts of the claim refer to them.
        tables: Tables for the page.
        plot: The picture.
        method: How it was measured, in sentences.
        data: Name of the data set it was measured on; None if on none.
        environment: Versions and hardware.
        seconds: Duration.
        when: Date, UTC.
    """

    quantities: dict[str, Estimate]
    tables: list[Table]
    plot: Plot | None = None
    method: str
    data: str | None = None
    environment: dict[str, Any] = {}
    seconds: float = 0.0
    when: str = ""


def exact(value: float) -> Estimate:
    """Return the estimate of a quantity that has no error, such as a count."""
    return Estimate(value=value, low=value, high=value)


def mean_of(values: Sequence[float]) -> Estimate:
    """Return the mean of independent values with its 95 % interval by Student's t.

    Raises:
        UnetzooError: If there are fewer than three, or one is not finite.
    """
    if len(values) < 3 or not np.isfinite(values).all():
        raise UnetzooError(f"{len(values)} values, of which {int(np.isfinite(values).sum())} finite: needs 3 or more")
    mean, error = float(np.mean(values)), float(np.std(values, ddof=1)) / math.sqrt(len(values))
    half = float(t.isf(0.025, len(values) - 1)) * error
    return Estimate(value=mean, low=mean - half, high=mean + half, n=len(values))


def ratio_of(values: Sequence[float]) -> Estimate:
    """Return the geometric mean of independent ratios with its 95 % interval.

    Raises:
        UnetzooError: If there are fewer than three, or one is not positive and finite.
    """
    if any(value <= 0 for value in values):
        raise UnetzooError(f"ratios {[round(v, 4) for v in values]}: all must be above 0")
    logs = mean_of([math.log(value) for value in values])
    return Estimate(value=math.exp(logs.value), low=math.exp(logs.low), high=math.exp(logs.high), n=logs.n)


def exponent_of(sides: Sequence[float], costs: Sequence[float]) -> Estimate:
    """Return b of ``cost = a * side ** b``, fitted in logarithms, with its 95 % interval.

    Raises:
        UnetzooError: If there are fewer than three sides, or a cost is not above 0.
    """
    if len(sides) < 3 or min(costs) <= 0:
        raise UnetzooError(f"{len(sides)} sides, smallest cost {min(costs):g}: needs three sides and costs above 0")
    x, y = np.log(np.asarray(sides, float)), np.log(np.asarray(costs, float))
    design = np.stack([x - x.mean(), np.ones_like(x)], axis=1)
    (slope, middle), *_ = np.linalg.lstsq(design, y, rcond=None)
    rest = y - design @ np.array([slope, middle])
    variance = float(rest @ rest) / (len(x) - 2)
    half = float(t.isf(0.025, len(x) - 2)) * math.sqrt(variance / float(design[:, 0] @ design[:, 0]))
    return Estimate(value=float(slope), low=float(slope) - half, high=float(slope) + half, n=len(x))


def write_measured(path: Path, found: Measured) -> None:
    """Write a measurement as JSON, one line per field."""
    fields = found.model_dump(mode="json")
    lines = (f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in fields.items())
    write_atomic(path, "{\n" + ",\n".join(lines) + "\n}\n")


def read_measured(path: Path) -> Measured | None:
    """Read a measurement; None if there is none.

    Raises:
        UnetzooError: If the file cannot be read or is not valid.
    """
    if not path.exists():
        return None
    try:
        return Measured.from_json(path.read_bytes(), f"{path}: not a measurement")
    except OSError as error:
        raise UnetzooError(f"{path}: cannot be read: {error.strerror}") from None
