"""Layouts of well-known data sets and tools, and the class names that their files give."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unetzoo.data.folders.culprits import folders_in
from unetzoo.data.folders.files import SUFFIXES
from unetzoo.data.folders.pairs import IMAGE_FOLDERS, MASK_FOLDERS, Finding, split_named
from unetzoo.data.folders.reading import ClassReading, Files, Reading, Value
from unetzoo.errors import UnetzooError

VOLUMES = (".nii", ".nii.gz", ".mha", ".nrrd", ".mhd")
DIAGNOSES = {"benign", "malignant", "normal"}  # BUSI's folders are no patients
OF_DRIVE = ("mask", "masks", "1st_manual", "2nd_manual")
LOOKED_AT = 5
Known = tuple[Files, list[Finding]]


def known_layout(root: Path) -> Known | None:
    """Recognise the layout of nnU-Net, DRIVE or Kaggle's Data Science Bowl.

    Args:
        root: Folder of the data.

    Raises:
        UnetzooError: If the layout is known, but its files are of a kind that is not read.
    """
    return _nnunet(root) or _drive(root) or _data_science_bowl(root)


def images_in(folder: Path) -> list[Path]:
    """Return the image files in a folder, sorted; nothing if there is no such folder."""
    if not folder.is_dir():
        return []
    return [p for p in sorted(folder.iterdir()) if p.suffix.lower() in SUFFIXES and p.name[0] != "." and p.is_file()]


def left_out(folder: Path, count: int) -> Finding:
    """Return the finding about images that have no masks in a layout that keeps such images apart."""
    what = f"{count} image{'s' * (count > 1)} without masks"
    text = f"{folder}: {what}, left out of training and scoring; `unetzoo predict` predicts their masks"
    return Finding("warning", "images without masks", text)


# --- nnU-Net -------------------------------------------------------------------------------------------------------


def _nnunet(root: Path) -> Known | None:
    """Recognise imagesTr/x_0000.png and labelsTr/x.png; each channel is a file."""
    if not (root / "imagesTr").is_dir() or not (root / "labelsTr").is_dir():
        return None
    for path in (p for f in ("imagesTr", "labelsTr") for p in sorted((root / f).iterdir())):
        if path.name.lower().endswith(VOLUMES):
            raise UnetzooError(f"{path}: volumes are not read; save the slices as PNG or TIFF, one file each")
    images, labels = images_in(root / "imagesTr"), images_in(root / "labelsTr")
    numbers = sorted({m[1] for path in images if (m := re.search(r"_(\d{4})$", path.stem))})
    if not numbers or not labels:
        return None
    number = numbers[0] if len(numbers) == 1 else "{" + ",".join(numbers) + "}"
    image, label = (Counter(p.suffix for p in paths).most_common(1)[0][0] for paths in (images, labels))
    tests = images_in(root / "imagesTs")
    if tests and images_in(root / "labelsTs"):
        splits = {"train": "Tr", "test": "Ts"}
        return Files(images=f"images{{split}}/*_{number}{image}", masks=f"labels{{split}}/*{label}", splits=splits), []
    files = Files(images=f"imagesTr/*_{number}{image}", masks=f"labelsTr/*{label}")
    count = len({path.stem[:-5] for path in tests})
    return files, [left_out(root / "imagesTs", count)] if tests else []


# --- DRIVE ---------------------------------------------------------------------------------------------------------


def _drive(root: Path) -> Known | None:
    """Recognise images/21_training.tif and 1st_manual/21_manual1.gif, below training/ and test/ or alone.

    mask/ is the field of view, not what is sought.
    """
    folders = {split_named(p.name): p.name for p in folders_in(root)}
    within = root / folders["train"] if "train" in folders else root
    if not (within / "images").is_dir() or not (within / "1st_manual").is_dir():
        return None
    masks = images_in(within / "1st_manual")
    stems = {path.stem for path in images_in(within / "images")}
    if not masks or not all("_" in stem for stem in [*stems, *(m.stem for m in masks)]):
        return None
    findings = []
    if others := [name for name in OF_DRIVE if name != "1st_manual" and (within / name).is_dir()]:
        what = {"mask": "the field of view", "masks": "the field of view", "2nd_manual": "a second observer's masks"}
        names = ", ".join(f"{name}/ ({what[name]})" for name in others)
        text = f"the layout of DRIVE: masks are those of 1st_manual/; not used: {names}"
        findings.append(Finding("note", "DRIVE", text))
    if within == root:
        return Files(images="images/*_{*}", masks="1st_manual/*_{*}"), findings
    splits = {name: folders[name] for name in ("train", "val", "test") if name in folders}
    return Files(images="{split}/images/*_{*}", masks="{split}/1st_manual/*_{*}", splits=splits), findings


# --- A folder an image ---------------------------------------------------------------------------------------------


def _data_science_bowl(root: Path) -> Known | None:
    for name in ("stage1_train", "."):
        if (root / name).is_dir() and (files := folder_an_item(root / name, "" if name == "." else f"{name}/")):
            tests = [p for p in sorted(root.glob("stage1_test/*")) if p.is_dir()] if name != "." else []
            return files, [left_out(root / "stage1_test", len(tests))] if tests else []
    return None


def folder_an_item(root: Path, prefix: str = "") -> Files | None:
    """Recognise folders that each hold images/ and masks/: a folder an image with a mask an object, or a patient each.

    Args:
        root: Folder whose folders are looked at.
        prefix: Begin of the patterns.
    """
    inner = [p for p in folders_in(root) if not p.name.startswith(".")]
    if any(split_named(p.name) == "train" for p in inner):
        return None
    found: Counter[tuple[str, str]] = Counter()
    for folder in inner:
        names = {p.name.lower(): p.name for p in folders_in(folder)}
        image, mask = (next((names[n] for n in known if n in names), None) for known in (IMAGE_FOLDERS, MASK_FOLDERS))
        if image and mask:
            found[image, mask] += 1
    if not found:
        return None
    (image, mask), count = found.most_common(1)[0]
    if count <= len(inner) / 2:
        return None
    looked = [p for p in inner if (p / image).is_dir() and (p / mask).is_dir()][:LOOKED_AT]
    images, masks = ([images_in(p / name) for p in looked] for name in (image, mask))
    single = all(len(paths) <= 1 for paths in images) and any(images)
    both = zip(images, masks, strict=True)
    related = sum(any(one.stem in other.stem for one in ones for other in others) for ones, others in both)
    if single and related <= len(looked) / 2:
        where = {"images": f"{prefix}*/{image}/{{*}}", "masks": f"{prefix}*/{mask}/{{*}}"}
        return Files(**where, joined="objects")
    return Files(images=f"{prefix}*/{image}", masks=f"{prefix}*/{mask}", group=None if single else folder_group(prefix))


def folder_group(prefix: str = "") -> str:
    """Return the regular expression of the folder in a key, as ``group``; a split before it is no part of it."""
    return r"[^/]+/(.+)/" if "{split}" in prefix else r"(.+)/"


def one_object_a_file() -> list[ClassReading]:
    """Return the classes of masks that are joined from a file an object."""
    return [ClassReading(name="background", values=[0], foreground=False), ClassReading(name="object", values=["1-"])]


# --- Class names ---------------------------------------------------------------------------------------------------


def class_names(root: Path, files: Files) -> dict[Value, str]:
    """Return the names of mask values or colours in nnU-Net's, CVAT's or Roboflow's files; nothing without such files.

    Args:
        root: Folder of the data.
        files: Where images and masks lie.

    Raises:
        UnetzooError: If such a file cannot be read.
    """
    train = root / files.splits.get("train", "") if files.by_folder else root
    for path, read in (
        (root / "dataset.json", _of_nnunet),
        (root / "labelmap.txt", _of_cvat),
        (root / "_classes.csv", _of_roboflow),
        (train / "_classes.csv", _of_roboflow),
    ):
        if path.is_file():
            try:
                return read(path.read_text(encoding="utf-8-sig"))
            except (OSError, ValueError, AttributeError, TypeError) as error:
                raise UnetzooError(f"{path}: class names cannot be read: {error}; mend or remove the file") from None
    return {}


def _of_nnunet(text: str) -> dict[Value, str]:
    labels: Mapping[Any, Any] = json.loads(text).get("labels", {})
    flipped: dict[str, str] = {}
    for name, value in labels.items():
        if isinstance(value, int):
            flipped[str(value)] = str(name)
        elif isinstance(value, str):
            flipped[str(name)] = value
    return {int(value): name for value, name in flipped.items()}


def _of_cvat(text: str) -> dict[Value, str]:
    found: dict[Value, str] = {}
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            name, colour, *_ = line.split(":")
            red, green, blue = (int(number) for number in colour.split(","))
            found[f"#{red:02x}{green:02x}{blue:02x}"] = name
    return found


def _of_roboflow(text: str) -> dict[Value, str]:
    rows = [row for row in csv.reader(text.splitlines()) if len(row) >= 2]
    return {int(value): name.strip() for value, name, *_ in rows if value.strip().isdigit()}


def void_of(names: Mapping[Value, str]) -> Value | None:
    """Return the value that nnU-Net names 'ignore', or None."""
    return next((value for value, name in names.items() if name == "ignore"), None)


def with_names(reading: Reading, names: Mapping[Value, str]) -> Reading:
    """Return a reading whose classes of one value bear the name of that value, unless a name would occur twice."""
    known = {str(value).lower(): name for value, name in names.items()}
    new = [known.get(str(c.values[0]).lower(), c.name) if len(c.values) == 1 else c.name for c in reading.classes]
    if len(set(new)) < len(new):
        return reading
    classes = [c.model_copy(update={"name": name}) for c, name in zip(reading.classes, new, strict=True)]
    return reading.model_copy(update={"classes": classes})
