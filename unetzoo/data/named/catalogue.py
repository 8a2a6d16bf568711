"""The catalogue of named data sets: entries as data, with hardly any code.

Figures and addresses come from stored copies of each data set's own page. The servers could not be reached when this
was written, so the addresses are untested and the archives' checksums unknown, except those of the two data sets for
which torchvision publishes them.
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
