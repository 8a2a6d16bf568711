"""Proposal of a `Reading` from a survey of the files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from unetzoo.data.folders.class_names import read_names
from unetzoo.data.folders.drawn_reading import drawn_masks
from unetzoo.data.folders.known_layouts import one_object_a_file
from unetzoo.data.folders.mask_reading import MaskReading, Question
from unetzoo.data.folders.mask_rules import read_masks
from unetzoo.data.folders.pairs import Finding
from unetzoo.data.folders.properties import ImageProperties
from unetzoo.data.folders.reading import Reading, Value
from unetzoo.data.folders.survey import Item, Survey

ROUNDING = 0.001  # floats this far outside [0, 1] are values of [0, 1] with an error
DEPTHS = (8, 10, 12, 14, 16)  # bits that the values in a 16-bit file may actually use


@dataclass
class Proposal:
    """A proposed reading.

    Attributes:
        reading: The reading; None if an error prevents it.
        kind: The masks, in words.
        findings: Remarks.
        questions: Doubts that only the user can settle; the reading is not confirmed until they are.
    """

    reading: Reading | None = None
    kind: str = ""
    findings: list[Finding] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)


def propose(found: Survey, void: Value | None = None) -> Proposal:
    """Propose a reading for a survey.

    Args:
        found: The survey.
        void: Stored mask value that is known to be void.

    Returns:
        The proposal.

    Raises:
        UnetzooError: If the file of class names cannot be read.
    """
    if not found.items:
        return Proposal()
    if found.layout.files.annotations is not None:
        masks, findings = drawn_masks(found.layout.files.categories), []
    elif found.layout.files.joined == "objects":
        masks, findings = MaskReading("an object a file", one_object_a_file(), instances=True), []
    else:
        names, names_file, findings = read_names(found.layout.root)
        masks = read_masks(found.items, void, names, names_file)
    channels, value_range, of_images = _images(found.items)
    findings += [*of_images, *masks.findings]
    if channels is None or value_range is None or not masks.classes:
        return Proposal(None, masks.kind, findings, masks.questions)
    reading = Reading(
        **found.layout.files.model_dump(),
        name=found.layout.root.resolve().name or "data",
        channels=channels,
        range=value_range,
        classes=masks.classes,
        ignore=masks.ignore,
        instances=masks.instances,
        description=_description(found, masks),
        confirmed=not masks.questions,
    )
    return Proposal(reading, masks.kind, findings, masks.questions)


def _description(found: Survey, masks: MaskReading) -> str:
    return f"{len(found.layout.pairing.pairs)} image-mask pairs of a folder; masks: {masks.kind}"


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


def _brighter_than_the_rest(items: Sequence[Item], bits: int) -> str:
    """Return a warning if a few images alone use the highest bits, so that the range makes the others nearly black."""
    used = [next(b for b in DEPTHS if item.image.high < 2**b) for item in items]
    below = [b for b in used if b < bits]
    if bits - max(below, default=bits) < 2 or len(below) <= len(items) / 2:
        return ""
    odd = next(item for item, b in zip(items, used, strict=True) if b == bits)
    count, most = len(items) - len(below), 2 ** max(below) - 1
    return (
        f"{odd.pair.image}: values up to {odd.image.high:g}, as in {count} image{'s' * (count > 1)}, but {len(below)} "
        f"stay within {max(below)} bits (at most {most}) and become nearly black in range = [0, {2**bits - 1}]; "
        "make them alike, or set range in dataset.toml"
    )


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
        if text := _brighter_than_the_rest(items, bits):
            findings.append(Finding("warning", "range", text))
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
