"""Refusal of data that a claim cannot be asked of."""

from __future__ import annotations

import numpy as np

from unetzoo.claims.definition import Claim
from unetzoo.data.base import SegmentationDataset
from unetzoo.errors import UnetzooError
from unetzoo.metrics.centreline import thin_pixels

LOOKED_AT = 20  # training images at most, evenly spread


def check_data(claim: Claim, dataset: SegmentationDataset) -> None:
    """Check that a claim can be asked of a data set.

    Args:
        claim: The claim.
        dataset: The data set.

    Raises:
        UnetzooError: If it cannot; the message says what is there and what is needed.
    """
    where, needs = f"claim {claim.name!r} cannot be asked of {dataset.info.name!r}", claim.needs
    if not claim.on_data:
        raise UnetzooError(f"claim {claim.name!r} is about networks, not about data; ask it without --data")
    train, test = len(dataset.splits["train"]), _independent(dataset)
    if train < needs.train:
        raise UnetzooError(f"{where}: it has {train} training images, and {needs.train} are needed")
    if test < needs.test:
        raise UnetzooError(
            f"{where}: its test split has {test} independent images or groups of them, and {needs.test} are needed"
        )
    if needs.two_classes and dataset.info.classes != 2:
        raise UnetzooError(
            f"{where}: it has {dataset.info.classes} classes, and background and one foreground class are needed"
        )
    if needs.thin:
        share = thin_share(dataset, needs.thin_width)
        if share < needs.thin:
            raise UnetzooError(
                f"{where}: {100 * share:.0f} % of its foreground is at most {needs.thin_width:g} px wide, "
                f"and {100 * needs.thin:.0f} % are needed (vessels, cracks, membranes)"
            )


def thin_share(dataset: SegmentationDataset, width: float) -> float:
    """Return the share of the foreground, in training images, that is at most ``width`` px wide.

    Args:
        dataset: The data set.
        width: Width in px.

    Returns:
        The share; 0 if no image has foreground.
    """
    keys = dataset.splits["train"]
    chosen = sorted({round(k) for k in np.linspace(0, len(keys) - 1, min(LOOKED_AT, len(keys)))})
    thin = total = 0
    for place in chosen:
        mask = dataset.read(keys[place])[1]
        for c in dataset.info.foreground:
            true = mask == c
            thin, total = thin + int(thin_pixels(true, width).sum()), total + int(true.sum())
    return thin / total if total else 0.0


def _independent(dataset: SegmentationDataset) -> int:
    """Return the number of test images, those that were sampled together counted once."""
    together = dataset.sampled_with
    return len({together.get(key, f"alone: {key}") for key in dataset.splits["test"]})
