"""Rules for the meaning of mask values, as a careful person would apply them; each reports what it concluded."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from unetzoo.data.folders.pairs import Finding, some
from unetzoo.data.folders.reading import ClassReading, Value, interval
from unetzoo.data.folders.survey import Item, MaskProperties

MOST_CLASSES = 64  # more values or colours are grey levels, ids or a lossy file
HALF = 0.4  # the one of two values below this share of the pixels is the foreground, or else the higher one
BETWEEN = 8  # least number of values between the ends of an anti-aliased mask; they must be few pixels
ENDS = 32  # grey levels that count as an end, from 0 and from 255
BETWEEN_SHARE = 0.05  # largest share of the pixels between the ends
MOST_INSTANCES = 5  # least number of instances in some mask for ids to be distinguished from classes
ONE_REGION = 0.9  # least share of the ids that are one connected region
VOID_REGIONS = 2.0  # the last value looks like void with this many times the regions of any class
VOID_SHARE = 0.2  # largest share of the pixels that void may have
VOID_NAMES = re.compile(r"void|unlabel|ignore|don.?t.?care", re.IGNORECASE)
STRAY = 1e-5  # a class with a smaller share of the pixels is probably a mistake


@dataclass
class MaskReading:
    """The proposed meaning of mask values.

    Attributes:
        kind: The masks, in words.
        classes: Proposed classes; none if the values make no sense.
        ignore: Values that are void.
        instances: True if the values are instance ids.
        findings: Remarks on the proposal.
    """

    kind: str = ""
    classes: list[ClassReading] = field(default_factory=list)
    ignore: list[Value] = field(default_factory=list)
    instances: bool = False
    findings: list[Finding] = field(default_factory=list)

    def add(self, severity: str, kind: str, text: str) -> None:
        """Add a finding."""
        self.findings.append(Finding(severity, kind, text))  # type: ignore[arg-type]


def read_masks(items: Sequence[Item], void: Value | None = None, names: Sequence[str] = ()) -> MaskReading:
    """Propose the classes of masks from their values.

    Args:
        items: Properties of each pair.
        void: Stored value that is known to be void.
        names: Names of all values, in ascending order of the values.

    Returns:
        The proposal; it has no classes, and an error among its findings, if the values make no sense.
    """
    if odd := [item for item in items if item.mask.wide_alpha]:
        return _wrong(
            "alpha",
            f"{odd[0].pair.mask}: the alpha channel differs from pixel to pixel: is the mask in its colours or in its "
            "alpha? Save it as one channel",
        )
    colours = any(item.mask.colours for item in items) or _palettes_differ(items)
    per_mask = [as_colours(item.mask) if colours else item.mask.counts for item in items]
    total: Counter[int] = Counter()
    for counts in per_mask:
        total.update(counts)
    if void is not None and not colours and isinstance(void, int):
        total.pop(void, None)
        per_mask = [{v: n for v, n in counts.items() if v != void} for counts in per_mask]
    if len(total) <= 1:
        return _one_value(items, total, colours)
    found = _colours(items, total) if colours else _numbers(items, per_mask, total)
    if void is not None:
        found.ignore = [void]
    if names and found.classes:
        _name(found, names)
    return found


def as_colours(mask: MaskProperties) -> dict[int, int]:
    """Return the pixels per colour 0xrrggbb; the grey value v is the colour 0xvvvvvv."""
    if mask.colours:
        return mask.counts
    found: Counter[int] = Counter()
    for value, count in mask.counts.items():
        found[mask.palette[value] if mask.palette else value * 0x010101] += count
    return dict(found)


def _palettes_differ(items: Sequence[Item]) -> bool:
    """Return True if an index has different colours in different files, so that the colours carry the meaning."""
    colour_of: dict[int, int] = {}
    return any(colour_of.setdefault(i, colour) != colour for item in items for i, colour in item.mask.palette.items())


def _wrong(kind: str, text: str) -> MaskReading:
    return MaskReading(findings=[Finding("error", kind, text)])


def _one_value(items: Sequence[Item], total: Mapping[int, int], colours: bool) -> MaskReading:
    folder = items[0].pair.mask.parent
    value = next(iter(total), 0)
    shown = f"#{value:06x}" if colours else str(value)
    if value == 0:
        return _wrong("empty", f"{folder}: every mask is empty (value {shown} only)")
    return _wrong("full", f"{folder}: every mask is full (value {shown} only)")


def _colours(items: Sequence[Item], total: Counter[int]) -> MaskReading:
    lossy = next((item for item in items if item.mask.lossy), None)
    if len(total) > MOST_CLASSES:
        worst = lossy or max(items, key=lambda item: len(item.mask.counts))
        why = "JPEG is lossy, masks must not be saved with it" if lossy else "blended or lossy colours?"
        return _wrong(
            "colours",
            f"{worst.pair.mask}: the masks hold {len(total)} colours, too many to be classes (at most {MOST_CLASSES}); "
            f"{why}",
        )
    order = sorted(total)
    kind = f"{len(total)} colours" + (", from palettes that differ between files" if items[0].mask.palette else "")
    found = MaskReading(kind)
    if len(order) == 2:
        return _two(found, [f"#{order[0]:06x}", f"#{order[1]:06x}"], [total[v] for v in order])
    background = 0 if 0 in total else max(total, key=lambda v: total[v])
    order.remove(background)
    for value in (background, *order):
        colour = f"#{value:06x}"
        found.classes.append(ClassReading(name=colour, values=[colour], foreground=value != background))
    found.add(
        "note", "background", f"#{background:06x} is taken as the background, which the headline score leaves out"
    )
    return found


def _numbers(items: Sequence[Item], per_mask: Sequence[Mapping[int, int]], total: Counter[int]) -> MaskReading:
    values = sorted(total)
    if set(values) == {0, 1, 255} and (mixed := _conventions(items)):
        return _wrong("conventions", mixed)
    if _are_instances(items, per_mask):
        return _instances(per_mask)
    if len(values) == 2:
        kind = "palette indices" if items[0].mask.palette else "binary"
        return _two(MaskReading(f"{kind} {values[0]} and {values[1]}"), list(values), [total[v] for v in values])
    if _has_ends(total):
        return _anti_aliased(items, total)
    if lossy := next((item for item in items if item.mask.lossy), None):
        return _wrong(
            "lossy", f"{lossy.pair.mask}: a JPEG with {len(lossy.mask.counts)} values: JPEG is lossy, save masks as PNG"
        )
    if len(values) > MOST_CLASSES:
        worst = max(items, key=lambda item: len(item.mask.counts))
        return _wrong(
            "values",
            f"{worst.pair.mask}: {len(worst.mask.counts)} different values, {len(values)} in all masks, too many to be "
            f"classes (at most {MOST_CLASSES}), and neither instance ids nor an anti-aliased mask",
        )
    return _several(items, per_mask, total)


def _conventions(items: Sequence[Item]) -> str:
    """Return an error text if some masks are 0/1 and others 0/255; with void = 255 a mask would hold both 1 and 255."""
    ones = [item for item in items if 1 in item.mask.counts]
    highs = [item for item in items if 255 in item.mask.counts]
    if any(1 in item.mask.counts for item in highs):
        return ""
    few, rest, what, other = (ones, highs, "0/1", "0/255") if len(ones) < len(highs) else (highs, ones, "0/255", "0/1")
    return f"{few[0].pair.mask}: {len(few)} masks are {what}, but {len(rest)} are {other}; make them alike"


def _are_instances(items: Sequence[Item], per_mask: Sequence[Mapping[int, int]]) -> bool:
    """Return True if each mask has ids 1 to n, with varying n, and nearly every id is one connected region."""
    largest = [max((v for v in counts), default=0) for counts in per_mask]
    if max(largest) < MOST_INSTANCES or len(set(largest)) < 2 or min(min(c, default=0) for c in per_mask) < 0:
        return False
    gaps = sum(len(set(counts) - {0}) != top for counts, top in zip(per_mask, largest, strict=True))
    many = len({v for counts in per_mask for v in counts}) > MOST_CLASSES
    if gaps > (0.5 if many else 0.05) * len(items):
        return False
    regions = [n for item in items for v, n in item.mask.components.items() if v != 0]
    return sum(n == 1 for n in regions) >= ONE_REGION * max(1, len(regions))


def _instances(per_mask: Sequence[Mapping[int, int]]) -> MaskReading:
    ids = sum(len(set(counts) - {0}) for counts in per_mask)
    found = MaskReading(f"instance ids, {ids:,} instances, up to {max(max(c) for c in per_mask)} in an image")
    found.instances = True
    found.classes = [
        ClassReading(name="background", values=[0], foreground=False),
        ClassReading(name="foreground", values=["1-"]),
    ]
    found.add(
        "note",
        "instances",
        "nearly every value is one connected region, numbered from 1: taken as instance ids, foreground = above 0",
    )
    return found


def _has_ends(total: Mapping[int, int]) -> bool:
    """Return True if there are many values between 0 and 255, which together are few pixels."""
    if min(total) < 0 or max(total) > 255 or min(total) >= ENDS or max(total) <= 255 - ENDS:
        return False
    inner = [v for v in total if 0 < v < 255]
    between = sum(n for v, n in total.items() if ENDS <= v <= 255 - ENDS)
    return len(inner) >= BETWEEN and between <= BETWEEN_SHARE * sum(total.values())


def _anti_aliased(items: Sequence[Item], total: Mapping[int, int]) -> MaskReading:
    pixels = sum(total.values())
    inner = sum(n for v, n in total.items() if 0 < v < 255)
    found = MaskReading(f"anti-aliased 0 to 255, {inner / pixels:.2%} of the pixels between")
    if lossy := [item for item in items if item.mask.lossy]:
        found.kind = f"lossy 0 to 255, {inner / pixels:.2%} of the pixels between"
        text = f"{lossy[0].pair.mask}: {len(lossy)} masks are JPEG, which blurs their borders; they are cut at 128"
        found.add("warning", "lossy", text)
    low = sum(n for v, n in total.items() if v < 128)
    return _two(found, ["0-127", "128-255"], [low, pixels - low])


def _two(found: MaskReading, values: Sequence[Value], pixels: Sequence[int]) -> MaskReading:
    """Take the rarer of two values as the foreground; if neither is clearly rarer, the higher one."""
    shares = [n / sum(pixels) for n in pixels]
    front = 0 if shares[0] < HALF else 1
    why = "the rarer one" if shares[front] < HALF else "the higher one, as both are about half of the pixels"
    if shares[front] > 1 - HALF:
        why = "the higher one"
    found.classes = [
        ClassReading(name="background", values=[values[1 - front]], foreground=False),
        ClassReading(name="foreground", values=[values[front]]),
    ]
    text = f"foreground = {values[front]} ({shares[front]:.1%}), {why}; if it is the other, swap the two values"
    found.add("note", "foreground", text)
    return found


def _several(items: Sequence[Item], per_mask: Sequence[Mapping[int, int]], total: Counter[int]) -> MaskReading:
    values, pixels = sorted(total), sum(total.values())
    found = MaskReading()
    if void := _void_by_value(items, values):
        found.ignore = [void]
        found.add("note", "void", f"{void} lies apart from the classes {values[0]} to {values[-2]}: taken as void")
    elif reason := _void_by_shape(items, values, total):
        void = values[-1]
        found.ignore = [void]
        text = f"{void} looks like void: {reason}; if it is a class, set ignore = [] and give a class values = [{void}]"
        found.add("warning", "void", text)
    classes = [v for v in values if v not in found.ignore]
    shown = ", ".join(map(str, classes)) if len(classes) <= 12 else f"{classes[0]} to {classes[-1]}"
    what = "palette indices" if items[0].mask.palette else "values"
    void_text = f", void {found.ignore[0]}" if found.ignore else ""
    found.kind = f"{len(classes)} classes, {what} {shown}{void_text}"
    if len(classes) == 2:
        return _two(found, list(classes), [total[v] for v in classes])
    for value in classes:
        found.classes.append(
            ClassReading(name=f"class{value}", values=[value], foreground=value != 0 or bool(found.ignore))
        )
        if total[value] < STRAY * pixels:
            where = next(i.pair.mask for i, c in zip(items, per_mask, strict=True) if value in c)
            plural = "s" * (total[value] > 1)
            text = f"{where}: value {value} has only {total[value]} pixel{plural} in all masks: a stray value?"
            found.add("warning", "stray value", text)
    alone = [value for value in classes if sum(value in counts for counts in per_mask) == 1]
    if alone and len(items) > 2 and len(classes) - len(alone) == 2:
        where = next(i.pair.mask for i, c in zip(items, per_mask, strict=True) if alone[0] in c)
        shown = some([str(value) for value in alone])
        text = (
            f"{where}: value {shown} is in this mask alone, all others are {_two_of(classes, alone)}; if it is a class"
        )
        found.add("error", "odd value", f"{text}, say so in dataset.toml, which `unetzoo data check` writes")
    if 0 in classes and not found.ignore:
        found.add("note", "background", "value 0 is taken as the background, which the headline score leaves out")
    return found


def _two_of(classes: Sequence[int], alone: Sequence[int]) -> str:
    return " and ".join(str(value) for value in classes if value not in alone)


def _void_by_value(items: Sequence[Item], values: Sequence[int]) -> int | None:
    """Return 255 (or 65535) after classes that are numbered without gaps, or -1 before them, as void."""
    for void, classes in ((values[-1], values[:-1]), (values[0], values[1:])):
        gapless = classes[-1] - classes[0] == len(classes) - 1 and classes[0] in (0, 1) and len(classes) >= 2
        if gapless and (void == -1 or (void in (255, 65535) and void > classes[-1] + 1)):
            return void
    return None


def _void_by_shape(items: Sequence[Item], values: Sequence[int], total: Mapping[int, int]) -> str:
    """Return the reason why the last of four or more values looks like pixels left unlabelled; empty if it does not.

    Such pixels lie in slivers between the regions of classes: they form more regions than any class, most of them
    specks, in nearly every image, and beside every class.
    """
    last = values[-1]
    regions: Counter[int] = Counter()
    specks: Counter[int] = Counter()
    touching: set[tuple[int, int]] = set()
    for item in items:
        regions.update(item.mask.components)
        specks.update(item.mask.specks)
        touching |= item.mask.touching
    rival = max((n for v, n in regions.items() if v != last), default=0)
    beside = sum(last in pair for pair in touching)
    share = total[last] / sum(total.values())
    if (
        len(values) < 4
        or regions[last] < VOID_REGIONS * max(1, rival)
        or specks[last] < 0.5 * regions[last]
        or beside < max(3, len(values) - 2)
        or share > VOID_SHARE
        or sum(last in item.mask.counts for item in items) < 0.9 * len(items)
    ):
        return ""
    return (
        f"the last value, {share:.1%} of the pixels in {regions[last]:,} pieces, most of at most 4 px, between "
        f"{beside} of the {len(values) - 1} other values (no other value has more than {rival:,})"
    )


def _name(found: MaskReading, names: Sequence[str]) -> None:
    """Name all values, in ascending order; a value whose name means void becomes void."""
    values = sorted((v for owner in (found.ignore, *(c.values for c in found.classes)) for v in owner), key=interval)
    if len(names) != len(values):
        text = (
            f"classes.txt has {len(names)} names, but the masks have {len(values)} values ({_shown(values)}): not used"
        )
        found.add("warning", "names", text)
        return
    of_value = dict(zip(values, names, strict=True))
    void = [v for v in values if v in found.ignore or VOID_NAMES.search(of_value[v])]
    if len(values) - len(void) < 2:
        return
    found.findings = [f for f in found.findings if f.kind != "void"]
    found.ignore = void
    found.classes = [
        c.model_copy(update={"name": of_value[c.values[0]]}) for c in found.classes if c.values[0] not in void
    ]
    for value in void:
        found.add("note", "void", f"{value} is void: classes.txt calls it {of_value[value]!r}")


def _shown(values: Sequence[Value]) -> str:
    return some([str(value) for value in values])
