"""`unetzoo.plan`: the predicted cost of a suite or collection, as an object that is worth looking at."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unetzoo.bench.asked import asked_suite
from unetzoo.bench.collection import Collection
from unetzoo.bench.limits import GIB
from unetzoo.bench.plan import Plan, plan_suite
from unetzoo.bench.suite import Suite
from unetzoo.errors import Strict, UnetzooError, check_argument
from unetzoo.report.words import span


class CollectionPlan(Strict):
    """The predicted cost of a collection of data sets.

    Attributes:
        name: Name of the collection.
        data: The plan of each data set, by its label.
    """

    name: str
    data: dict[str, Plan]

    @property
    def seconds(self) -> float | None:
        """Duration of all trials one after the other; None if that of one is not known."""
        each = [plan.seconds for plan in self.data.values()]
        return None if None in each else sum(seconds or 0.0 for seconds in each)

    def __repr__(self) -> str:
        """Return the plans of all data sets and the time of all together."""
        return "\n\n".join([*(f"{label}: {plan!r}" for label, plan in self.data.items()), self._total()])

    __str__ = __repr__

    def _repr_html_(self) -> str:
        parts = [f"<h4>{html.escape(label)}</h4>{plan._repr_html_()}" for label, plan in self.data.items()]
        return f"<div>{''.join(parts)}<p>{html.escape(self._total())}</p></div>"

    def _total(self) -> str:
        return f"all {len(self.data)} data sets of {self.name!r}, one after the other: {span(self.seconds)}"


def plan(
    suite: Suite | Collection | Path | str | None = None,
    *,
    models: Sequence[str | Mapping[str, Any]] | None = None,
    data: Path | str | None = None,
    options: Mapping[str, Any] | None = None,
    seeds: int | None = None,
    steps: int | None = None,
    memory_gib: float | None = None,
    timed: bool = True,
) -> Plan | CollectionPlan:
    """Predict memory, time and the largest batch of each model of a suite before it runs.

    Memory is predicted without allocating any; time is extrapolated from a few measured steps of each model. The
    result prints as a table, also in a notebook.

    Args:
        suite: A suite, a collection, or the path of a TOML file with one. Without one, ``models`` or ``data`` make one,
            as in `unetzoo.run`.
        models: Registered names, or mappings such as ``{"name": "unet", "set": {"width": 16}}``; default: the suite's.
        data: Registered data set, folder, CSV file of pairs or dataset.toml; default: the suite's.
        options: Model options for every model that does not set them itself.
        seeds: Number of seeds; default: the suite's.
        steps: Training steps, which replace any other budget.
        memory_gib: Memory to plan for; default: the suite's limit, or else this machine's memory.
        timed: Measure a few steps of each model; otherwise nothing is allocated.

    Returns:
        The plan, or the plans of a collection's data sets; a model that fails has the reason in its row.

    Raises:
        UnetzooError: If the suite, its data or an argument is not valid.
    """
    check_argument("plan", "timed", timed, bool, "True or False")
    if memory_gib is not None:
        check_argument("plan", "memory_gib", memory_gib, (int, float), "a number above 0, in GiB")
        if not 0 < memory_gib < 2**30:
            raise UnetzooError(f"plan: memory_gib = {memory_gib}: must be above 0, in GiB")
    changes = {"models": models, "data": data, "options": options, "seeds": seeds, "steps": steps}
    asked = asked_suite("plan", suite, {name: value for name, value in changes.items() if value is not None})
    limit = None if memory_gib is None else round(memory_gib * GIB)
    if isinstance(asked, Suite):
        return plan_suite(asked, limit=limit, timed=timed)
    plans = {label: plan_suite(member, limit=limit, timed=timed) for label, member in asked.chosen.items()}
    return CollectionPlan(name=asked.name, data=plans)
