"""Two speed reports side by side: a regression told from noise.

For each measurement that both have: the ratio of the medians (above 1 is slower) with a bootstrap interval over the
repeats, and p of "no difference" by Welch's t on the logarithms, as times vary in proportion. p is corrected over all
measurements by Holm; below 0.05 the verdict is "slower" or "faster", else "same within noise".

Measurements of the group "reference", such as a matrix product, tell the machine's speed from the code's: if both files
have some, every ratio is divided by theirs, and verdicts are about that.

References:
    Efron and Tibshirani (1993), An Introduction to the Bootstrap, ch. 13. Welch (1947), Biometrika 34, 28-35. Holm
    (1979), Scand. J. Statist. 6, 65-70.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, Field
from scipy.stats import t

from unetzoo.errors import Strict, UnetzooError
from unetzoo.report.verdicts.family import ALPHA, holm

REFERENCE = "reference"  # group of measurements of the machine alone
RESAMPLES = 4000
MIN_REPEATS = 3
Array = npt.NDArray[np.float64]
Verdict = Literal["slower", "faster", "same within noise", "too few repeats"]
Seconds = Annotated[float, Field(gt=0)]


class Measurement(Strict):
    """Repeated timings of one thing.

    Attributes:
        name: Its name, unique in the file.
        group: Name of related measurements; "reference" for those of the machine alone.
        unit: Seconds, so lower is better.
        values: One timing per repeat.
    """

    model_config = ConfigDict(extra="ignore")

    name: str
    group: str = ""
    unit: Literal["s"] = "s"
    values: list[Seconds] = Field(min_length=1)


class SpeedReport(Strict):
    """A file of timings, as the scripts in ``benchmarks/`` write it."""

    model_config = ConfigDict(extra="ignore")

    kind: Literal["unetzoo-speed"]
    version: Literal[1]
    environment: dict[str, Any] = {}
    measurements: list[Measurement]

    @property
    def by_name(self) -> dict[str, Measurement]:
        """The measurements by name."""
        return {each.name: each for each in self.measurements}


@dataclass(frozen=True)
class Compared:
    """One measurement in both files.

    Attributes:
        name: Its name.
        group: Its group.
        before: Median in the first file, in seconds.
        after: Median in the second.
        ratio: ``after / before``.
        relative: The ratio divided by that of the reference; None without a reference, and for the reference itself.
        low: Lower bound of the 95 % interval of ``relative``, else of ``ratio``, of this measurement by itself.
        high: Its upper bound.
        p: Two-sided p of "no difference"; None with too few repeats.
        p_adjusted: p after Holm's correction.
        verdict: The verdict.
    """

    name: str
    group: str
    before: float
    after: float
    ratio: float
    relative: float | None
    low: float
    high: float
    p: float | None = None
    p_adjusted: float | None = None
    verdict: Verdict = "too few repeats"

    @property
    def change(self) -> float:
        """The ratio that the verdict is about."""
        return self.ratio if self.relative is None else self.relative

    def regressed(self, tolerance: float) -> bool:
        """Return True if it is shown to be slower, by more than ``tolerance``; never for the reference."""
        return self.group != REFERENCE and self.verdict == "slower" and self.change > 1 + tolerance


def read_speed(path: Path) -> SpeedReport:
    """Read a speed report.

    Raises:
        UnetzooError: If the file cannot be read, is not a speed report, or names two measurements alike.
    """
    try:
        report = SpeedReport.from_json(path.read_bytes(), f"{path}: not a speed report")
    except OSError as error:
        raise UnetzooError(f"{path}: cannot be read: {error.strerror}") from None
    names = [each.name for each in report.measurements]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UnetzooError(f"{path}: two measurements have the name {twice!r}; each needs its own")
    return report


def compare_speed(before: SpeedReport, after: SpeedReport, *, alpha: float = ALPHA) -> list[Compared]:
    """Compare the measurements that both reports have, in the order of the second.

    Args:
        before: The report to compare with.
        after: The report to judge.
        alpha: Chance of any false "slower" or "faster" among all verdicts.

    Raises:
        UnetzooError: If they have no measurement in common.
    """
    old, new = before.by_name, after.by_name
    common = [name for name in new if name in old]
    if not common:
        raise UnetzooError("no measurement has the same name in both files, so there is nothing to compare")
    references = [name for name in common if new[name].group == old[name].group == REFERENCE]
    rng = np.random.default_rng(0)
    found = [_compared(old, new, name, references, rng) for name in common]
    tested = [k for k, c in enumerate(found) if c.p is not None]
    for k, p in zip(tested, holm([found[k].p or 0.0 for k in tested]).tolist(), strict=True):
        verdict: Verdict = "same within noise"
        if p < alpha:
            verdict = "slower" if found[k].change > 1 else "faster"
        found[k] = replace(found[k], p_adjusted=p, verdict=verdict)
    return found


def _compared(
    old: dict[str, Measurement],
    new: dict[str, Measurement],
    name: str,
    references: Sequence[str],
    rng: np.random.Generator,
) -> Compared:
    """Return one comparison before it is corrected for the others."""
    group = new[name].group
    relative_to = [] if group == REFERENCE else references
    # The logarithm of the ratio is a weighted sum over samples of logarithms, and so are its estimates.
    weights = {name: 1.0} | dict.fromkeys(relative_to, -1 / max(1, len(relative_to)))
    samples = [(sign * w, side[each].values) for each, w in weights.items() for sign, side in ((1, new), (-1, old))]
    logs = [(weight, np.log(values)) for weight, values in samples]
    change = sum(weight * float(np.median(values)) for weight, values in logs)
    drawn = sum(weight * _medians(values, rng) for weight, values in logs)
    low, high = np.exp(np.quantile(drawn, [ALPHA / 2, 1 - ALPHA / 2])).tolist()
    medians = float(np.median(old[name].values)), float(np.median(new[name].values))
    enough = min(len(values) for _, values in samples) >= MIN_REPEATS
    return Compared(
        name,
        group,
        *medians,
        ratio=medians[1] / medians[0],
        relative=float(np.exp(change)) if relative_to else None,
        low=low,
        high=high,
        p=_welch(logs) if enough else None,
    )


def _medians(values: Array, rng: np.random.Generator) -> Array:
    """Return the medians of bootstrap samples of the values."""
    return np.median(rng.choice(values, (RESAMPLES, len(values))), axis=1)


def _welch(samples: Sequence[tuple[float, Array]]) -> float:
    """Return the two-sided p of "the weighted sum of the true means is 0", by Welch's t.

    Args:
        samples: Weight and values of each sample, of two values or more.
    """
    difference = sum(weight * float(values.mean()) for weight, values in samples)
    variances = [(weight**2 * float(values.var(ddof=1)) / len(values), len(values) - 1) for weight, values in samples]
    variance = sum(v for v, _ in variances)
    if variance == 0:
        return float(difference == 0)
    freedom = variance**2 / sum(v**2 / n for v, n in variances)
    return float(2 * t.sf(abs(difference) / variance**0.5, freedom))
