"""Measurements behind the claims: each returns a `unetzoo.claims.measured.Measured`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib import import_module
from typing import TYPE_CHECKING, Any

from unetzoo.errors import UnetzooError, nearest

if TYPE_CHECKING:
    from unetzoo.claims.measured import Measured
    from unetzoo.data.base import SegmentationDataset

MEASUREMENTS = ("architecture", "any_size", "memory", "large_inputs", "real_time", "gradients", "artefacts")


@dataclass(frozen=True)
class Context:
    """Surroundings of a measurement.

    Attributes:
        dataset: Data set whose training images it uses; None for its own synthetic input.
        progress: Called with a line on what is measured next.
        options: Changes to the sizes of a measurement, by the names of its keyword arguments.
    """

    dataset: SegmentationDataset | None = None
    progress: Callable[[str], None] = lambda line: None
    options: dict[str, Any] = field(default_factory=dict)


def measure(name: str, context: Context) -> Measured:
    """Run a measurement and add when, where and how long.

    Args:
        name: One of `MEASUREMENTS`.
        context: What it works with.

    Raises:
        UnetzooError: If there is no such measurement.
    """
    if name not in MEASUREMENTS:
        raise UnetzooError(f"measurement = {name!r} does not exist; {nearest(name, MEASUREMENTS)}")
    from unetzoo.machine.environment import environment

    start = time.monotonic()
    found = import_module(f"unetzoo.claims.measurements.{name}").measure(context, **context.options)
    return found.model_copy(
        update={
            "data": context.dataset.info.name if context.dataset else None,
            "environment": environment("cpu", "float32"),
            "seconds": round(time.monotonic() - start, 1),
            "when": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        }
    )
