"""Reading a suite file, and changing a suite as a command line asks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from unetzoo._util.paths import user_path
from unetzoo._util.plugins import import_plugins
from unetzoo._util.toml import parse_toml
from unetzoo.bench.collection import Collection, collection_from
from unetzoo.bench.suite import QUICK_SUITE, Suite, suite_from
from unetzoo.data.registry import list_datasets
from unetzoo.errors import UnetzooError, nearest


def read_suite(path: Path) -> Suite | Collection:
    """Read and check a suite file.

    Args:
        path: The TOML file.

    Returns:
        The suite, or a `Collection` if the file has a list ``[[data]]``.

    Raises:
        UnetzooError: If the file cannot be read or is not valid; the message names file, table, key, value and what is
            allowed.
    """
    data = _read(path)
    if isinstance(data.get("data"), list):
        return collection_from(data, str(path), path.parent)
    return suite_from(data, str(path), path.parent)


def _read(path: Path) -> dict[str, Any]:
    """Parse a suite file; its name is that of the file unless it gives one.

    Raises:
        UnetzooError: If the file cannot be read or is not valid TOML.
    """
    try:
        return {"name": path.stem, **parse_toml(path.read_text(encoding="utf-8"), str(path))}
    except OSError as error:
        raise UnetzooError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UnetzooError(f"{path}: is not UTF-8 text") from None


def adjust(
    suite: Suite | None,
    *,
    data: str | None = None,
    models: Sequence[str | Mapping[str, Any]] | None = None,
    options: Mapping[str, Any] | None = None,
    seeds: int | None = None,
    steps: int | None = None,
    imports: Iterable[str] = (),
    accept_reading: bool = False,
    on_leak: str | None = None,
) -> Suite:
    """Return a suite with the changes of a command line.

    Models or data given without a suite get the quick suite's training, but models as registered: its narrow width
    is not carried over.

    Args:
        suite: The suite to change; default: the quick suite.
        data: Registered data set, folder, CSV file of pairs or dataset.toml; default: the suite's.
        models: Names of the models, or mappings as in a suite file; default: the suite's.
        options: Model options for every model that does not set them itself.
        seeds: Number of seeds.
        steps: Training steps, which replace any other budget.
        imports: Modules or ``.py`` files that register models or data sets.
        accept_reading: Accept what is proposed for the masks of a folder; no effect on other data.
        on_leak: How items that are in two splits are treated; default: as the suite says.

    Returns:
        The changed copy.

    Raises:
        UnetzooError: If there is no such data, or a change is not valid.
    """
    own = data is not None or models is not None
    base = suite or suite_from(_read(QUICK_SUITE), str(QUICK_SUITE), QUICK_SUITE.parent)
    changes: dict[str, Any] = {"imports": [*base.imports, *imports]}
    import_plugins(changes["imports"])  # first, because they may register the requested data set
    if suite is None and own:
        path = user_path(data or "cells", "--data").resolve()
        name = path.parent.name if path.name == "dataset.toml" else path.name
        changes |= {"name": name or "data", "question": "", "set": {}}
    if data is not None:
        known = data in list_datasets()
        if not known and not _is_data(user_path(data, "--data")):
            raise UnetzooError(
                f"--data {data!r} is neither a folder, a CSV of pairs, a COCO file (.json), a dataset.toml nor a data "
                f"set; {nearest(data, list_datasets())}"
            )
        changes["data"] = {"name": data} if known else {"name": "folder", "root": data}
    request = changes.get("data", base.data.model_dump())
    if accept_reading and request["name"] == "folder":
        request = {**request, "options": {**request.get("options", {}), "accept_reading": True}}
    if on_leak is not None:
        request = {**request, "on_leak": on_leak}
    if accept_reading or on_leak is not None:
        changes["data"] = request
    if models is not None:
        named = [model.strip() if isinstance(model, str) else model for model in models]
        changes["models"] = [model for model in named if model]
    if options:
        changes["set"] = {**changes.get("set", base.set), **options}
    if seeds is not None:
        changes["seeds"] = seeds
    if steps is not None:
        changes["train"] = base.train.changed({"steps": steps}, "--steps").model_dump()
    return Suite.from_mapping({**base.model_dump(), **changes}, "suite")


def _is_data(path: Path) -> bool:
    return path.is_dir() or (path.suffix.lower() in (".csv", ".json", ".toml") and path.is_file())


def adjust_collection(
    collection: Collection,
    *,
    data: str | None = None,
    models: Sequence[str | Mapping[str, Any]] | None = None,
    options: Mapping[str, Any] | None = None,
    seeds: int | None = None,
    steps: int | None = None,
    imports: Iterable[str] = (),
    accept_reading: bool = False,
    on_leak: str | None = None,
) -> Collection:
    """Return the collection with the changes of a command line applied to every suite.

    Args:
        collection: The collection to change.
        data: Labels of the data sets to run, as 'a,b'; default: all.
        models: Names of the models; default: those of the file.
        options: Model options for every model that does not set them itself.
        seeds: Number of seeds.
        steps: Training steps, which replace any other budget.
        imports: Modules or ``.py`` files that register models or data sets.
        accept_reading: Accept what is proposed for the masks of every folder.
        on_leak: How items that are in two splits are treated; default: as the suite says.

    Returns:
        The changed copy.

    Raises:
        UnetzooError: If a label is not one of the collection's, or a change does not fit a suite.
    """
    only = () if data is None else tuple(label.strip() for label in data.split(","))
    for label in only:
        if label not in collection.suites:
            raise UnetzooError(
                f"--data {label!r} is not a label of the collection {collection.name!r}, whose data sets it selects; "
                f"{nearest(label, collection.suites)}"
            )
    imports = list(imports)
    suites = {
        label: adjust(
            suite,
            models=models,
            options=options,
            seeds=seeds,
            steps=steps,
            imports=imports,
            accept_reading=accept_reading,
            on_leak=on_leak,
        )
        for label, suite in collection.suites.items()
    }
    return collection.model_copy(update={"suites": suites, "only": only})
