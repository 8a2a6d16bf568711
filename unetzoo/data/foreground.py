"""Checks that there is foreground to place crops on; apart from `unetzoo.data.balance`, since that imports torch."""

from __future__ import annotations

import numpy as np

from unetzoo.data.base import SegmentationDataset
from unetzoo.errors import UnetzooError


def check_foreground(dataset: SegmentationDataset) -> None:
    """Check that a training image has foreground, reading no more of them than needed.

    Args:
        dataset: The data set.

    Raises:
        UnetzooError: If none has.
    """
    info = dataset.info
    if not any(np.isin(dataset.read(key)[1], info.foreground).any() for key in dataset.splits["train"]):
        raise without_foreground(info.name)


def without_foreground(name: str) -> UnetzooError:
    """Return the error for a data set whose training images have no foreground."""
    return UnetzooError(
        f"train: no training image of {name!r} has any foreground to place crops on; set foreground = 0"
    )
