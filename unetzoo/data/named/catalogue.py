"""The named data sets by name: all facts, and hardly any code.

Where a figure or an address comes from a set's own page it was read in a stored copy of it: none of these servers could
be reached from where this was written, so the addresses are not tried and the archives' checksums not known, except
the two that torchvision publishes.
"""

from __future__ import annotations

from unetzoo.data.named import catalogue_bio as bio
from unetzoo.data.named import catalogue_scenes as scenes

CATALOGUE = {
    entry.name: entry
    for entry in (
        *(bio.ISBI2012, bio.DSB2018, bio.CHASE_DB1, bio.DRIVE, bio.WBC),
        *(scenes.CAMVID, scenes.AMAZON_FOREST, scenes.MAGNETIC_TILE, scenes.DIBCO, scenes.TAPUSCORPUS),
        *(scenes.OXFORD_PET, scenes.VOC2012),
    )
}
