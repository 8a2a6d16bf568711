"""ISBI 2012 EM segmentation challenge: 30 training slices of 512x512, the 2015 paper's own data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from unetzoo.data.folders.files import array_digest, read_stored
from unetzoo.data.named.catalogue_bio import ISBI2012
from unetzoo.data.named.entry import ISBI_VAL, contiguous
from unetzoo.data.named.named import NamedDataset, locate
from unetzoo.data.registry import register_dataset
from unetzoo.data.weight_map import connected_components
from unetzoo.errors import UnetzooError


@register_dataset("isbi2012")
class Isbi2012(NamedDataset):
    """Class 0 interior (255 in the files), class 1 membrane (0, 22 % of the pixels): the headline is membrane.

    The hidden test labels are not to be had: slices 24-29 are the test set, the ``n_val`` slices before them the
    validation set. Neighbouring slices are nearly equal, so every split, a fold too, is a run of slices.
    """

    ordered = True

    def __init__(self, root: Path | None = None, *, n_val: int = ISBI_VAL) -> None:
        place = locate(ISBI2012, root)
        most = len(place.splits["train"]) + len(place.splits["val"]) - 1
        if not 1 <= n_val <= most:
            raise UnetzooError(f"data set 'isbi2012': n_val = {n_val!r} must be 1 to {most}")
        super().__init__(ISBI2012, replace(place, splits=contiguous(place.pairs, n_val)))
        # Of the stored pixels, not of what `read` gives: records made before there were readings keep their ids.
        for key, pair in self._pairs.items():
            stored = (read_stored(path, pair.page).pixels[0] for path in (pair.image, pair.mask))
            self._digests[key] = array_digest(*stored)

    def instances(self, key: str) -> np.ndarray:
        """Cells: the connected pieces of the interior, which membranes separate."""
        return connected_components(self.read(key)[1] == 0)
