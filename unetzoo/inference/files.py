"""Masks for image files, one after the other, as in `unetzoo predict`; finished images are not predicted again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from torch import nn

from unetzoo._util.atomic import atomic_path
from unetzoo._util.paths import check_utf8
from unetzoo.data.base import DatasetInfo
from unetzoo.data.expected import Expected
from unetzoo.errors import UnetzooError, nearest, one_line
from unetzoo.export.backend import on_backend
from unetzoo.export.load import exported_folder, opened
from unetzoo.export.module import Exported
from unetzoo.export.runtimes import BACKENDS, check_choice
from unetzoo.export.sidecar import FILE_NAME, read_sidecar, sha256
from unetzoo.inference.images import Item, find_images, open_image
from unetzoo.inference.masks import FORMATS, Encoding, Predicted, overlay, save_image
from unetzoo.inference.network import Computed, computed, resolved
from unetzoo.inference.overlap import ahead
from unetzoo.inference.predict import check_options, far_words, predict, unknown_facts
from unetzoo.inference.prepare import GREY, Model, Prepared, prepare
from unetzoo.inference.read_as import ReadAs, Spelling
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


class Watcher:
    """Callbacks of `predict_files`, which do nothing here; the command line overrides them to show its progress."""

    def start(self, items: int) -> None:
        """Called before the first image, with the number of images."""

    def tiles(self, done: int, total: int) -> None:
        """Called after each tile of an image."""

    def end(self, item: Item, what: str) -> None:
        """Called after each image, with a line about it, which is empty if its files existed already."""


@dataclass
class Result:
    """The outcome of `predict_files`.

    Attributes:
        predicted: Number of images that were predicted.
        kept: Number of images whose files existed already.
        failed: Images that failed, and why in one line.
        refused: Those of them that were refused as wrong input; the others failed for want of memory, disk space, ...
        reduced: Grey images stored as RGB, of which one channel was read.
        converted: Other images that were not read quite as in training, by what was done.
        far: Images whose intensities are unlike those of training.
        far_words: A description of these.
        unknown: Facts about the training images that the weights do not tell; '' if they tell all.
        unread: Lines about files and folders that were not read.
        computed: How the network was computed; None if no image was predicted.
    """

    predicted: int = 0
    kept: int = 0
    failed: dict[Item, str] = field(default_factory=dict)
    refused: list[Item] = field(default_factory=list)
    reduced: list[Item] = field(default_factory=list)
    converted: dict[str, list[Item]] = field(default_factory=dict)
    far: list[Item] = field(default_factory=list)
    far_words: str = ""
    unknown: str = ""
    unread: list[str] = field(default_factory=list)
    computed: Computed | None = None

    @property
    def all_refused(self) -> bool:
        """True if every image was refused as wrong input, so that nothing has been done."""
        return bool(self.refused) and len(self.refused) == len(self.failed) and not self.predicted and not self.kept


def predict_files(
    model: Path | str, images: Iterable[Path | str], folder: Path | str, options: Options, watcher: Watcher
) -> Result:
    """Predict images and write their masks to a folder.

    The mask of an image is ``<stem>.png`` (or ``.tif``) and stores the classes as the training data's masks do.
    ``predictions.json`` names the model, the options and the classes; ``predictions.csv`` holds the share of each
    class in each image. Images in that table whose files exist are skipped. Other files, and predictions of another
    model or with other options, are not overwritten unless ``options.overwrite`` is set. An image that fails does not
    stop the others. While an image is computed, the next one is opened and the files of the one before are written.

    Args:
        model: Folder of a trial, or a ``.safetensors`` file.
        images: Files, folders and glob patterns.
        folder: Folder of the output, which is created if it is missing.
        options: Options of the prediction and the output.
        watcher: Callbacks that follow the progress.

    Returns:
        Counts, and the images that failed.

    Raises:
        UnetzooError: If the model or the folder cannot be used, no image is found, or two images would be written to
            one file.
    """
    result = Result()
    items, folder = find_images(images, result.unread.append), Path(folder)
    paths = _outputs(items, folder, options)
    session = _Session(model, options)
    table = Table(folder, session.description, session.encoding.names, anew=options.overwrite)
    result.unknown = "" if session.expected.known else unknown_facts(session.expected, Spelling(python=False))
    result.far_words = far_words(session.expected)
    watcher.start(len(items))
    teller = _Teller(watcher, result)
    try:
        with ThreadPoolExecutor(1, "write") as writer, ahead(session.opened(items, paths, table), 1) as ready:
            try:
                for opened in ready:
                    written: Future[None] | None = None
                    try:
                        found = session.predict(opened, teller.tiles)
                        written = writer.submit(session.save, opened, found, table) if found else None
                        outcome = partial(session.count, opened, found, written, result)
                    except Exception as error:  # also a full disk or a lack of memory
                        outcome = partial(_reraise, error)
                    teller.follow(opened.item, outcome, written)
            finally:
                teller.tell()
    finally:
        if result.predicted:
            result.computed = session.computed()
            table.description["computed"] = asdict(result.computed) if result.computed else None
        table.write()
    return result


def _reraise(error: Exception) -> str:
    raise error


class _Teller:
    """Passes on the outcome of each image in order, when its files are written, in the thread that computes.

    Args:
        watcher: Callbacks of the user.
        result: Takes the failures.
    """

    def __init__(self, watcher: Watcher, result: Result) -> None:
        self.watcher, self.result = watcher, result
        self.waiting: tuple[Item, Callable[[], str], Future[None] | None] | None = None

    def follow(self, item: Item, outcome: Callable[[], str], written: Future[None] | None) -> None:
        """Tell the outcome of the image before, and keep that of ``item`` until its files are written."""
        self.tell()
        self.waiting = item, outcome, written

    def tiles(self, done: int, total: int) -> None:
        """Pass on the progress of the image that is computed, after the outcome of the one before if that is there."""
        if self.waiting and (self.waiting[2] is None or self.waiting[2].done()):
            self.tell()
        self.watcher.tiles(done, total)

    def tell(self) -> None:
        """Wait for the image before, and pass on the line about it or its failure."""
        if self.waiting is None:
            return
        (item, outcome, _), self.waiting = self.waiting, None
        try:
            what = outcome()
        except Exception as error:
            refused = isinstance(error, UnetzooError)
            what = str(error) if refused else f"{item}: {one_line(error)}"
            self.result.failed[item] = what
            self.result.refused += [item] if refused else []
        self.watcher.end(item, what)


@dataclass
class _Opened:
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


class _Found(NamedTuple):
    """A prediction, and its files that are being written: the mask, and others by their order in the options."""

    predicted: Predicted
    paths: Sequence[Path]
    stack: ExitStack


class _Session:
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

    def opened(self, items: Iterable[Item], paths: dict[Item, list[Path]], table: Table) -> Iterator[_Opened]:
        """Open images one after the other."""
        for item in items:
            begun = time.monotonic()
            try:
                image: Prepared | Exception | None = self._open(item, paths[item], table)
            except Exception as error:
                image = error
            yield _Opened(item, paths[item], image, time.monotonic() - begun)

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

    def predict(self, opened: _Opened, progress: Callable[[int, int], None]) -> _Found | None:
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
            return _Found(predicted, paths, stack.pop_all())

    def save(self, opened: _Opened, found: _Found, table: Table) -> None:
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

    def count(self, opened: _Opened, found: _Found | None, written: Future[None] | None, result: Result) -> str:
        """Wait for the files of an image, and return a line about it, which is empty if they existed already."""
        if found is None or written is None:
            result.kept += 1
            return ""
        written.result()
        assert isinstance(opened.image, Prepared)
        result.predicted += 1
        for note in opened.image.notes:
            (result.reduced if note == GREY else result.converted.setdefault(note, [])).append(opened.item)
        if opened.image.far is not None:
            result.far.append(opened.item)
        pixels = found.predicted.pixels
        shares = (f"{name} {share:.1%}" for name, share in zip(self.encoding.names, pixels / pixels.sum(), strict=True))
        return f"{opened.item}: {', '.join(list(shares)[:6])}"

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


def _outputs(items: Sequence[Item], folder: Path, options: Options) -> dict[Item, list[Path]]:
    """Return the files to write for each image.

    Raises:
        UnetzooError: If two images would be written to one file, or a file would overwrite an image.
    """
    images = {item.path.resolve() for item in items}
    taken: dict[str, Item] = {}
    found = {}
    for item in items:
        found[item] = [folder / name for name in options.files(item.stem)]
        for path in found[item]:
            if path.resolve() in images:
                raise UnetzooError(f"{path}: would overwrite an image; choose another --out")
            other = taken.setdefault(path.name.lower(), item)  # some file systems ignore case
            if other is not item:
                raise UnetzooError(f"{item}: would be written to {path}, like {other}; give each its own --out")
    return found
