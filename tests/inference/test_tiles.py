"""Places of tiles, and their weights."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from unetzoo.inference.tiles import padded_tiles


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 300), st.integers(1, 80), st.integers(0, 79))
def test_weights_cover_every_pixel_once(side: int, tile: int, overlap: int) -> None:
    tiles = padded_tiles(side, tile, min(overlap, tile - 1))
    total = np.zeros(side)
    for t in tiles:
        assert 0 <= t.first == t.start
        assert t.stop <= side
        assert (t.weights > 0).all()
        total[t.first : t.stop] += t.weights.numpy()
    np.testing.assert_allclose(total, 1, atol=1e-6)
