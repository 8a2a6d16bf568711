"""Generated data sets: drawn by seed, the same on every machine, no file and no network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from unetzoo.data.base import DatasetInfo, SegmentationDataset, register_dataset
from unetzoo.data.cells import GENERATOR_VERSION, draw_cells
from unetzoo.data.files import array_digest
from unetzoo.errors import UnetzooError

Draw = Callable[..., tuple[np.ndarray, np.ndarray]]


class GeneratedDataset(SegmentationDataset):
    """Images (1, size, size) with instance labels, drawn one by one as a function of (seed, key)."""

    def __init__(
        self, info: DatasetInfo, draw: Draw, version: int, counts: dict[str, int], size: int, seed: int
    ) -> None:
        for name, value, least in (
            ("size", size, 48),
            ("seed", seed, 0),
            *((f"n_{k}", v, 1) for k, v in counts.items()),
        ):
            if value < least:
                raise UnetzooError(f"data set {info.name!r}: {name} = {value!r} must be a whole number >= {least}")
        self.info = info
        self.splits = {s: tuple(f"{s}-{i:03d}" for i in range(n)) for s, n in counts.items()}
        self._identity = f"{info.name} v{version} seed {seed} size {size}"
        self._draw, self._seed, self._size = draw, seed, size
        self._drawn: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def read(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        image, labels = self._once(key)
        return image[None].copy(), (labels > 0).astype(np.int64)

    def instances(self, key: str) -> np.ndarray:
        return self._once(key)[1]

    def _once(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        if key not in self._drawn:
            self._drawn[key] = self._draw(self._seed, key, size=self._size)
        return self._drawn[key]

    def content_digest(self, key: str) -> str:
        # What determines the pixels, not the pixels: floating point may differ in the last bit between machines.
        return array_digest(np.frombuffer(f"{self._identity} {key}".encode(), dtype=np.uint8))


@register_dataset("cells")
def cells(
    root: Path | None = None,
    *,
    n_train: int = 48,
    n_val: int = 8,
    n_test: int = 24,
    size: int = 128,
    seed: int = 0,
) -> GeneratedDataset:
    """Crowded, touching, blurred, unevenly lit, noisy cells; class 1 is the cell."""
    if root is not None:
        raise UnetzooError("data set 'cells' is generated and has no files; leave root out")
    info = DatasetInfo(
        name="cells",
        channels=1,
        class_names=("background", "cell"),
        foreground=(1,),
        description=f"generated cells, {size}x{size}, seed {seed}",
    )
    counts = {"train": n_train, "val": n_val, "test": n_test}
    return GeneratedDataset(info, draw_cells, GENERATOR_VERSION, counts, size, seed)
