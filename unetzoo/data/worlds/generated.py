"""Generated data sets: drawn from a seed, the same on every machine, without files or network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from unetzoo.data.base import DatasetInfo, SegmentationDataset
from unetzoo.data.folders.files import array_digest
from unetzoo.data.registry import register_dataset
from unetzoo.data.worlds import cells, defects, lanes, roads, text_lines, vessels
from unetzoo.data.worlds.drawing import Drawn
from unetzoo.errors import UnetzooError

Draw = Callable[..., Drawn]
"""``draw(seed, key, *, size, difficulty)`` returns an item, a function of its arguments alone."""

DIFFICULTY = 0.5  # the default


class GeneratedDataset(SegmentationDataset):
    """A data set of images (C, size, size), each drawn when it is asked for, as a function of (seed, key).

    Args:
        info: Description of the data set.
        draw: Draws an item.
        version: Version of ``draw``, part of every digest.
        counts: Number of images of each split.
        size: Side of the images in px.
        seed: Seed of the data set.
        difficulty: In [0, 1]; leaves the scenes as they are and changes their visibility: contrast, noise, occlusion.

    Raises:
        UnetzooError: If an option is out of range.
    """

    def __init__(
        self,
        info: DatasetInfo,
        draw: Draw,
        version: int,
        counts: dict[str, int],
        size: int,
        seed: int,
        difficulty: float = DIFFICULTY,
    ) -> None:
        for name, value, least in (
            ("size", size, 48),
            ("seed", seed, 0),
            *((f"n_{k}", v, 1) for k, v in counts.items()),
        ):
            if value < least:
                raise UnetzooError(f"data set {info.name!r}: {name} = {value!r} must be a whole number >= {least}")
        if not 0 <= difficulty <= 1:
            raise UnetzooError(f"data set {info.name!r}: difficulty = {difficulty!r} must lie in [0, 1]")
        self.info = info
        self.splits = {s: tuple(f"{s}-{i:03d}" for i in range(n)) for s, n in counts.items()}
        self._identity = f"{info.name} v{version} seed {seed} size {size}"
        if difficulty != DIFFICULTY:  # omitted at the default, so that digests from before the option stay valid
            self._identity += f" difficulty {float(difficulty)!r}"
        self._draw, self._seed, self._options = draw, seed, {"size": size, "difficulty": difficulty}
        self._drawn: dict[str, Drawn] = {}

    def read(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        drawn = self._once(key)
        return drawn.image.copy(), drawn.mask.copy()

    def instances(self, key: str) -> np.ndarray | None:
        return self._once(key).instances

    def _once(self, key: str) -> Drawn:
        if key not in self._drawn:
            self._drawn[key] = self._draw(self._seed, key, **self._options)
        return self._drawn[key]

    def content_digest(self, key: str) -> str:
        # The hash covers the arguments that determine the pixels: floats may differ in the last bit between machines.
        return array_digest(np.frombuffer(f"{self._identity} {key}".encode(), dtype=np.uint8))


def _register(
    name: str,
    draw: Draw,
    version: int,
    class_names: tuple[str, ...],
    *,
    channels: int = 1,
    images: tuple[int, int, int] = (48, 8, 24),
) -> None:
    """Register a generated data set; class 0 is background, ``images`` are the default sizes of train, val and test."""

    @register_dataset(name)
    def world(
        root: Path | None = None,
        *,
        n_train: int = images[0],
        n_val: int = images[1],
        n_test: int = images[2],
        size: int = 128,
        seed: int = 0,
        difficulty: float = DIFFICULTY,
    ) -> GeneratedDataset:
        if root is not None:
            raise UnetzooError(f"root = {str(root)!r}: data set {name!r} is generated and has no files; leave root out")
        harder = "" if difficulty == DIFFICULTY else f", difficulty {difficulty:g}"
        info = DatasetInfo(
            name=name,
            channels=channels,
            class_names=class_names,
            foreground=tuple(range(1, len(class_names))),
            description=f"generated {name}, {size}x{size}, seed {seed}{harder}",
        )
        counts = {"train": n_train, "val": n_val, "test": n_test}
        return GeneratedDataset(info, draw, version, counts, size, seed, difficulty)


# One data set for each kind of application that U-Net is known for; the modules describe their difficulties.
_register("cells", cells.draw_cells, cells.VERSION, ("background", "cell"))
_register("vessels", vessels.draw_vessels, vessels.VERSION, ("background", "vessel"))
_register("roads", roads.draw_roads, roads.VERSION, roads.CLASSES, channels=3)
_register("lanes", lanes.draw_lanes, lanes.VERSION, ("background", "lane marking"), channels=3)
_register(  # more images: about half have empty masks
    "defects", defects.draw_defects, defects.VERSION, ("sound", "defect"), images=(96, 16, 60)
)
_register("text_lines", text_lines.draw_text_lines, text_lines.VERSION, ("background", "text line"))
