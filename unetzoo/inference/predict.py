"""Overlap-tile inference: an image of any size through a network in bounded memory."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby, islice
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from unetzoo.data.expected import Expected
from unetzoo.errors import UnetzooError, check_argument, nearest, shown
from unetzoo.export.backend import on_backend
from unetzoo.inference.prepare import Layers, Model, Prepared, far_limit, prepare, strips
from unetzoo.inference.read_as import ReadAs, Spelling
from unetzoo.inference.scale import interval
from unetzoo.inference.source import Source, checked_shape
from unetzoo.inference.tiles import Tile, padded_tiles, valid_tiles
from unetzoo.inference.tta import Restore, Window, versions
from unetzoo.machine.device import resolve_precision
from unetzoo.nn.sizes import SameSize, ValidSizes, border_effect

Output: TypeAlias = Literal["probabilities", "logits", "classes"]
Precision: TypeAlias = Literal["float32", "bfloat16", "auto"]
Values: TypeAlias = Callable[[Tensor], Tensor]  # the network: (N, C, H, W) to (N, K, H', W')
Progressed: TypeAlias = Callable[[int, int], None]  # called with the tiles done and their total


def predict(
    model: nn.Module,
    image: np.ndarray | Tensor | Prepared,
    *,
    range: tuple[float, float] | None = None,
    downscale: int | None = None,
    as_trained: bool = False,
    tile: int | tuple[int, int] | None = 512,
    overlap: int | None = None,
    tta: Literal[1, 7, 8] = 1,
    batch: int = 1,
    precision: Precision = "float32",
    backend: str | None = None,
    channels_last: bool = True,
    output: Output = "probabilities",
    out: Any = None,
    normalize: Callable[[Tensor], Tensor] | None = None,
    progress: bool | Progressed = False,
) -> Any:
    """Segment one image of any size, tile by tile.

    The model runs on the device of its parameters, in eval mode, and keeps its own mode afterwards.

    A model of `load_model` knows how its training images were stored, and reads the image as those were: their range
    becomes [0, 1], blocks of pixels are averaged if they were, and the output is enlarged again. An integer array holds
    stored values. A float array in [0, 1] is scaled already, as the data sets return it, unless training read floats.
    An image that was not stored like those of training is refused, unless its values are provably the same; the
    message names the option that reads it. A warning tells what was converted, and of intensities unlike those of
    training.

    - Networks of valid convolutions read the context they lose around each tile, mirrored at the image's border. Any
      tiling gives the same values as the whole image.
    - Networks that keep the size do not see what lies beyond a tile, so tiles are blended with Gaussian weights.

    If both ``image`` and ``out`` are a ``numpy.memmap``, memory holds no more than K x tile rows x W numbers, apart
    from what the network needs for a batch of tiles.

    Args:
        model: The network, (N, C, H, W) to logits (N, K, H', W').
        image: Image (H, W) or (C, H, W): an array, a tensor, or anything that is sliced like one, such as a
            ``numpy.memmap``; it is looked at once in strips, and then read in tiles. For a model that was not loaded,
            unsigned integers of 8 and 16 bits are divided by their largest value, as the data sets do.
        range: Values of the image that become 0 and 1, whatever those of training; values beyond are clipped. With the
            higher one first, the image is inverted.
        downscale: Side of the blocks of pixels to average before the network; default: that of training.
        as_trained: Read the values by the range of training, whatever the image looks like; values beyond are clipped.
        tile: Side, or (rows, columns), of a tile's output in px, after ``downscale``; None for the whole image at once.
            An image no larger than a tile is one tile.
        overlap: Pixels that neighbouring tiles share; default: 0 for valid convolutions, else a quarter of the tile.
        tta: Versions of the image to average over: 1; 8 for the right-angle rotations and their mirror images, which
            are exact; 7 for rotations by k * 360/7 degrees with bilinear sampling. (The paper averages "7 rotated
            versions", section 4, and does not state their angles.)
        batch: Upper limit on the tiles of a row, or versions of a tile, that are computed at once.
        precision: "float32"; "bfloat16" for autocast, which changes probabilities in their third digit; "auto" for
            bfloat16 if the hardware computes with it.
        backend: "torch", "openvino" or "onnxruntime", on the CPU; default: torch, or the usual runtime of an exported
            model. A network is converted by the first call and the conversion kept while its weights stay. Other
            runtimes compute in float32; only OpenVINO uses bfloat16, if ``precision`` permits.
        channels_last: Memory layout of the network's input; True is faster for convolutions.
        output: "probabilities", "logits" or "classes"; see Returns.
        out: Array of the output's shape to write to; default: a new one.
        normalize: Function applied to each tile, float32 (C, h, w); default: the normalization that `load_model` found
            beside the weights, if any.
        progress: True for a bar on stderr, or a function that is called with the tiles done and their total.

    Returns:
        ``out``, or a new array. "probabilities" are (K, H, W) float32, the softmax over classes, or the sigmoid if
        K = 1. "logits" are (K, H, W) float32. "classes" are (H, W) uint8 (int32 above 256 classes): the most probable
        class, or p > 0.5 if K = 1. Blending and averaging use logits for "logits", and probabilities otherwise.

    Raises:
        UnetzooError: If a shape, pixel type or option is not valid, a pixel is NaN or infinite, or the image is not
            known to be read as in training.

    References:
        Ronneberger et al. 2015, arXiv 1505.04597, figure 2 and section 4
    """
    _check_call(model, output, out, channels_last, normalize, progress)
    check_options(tile, overlap, tta, batch, precision)
    model = on_backend(model, backend, precision)
    network = model.network if isinstance(model, SameSize) else model
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    normalize = normalize or getattr(model, "unetzoo_normalization", None)
    channels = getattr(getattr(model, "unetzoo_config", None), "in_channels", None)
    ready = _prepared(model, image, channels, ReadAs(range, downscale, as_trained))
    factor, full = (ready.factor, ready.sides) if isinstance(ready, Prepared) else (1, tuple(ready.shape[-2:]))
    source = Source(ready.blocks if isinstance(ready, Prepared) else ready, device, normalize, channels)
    sizes = getattr(network, "sizes", None)
    sizes = sizes if isinstance(sizes, ValidSizes) else None
    rows, columns = _tiles(network, sizes, source.sides, tile, overlap)
    transforms = versions(tta, sizes)
    logits = _network(network, device, resolve_precision(precision, device.type), channels_last)
    values = logits if output == "logits" else lambda x: _probabilities(logits(x))

    def jobs(row: Tile) -> Iterator[_Job]:
        for transform in transforms:
            for column in columns:
                window = Window(row.start, column.start, row.size, column.size, row.context, column.context)
                yield _Job(column, *transform(source, window))

    with _evaluating(model), _reporting(progress, len(rows) * len(columns) * len(transforms)) as advance:
        strip = torch.empty(0)  # (K, rows of a tile, W): weighted sums of the tiles' outputs, from row ``written`` on
        written = 0
        for i, row in enumerate(rows):
            for column, given in _answers(values, jobs(row), batch):
                if not strip.numel():
                    strip = torch.zeros(given.shape[0], row.size, source.sides[1])
                inside = given.cpu()[:, _cut(row), _cut(column)] / len(transforms)
                weighted = inside * row.weights[:, None] * column.weights
                strip[:, row.first - written : row.stop - written, column.first : column.stop] += weighted
                advance()
            # Rows above the next row of tiles are done; the strip moves down to where that begins.
            done = rows[i + 1].first if i + 1 < len(rows) else source.sides[0]
            rows_done, top = _enlarged(strip[:, : done - written], written, factor, source.sides, full)
            out = _write(out, rows_done, top, full, output)
            kept = strip[:, done - written :].clone()
            strip[:, : kept.shape[1]] = kept
            strip[:, kept.shape[1] :] = 0
            written = done
    return out


def _check_call(model: Any, output: Any, out: Any, channels_last: Any, normalize: Any, progress: Any) -> None:
    """Check the arguments of `predict` that `check_options` does not check.

    Raises:
        UnetzooError: If one is not valid.
    """
    choices = get_args(Output)
    check_argument("predict", "model", model, nn.Module, "a network (nn.Module), such as load_model returns")
    check_argument("predict", "output", output, str, f"one of {', '.join(choices)}")
    if output not in choices:
        raise UnetzooError(f"output = {output!r} is not a choice; {nearest(output, choices)}")
    check_argument("predict", "channels_last", channels_last, bool, "True or False")
    if normalize is not None and not callable(normalize):
        raise UnetzooError(f"predict: normalize = {shown(normalize)}: must be a function or None")
    if not isinstance(progress, bool) and not callable(progress):
        raise UnetzooError(f"predict: progress = {shown(progress)}: must be True, False or a function")
    if out is not None and not (isinstance(getattr(out, "shape", None), tuple) and hasattr(out, "__setitem__")):
        raise UnetzooError(f"predict: out = {shown(out)}: must be an array to write to, or None")
    kind = str(getattr(out, "dtype", "float")).removeprefix("torch.")  # an object that only takes rows has none
    whole = output == "classes" and kind.startswith(("int", "uint"))
    if not (kind.startswith(("float", "bfloat")) or whole):
        raise UnetzooError(f"predict: out holds {kind}, which cannot store {output}")


def check_options(tile: Any, overlap: Any, tta: Any, batch: Any, precision: Any) -> None:
    """Check the options of `predict` that do not depend on the image.

    Args:
        tile: As for `predict`.
        overlap: As for `predict`.
        tta: As for `predict`.
        batch: As for `predict`.
        precision: As for `predict`.

    Raises:
        UnetzooError: If one is not valid.
    """
    wanted = () if tile is None else tile if isinstance(tile, tuple | list) else (tile, tile)
    if (tile is not None and len(wanted) != 2) or any(not _whole(t, 1) for t in wanted):
        raise UnetzooError(f"tile = {shown(tile)} must be one or two whole numbers of pixels, at least 1, or None")
    if overlap is not None and not (_whole(overlap, 0) and all(overlap < t for t in wanted)):
        raise UnetzooError(f"overlap = {shown(overlap)} must be whole pixels from 0 to less than the tile")
    if not _whole(batch, 1):
        raise UnetzooError(f"batch = {shown(batch)} must be a whole number of tiles, at least 1")
    check_argument("predict", "precision", precision, str, f"one of {', '.join(get_args(Precision))}")
    if precision not in get_args(Precision):
        raise UnetzooError(f"precision = {precision!r} is not a choice; {nearest(precision, get_args(Precision))}")
    check_argument("predict", "tta", tta, int, "1, 7 or 8")
    versions(tta, None)


def _whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value < 2**31


class _Job(NamedTuple):
    """One version of one tile: its place in the row, the network's input (1, C, h, w), and the inverse transform."""

    column: Tile
    pixels: Tensor
    restore: Restore


def _answers(values: Values, jobs: Iterable[_Job], batch: int) -> Iterator[tuple[Tile, Tensor]]:
    """Yield each job's column and output (K, h, w) in order; consecutive jobs of equal shape are computed together."""
    for _, alike in groupby(jobs, key=lambda job: job.pixels.shape):
        while together := list(islice(alike, batch)):
            answers = values(torch.cat([job.pixels for job in together]))
            for job, answer in zip(together, answers.split(1), strict=True):
                yield job.column, job.restore(answer)


def _network(network: nn.Module, device: torch.device, precision: str, channels_last: bool) -> Values:
    """Wrap ``network`` with a precision and memory format: (N, C, H, W) to logits (N, K, H', W') float32."""

    def logits(x: Tensor) -> Tensor:
        # A copy: .contiguous() leaves the strides of a single channel unchanged, and the strides decide the format.
        memory_format = torch.channels_last if channels_last else torch.contiguous_format
        x = torch.empty_like(x, memory_format=memory_format).copy_(x)
        # Without the cache, so that a surrounding training does not find weights that were cast here.
        with torch.autocast(device.type, torch.bfloat16, precision == "bfloat16", cache_enabled=False):
            found = network(x)
        if not isinstance(found, Tensor) or found.ndim != 4 or len(found) != len(x):
            raise UnetzooError(f"{type(network).__name__} must return logits (N, K, H, W) of images (N, C, H, W)")
        return found.float()

    return logits


@contextmanager
def _reporting(progress: bool | Progressed, total: int) -> Iterator[Callable[[], object]]:
    """Yield a function to call after each tile."""
    if callable(progress):
        counted = iter(range(1, total + 1))
        yield lambda: progress(next(counted), total)
    else:
        with tqdm(desc="predict", total=total, unit="tile", disable=not progress, leave=False) as bar:  # on stderr
            yield bar.update


def _tiles(
    network: nn.Module,
    sizes: ValidSizes | None,
    sides: tuple[int, int],
    tile: int | tuple[int, int] | None,
    overlap: int | None,
) -> tuple[list[Tile], list[Tile]]:
    """Return the tiles along the rows and along the columns."""
    wanted = sides if tile is None else (tile, tile) if isinstance(tile, int) else tile
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


def most_probable(probabilities: Tensor) -> Tensor:
    """Return the class indices (H, W) of probabilities (K, H, W); if K = 1, p > 0.5 as bool."""
    return probabilities.argmax(dim=0) if len(probabilities) > 1 else probabilities[0] > 0.5


def _write(out: Any, values: Tensor, top: int, sides: tuple[int, int], output: Output) -> Any:
    """Write finished rows (K, h, W) to ``out``, which is created or checked when its first rows come.

    Raises:
        UnetzooError: If ``out`` has another shape.
    """
    classes = values.shape[0]
    shape = sides if output == "classes" else (classes, *sides)
    if out is None:
        dtype = np.float32 if output != "classes" else np.uint8 if classes <= 256 else np.int32
        out = np.empty(shape, dtype)
    elif tuple(out.shape) != shape:
        raise UnetzooError(f"out has shape {tuple(out.shape)}, but {output} of this image have {shape}")
    if output == "classes":
        values = most_probable(values)
    bottom = top + values.shape[-2]
    rows: Any = values if isinstance(out, Tensor) else values.numpy()
    out[..., top:bottom, :] = rows
    return out


def _enlarged(
    values: Tensor, top: int, factor: int, sides: tuple[int, int], full: tuple[int, ...]
) -> tuple[Tensor, int]:
    """Return finished rows (K, h, W) in the image's own size, and the first of them.

    Each pixel becomes a block; pixels beyond the last complete block take its values.
    """
    if factor == 1:
        return values, top
    bottom = top + values.shape[-2]
    last = full[0] if bottom == sides[0] else bottom * factor
    rows = torch.arange(top * factor, last).div(factor, rounding_mode="floor").clamp(max=sides[0] - 1) - top
    columns = torch.arange(full[1]).div(factor, rounding_mode="floor").clamp(max=sides[1] - 1)
    return values.index_select(-2, rows).index_select(-1, columns), top * factor


def _prepared(model: nn.Module, image: Any, channels: int | None, options: ReadAs) -> Any:
    """Return the image as the model's training images were read; as it is, if nothing is known and nothing asked for.

    Raises:
        UnetzooError: If the image is not known to be read as in training, or a pixel is NaN or infinite.
    """
    if isinstance(image, Prepared):
        return image
    checked_shape(image)
    expected = getattr(model, "unetzoo_expected", None)
    if not isinstance(expected, Expected):
        if options == ReadAs():
            _check_finite(image)
            return image
        expected = Expected()
    elif not expected.known and not getattr(model, "unetzoo_told", False):
        object.__setattr__(model, "unetzoo_told", True)
        warnings.warn(unknown_facts(expected, Spelling(python=True)), stacklevel=3)
    ready = prepare(image, Model(channels, expected), options)
    for note in ready.notes:
        warnings.warn(f"the image: {note}", stacklevel=3)
    if ready.far is not None:
        warnings.warn(f"the image: {far_words(expected, ready.far)}", stacklevel=3)
    return ready


def unknown_facts(expected: Expected, say: Spelling) -> str:
    """Describe what weights without these facts do not tell.

    Args:
        expected: What they tell.
        say: Spelling of the options.
    """
    missing, known = "range, bit depth, downscale and intensities of their training images", ""
    if expected.range is not None:
        missing, known = missing.removeprefix("range, "), f", only the range {interval(expected.range)}"
    return f"these weights do not tell the {missing}{known}; {say.downscale} averages blocks if training did"


def far_words(expected: Expected, found: float | None = None) -> str:
    """Describe images that are far from training, with the distance of one if it is given."""
    measured = f"{found:.2f}, " if found is not None else ""
    return (
        f"intensities unlike those of training (distance of the histograms {measured}above {far_limit(expected):.2f})"
    )


def _check_finite(image: Any) -> None:
    layers = Layers(image) if "float" in str(image.dtype) else None
    if layers is not None and not all(np.isfinite(part).all() for part in strips(layers)):
        raise UnetzooError("the image: holds NaN or infinity; replace these pixels by numbers")


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Switch to eval mode without gradients, and give each module its own mode back afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for module, training in modes:
            module.training = training
