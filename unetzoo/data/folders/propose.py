"""Proposal of a `Reading` from a survey of the files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from unetzoo.data.folders.drawn_reading import drawn_masks
from unetzoo.data.folders.mask_rules import MaskReading, read_masks
from unetzoo.data.folders.pairs import Finding
from unetzoo.data.folders.reading import Reading, Value
from unetzoo.data.folders.survey import ImageProperties, Item, Survey
from unetzoo.errors import UnetzooError

ROUNDING = 0.001  # floats this far outside [0, 1] are values of [0, 1] with an error
DEPTHS = (8, 10, 12, 14, 16)  # bits that the values in a 16-bit file may actually use


def propose(found: Survey, void: Value | None = None) -> tuple[Reading | None, str, list[Finding]]:
    """Propose a reading for a survey.

    Args:
        found: The survey.
        void: Stored mask value that is known to be void.

    Returns:
        The reading, or None if an error prevents it; the masks, in words; and the findings.
    """
    if not found.items:
        return None, "", []
    if found.layout.files.annotations is not None:
        masks, findings = drawn_masks(found.layout.files.categories), []
    else:
        names, findings = _class_names(found.layout.root)
        masks = read_masks(found.items, void, names)
    channels, value_range, of_images = _images(found.items)
    findings += [*of_images, *masks.findings]
    if channels is None or value_range is None or not masks.classes:
        return None, masks.kind, findings
    reading = Reading(
        **found.layout.files.model_dump(),
        name=found.layout.root.resolve().name or "data",
        channels=channels,
        range=value_range,
        classes=masks.classes,
        ignore=masks.ignore,
        instances=masks.instances,
        description=_description(found, masks),
    )
    return reading, masks.kind, findings


def _description(found: Survey, masks: MaskReading) -> str:
    return f"{len(found.layout.pairing.pairs)} image-mask pairs of a folder; masks: {masks.kind}"


def _class_names(root: Path) -> tuple[list[str], list[Finding]]:
    """Read the class names in ``classes.txt``, one per line in the order of the values.

    Raises:
        UnetzooError: If the file cannot be read.
    """
    path = root / "classes.txt"
    if not path.is_file():
        return [], []
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UnetzooError(f"{path}: cannot be read: {error}") from None
    if len(set(names)) < len(names):
        return [], [Finding("warning", "names", f"{path}: a name occurs twice; the names are not used")]
    return names, []


def effective_channels(image: ImageProperties) -> int:
    """Return the number of channels that carry information: one for grey stored as RGB."""
    return 1 if image.grey else image.channels


def _images(items: Sequence[Item]) -> tuple[int | None, tuple[float, float] | None, list[Finding]]:
    """Return the channels, the range and findings."""
    findings: list[Finding] = []
    channels = _channels(items, findings)
    kinds = Counter((_family(item.image), item.image.bits) for item in items)
    if len(kinds) > 1:
        (rare, bits), count = min(kinds.items(), key=lambda entry: entry[1])
        odd = next(item for item in items if (_family(item.image), item.image.bits) == (rare, bits))
        (_, usual), _ = kinds.most_common(1)[0]
        rest = len(items) - count
        findings.append(
            Finding(
                "error",
                "bit depth",
                f"{odd.pair.image}: {bits}-bit ({odd.image.dtype}), as in {count} image{'s' * (count > 1)}, but {rest} "
                f"are {usual}-bit: one range cannot fit both; make them alike",
            )
        )
        return channels, None, findings
    return channels, _range(items, findings), findings


def _channels(items: Sequence[Item], findings: list[Finding]) -> int | None:
    """Return 1 if all images are grey, however stored, else the stored number, which must be the same for all."""
    grey = all(effective_channels(item.image) == 1 for item in items)
    counts = Counter(item.image.channels for item in items)
    if grey or len(counts) == 1:
        if grey and any(item.image.channels > 1 for item in items):
            n = sum(item.image.channels > 1 for item in items)
            findings.append(
                Finding("note", "grey as colour", f"{n} images are grey but stored as RGB: one channel is read")
            )
        return 1 if grey else next(iter(counts))
    usual = counts.most_common(1)[0][0]
    odd = next(item for item in items if item.image.channels != usual)
    fits = next(item for item in items if item.image.channels == usual)
    text = f"{odd.pair.image}: {odd.image.channels} channels, but {fits.pair.image.name} has {usual}; make them alike"
    findings.append(Finding("error", "channels", text))
    return None


def _family(image: ImageProperties) -> str:
    return "float" if image.dtype.startswith("float") else "int" if image.dtype.startswith("int") else "unsigned"


def _range(items: Sequence[Item], findings: list[Finding]) -> tuple[float, float]:
    """Return the range of the type if it is clear, else the lowest and the highest value of all images."""
    low, high = min(item.image.low for item in items), max(item.image.high for item in items)
    first = items[0].image
    if first.dtype in ("bool", "uint8"):
        return 0.0, float(2 ** min(first.bits, 8) - 1)
    if first.dtype == "uint16":
        bits = next(b for b in DEPTHS if high < 2**b)
        if bits < 16:
            text = f"16-bit images with values up to {high:g}: taken as {bits}-bit, range = [0, {2**bits - 1}]"
            findings.append(Finding("note" if bits > 8 else "warning", "range", text))
        return 0.0, float(2**bits - 1)
    if _family(first) == "float" and low >= -ROUNDING and high <= 1 + ROUNDING:
        return 0.0, 1.0
    if _family(first) == "float" and low >= 0 and 2 < high <= 255:
        text = f"float images with values up to {high:g}: taken as 8-bit greys, range = [0, 255]"
        findings.append(Finding("warning", "range", text))
        return 0.0, 255.0
    if low == high:
        findings.append(Finding("error", "constant", f"every pixel of every image is {low:g}"))
        return low, low + 1
    text = f"{first.dtype} images with values {low:g} to {high:g}: these become 0 and 1; set range if that is wrong"
    findings.append(Finding("warning", "range", text))
    return low, high
