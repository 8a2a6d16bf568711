"""The two data sets whose official layout torchvision knows. `unetzoo data get` downloads them, not torchvision."""

from __future__ import annotations

from pathlib import Path

from unetzoo.data.folders.reading import Pair
from unetzoo.data.named.official_layout import OfficialFiles
from unetzoo.errors import UnetzooError, one_line

# These are the checksums in torchvision; a test compares them.
PET_MD5 = {
    "images.tar.gz": "5c4f3ee8e5d25df40f4fd59a7f44e54c",
    "annotations.tar.gz": "95a8c909bbe2e81eed6a22bccdf3f68f",
}
VOC_MD5 = "6cd6e144f989b92b3379bac3b3de84fd"
VOC_CLASSES = [
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
]


def pet_pairs(root: Path) -> OfficialFiles | None:
    """Find the pairs of Oxford-IIIT Pet, with its trainval as train.

    Args:
        root: Folder that holds ``oxford-iiit-pet/``.

    Returns:
        The pairs and their splits, or None if the folder is not there.

    Raises:
        UnetzooError: If files are missing.
    """
    if not (root / "oxford-iiit-pet").is_dir():
        return None
    from torchvision.datasets import OxfordIIITPet

    found = OfficialFiles()
    for split, theirs in (("train", "trainval"), ("test", "test")):
        try:
            pets = OxfordIIITPet(root, theirs, target_types="segmentation", download=False)
        except (RuntimeError, OSError, ValueError) as error:
            raise UnetzooError(f"{root / 'oxford-iiit-pet'}: {one_line(error)}") from None
        _add(found, split, pets._images, pets._segs)
    return found


def voc_pairs(root: Path) -> OfficialFiles | None:
    """Find the pairs of PASCAL VOC 2012, with its val as test, because its own test labels are hidden.

    Args:
        root: Folder that holds ``VOCdevkit/VOC2012/``.

    Returns:
        The pairs and their splits, or None if the folder is not there.

    Raises:
        UnetzooError: If files are missing.
    """
    if not (root / "VOCdevkit" / "VOC2012").is_dir():
        return None
    from torchvision.datasets import VOCSegmentation

    found = OfficialFiles()
    for split, theirs in (("train", "train"), ("test", "val")):
        try:
            voc = VOCSegmentation(root, "2012", theirs, download=False)
        except (RuntimeError, OSError) as error:
            raise UnetzooError(f"{root / 'VOCdevkit/VOC2012'}: {one_line(error)}") from None
        _add(found, split, voc.images, voc.masks)
    return found


def _add(found: OfficialFiles, split: str, images: list, masks: list) -> None:
    pairs = {Path(i).stem: Pair(Path(i), Path(m)) for i, m in zip(images, masks, strict=True)}
    found.pairs |= pairs
    found.splits[split] = tuple(sorted(pairs))
