"""A model that is ready to predict image files, and one image's way through it: opened, computed, saved."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from torch import nn

from unetzoo._util.atomic import atomic_path
from unetzoo._util.paths import check_utf8
from unetzoo.data.base import DatasetInfo
from unetzoo.data.expected import Expected
from unetzoo.errors import UnetzooError, nearest
from unetzoo.export.backend import on_backend
from unetzoo.export.load import exported_folder, opened
from unetzoo.export.module import Exported
from unetzoo.export.runtimes import BACKENDS, check_choice
from unetzoo.export.sidecar import FILE_NAME, read_sidecar, sha256
from unetzoo.inference.images import Item, open_image
from unetzoo.inference.masks import FORMATS, Encoding, Predicted, overlay, save_image
from unetzoo.inference.network import Computed, computed, resolved
from unetzoo.inference.predict import check_options, predict
from unetzoo.inference.prepare import Model, Prepared, prepare
from unetzoo.inference.read_as import ReadAs
from unetzoo.inference.table import Table
from unetzoo.machine.device import resolve_device
from unetzoo.train.weights import load_model, read_header, weights_file


@dataclass(frozen=True)
class Options:
    """Options of `predict_files`; the first six and the last three are those of `unetzoo.inference.predict.predict`.

    Attributes:
        tile: Side of a tile in px.
        overlap: Pixels that neighbouring tiles share; default: a quarter of the tile, or 0 for valid convolutions.
        tta: Orientations to average over: 1, 7 or 8.
        batch: Upper limit on the tiles computed at once, or "auto" for the fastest number.
        precision: "auto" for the fastest that the hardware has, "float32", "bfloat16" or "float16".
        backend: "torch", "openvino" or "onnxruntime"; default: torch, or the usual runtime of an exported model.
        device: "auto", "cpu", "cuda" or "mps".
        format: Format of the masks, "png" or "tif".
        probabilities: Also write the probabilities as a TIFF.
        overlay: Also write the outlines over the image as a PNG.
        overwrite: Replace files that exist.
        range: Stored values that become 0 and 1; default: as in training.
        downscale: Side of the blocks of pixels that are averaged; default: as in training.
        as_trained: Read all images by the range of training, whatever they look like.

    Raises:
        UnetzooError: If an option is not valid.
    """

    tile: int = 512
    overlap: int | None = None
    tta: Any = 1
    batch: int | Literal["auto"] = "auto"
    precision: str = "auto"
    backend: str | None = None
    device: str = "auto"
    format: str = "png"
    probabilities: bool = False
    overlay: bool = False
    overwrite: bool = False
    range: tuple[float, float] | None = None
    downscale: int | None = None
    as_trained: bool = False

    def __post_init__(self) -> None:
        ReadAs(self.range, self.downscale, self.as_trained)
        check_options(self.tile, self.overlap, self.tta, self.batch, self.precision)
        if self.backend is not None:
            check_choice("backend", self.backend, BACKENDS)
        if self.format not in FORMATS:
            raise UnetzooError(f"format = {self.format!r} is not a choice; {nearest(self.format, FORMATS)}")

    def files(self, stem: str) -> list[str]:
        """Return the names of the files for one image, the mask first."""
        also = [".probabilities.tif"] * self.probabilities + [".overlay.png"] * self.overlay
        return [stem + suffix for suffix in (f".{self.format}", *also)]


@dataclass
class Opened:
    """An image to predict.

    Attributes:
        item: The image.
        paths: Files to write, the mask first.
        image: The image, None if its files exist already, or the reason why it cannot be read.
        seconds: Time spent on it so far.
    """

    item: Item
    paths: Sequence[Path]
    image: Prepared | Exception | None
    seconds: float


class Found(NamedTuple):
    """A prediction, and its files that are being written: the mask, and others by their order in the options."""

    predicted: Predicted
    paths: Sequence[Path]
    stack: ExitStack


class Session:
    """A model that is ready to predict, and the encoding of its classes in masks."""

    def __init__(self, path: Path | str, options: Options) -> None:
        device, self.network, self.runtime, header, digest = _loaded(path, options)
        self.options, self.config = options, header["model"]
        self.info = _info(header.get("data"), self.config.num_classes, path)
        self.expected: Expected = self.network.unetzoo_expected  # type: ignore[assignment]  # set by `load_model`
        self.read_as = ReadAs(options.range, options.downscale, options.as_trained)
        self.encoding = Encoding.of(self.info, max(2, self.config.num_classes))
        e = self.encoding
        self.description = {
            "model": {"name": self.config.name, "trial": header.get("trial"), "digest": digest[:16]},
            "options": {
                "tile": options.tile,
                "overlap": options.overlap,
                "tta": options.tta,
                "precision": self.runtime_precision() or resolved(options.precision, device),
                **({"backend": options.backend} if options.backend else {}),
                "range": list(options.range) if options.range else None,
                "downscale": options.downscale or self.expected.downscale or 1,
                "as_trained": options.as_trained,
            },
            "classes": [
                {"name": name, "value": value, "colour": e.palette[k] if e.palette else None}
                for k, (name, value) in enumerate(zip(e.names, e.values, strict=True))
            ],
        }

    def runtime_precision(self) -> str | None:
        """Return the precision of another runtime than torch's own; None if torch computes the network."""
        if self.runtime is None:
            return None
        return "float32" if self.options.precision == "auto" else self.options.precision

    def computed(self) -> Computed | None:
        """Return how the network was computed; None if it was not."""
        if (precision := self.runtime_precision()) is not None:
            return Computed(precision, f"by {self.runtime}")
        return computed(self.network)

    def opened(self, items: Iterable[Item], paths: dict[Item, list[Path]], table: Table) -> Iterator[Opened]:
        """Open images one after the other."""
        for item in items:
            begun = time.monotonic()
            try:
                image: Prepared | Exception | None = self._open(item, paths[item], table)
            except Exception as error:
                image = error
            yield Opened(item, paths[item], image, time.monotonic() - begun)

    def _open(self, item: Item, paths: Sequence[Path], table: Table) -> Prepared | None:
        """Open an image, unless its files exist already.

        Raises:
            UnetzooError: If the image cannot be read, or one of its files exists and is not a prediction of it.
        """
        check_utf8(item.path)
        ours, there = table.has(paths[0].name, item), [path for path in paths if path.exists()]
        if ours and len(there) == len(paths) and not self.options.overwrite:
            return None
        if there and not ours and not self.options.overwrite:
            raise UnetzooError(
                f"{item}: {there[0]} exists and is not a prediction of this image; --overwrite replaces it"
            )
        return prepare(open_image(item), Model(self.config.in_channels, self.expected), self.read_as, str(item))

    def predict(self, opened: Opened, progress: Callable[[int, int], None]) -> Found | None:
        """Predict an image; None if its files exist already."""
        if opened.image is None:
            return None
        if isinstance(opened.image, Exception):
            raise opened.image
        begun = time.monotonic()
        with ExitStack() as stack:  # the mask is renamed last, so that if it exists, all files do
            paths = [stack.enter_context(atomic_path(path)) for path in opened.paths]
            predicted = self._predict(opened.image, paths[1] if self.options.probabilities else None, progress)
            opened.seconds += time.monotonic() - begun
            return Found(predicted, paths, stack.pop_all())

    def save(self, opened: Opened, found: Found, table: Table) -> None:
        """Write the files of a prediction."""
        begun = time.monotonic()
        assert isinstance(opened.image, Prepared)
        with found.stack:
            classes = found.predicted.classes
            save_image(self.encoding.image(classes), found.paths[0], self.options.format)
            if self.options.overlay:
                save_image(overlay(opened.image.image, classes, self.encoding.outlines), found.paths[-1], "png")
            seconds = opened.seconds + time.monotonic() - begun
            table.add(opened.paths[0].name, opened.item, opened.image.sides, seconds, found.predicted.pixels.tolist())

    def _predict(self, image: Prepared, probabilities: Path | None, progress: Callable[[int, int], None]) -> Predicted:
        o = self.options
        out = Predicted(self.config.num_classes, image.sides, probabilities)
        predict(
            self.network,
            image,
            tile=o.tile,
            overlap=o.overlap,
            tta=o.tta,
            batch=o.batch,
            precision=o.precision,  # type: ignore[arg-type]  # checked
            backend=o.backend,
            out=out,
            progress=progress,
        )
        return out


def _loaded(path: Path | str, options: Options) -> tuple[str, nn.Module, str | None, dict[str, Any], str]:
    """Return the device, the network on it, its runtime if it is not torch, the header of its weights, and a digest.

    Raises:
        UnetzooError: If the model cannot be loaded, or its backend does not compute on the device.
    """
    folder = exported_folder(path)
    on_cpu = folder is not None or options.backend not in (None, "torch")
    if on_cpu and options.device not in ("auto", "cpu"):
        what = f"backend = {options.backend!r}" if options.backend else "an exported model"
        raise UnetzooError(f"device = {options.device!r}: {what} computes on the CPU; give cpu or auto")
    device = "cpu" if on_cpu else resolve_device(options.device)
    if folder is not None:
        found = read_sidecar(folder)
        network = opened(folder, found)
        header, digest = {**found.header, "model": network.unetzoo_config}, sha256(folder / FILE_NAME)
    else:
        header, network, digest = read_header(path), load_model(path).to(device), sha256(weights_file(Path(path)))
    ready = on_backend(network, options.backend, options.precision)  # now, for one error before the first image
    return device, network, ready.backend if isinstance(ready, Exported) else None, header, digest


def _info(saved: Any, classes: int, path: Path | str) -> DatasetInfo | None:
    """Return the description of the training data saved with the weights, or None if it is missing or does not fit."""
    names = saved.get("class_names") if isinstance(saved, dict) else None
    if not isinstance(names, list) or len(names) != max(2, classes):
        return None
    return DatasetInfo.from_mapping(saved, str(path))
