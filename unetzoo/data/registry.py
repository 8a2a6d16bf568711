"""Data sets by name: registering, listing and creating them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError

from unetzoo._util.cells import main_is_typed
from unetzoo._util.paths import user_path
from unetzoo.data.base import SegmentationDataset
from unetzoo.errors import UnetzooError, check_argument, nearest, one_line, shown

OnLeak = Literal["refuse", "drop_from_training"]
F = TypeVar("F", bound=Callable[..., "SegmentationDataset"])


_DATASETS: dict[str, Callable[..., SegmentationDataset]] = {}


def register_dataset(name: str) -> Callable[[F], F]:
    """Decorate a class or function ``(root: Path | None = None, **options)`` that returns a data set.

    Args:
        name: Name under which `create_dataset` finds it.

    Returns:
        A decorator that registers what it decorates and returns it unchanged.

    Raises:
        UnetzooError: If the name is taken or is not a name.
    """

    check_argument("register_dataset", "name", name, str, "a name; write @register_dataset('name')")
    if not name or not name.isprintable():
        raise UnetzooError(f"register_dataset: name = {name!r}: must have characters, all of which can be shown")

    def decorate(factory: F) -> F:
        check_argument(f"register_dataset({name!r})", "factory", factory, Callable, "a class or a function")  # type: ignore[arg-type]
        if name in _DATASETS and not (main_is_typed() and _DATASETS[name].__module__ == "__main__"):
            raise UnetzooError(f"data set {name!r} is already registered; choose another name")
        _DATASETS[name] = factory
        return factory

    return decorate


def registered(name: str) -> Callable[..., SegmentationDataset] | None:
    """Return the class or function that was registered under a name; None if there is none."""
    _load()
    return _DATASETS.get(name)


def restore(name: str, factory: Callable[..., SegmentationDataset]) -> None:
    """Register a data set that another process registered in a notebook cell."""
    _load()
    _DATASETS[name] = factory


@cache
def _load() -> None:
    for module in ("worlds.generated", "named.named", "named.isbi2012", "folders.folder"):
        import_module(f"unetzoo.data.{module}")


def list_datasets() -> list[str]:
    """Return the sorted names of all registered data sets.

    Examples:
        >>> "cells" in list_datasets()
        True
    """
    _load()
    return sorted(_DATASETS)


def create_dataset(
    name: str,
    root: Path | str | None = None,
    *,
    n_train: int | None = None,
    folds: int | None = None,
    fold: int | None = None,
    split_seed: int | None = None,
    on_leak: OnLeak = "refuse",
    compare: bool = False,
    **options: Any,
) -> SegmentationDataset:
    """Create a data set by name and check it: every split has items, and no item, content or group is in two splits.

    Args:
        name: Registered name.
        root: Folder of its files, for data sets that have files.
        n_train: Number of training images to keep (or, for a generated data set, to draw).
        folds: Number of folds of k-fold cross-validation; see `unetzoo.data.resplit`.
        fold: Index of the fold, from 0.
        split_seed: Seed of the splits that are drawn.
        on_leak: "refuse" data with the same item or group in two splits; or "drop_from_training" such items and
            near-duplicates, which ``dropped`` then lists.
        compare: Search for near-duplicates while files are read, for a caller who needs them: they are then not read
            again for that, unless folds or ``split_seed`` change the splits.
        **options: Options of the data set.

    Returns:
        The data set.

    Raises:
        UnetzooError: If the name or an option is unknown, or something is wrong with the files, which it names.

    Examples:
        >>> data = create_dataset("cells", n_train=4)
        >>> len(data.splits["train"])
        4
    """
    check_argument("data set", "name", name, str, "the name of a registered data set, such as 'cells'")
    _load()
    if name not in _DATASETS:
        raise UnetzooError(f"unknown data set {name!r}; {nearest(name, _DATASETS)}")
    factory = _DATASETS[name]
    if n_train is not None and folds is None and "n_train" in inspect.signature(factory).parameters:
        options, n_train = {**options, "n_train": n_train}, None
    if on_leak not in get_args(OnLeak):
        raise UnetzooError(f"on_leak = {on_leak!r} is not a choice; allowed: {', '.join(get_args(OnLeak))}")
    if on_leak != "refuse" and "on_leak" in inspect.signature(factory).parameters:
        options = {**options, "on_leak": on_leak}
    if compare and folds is None and split_seed is None and "compare" in inspect.signature(factory).parameters:
        options = {**options, "compare": True}
    _check_options(name, factory, options)
    try:
        dataset = factory(root=user_path(root, "root") if root is not None else None, **options)
    except UnetzooError:
        raise
    except (Exception, SystemExit) as error:  # a plug-in may raise anything
        raise UnetzooError(f"data set {name!r}: {one_line(error)}") from error
    if any(value is not None for value in (n_train, folds, fold, split_seed)):
        from unetzoo.data.resplit import resplit

        try:
            resplit(dataset, n_train=n_train, folds=folds, fold=fold, split_seed=split_seed)
        except UnetzooError as error:
            raise UnetzooError(f"data set {name!r}: {error}") from None
    if on_leak == "drop_from_training":
        from unetzoo.data.leaks import drop_from_training

        drop_from_training(dataset)
    dataset.check()
    return dataset


def _check_options(name: str, factory: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Check options against the signature and the annotations of a factory.

    Raises:
        UnetzooError: If the factory lacks an option, or a value is not of its annotated type.
    """
    parameters = inspect.signature(factory).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    hints = get_type_hints(factory.__init__ if inspect.isclass(factory) else factory)
    for option, value in options.items():
        if option not in parameters and not takes_any:
            known = [p for p in parameters if p != "root"]
            raise UnetzooError(f"data set {name!r}: unknown option {option!r}; {nearest(option, known)}")
        try:
            TypeAdapter(hints.get(option, Any)).validate_python(value, strict=True)
        except ValidationError as error:
            reason = error.errors()[0]["msg"].lower()
            raise UnetzooError(f"data set {name!r}: {option} = {shown(value)}: {reason}") from None
