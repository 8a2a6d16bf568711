"""`unetzoo predict`: masks of image files, one after the other; what is finished is kept and not done again."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unetzoo._util.atomic import atomic_path
from unetzoo.data.base import DatasetInfo
from unetzoo.errors import UnetzooError, nearest, plain
from unetzoo.inference.images import Item, Scaled, find_images, open_image
from unetzoo.inference.masks import FORMATS, Encoding, Predicted, overlay, save_image
from unetzoo.inference.predict import check_options, predict
from unetzoo.inference.table import Table
from unetzoo.machine.device import resolve_device, resolve_precision
from unetzoo.train.weights import load_model, read_header, weights_file


@dataclass(frozen=True)
class Options:
    """How to predict (see `predict`), and what to write: masks in ``format``, and what else is wanted beside them."""

    tile: int = 512
    overlap: int | None = None
    tta: Any = 1
    batch: int = 1
    precision: str = "float32"
    device: str = "auto"
    format: str = "png"
    probabilities: bool = False
    overlay: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        check_options(self.tile, self.overlap, self.tta, self.batch, self.precision)
        if self.format not in FORMATS:
            raise UnetzooError(f"format = {self.format!r} is not a choice; {nearest(self.format, FORMATS)}")

    def files(self, stem: str) -> list[str]:
        """What is written for one image, the mask first."""
        also = [".probabilities.tif"] * self.probabilities + [".overlay.png"] * self.overlay
        return [stem + suffix for suffix in (f".{self.format}", *also)]


class Watcher:
    """Is told what happens; the command line's shows it."""

    def start(self, items: int) -> None: ...

    def tiles(self, done: int, total: int) -> None: ...

    def end(self, item: Item, what: str) -> None:
        """``what`` is a line on the image; empty where it was there already."""


@dataclass
class Result:
    predicted: int = 0
    kept: int = 0
    failed: dict[Item, str] = field(default_factory=dict)  # in one line, why
    reduced: list[Item] = field(default_factory=list)  # grey, stored as RGB, of which one channel was read


def predict_files(
    model: Path | str, images: Iterable[Path | str], folder: Path | str, options: Options, watcher: Watcher
) -> Result:
    """Write to ``folder`` the mask of each image as <stem>.png (or .tif), and what else ``options`` ask for.

    ``model`` is a trial's folder or a ``.safetensors`` file. Masks store the classes as the training data's masks do.
    ``predictions.json`` tells the model, the options and the classes, ``predictions.csv`` how much of each image is
    of which class. Images in the table whose files are there are kept. Other files are not written over, and neither
    are predictions of another model or of other options, unless ``options.overwrite``.

    An image that cannot be predicted does not stop the others. Raises `UnetzooError` on what is wrong with them all:
    the model, an option, or two images that would be written to one file.
    """
    items, folder = find_images(images), Path(folder)
    paths = _outputs(items, folder, options)
    session = _Session(model, options)
    table = Table(folder, session.facts, session.encoding.names, anew=options.overwrite)
    result = Result()
    watcher.start(len(items))
    try:
        for item in items:
            try:
                what = session.run(item, paths[item], table, watcher, result)
            except Exception as error:  # a full disk or too little memory too
                what = str(error) if isinstance(error, UnetzooError) else f"{item}: {plain(error)}"
                result.failed[item] = what
            watcher.end(item, what)
    finally:
        table.write()
    return result


class _Session:
    """A model ready to predict, and how its classes are written."""

    def __init__(self, path: Path | str, options: Options) -> None:
        device = resolve_device(options.device)
        header = read_header(path)
        self.options, self.config = options, header["model"]
        self.network = load_model(path).to(device)
        self.info = _info(header.get("data"), self.config.num_classes, path)
        self.encoding = Encoding.of(self.info, max(2, self.config.num_classes))
        e = self.encoding
        digest = hashlib.sha256(weights_file(Path(path)).read_bytes()).hexdigest()[:16]
        self.facts = {
            "model": {"name": self.config.name, "trial": header.get("trial"), "digest": digest},
            "options": {
                "tile": options.tile,
                "overlap": options.overlap,
                "tta": options.tta,
                "precision": resolve_precision(options.precision, device),
            },
            "classes": [
                {"name": name, "value": value, "colour": e.palette[k] if e.palette else None}
                for k, (name, value) in enumerate(zip(e.names, e.values, strict=True))
            ],
        }

    def run(self, item: Item, paths: Sequence[Path], table: Table, watcher: Watcher, result: Result) -> str:
        """Predict one image; returns what is to be said of it, nothing where it was there already."""
        ours, there = table.has(paths[0].name, item), [path for path in paths if path.exists()]
        if ours and len(there) == len(paths) and not self.options.overwrite:
            result.kept += 1
            return ""
        if there and not ours and not self.options.overwrite:
            raise UnetzooError(f"{item}: {there[0]} is there already, of something else; --overwrite replaces it")
        begun = time.monotonic()
        image, reduced = open_image(item, self.config.in_channels, self.info.range if self.info else None)
        with ExitStack() as stack:  # the mask is renamed last: where it is, all is
            mask, *others = [stack.enter_context(atomic_path(path)) for path in paths]
            found = self._predict(image, others[0] if self.options.probabilities else None, watcher)
            save_image(self.encoding.image(found.classes), mask, self.options.format)
            if self.options.overlay:
                save_image(overlay(image, found.classes, self.encoding.outlines), others[-1], "png")
            table.add(paths[0].name, item, image.shape[1:], time.monotonic() - begun, found.pixels.tolist())
        result.predicted += 1
        if reduced:
            result.reduced.append(item)
        shares = (
            f"{name} {share:.1%}"
            for name, share in zip(self.encoding.names, found.pixels / found.pixels.sum(), strict=True)
        )
        return f"{item}: {', '.join(list(shares)[:6])}"

    def _predict(self, image: Scaled, probabilities: Path | None, watcher: Watcher) -> Predicted:
        o = self.options
        out = Predicted(self.config.num_classes, image.shape[1:], probabilities)
        predict(
            self.network,
            image,  # type: ignore[arg-type]  # sliced like an array
            tile=o.tile,
            overlap=o.overlap,
            tta=o.tta,
            batch=o.batch,
            precision=o.precision,  # type: ignore[arg-type]  # checked
            out=out,
            progress=watcher.tiles,
        )
        return out


def _info(saved: Any, classes: int, path: Path | str) -> DatasetInfo | None:
    """The training data's facts; None where none, or something else of that name, was saved beside the weights."""
    names = saved.get("class_names") if isinstance(saved, dict) else None
    if not isinstance(names, list) or len(names) != max(2, classes):
        return None
    return DatasetInfo.from_mapping(saved, str(path))


def _outputs(items: Sequence[Item], folder: Path, options: Options) -> dict[Item, list[Path]]:
    """What is written for each image.

    Raises `UnetzooError` where two images would be written to one file, or one over an image.
    """
    images = {item.path.resolve() for item in items}
    taken: dict[str, Item] = {}
    found = {}
    for item in items:
        found[item] = [folder / name for name in options.files(item.stem)]
        for path in found[item]:
            if path.resolve() in images:
                raise UnetzooError(f"{path}: would be written over an image; choose another --out")
            other = taken.setdefault(path.name.lower(), item)  # some file systems do not tell a from A
            if other is not item:
                raise UnetzooError(f"{item}: would be written to {path}, as {other}; give each its own --out")
    return found
