"""The built-in models as data: one tuple of entries per file, joined in `ENTRIES`."""

from __future__ import annotations

from unetzoo.models.entries import (
    convolutional,
    frameworks,
    grid,
    light,
    peers,
    pretrained,
    residual,
    state_space,
    transformers,
)
from unetzoo.models.entry import Entry

ENTRIES: tuple[Entry, ...] = (
    *grid.ENTRIES,
    *pretrained.ENTRIES,
    *convolutional.ENTRIES,
    *residual.ENTRIES,
    *light.ENTRIES,
    *transformers.ENTRIES,
    *state_space.ENTRIES,
    *frameworks.ENTRIES,
    *peers.ENTRIES,
)
