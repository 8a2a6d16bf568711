"""Overlap-tile inference: an image of any size through a network in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor, nn

from unetzoo.errors import UnetzooError, nearest
from unetzoo.inference.source import Source
from unetzoo.inference.tiles import Tile, border_effect, padded_tiles, valid_tiles
from unetzoo.inference.tta import Window, versions
from unetzoo.nn.sizes import SameSize, ValidSizes

Output: TypeAlias = Literal["probabilities", "logits", "classes"]


def predict(
    model: nn.Module,
    image: np.ndarray | Tensor,
    *,
    tile: int | tuple[int, int] | None = 512,
    overlap: int | None = None,
    tta: Literal[1, 7, 8] = 1,
    output: Output = "probabilities",
    out: Any = None,
    normalize: Callable[[Tensor], Tensor] | None = None,
    progress: bool = False,
) -> Any:
    """Segment one image (H, W) or (C, H, W) of any size, tile by tile.

    ``image`` is an array, a tensor, or anything sliced like one (a ``numpy.memmap``): only tiles of it are read.
    Unsigned integers of 8 and 16 bits are divided by their largest value, as the data sets do; then ``normalize``
    is applied to each tile, float32 (C, h, w); by default it is the one that `load_model` found beside the weights,
    if any. The model computes on the device where its parameters are, in eval mode, and is left in its own mode.

    ``tile`` is the side, or (rows, columns), of a tile's output in pixels; None takes the whole image at once. Images
    no larger than a tile are one tile. ``overlap`` is what neighbouring tiles share, in pixels.

    - Networks of valid convolutions read the context they lose around each tile, mirrored at the image's border
      (arXiv 1505.04597, figure 2). Any tiles give the same values as the whole image. Default overlap: 0.
    - Networks that keep the size do not know what lies beyond a tile, so tiles are blended with Gaussian weights.
      Default overlap: a quarter of the tile.

    ``tta`` averages over so many versions of the image: 8 are the right-angle rotations and their mirror images,
    exact; 7 are rotations by k * 360/7 degrees with bilinear sampling. (The paper averages "7 rotated versions",
    section 4, and does not tell their angles.)

    Returns ``output``: "probabilities" (K, H, W) float32, the softmax over classes, or the sigmoid where K = 1;
    "logits" (K, H, W) float32; "classes" (H, W) uint8 (int32 above 256 classes), the most probable class, or
    p > 0.5 where K = 1. Blending and averaging are of logits for "logits" and else of probabilities. ``out``, of
    that shape, is written to instead of a new array, and returned: with a ``numpy.memmap`` here and there, memory
    holds no more than K x tile rows x W numbers beside what the network needs for a tile.

    Raises `UnetzooError` on a shape, pixel type or option that does not fit.
    """
    if output not in get_args(Output):
        raise UnetzooError(f"output = {output!r} is not a choice; {nearest(output, get_args(Output))}")
    network = model.network if isinstance(model, SameSize) else model
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    normalize = normalize or getattr(model, "unetzoo_normalization", None)
    source = Source(image, device, normalize, getattr(getattr(model, "unetzoo_config", None), "in_channels", None))
    sizes = getattr(network, "sizes", None)
    sizes = sizes if isinstance(sizes, ValidSizes) else None
    rows, columns = _tiles(network, sizes, source.sides, tile, overlap)
    transforms = versions(tta, sizes)

    def values(window: Tensor) -> Tensor:
        logits = network(window)
        if not isinstance(logits, Tensor) or logits.ndim != 4:
            raise UnetzooError(f"{type(network).__name__} must return logits (N, K, H, W) of images (N, C, H, W)")
        return logits if output == "logits" else _probabilities(logits)

    def averaged(window: Window) -> Tensor:
        return torch.stack([transform(source, values, window) for transform in transforms]).mean(dim=0)

    with _evaluating(model), Progress(console=Console(stderr=True), disable=not progress, transient=True) as bar:
        task = bar.add_task("predict", total=len(rows) * len(columns))
        strip = torch.empty(0)
        written = 0
        for i, row in enumerate(rows):
            for column in columns:
                window = Window(row.start, column.start, row.size, column.size, row.context, column.context)
                given = averaged(window).cpu()
                if not strip.numel():
                    strip = torch.zeros(given.shape[0], row.size, source.sides[1])
                inside = given[:, _cut(row), _cut(column)]
                weighted = inside * row.weights[:, None] * column.weights
                strip[:, row.first - written : row.stop - written, column.first : column.stop] += weighted
                bar.advance(task)
            # Rows above the next tiles are done; the strip moves down to where these begin.
            done = rows[i + 1].first if i + 1 < len(rows) else source.sides[0]
            out = _write(out, strip[:, : done - written], written, source.sides, output)
            strip = torch.cat([strip[:, done - written :], torch.zeros_like(strip[:, : done - written])], dim=1)
            written = done
    return out


def _tiles(
    network: nn.Module,
    sizes: ValidSizes | None,
    sides: tuple[int, int],
    tile: int | tuple[int, int] | None,
    overlap: int | None,
) -> tuple[list[Tile], list[Tile]]:
    """Tiles along the rows and along the columns."""
    wanted = sides if tile is None else (tile, tile) if isinstance(tile, int) else tuple(tile)
    if len(wanted) != 2 or any(isinstance(t, bool) or not isinstance(t, int) or t < 1 for t in wanted):
        raise UnetzooError(f"tile = {tile!r} must be one or two whole numbers of pixels from 1 up, or None")
    if overlap is not None and not (isinstance(overlap, int) and overlap >= 0 and (not tile or overlap < min(wanted))):
        raise UnetzooError(f"overlap = {overlap!r} must be whole pixels from 0 to less than the tile")
    if sizes is None:
        both = [padded_tiles(n, t, t // 4 if overlap is None else overlap) for n, t in zip(sides, wanted, strict=True)]
    else:
        discard = border_effect(network, sizes)
        both = [valid_tiles(sizes, n, t, overlap or 0, discard) for n, t in zip(sides, wanted, strict=True)]
    return both[0], both[1]


def _cut(tile: Tile) -> slice:
    return slice(tile.first - tile.start, tile.stop - tile.start)


def _probabilities(logits: Tensor) -> Tensor:
    return logits.softmax(dim=1) if logits.shape[1] > 1 else logits.sigmoid()


def _write(out: Any, values: Tensor, top: int, sides: tuple[int, int], output: Output) -> Any:
    """Put finished rows (K, h, W) into ``out``, which is made or checked when its first rows come."""
    classes = values.shape[0]
    shape = sides if output == "classes" else (classes, *sides)
    if out is None:
        dtype = np.float32 if output != "classes" else np.uint8 if classes <= 256 else np.int32
        out = np.empty(shape, dtype)
    elif tuple(out.shape) != shape:
        raise UnetzooError(f"out has shape {tuple(out.shape)}, but {output} of this image have {shape}")
    if output == "classes":
        values = values.argmax(dim=0) if classes > 1 else values[0] > 0.5
    bottom = top + values.shape[-2]
    rows: Any = values if isinstance(out, Tensor) else values.numpy()
    out[..., top:bottom, :] = rows
    return out


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode without gradients; each module gets its own mode back."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for module, training in modes:
            module.training = training
