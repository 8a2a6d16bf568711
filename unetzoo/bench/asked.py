"""The suite that a call of `unetzoo.run` or `unetzoo.plan` asks for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unetzoo._util.paths import user_path
from unetzoo.bench.collection import Collection
from unetzoo.bench.suite import Suite
from unetzoo.bench.suite_file import adjust, adjust_collection, read_suite
from unetzoo.errors import UnetzooError, check_argument


def asked_suite(
    call: str, suite: Suite | Collection | Path | str | None, changes: Mapping[str, Any]
) -> Suite | Collection:
    """Return the suite of a call, with the changes that the call asks for.

    Args:
        call: Name of the function, with which messages begin.
        suite: A suite, a collection, or the path of a TOML file with one; None for one of models or data.
        changes: Arguments of `unetzoo.run` that change it.

    Raises:
        UnetzooError: If there is neither a suite nor models or data, or one of them is not valid.
    """
    words = "a Suite, a Collection or the path of a suite file"
    check_argument(call, "suite", suite, (Suite, Collection, str, os.PathLike, type(None)), words)
    kinds: dict[str, tuple[Any, str]] = {
        "models": ((list, tuple), "a list of names of models, such as ['unet', 'attention_unet']"),
        "data": ((str, os.PathLike), "a registered data set or a path"),
        "options": (Mapping, "a dict of options, such as {'width': 16}"),
        "seeds": (int, "a number of seeds"),
        "steps": (int, "a number of steps"),
    }
    for name, value in changes.items():
        check_argument(call, name, value, *kinds[name])
    if suite is None and not {"models", "data"} & set(changes):
        raise UnetzooError(f"{call}: suite = None: must be {words}; or give models or data, such as models=['unet']")
    if "models" in changes and not all(isinstance(model, str | Mapping) for model in changes["models"]):
        raise UnetzooError(f"{call}: models must be names, or mappings with a name and set, as in a suite file")
    if "data" in changes:
        changes = {**changes, "data": os.fspath(changes["data"])}
    if "models" in changes:
        changes = {**changes, "models": list(changes["models"])}
    if suite is not None and not isinstance(suite, Suite | Collection):
        suite = read_suite(user_path(suite, f"{call}: suite"))
    if isinstance(suite, Collection):
        return adjust_collection(suite, **changes) if changes else suite
    return adjust(suite, **changes) if changes or suite is None else suite
