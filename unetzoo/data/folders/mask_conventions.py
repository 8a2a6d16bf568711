"""Conventions that masks almost follow: void, mixtures of encodings, strays between 0 and 255."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from unetzoo.data.folders.mask_reading import MaskReading
from unetzoo.data.folders.pairs import some
from unetzoo.data.folders.properties import MaskProperties
from unetzoo.data.folders.reading import ClassReading
from unetzoo.data.folders.survey import Item

OUTLINE = 0xE0E0C0  # colour of PASCAL VOC's void, which outlines its objects
LOW = 40  # largest class number that is surely a number and not a grey level
BETWEEN = 8  # least number of values between the ends of an anti-aliased mask; they must be few pixels
NEAR = 3  # distance from 0 or 255 of values that an editor leaves behind
NEAR_SHARE = 0.05  # largest share of the pixels that these may have
FEW = 1e-3  # largest share of the pixels of other values between 0 and 255 that are probably mistakes
VOID_REGIONS = 2.0  # the last value looks like void with this many times the regions of any class
VOID_SHARE = 0.2  # largest share of the pixels that void may have
STRAY = 1e-5  # a class with a smaller share of the pixels is probably a mistake
STRAY_PIXELS = 16  # so is one with fewer pixels than these in few masks, if that is less than ``FEW`` of all pixels
FEW_MASKS = 0.1  # share of the masks, or two of them, that are few
CLOSE = 8  # largest difference of a channel between a colour and its slip
SLIP = 100  # a colour with this many times the pixels of a close one is what was meant


@dataclass(frozen=True)
class Void:
    """A value that is void, or may be.

    Attributes:
        value: The value.
        text: The reason.
        sure: True if no question is needed.
        taken: True if the proposal takes it as void.
    """

    value: int
    text: str
    sure: bool = True
    taken: bool = True


def voc_colours() -> frozenset[int]:
    """Return the colours of PASCAL VOC's classes 0 to 20, as 0xrrggbb."""
    found = set()
    for index in range(21):
        red = green = blue = 0
        for bit in range(3):
            code = index >> 3 * bit
            red |= (code & 1) << 7 - bit
            green |= (code >> 1 & 1) << 7 - bit
            blue |= (code >> 2 & 1) << 7 - bit
        found.add(red << 16 | green << 8 | blue)
    return frozenset(found)


def void_colour(total: Mapping[int, int]) -> Void | None:
    """Return VOC's outline colour, if it stands beside two or more other colours."""
    if OUTLINE not in total or len(total) < 3:
        return None
    sure = set(total) <= voc_colours() | {OUTLINE}
    return Void(OUTLINE, f"#{OUTLINE:06x} is the colour of void in PASCAL VOC", sure)


def void_value(items: Sequence[Item], values: Sequence[int]) -> Void | None:
    """Return -1 before, or 255 (65535) after class numbers, with or without gaps between these.

    Among grey levels up to 255 that are not evenly spaced, 255 may be either.

    Args:
        items: Properties of each pair.
        values: Values of all masks, in ascending order.
    """
    if len(values) < 3:
        return None
    first, last, classes = values[0], values[-1], values[:-1]
    if first == -1:
        return Void(-1, f"-1 lies apart from the classes {values[1]} to {last}")
    if last not in (255, 65535) or classes[-1] + 1 >= last or classes[0] < 0:
        return None
    top = classes[-1]
    if len(items) > 2 and sum(any(v in item.mask.counts for v in classes if v) for item in items) < 2:
        return None  # 255 is the foreground, and a single mask is odd
    palettes = [item.mask.palette for item in items if last in item.mask.palette]
    if palettes and all(palette[last] == OUTLINE for palette in palettes):
        return Void(last, f"{last} has the colour of void in PASCAL VOC, #{OUTLINE:06x}")
    gapless = top - classes[0] == len(classes) - 1 and classes[0] in (0, 1)
    text = f"{last} lies apart from the classes {classes[0]} to {top}"
    if gapless or (top <= LOW and sum(v > 0 for v in classes) > 1):
        return Void(last, text)
    if top <= LOW or last == 65535:
        return Void(last, text, sure=False)
    even = all(abs(v - k * last / (len(values) - 1)) <= 1 for k, v in enumerate(values))
    return None if even else Void(last, text, sure=False, taken=bool(palettes))


def void_by_shape(items: Sequence[Item], values: Sequence[int], total: Mapping[int, int], last: int) -> str:
    """Return the reason why a value beside three or more others looks like unlabelled pixels, or an empty string.

    Such pixels lie in slivers between the regions of classes: they form more regions than any class, most of them
    specks, in nearly every image, and beside every class.

    Args:
        items: Properties of each pair.
        values: Values of all masks.
        total: Pixels of each value.
        last: The value that may be void.
    """
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


def mixed_colours(items: Sequence[Item]) -> str:
    """Return an error text if some masks hold colours and others class numbers, with one channel or as dark greys."""
    coloured = [item for item in items if item.mask.colours or item.mask.palette]
    known = {c for item in coloured for c in (item.mask.counts if item.mask.colours else item.mask.palette.values())}
    numbers = [
        item
        for item in items
        if not item.mask.colours
        and not item.mask.palette
        and (item.mask.channels == 1 or max(item.mask.counts) <= LOW)
        and any(v and v * 0x010101 not in known for v in item.mask.counts)
    ]
    rgb = next((item for item in coloured if item.mask.colours), None)
    if rgb is None or not numbers:
        return ""
    few, many, are, others = numbers[0], rgb, "numbers", "colours"
    count = len(numbers)
    if count > len(items) / 2:
        few, many, are, others, count = rgb, numbers[0], others, are, len(coloured)
    return f"{few.pair.mask}: {count} masks hold {are}, but {many.pair.mask.name} holds {others}; make them alike"


def mixed_numbers(items: Sequence[Item], per_mask: Sequence[Mapping[int, int]]) -> MaskReading | None:
    """Return an error if some masks follow one convention and others another, such as 0/1 and 0/255.

    Low numbers are up to ``LOW``, high ones above. The masks are a mixture if none holds both and either 255 is the
    only high one, or there are as many high ones as low ones. The proposal beside the error takes 255 as void.
    """
    held = [{v for v in counts if v > 0} for counts in per_mask]
    low = sorted({v for found in held for v in found if v <= LOW})
    high = sorted({v for found in held for v in found if v > LOW})
    if not low or high[-1:] != [255] or any(max(f) > LOW >= min(f) for f in held if f):
        return None
    if len(high) > 1 and len(high) != len(low):
        return None
    if min(min(counts) for counts in per_mask) < 0:
        return None
    of_low = [item for item, found in zip(items, held, strict=True) if found and max(found) <= LOW]
    of_high = [item for item, found in zip(items, held, strict=True) if found and min(found) > LOW]
    names = ["/".join(map(str, [0, *group])) if len(group) < 6 else f"0 to {group[-1]}" for group in (low, high)]
    few, rest, what, other = (
        (of_low, of_high, *names) if len(of_low) < len(of_high) else (of_high, of_low, *names[::-1])
    )
    text = f"{few[0].pair.mask}: {len(few)} masks are {what}, but {len(rest)} are {other}"
    if len(few) == 1 and len(rest) > 1 and low != [1]:
        odd = some([str(v) for v in few[0].mask.counts if v])
        text = f"{few[0].pair.mask}: value {odd} is in this mask alone, all others are {other.replace('/', ' and ', 1)}"
    text += f"; make them alike (the others are as {rest[0].pair.mask.name})"
    found = MaskReading(f"{names[0]} mixed with {names[1]}")
    if high == [255]:
        text += ", or say in dataset.toml that 255 is void: ignore = [255]"
        found.ignore = [255]
        found.ask(
            "conventions",
            f"Is 255 void? Proposed: yes, as {few[0].pair.mask.name} holds {what} and the others {other}.",
            "ignore = [] and 255 among the values of a class",
        )
        if low == [1]:
            found.pair(0, 1)
        else:
            found.classes = [ClassReading(name=f"class{v}", values=[v], foreground=v > 0) for v in (0, *low)]
    found.add("error", "conventions", text)
    return found


def nearly_binary(items: Sequence[Item], total: Mapping[int, int]) -> MaskReading | None:
    """Return two classes if nearly all pixels are 0 or 255, and a few values lie between.

    Values next to 0 and 255 are what an editor leaves behind. Other ones are asked about, as they may be a class.
    """
    inner = {value: n for value, n in total.items() if value not in (0, 255)}
    if not inner or len(inner) >= BETWEEN or min(total) != 0 or max(total) != 255:
        return None
    pixels = sum(inner.values())
    share = pixels / sum(total.values())
    near = all(v <= NEAR or v >= 255 - NEAR for v in inner) and max(inner) >= 255 - NEAR
    if min(total[0], total[255]) < 10 * pixels or share > (NEAR_SHARE if near else FEW):
        return None
    where = next(item.pair.mask for item in items if set(inner) & set(item.mask.counts))
    shown = some([str(value) for value in sorted(inner)])
    count = f"{pixels} pixel{'s' * (pixels > 1)}"
    found = MaskReading(f"nearly binary, 0 and 255 but for {count}")
    found.pair("0-127", "128-255")
    text = f"{where}: value {shown} has only {count} in all masks, the rest is 0 and 255"
    found.add("warning", "stray value", f"{text}: stray values, cut at 128")
    if not near:
        found.ask(
            "stray value",
            f"Is value {shown} a slip of the brush? Proposed: yes, masks are cut at 128.",
            f"a class with values = [{min(inner)}], and 0 and 255 in theirs",
            *([] if max(inner) > LOW else ["ignore = [255], and a class for each other value"]),
        )
    return found


def strays(
    found: MaskReading, items: Sequence[Item], per_mask: Sequence[Mapping[int, int]], shown: Mapping[int, str]
) -> None:
    """Take values of very few pixels as void, and ask; add findings on values that a single mask has.

    Args:
        found: The proposal, which changes.
        items: Properties of each pair.
        per_mask: Pixels of each value in each mask.
        shown: Each class value as the user reads it.
    """
    total: Counter[int] = Counter()
    for counts in per_mask:
        total.update(counts)
    pixels, slips = sum(total.values()), []
    for value, name in shown.items():
        meant = next((v for v in shown if name.startswith("#") and _slip(value, v, total)), None)
        masks = sum(value in counts for counts in per_mask)
        few = total[value] < min(STRAY_PIXELS, FEW * pixels) and masks <= max(2, FEW_MASKS * len(items))
        if total[value] >= STRAY * pixels and not few and meant is None:
            continue
        slips.append(value)
        where = next(i.pair.mask for i, c in zip(items, per_mask, strict=True) if value in c)
        text = f"{where}: value {name} has only {total[value]} pixel{'s' * (total[value] > 1)} in all masks"
        near = f", and is nearly {shown[meant]}" if meant is not None else ""
        found.add("warning", "stray value", f"{text}{near}: a stray value?")
    if slips:
        _set_aside(found, slips, total, shown)
    alone = [v for v in shown if v not in slips and sum(v in counts for counts in per_mask) == 1]
    rest = [name for value, name in shown.items() if value not in alone]
    if alone and len(items) > 2 and len(rest) == 2:
        where = next(i.pair.mask for i, c in zip(items, per_mask, strict=True) if alone[0] in c)
        text = f"{where}: value {some([shown[v] for v in alone])} is in this mask alone, all others are "
        text += f"{rest[0]} and {rest[1]}; if it is a class, say so in dataset.toml, which `unetzoo data check` writes"
        found.add("error", "odd value", text)


def _set_aside(found: MaskReading, slips: Sequence[int], total: Mapping[int, int], shown: Mapping[int, str]) -> None:
    """Take values as void instead of classes, if two classes and something to score remain, and ask about it."""
    values = [shown[v] if shown[v].startswith("#") else v for v in slips]
    rest = [c for c in found.classes if c.values[0] not in values]
    void = len(rest) > 1 and any(c.foreground for c in rest)
    if void:
        found.classes, found.ignore = rest, [*found.ignore, *values]
    written = f'"{values[0]}"' if isinstance(values[0], str) else str(values[0])
    are, slip, they = ("Are", "slips", "they are") if len(values) > 1 else ("Is", "a slip", "it is")
    pixels = sum(total[v] for v in slips)
    found.ask(
        "stray value",
        f"{are} {some([shown[v] for v in slips])}, with {pixels} pixel{'s' * (pixels > 1)} in all masks, {slip} of the "
        "brush? Proposed: " + (f"yes, {they} void." if void else f"no, {they} among the classes."),
        f"ignore without {written}, and a class with values = [{written}]" if void else f"ignore = [{written}]",
    )


def _slip(value: int, meant: int, total: Mapping[int, int]) -> bool:
    far = max(abs((value >> shift & 255) - (meant >> shift & 255)) for shift in (0, 8, 16))
    return 0 < far <= CLOSE and total[meant] >= SLIP * total[value]


def as_colours(mask: MaskProperties) -> dict[int, int]:
    """Return the pixels per colour 0xrrggbb; the grey value v is the colour 0xvvvvvv."""
    if mask.colours:
        return mask.counts
    found: Counter[int] = Counter()
    for value, count in mask.counts.items():
        found[mask.palette[value] if mask.palette else value * 0x010101] += count
    return dict(found)
