"""Masks for image files, one after the other, as in `unetzoo predict`; finished images are not predicted again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from unetzoo.errors import UnetzooError, one_line
from unetzoo.inference.images import Item, find_images
from unetzoo.inference.network import Computed
from unetzoo.inference.overlap import ahead
from unetzoo.inference.predict import far_words, unknown_facts
from unetzoo.inference.prepare import GREY, Prepared
from unetzoo.inference.read_as import Spelling
from unetzoo.inference.session import Found, Opened, Options, Session
from unetzoo.inference.table import Table


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
    session = Session(model, options)
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
                        outcome = partial(_counted, session.encoding.names, opened, found, written, result)
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


def _counted(
    names: Sequence[str], opened: Opened, found: Found | None, written: Future[None] | None, result: Result
) -> str:
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
    shares = (f"{name} {share:.1%}" for name, share in zip(names, pixels / pixels.sum(), strict=True))
    return f"{opened.item}: {', '.join(list(shares)[:6])}"


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
