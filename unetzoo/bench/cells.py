"""Models and data sets registered in a notebook cell, on their way to the processes of the trials.

Such a process imports files and modules, and a cell is neither; so what it registered travels with the trial, by value.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

from unetzoo._util.cells import main_is_typed
from unetzoo.data import registry as data_registry
from unetzoo.errors import UnetzooError, one_line
from unetzoo.models import registry


def pack(model: str, data: str) -> bytes:
    """Return what a trial needs of the cells of this process; empty if it needs nothing.

    Args:
        model: Registered name of its model.
        data: Registered name of its data set.

    Raises:
        UnetzooError: If cloudpickle is missing, or what was registered cannot be sent to another process.
    """
    entry = registry.typed_entry(model)
    source: Callable[..., Any] | None = data_registry.registered(data)
    if source is not None and not (main_is_typed() and getattr(source, "__module__", "") == "__main__"):
        source = None
    if entry is None and source is None:
        return b""
    what = f"the model {model!r}" if entry is not None else f"the data set {data!r}"
    try:
        import cloudpickle  # pyright: ignore[reportMissingImports, reportMissingModuleSource]
    except ImportError:
        raise UnetzooError(
            f"{what} is registered in a notebook cell, from which its trials get it by cloudpickle, which is not "
            "installed: pip install 'unetzoo[notebook]', or register it in a .py file that the suite's imports name"
        ) from None
    try:
        return cloudpickle.dumps({"entry": entry, "data": data, "source": source})
    except Exception as error:  # whatever the user's objects raise
        raise UnetzooError(
            f"{what} is registered in a notebook cell and cannot be sent to its trials: {one_line(error)}; register it "
            "in a .py file that the suite's imports name"
        ) from None


def unpack(payload: bytes) -> None:
    """Register what `pack` returned, in the process of a trial."""
    if payload:
        found = pickle.loads(payload)  # noqa: S301 (made by the process that started this one)
        if found["entry"] is not None:
            registry.restore(found["entry"])
        if found["source"] is not None:
            data_registry.restore(found["data"], found["source"])
