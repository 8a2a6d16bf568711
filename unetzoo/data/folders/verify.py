"""Verification of files and splits under a reading: values in no class, leaks, classes that are missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from unetzoo.data.base import SPLITS
from unetzoo.data.folders.mask_conventions import as_colours
from unetzoo.data.folders.pairs import LEAK, Finding, listed, some
from unetzoo.data.folders.propose import effective_channels
from unetzoo.data.folders.reading import Reading, Values
from unetzoo.data.folders.survey import Item, Survey

LARGE = 16e6  # pixels; larger images can hardly be validated whole
MANY = 8  # missing classes from which they are counted
SMALL = 16  # px per side; a U-Net of four levels sees nothing in less


@dataclass
class Shares:
    """The shares of the classes.

    Attributes:
        pixels: Pixels of each class (K + 1,), void last, for each split.
        masks: Masks that have each class (K + 1,), void last, for each split.
        empty: Keys without a foreground class.
        void: Keys whose masks are void everywhere.
    """

    pixels: dict[str, np.ndarray]
    masks: dict[str, np.ndarray]
    empty: list[str]
    void: list[str]


def verify(found: Survey, reading: Reading) -> tuple[Shares, list[Finding]]:
    """Verify a survey under a reading.

    Args:
        found: The survey.
        reading: The reading.

    Returns:
        The shares of the classes, and every finding that needs a reading or concerns the splits.
    """
    shares, strange = class_shares(found, reading)
    findings = [*strange, *_channel_mistakes(found.items, reading), *_beyond(found.items, reading)]
    findings += _splits(shares, reading, found)
    findings += [*_duplicates(found), *_torn_groups(found), *_near_duplicates(found), *_files(found.items)]
    return shares, findings


def class_shares(found: Survey, reading: Reading) -> tuple[Shares, list[Finding]]:
    """Count the pixels of each class.

    Args:
        found: The survey.
        reading: The reading.

    Returns:
        The shares of the classes, and a finding for each mask with a value that is in no class.
    """
    values, split_of = Values.of(reading), found.layout.split_of
    classes = len(reading.classes)
    shares = Shares({}, {}, [], [])
    for table in (shares.pixels, shares.masks):
        table |= {split: np.zeros(classes + 1, np.int64) for split in SPLITS}
    strange: list[str] = []
    for item in found.items:
        if item.mask.colours and not reading.colours:
            strange.append(f"{item.pair.mask}: holds colours, but the reading has numbers")
            continue
        counts = as_colours(item.mask) if reading.colours else item.mask.counts
        stored = np.fromiter(counts, np.int64, len(counts))
        index, known = values.classes(stored)
        if not known.all():
            odd = [f"#{v:06x}" if reading.colours else str(v) for v in stored[~known].tolist()]
            pixels = sum(counts[v] for v in stored[~known].tolist())
            strange.append(
                f"{item.pair.mask}: mask value {some(odd)} is in no class ({pixels} pixel{'s' * (pixels > 1)}); "
                "add it to a class or to ignore in dataset.toml"
            )
        here = np.zeros(classes + 1, np.int64)
        pixels_of = np.fromiter(counts.values(), np.int64, len(counts))
        np.add.at(here, np.minimum(index[known], classes), pixels_of[known])
        if item.key in split_of:
            shares.pixels[split_of[item.key]] += here
            shares.masks[split_of[item.key]] += here > 0
            if not here[:classes].any():
                shares.void.append(item.key)
            elif not any(here[i] for i, c in enumerate(reading.classes) if c.foreground):
                shares.empty.append(item.key)
    return shares, listed("error", "values", strange)


def _channel_mistakes(items: Sequence[Item], reading: Reading) -> list[Finding]:
    wrong = [
        f"{item.pair.image}: {item.image.channels} channels, but the reading has {reading.channels}"
        for item in items
        if reading.channels not in ({item.image.channels, effective_channels(item.image)})
    ]
    return listed("error", "channels", wrong)


def _beyond(items: Sequence[Item], reading: Reading) -> Iterable[Finding]:
    low, high = reading.range
    if wide := [item for item in items if item.image.low < low or item.image.high > high]:
        worst = max(wide, key=lambda item: max(item.image.high - high, low - item.image.low))
        yield Finding(
            "warning",
            "range",
            f"{worst.pair.image}: values {worst.image.low:.9g} to {worst.image.high:.9g} lie beyond range = "
            f"[{low:g}, {high:g}] and are clipped ({len(wide)} image{'s' * (len(wide) > 1)} in all)",
        )
    elif items and (top := max(item.image.high for item in items)) - low < 0.05 * (high - low):
        text = f"no image value is above {top:g} of range = [{low:g}, {high:g}]: all images are nearly black"
        yield Finding("warning", "range", text)
    if flat := [item for item in items if item.image.low == item.image.high]:
        count = f"{len(flat)} image{'s' * (len(flat) > 1)}"
        text = f"{flat[0].pair.image}: every pixel is {flat[0].image.low:g} ({count} in all)"
        yield Finding("warning", "constant", text)


def _splits(shares: Shares, reading: Reading, found: Survey) -> Iterable[Finding]:
    names = [c.name for c in reading.classes]
    paths = {item.key: item.pair.mask for item in found.items}
    if shares.void:
        text = (
            f"{paths[shares.void[0]]}: is void everywhere ({len(shares.void)} mask{'s' * (len(shares.void) > 1)} in "
            "all): nothing to learn or score"
        )
        yield Finding("warning", "all void", text)
    if shares.empty:
        yield Finding("note", "empty masks", f"{len(shares.empty)} of {len(paths)} masks hold no foreground")
    held = {split: [name for name, n in zip(names, shares.pixels[split], strict=False) if n == 0] for split in SPLITS}
    if max(len(held["train"]), len(held["test"])) > MANY:
        yield from _many_missing(held)
        return
    for name in held["train"]:
        if rest := [split for split in SPLITS[1:] if name not in held[split]]:
            text = f"class {name!r} is in {' and '.join(rest)} but in no training mask: it cannot be learnt"
            yield Finding("warning", "class not in train", text)
        else:
            yield Finding("warning", "class nowhere", f"class {name!r} is in no mask of any split")
    for name in held["test"]:
        if name not in held["train"]:
            yield Finding("warning", "class not in test", f"class {name!r} is in no test mask: it cannot be scored")


def _many_missing(held: dict[str, list[str]]) -> Iterable[Finding]:
    """Report missing classes in two lines, where one for each would hide the other findings."""
    for split, cannot in (("train", "learnt"), ("test", "scored")):
        if names := held[split]:
            text = (
                f"{len(names)} classes are in no {split} mask and cannot be {cannot}: {some([repr(n) for n in names])}"
            )
            kind = "class not in train" if split == "train" else "class not in test"
            yield Finding("warning", kind, text)


def _duplicates(found: Survey) -> Iterable[Finding]:
    """Report equal images: a warning within a split, an error across splits, as test images must not be trained on."""
    split_of = found.layout.split_of
    by_digest: dict[str, list[Item]] = {}
    for item in found.items:
        if item.key in split_of and item.image.low < item.image.high:
            by_digest.setdefault(item.image.digest, []).append(item)
    leaks, twice = [], []
    for same in by_digest.values():
        if len(same) < 2:
            continue
        one = same[0]
        other = next((i for i in same if split_of[i.key] != split_of[one.key]), None)
        masks = "" if len({i.mask.digest for i in same}) == 1 else ", with masks that differ"
        if other is not None:
            leaks.append(
                f"{other.pair.image}: {other.key!r} in {split_of[other.key]} and {one.key!r} in {split_of[one.key]} "
                f"are the same image{masks}; remove one of them, or set on_leak = 'drop_from_training'"
            )
        else:
            twice.append(f"{same[1].pair.image}: is the same image as {one.key!r}{masks}, both in {split_of[one.key]}")
    yield from listed("error", LEAK, leaks)
    yield from listed("warning", "duplicate", twice)


def _torn_groups(found: Survey) -> Iterable[Finding]:
    """Report groups in two splits, as `SegmentationDataset.check` does when the data set is opened."""
    split_of, first = found.layout.split_of, {}
    torn: dict[str, str] = {}
    for key in (key for key in found.layout.groups if key in split_of):
        group = found.layout.groups[key]
        other = first.setdefault(group, key)
        if split_of[key] != split_of[other]:
            text = f"{key!r} in {split_of[key]} and {other!r} in {split_of[other]} are of one group, {group!r}"
            torn.setdefault(group, f"{text}; keep it in one split, or set on_leak = 'drop_from_training'")
    yield from listed("error", "duplicate across splits", list(torn.values()))


def _near_duplicates(found: Survey) -> Iterable[Finding]:
    digest = {item.key: item.image.digest for item in found.items}
    pairs = [pair for pair in found.similar if digest.get(pair[1]) != digest.get(pair[3])]
    if pairs:
        split, key, other, other_key, similarity = pairs[0]
        many = len(pairs) > 1
        count = f"{len(pairs)} pairs of images in two splits are" if many else "one pair of images in two splits is"
        text = (
            f"{count} nearly equal: {key!r} in {split} and {other_key!r} in {other} correlate with "
            f"{similarity:.3f}; set group to keep them together"
        )
        yield Finding("warning", "near-duplicates", text)


def _files(items: Sequence[Item]) -> Iterable[Finding]:
    """Report formats that differ from file names, orientations, transparency and sizes."""
    usual = {"JPEG": "jpg jpeg jpe jfif", "TIFF": "tif tiff", "PPM": "ppm pgm pbm pnm", "zip": "npz", "NumPy": "npy"}
    renamed: Counter[tuple[str, str]] = Counter()
    for path, kind in ((p, k) for i in items for p, k in ((i.pair.image, i.image.kind), (i.pair.mask, i.mask.kind))):
        kind = kind.split()[-1]
        if path.suffix.lower().lstrip(".") not in usual.get(kind, kind.lower()).split():
            renamed[path.suffix, kind] += 1
    for (suffix, kind), count in renamed.items():
        yield Finding(
            "note",
            "renamed",
            f"{count} file{'s' * (count > 1)} named {suffix}: read as {kind}, the format of the content",
        )
    for what in ("image", "mask"):
        tags = [(getattr(item.pair, what), getattr(item, what).orientation) for item in items]
        if turned := [(path, tag) for path, tag in tags if tag not in (0, 1)]:
            path, tag = turned[0]
            text = (
                f"{path}: turned by its EXIF orientation {tag}, as viewers do ({len(turned)} {what}"
                f"{'s' * (len(turned) > 1)} in all): check in the contact sheet that the masks fit"
            )
            yield Finding("warning", "orientation", text)
    if clear := sum(item.image.alpha for item in items):
        yield Finding("note", "alpha", f"{clear} images have an alpha channel, which is dropped")
    large = max(items, key=lambda item: item.image.size[0] * item.image.size[1], default=None)
    if large is not None and (large.image.size[0] * large.image.size[1]) > LARGE:
        h, w = large.image.size
        factor = int(np.ceil(max(h, w) / 2048))
        small = f"{h // factor}x{w // factor}"
        text = f"{large.pair.image}: {h}x{w} is large to be used whole; downscale = {factor} makes it {small}"
        yield Finding("warning", "large", text)
    if tiny := [item for item in items if min(item.image.size) < SMALL]:
        h, w = tiny[0].image.size
        yield Finding("warning", "small", f"{tiny[0].pair.image}: {h}x{w} is too small for most U-Nets")
