"""Pairs of an image and the annotations from which its mask is drawn: COCO files and folders of labelme files."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from unetzoo.data.folders.coco import Coco, image_entries
from unetzoo.data.folders.coco_cache import open_coco
from unetzoo.data.folders.drawn import BACKGROUND_NAME, Drawing, Shape
from unetzoo.data.folders.files import SUFFIXES, Stored, read_stored
from unetzoo.data.folders.labelme import Labelme, embedded_image, read_labelme
from unetzoo.data.folders.pairs import Finding, Pairing, listed, some
from unetzoo.data.folders.reading import Files, Pair
from unetzoo.errors import UnetzooError

SHEET = "contact_sheet.png"  # written beside the data by `unetzoo data check`


def annotated_pairs(root: Path, files: Files) -> tuple[Pairing, Files]:
    """Match every image with its annotations.

    Args:
        root: Folder of the data.
        files: Where images and annotations lie.

    Returns:
        The pairs, sorted by key, with mistakes in single files among the findings; and ``files`` with its categories.

    Raises:
        UnetzooError: If a file or folder does not exist, or an annotation file cannot be read.
    """
    assert files.annotations is not None
    pairs = _Pairs(root, files)
    for split, folder in files.splits.items() if files.by_folder else [(None, "")]:
        path = root / files.annotations.replace("{split}", folder)
        images = root / files.images.replace("{split}", folder)
        prefix = f"{folder}/" if folder else ""
        if path.is_file():
            pairs.add_coco(path, images, prefix, split)
        elif path.is_dir():
            pairs.add_labelme(path, images, prefix, split)
        else:
            raise UnetzooError(f"{path}: no such COCO file or folder of labelme files")
    return pairs.finish()


class _Pairs:
    """Collects the pairs of a data set.

    Args:
        root: Folder of the data.
        files: Where images and annotations lie.
    """

    def __init__(self, root: Path, files: Files) -> None:
        self._root, self._files, self._pairing = root, files, Pairing()
        self._values: dict[str, int] = {}
        self._names: dict[str, None] = {}
        self._unused: dict[str, None] = {}
        self._texts: dict[tuple[str, str], list[str]] = {}
        self._used: set[Path] = set()
        self._labelme = False
        self._folders: dict[Path, None] = {}

    def add_coco(self, path: Path, folder: Path, prefix: str, split: str | None) -> None:
        """Add the images of a COCO file."""
        coco = open_coco(path)
        self._take_over(coco)
        self._folders[folder] = None
        where: dict[Path, str] = {}
        placed: list[tuple[Path, Drawing]] = []
        for image, shapes in image_entries(coco):
            file = self._find(image.file_name, (folder, path.parent, self._root))
            if file is None:
                text = f"{path}: image {image.file_name!r} is not in {folder}; add the file or remove the entry"
                self._note("error", "missing image", text)
            elif file in where:
                text = f"{path}: {where[file]!r} and {image.file_name!r} are one file, {file}; remove one entry"
                self._note("error", "duplicate image", text)
            else:
                where[file] = image.file_name
                placed.append((file, self._drawing(path, image.file_name, image.size, shapes)))
        for key, (file, drawing) in zip(_keys([f for f, _ in placed], folder), placed, strict=True):
            self._add(prefix + key, Pair(file, path, drawing=drawing), split)

    def _take_over(self, coco: Coco) -> None:
        for kind, texts in coco.errors.items():
            for text in texts:
                self._note("error", kind, text)
        for kind, texts in coco.warnings.items():
            for text in texts:
                self._note("warning", kind, text)
        self._names |= dict.fromkeys(coco.categories.values())
        self._unused |= dict.fromkeys(coco.unused)

    def add_labelme(self, folder: Path, images: Path, prefix: str, split: str | None) -> None:
        """Add the labelme files of a folder.

        Raises:
            UnetzooError: If there are none.
        """
        self._labelme = True
        names = {_normal(file.stem): file for file in _image_files(images)}
        self._folders[images] = None
        where: dict[Path, Path] = {}
        paths = sorted(path for path in folder.glob("*.json") if not path.name.startswith("."))
        if not paths:
            raise UnetzooError(f"{folder}: there are no labelme files (.json)")
        for path in paths:
            try:
                labelme = read_labelme(path)
                image = self._image_of(labelme, images, names)
                size = labelme.size or _size(image, path)
            except UnetzooError as error:
                self._note("error", "labelme", str(error))
                continue
            if image is not None and image in where:
                text = f"{path}: {image.name} is the image of {where[image].name} too; correct imagePath"
                self._note("error", "duplicate image", text)
                continue
            if image is not None:
                where[image] = path
            for text in labelme.skipped:
                self._note("warning", "no area", f"{path}: {text}: not drawn, as it has no area")
            self._names |= dict.fromkeys(shape.category for shape in labelme.shapes)
            drawing = self._drawing(path, (image or path).name, size, labelme.shapes)
            if image is None:
                drawing.embedded = lambda path=path: embedded_image(path)
            self._add(prefix + _normal(path.stem), Pair(image or path, path, drawing=drawing), split)

    def _image_of(self, labelme: Labelme, folder: Path, names: Mapping[str, Path]) -> Path | None:
        """Return the image file of a labelme file, or None if the image is embedded.

        Raises:
            UnetzooError: If two files may be meant, or there is none.
        """
        path = labelme.path
        stated = self._find(labelme.image_path, (path.parent, folder)) if labelme.image_path else None
        same = names.get(_normal(path.stem))
        if stated is not None and same is not None and stated.resolve() != same.resolve():
            text = f"imagePath = {labelme.image_path!r}, but {same.name} has the name of the JSON file; which is it?"
            raise UnetzooError(f"{path}: {text} Correct imagePath or rename the files")
        if stated is None and same is None and not labelme.embedded:
            raise UnetzooError(f"{path}: its image {labelme.image_path!r} is not in {folder}, and imageData is empty")
        return stated or same

    def _find(self, name: str, folders: Iterable[Path]) -> Path | None:
        """Return the image that a name stands for: below one of the folders, or else its last part in the first one."""
        written = PurePosixPath(name.strip().replace("\\", "/"))
        if "\0" in name or len(name) > 4096:
            return None
        tried = list(dict.fromkeys(folders))
        root = self._root.resolve()
        for folder, relative in [*((f, written) for f in tried), *((f, PurePosixPath(written.name)) for f in tried)]:
            for form in ("NFC", "NFD"):
                file = folder / unicodedata.normalize(form, str(relative))
                try:
                    inside = ".." not in relative.parts or file.resolve().is_relative_to(root)
                    if inside and not relative.is_absolute() and relative.name and file.is_file():
                        return file.parent.resolve() / file.name if ".." in relative.parts else file
                except OSError:
                    return None
        return None

    def _drawing(self, path: Path, image: str, size: tuple[int, int], shapes: Sequence[Shape]) -> Drawing:
        return Drawing(path, image, size, shapes, self._values, self._files.overlap)

    def _add(self, key: str, pair: Pair, split: str | None) -> None:
        self._used.add(pair.image)
        self._pairing.pairs[key] = pair
        if split is not None:
            self._pairing.split_of[key] = split

    def _note(self, severity: str, kind: str, text: str) -> None:
        self._texts.setdefault((severity, kind), []).append(text)

    def finish(self) -> tuple[Pairing, Files]:
        """Return the pairs, and the files with the categories."""
        self._report_unlisted()
        for (severity, kind), texts in self._texts.items():
            self._pairing.findings += listed(severity, kind, texts)  # type: ignore[arg-type]
        found = sorted(self._names) if self._labelme else list(self._names)
        names = [name for name in found if not BACKGROUND_NAME.fullmatch(name)]
        if given := self._files.categories:
            if strange := [name for name in names if name not in given]:
                text = f"{self._root}: category {some(strange)} is not in categories = {given}; add it there"
                self._pairing.error("categories", text)
            names = given
        else:
            self._pairing.findings += _name_findings(found, names, list(self._unused))
            if not names and not any(finding.severity == "error" for finding in self._pairing.findings):
                self._pairing.error("no objects", f"{self._root}: there is no annotated object in any image")
        self._values.update({name: value for value, name in enumerate(names, start=1)})
        self._pairing.pairs = dict(sorted(self._pairing.pairs.items()))
        return self._pairing, self._files.model_copy(update={"categories": names})

    def _report_unlisted(self) -> None:
        """Report images without annotations.

        A COCO file lists its images, so that others are left out. A missing labelme file may mean no object or no work
        yet, which only lists that name the images in use can settle.
        """
        known = {path.resolve() for path in self._used}
        for folder in self._folders:
            rest = [file for file in _image_files(folder) if file.resolve() not in known]
            if not rest:
                continue
            more = f" (and {len(rest) - 1} more)" if len(rest) > 1 else ""
            if not self._labelme:
                self._note("warning", "not listed", f"{rest[0]}: is in no annotation file{more}: not used")
            elif self._files.splits and not self._files.by_folder:
                self._note("warning", "unmatched mask", f"{rest[0]}: has no labelme file{more}: not used")
            else:
                text = f"{rest[0]}: has no labelme file{more}; save one, which may hold no shapes, or remove the image"
                self._note("error", "unmatched mask", text)


def _keys(files: Sequence[Path], folder: Path) -> list[str]:
    """Return a key for each image: its stem, or the path below the folder where stems are equal."""
    paths = [file.relative_to(folder) if file.is_relative_to(folder) else Path(file.name) for file in files]
    stems = Counter(path.stem for path in paths)
    longer = Counter(path.with_suffix("").as_posix() for path in paths)
    keys = []
    for path in paths:
        bare = path.with_suffix("").as_posix()
        keys.append(path.stem if stems[path.stem] == 1 else bare if longer[bare] == 1 else path.as_posix())
    return [_normal(key) for key in keys]


def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _image_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    files = (path for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES and path.name != SHEET)
    return [path for path in files if not path.name.startswith(".")]


def _size(image: Path | None, path: Path) -> tuple[int, int]:
    stored: Stored = embedded_image(path) if image is None else read_stored(image)
    return stored.pixels.shape[1], stored.pixels.shape[2]


def _name_findings(names: Sequence[str], kept: Sequence[str], unused: Sequence[str]) -> list[Finding]:
    findings = []
    if background := [name for name in names if name not in kept]:
        text = f"category {some(background)} is the background: its objects are drawn as 0"
        findings.append(Finding("note", "background", text))
    if rest := [name for name in unused if name not in names]:
        findings.append(Finding("note", "unused categories", f"no object has category {some(rest)}: no class"))
    alike: dict[str, list[str]] = {}
    for name in kept:
        alike.setdefault(" ".join(name.casefold().split()), []).append(name)
    for same in alike.values():
        if len(same) > 1:
            text = f"categories {same[0]!r} and {same[1]!r} are two classes, though their names differ only in case"
            findings.append(Finding("warning", "similar names", text))
    return findings
