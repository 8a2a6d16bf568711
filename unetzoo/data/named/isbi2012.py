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
    """The training stack of the challenge, as a data set of its own.

    Class 0 is the interior of cells (255 in the files), class 1 the membrane (0 in the files, 22 % of the pixels), and
    the headline score is that of the membrane. The challenge's test labels are hidden, so slices 24-29 are the test set
    and the ``n_val`` slices before them the validation set. Neighbouring slices are nearly equal, so every split and
    every fold is a run of slices.

    Args:
        root: Folder of the files; default: ``$UNETZOO_DATA/isbi2012_em``.
        n_val: Number of validation slices.

    Raises:
        UnetzooError: If the files are not there or not as expected, or ``n_val`` is out of range.
    """

    ordered = True

    def __init__(self, root: Path | None = None, *, n_val: int = ISBI_VAL) -> None:
        place = locate(ISBI2012, root)
        most = len(place.splits["train"]) + len(place.splits["val"]) - 1
        if not 1 <= n_val <= most:
            raise UnetzooError(f"data set 'isbi2012': n_val = {n_val!r} must be from 1 to {most}")
        super().__init__(ISBI2012, replace(place, splits=contiguous(place.pairs, n_val)))
        # The digests are of the stored pixels, not of what `read` returns, so that older records keep their ids.
        for key, pair in self._pairs.items():
            stored = (read_stored(path, pair.page).pixels[0] for path in (pair.image, pair.mask))
            self._digests[key] = array_digest(*stored)

    def instances(self, key: str) -> np.ndarray:
        """Return the cells, int32 (H, W): connected components of the interior, which membranes separate."""
        return connected_components(self.read(key)[1] == 0)
