"""Overlap-tile inference: an image of any size through a network in bounded memory."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from unetzoo.data.expected import Expected
from unetzoo.errors import UnetzooError, check_argument, nearest, shown
from unetzoo.export.backend import on_backend
from unetzoo.inference.batches import Batches, Job, answers
from unetzoo.inference.network import Precision, probabilities, torch_values
from unetzoo.inference.overlap import ahead, behind
from unetzoo.inference.prepare import Layers, Model, Prepared, far_limit, prepare, strips
from unetzoo.inference.read_as import ReadAs, Spelling
from unetzoo.inference.scale import interval
from unetzoo.inference.source import Region, Source, checked_shape
from unetzoo.inference.strip import Output, Rows, Strip
from unetzoo.inference.tiles import Tile
from unetzoo.inference.tiling import Tiling, window_of
from unetzoo.inference.tta import Turn, versions

Progressed: TypeAlias = Callable[[int, int], None]  # called with the tiles done and their total

AHEAD = 2  # tiles that are read before they are computed


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
    batch: int | Literal["auto"] = "auto",
    precision: Precision = "auto",
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

    If both ``image`` and ``out`` are a ``numpy.memmap``, memory holds no more than 2 x K x tile rows x W numbers, apart
    from what the network needs for a batch of tiles. Unless ``precision`` is "float32", it also holds a copy of the
    weights (half as large in bfloat16) as long as the model lives or until its weights change. The model itself is not
    changed.

    Two tiles are read ahead of the computation in a thread, and finished rows are written in another one.

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
        batch: Upper limit on the tiles of a row, or versions of a tile, that are computed at once. "auto" is 1 on a
            CPU; elsewhere the first tiles are timed, and the fastest number is kept, which may change the last digits.
        precision: "auto" for the fastest that the hardware computes with natively: bfloat16, float16 (on a GPU) or
            float32. A copy of the network is then computed, whose batch norms are folded into the convolutions. On up
            to 128 x 128 px in the middle of the first image it is compared with float32. If a probability differs by
            more than 0.1, autocast is tried, and then float32. `unetzoo.inference.network.computed` returns the
            choice and the difference. "float32" computes the network as it is. "bfloat16" and "float16" never fall
            back to float32; they warn instead.
        backend: "torch", "openvino" or "onnxruntime", on the CPU; default: torch, or the usual runtime of an exported
            model. A network is converted by the first call and the conversion kept while its weights stay. Other
            runtimes compute in float32, also with "auto"; only OpenVINO takes "bfloat16".
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
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    normalize = normalize or getattr(model, "unetzoo_normalization", None)
    channels = getattr(getattr(model, "unetzoo_config", None), "in_channels", None)
    ready = _prepared(model, image, channels, ReadAs(range, downscale, as_trained))
    factor, full = (ready.factor, ready.sides) if isinstance(ready, Prepared) else (1, tuple(ready.shape[-2:]))
    source = Source(ready.blocks if isinstance(ready, Prepared) else ready, device, normalize, channels)
    tiling = Tiling(model, source.sides, tile, overlap)
    rows, columns, transforms = tiling.rows, tiling.columns, versions(tta, tiling.sizes)
    total = len(rows) * len(columns) * len(transforms)

    def parts() -> Iterator[_Part]:
        for row in rows:
            for transform in transforms:
                for column in columns:
                    region, turn = transform(window_of(row, column))
                    yield _Part(column, region, source.read(region), turn)

    with (
        _evaluating(model),
        _reporting(progress, total) as advance,
        ahead(parts(), AHEAD if total > 1 else 0) as read,
        behind(threaded=len(rows) > 1) as later,
    ):
        probes = [lambda w=window: source.window(versions(1, None)[0](w)[0]) for window in tiling.probes()]
        logits = torch_values(model, device, precision, channels_last, probes)
        compute = Batches(logits if output == "logits" else lambda x: probabilities(logits(x)), batch, device)
        strip, written = Strip(source.sides[1], len(transforms)), Rows(out, output, source.sides, full, factor, later)
        for i, row in enumerate(rows):
            jobs = (_job(part, source) for part in islice(read, len(columns) * len(transforms)))
            for column, given in answers(compute, jobs):
                strip.add(row, column, given)
                advance()
            # Rows above the next row of tiles are done; the strip moves down to where that begins.
            written.write(*strip.move(rows[i + 1].first if i + 1 < len(rows) else source.sides[0]))
    return written.out


class _Part(NamedTuple):
    """One version of one tile: its place in the row, the region of the image and its pixels, and the transform."""

    column: Tile
    region: Region
    pixels: Any
    turn: Turn


def _job(part: _Part, source: Source) -> Job:
    return Job(part.column, *part.turn(source.pixels(part.region, part.pixels)))


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
    if not (isinstance(batch, str) and batch == "auto") and not _whole(batch, 1):
        raise UnetzooError(f"batch = {shown(batch)} must be a whole number of tiles, at least 1, or 'auto'")
    check_argument("predict", "precision", precision, str, f"one of {', '.join(get_args(Precision))}")
    if precision not in get_args(Precision):
        raise UnetzooError(f"precision = {precision!r} is not a choice; {nearest(precision, get_args(Precision))}")
    check_argument("predict", "tta", tta, int, "1, 7 or 8")
    versions(tta, None)


def _whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value < 2**31


@contextmanager
def _reporting(progress: bool | Progressed, total: int) -> Iterator[Callable[[], object]]:
    """Yield a function to call after each tile."""
    if callable(progress):
        counted = iter(range(1, total + 1))
        yield lambda: progress(next(counted), total)
    else:
        with tqdm(desc="predict", total=total, unit="tile", disable=not progress, leave=False) as bar:  # on stderr
            yield bar.update


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
