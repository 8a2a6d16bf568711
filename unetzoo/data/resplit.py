"""Other splits of a data set: fewer training images, a fold of k-fold, another seed."""

from __future__ import annotations

from unetzoo.data.base import SPLITS, SegmentationDataset
from unetzoo.data.splits import folds as deal
from unetzoo.data.splits import runs, split, subset, take_val
from unetzoo.errors import UnetzooError


def resplit(
    dataset: SegmentationDataset,
    *,
    n_train: int | None = None,
    folds: int | None = None,
    fold: int | None = None,
    split_seed: int | None = None,
) -> None:
    """Change the splits of a data set in place and note it in its description. Groups stay whole.

    Args:
        dataset: The data set.
        n_train: Number of training images to keep; smaller subsets are contained in larger ones.
        folds: Number of folds of k-fold. A fixed test set stays, and the folds are validation sets of the other
            images; otherwise a fold is the test set, and validation is taken from the rest.
        fold: Index of the fold, from 0.
        split_seed: Seed (default 0) of what is drawn by hash: folds, subsets, and the split itself where no list or
            rule fixes it.

    Raises:
        UnetzooError: If a value is out of range or would change nothing.
    """
    given = {"n_train": n_train, "folds": folds, "fold": fold, "split_seed": split_seed}
    given = {name: value for name, value in given.items() if value is not None}
    for name, value in given.items():
        if type(value) is not int or value < 0:
            raise UnetzooError(f"{name} = {value!r} must be a whole number, 0 or above")
    if (folds is None) != (fold is None):
        raise UnetzooError("folds and fold belong together: folds = 5 and fold = 0, 1, 2, 3 or 4")
    seed = split_seed or 0
    parts = dict(dataset.splits)
    if folds is not None and fold is not None:
        parts = _fold(dataset, folds, fold, seed)
    elif split_seed is not None:
        parts = _drawn_again(dataset, seed)
    unchanged = parts == dataset.splits if folds is None else dataset.ordered
    if split_seed is not None and n_train is None and unchanged and not dataset.drawn:
        raise UnetzooError(
            "split_seed would change nothing: the split is fixed; here it applies only to folds and n_train"
        )
    if n_train is not None:
        parts["train"] = subset(parts["train"], n_train, seed=seed)
    dataset.splits = {name: parts[name] for name in SPLITS}
    changed = ", ".join(f"{name} = {value}" for name, value in given.items())
    dataset.info = dataset.info.model_copy(update={"description": f"{dataset.info.description} ({changed})"})


def _fold(dataset: SegmentationDataset, folds: int, fold: int, seed: int) -> dict[str, tuple[str, ...]]:
    old, groups = dataset.splits, dataset.groups
    pool = sorted(key for name in SPLITS for key in old[name] if name != "test" or not dataset.test_is_fixed)
    rest, held = runs(pool, folds, fold) if dataset.ordered else deal(pool, folds, fold, groups=groups, seed=seed)
    if dataset.test_is_fixed:
        return {"train": rest, "val": held, "test": old["test"]}
    if not dataset.ordered:
        train, val = take_val(rest, groups=groups, seed=seed)
        return {"train": train, "val": val, "test": held}
    n_val = len(old["val"])
    if n_val >= len(rest):
        raise UnetzooError(
            f"folds = {folds!r} leaves {len(rest)} images, {n_val} of them for validation: none is left to train on"
        )
    return {"train": rest[:-n_val], "val": rest[-n_val:], "test": held}


def _drawn_again(dataset: SegmentationDataset, seed: int) -> dict[str, tuple[str, ...]]:
    parts = dict(dataset.splits)
    if dataset.drawn == SPLITS:
        return split((key for name in SPLITS for key in parts[name]), groups=dataset.groups, seed=seed)
    if "val" in dataset.drawn:
        parts["train"], parts["val"] = take_val(parts["train"] + parts["val"], groups=dataset.groups, seed=seed)
    return parts
