"""Rules for the meaning of mask values, as a careful person would apply them; each reports what it concluded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from unetzoo.data.folders import mask_conventions as conventions
from unetzoo.data.folders.class_names import assign, name_classes
from unetzoo.data.folders.instance_ids import MOST_CLASSES, are_instances
from unetzoo.data.folders.mask_conventions import Void, as_colours
from unetzoo.data.folders.mask_reading import MaskReading
from unetzoo.data.folders.pairs import Finding
from unetzoo.data.folders.reading import ClassReading, Value, interval
from unetzoo.data.folders.survey import Item

HALF = 0.4  # the one of two values below this share of the pixels is the foreground, or else the higher one
ENDS = 32  # grey levels that count as an end, from 0 and from 255
BETWEEN_SHARE = 0.05  # largest share of the pixels between the ends
MOST_LISTED = 1024  # most values that are listed as classes beside an error
REGION = 8  # least mean pixels of a region for too many values to be listed as classes
SCENE = 8  # classes from which 0 beside void may be one of a scene, as the road of Cityscapes is
COLOURED = 5  # colours in one mask alone from which they may be those of objects
HIGH = (1, 255, 0xFFFFFF)  # the foreground beside 0, whatever covers more


def read_masks(
    items: Sequence[Item], void: Value | None = None, names: Sequence[str] = (), names_file: str = "classes.txt"
) -> MaskReading:
    """Propose the classes of masks from their values.

    Args:
        items: Properties of each pair.
        void: Stored value that is known to be void.
        names: Names of the values, in ascending order; see `assign`.
        names_file: Name of the file of the names, for messages.

    Returns:
        The proposal. If the values make no sense there is an error among its findings, and it has no classes unless
        the error is one that a ``dataset.toml`` can settle.
    """
    if odd := [item for item in items if item.mask.wide_alpha]:
        return _wrong(
            "alpha",
            f"{odd[0].pair.mask}: the alpha channel differs from pixel to pixel: is the mask in its colours or in its "
            "alpha? Save it as one channel",
        )
    colours = any(item.mask.colours for item in items) or _palettes_differ(items)
    if colours and (mixed := conventions.mixed_colours(items)):
        return _wrong("conventions", mixed)
    per_mask = [as_colours(item.mask) if colours else item.mask.counts for item in items]
    stated = None
    if void is not None and colours == isinstance(void, str):
        stated = interval(void)[0]
    total = _total(per_mask)
    if len(set(total) - {stated}) <= 1:
        return _one_value(items, [v for v in total if v != stated], colours)
    found = (_colours if colours else _numbers)(items, per_mask, stated, names)
    if void is not None and void not in found.ignore:
        found.ignore = [*found.ignore, void]
    if names and found.classes:
        name_classes(found, names, names_file)
    return found


def _total(per_mask: Sequence[Mapping[int, int]], void: int | None = None) -> Counter[int]:
    total: Counter[int] = Counter()
    for counts in per_mask:
        total.update(counts)
    if void is not None:
        del total[void]
    return total


def _without(per_mask: Sequence[Mapping[int, int]], void: int | None) -> list[dict[int, int]]:
    return [{value: n for value, n in counts.items() if value != void} for counts in per_mask]


def _palettes_differ(items: Sequence[Item]) -> bool:
    """Return True if an index has different colours in different files, so that the colours carry the meaning."""
    colour_of: dict[int, int] = {}
    return any(colour_of.setdefault(i, colour) != colour for item in items for i, colour in item.mask.palette.items())


def _wrong(kind: str, text: str) -> MaskReading:
    return MaskReading(findings=[Finding("error", kind, text)])


def _one_value(items: Sequence[Item], values: Sequence[int], colours: bool) -> MaskReading:
    folder = items[0].pair.mask.parent
    value = next(iter(values), 0)
    shown = f"#{value:06x}" if colours else str(value)
    if value == 0:
        return _wrong("empty", f"{folder}: every mask is empty (value {shown} only)")
    return _wrong("full", f"{folder}: every mask is full (value {shown} only)")


def _colours(
    items: Sequence[Item], per_mask: Sequence[Mapping[int, int]], stated: int | None, names: Sequence[str]
) -> MaskReading:
    void = None if stated is not None else conventions.void_colour(_total(per_mask))
    gone = stated if void is None else void.value
    per_mask, total = _without(per_mask, gone), _total(per_mask, gone)
    lossy = next((item for item in items if item.mask.lossy), None)
    if len(total) > max(MOST_CLASSES, len(names)):
        worst = lossy or max(items, key=lambda item: len(item.mask.counts))
        why = "JPEG is lossy, masks must not be saved with it" if lossy else "blended or lossy colours?"
        return _wrong(
            "colours",
            f"{worst.pair.mask}: the masks hold {len(total)} colours, too many to be classes (at most {MOST_CLASSES}); "
            f"{why} If they are classes, list them in a dataset.toml",
        )
    order = sorted(total)
    shown = {v: f"#{v:06x}" for v in order}
    kind = f"{len(total)} colours" + (", from palettes that differ between files" if items[0].mask.palette else "")
    found = MaskReading(f"{kind}, void {f'#{void.value:06x}'}" if void else kind)
    _set_void(found, void, colours=True)
    if len(order) == 2:
        return _two(found, order, list(shown.values()), [total[v] for v in order])
    background = 0 if 0 in total else max(total, key=lambda v: total[v])
    order.remove(background)
    for value in (background, *order):
        found.classes.append(ClassReading(name=shown[value], values=[shown[value]], foreground=value != background))
    conventions.strays(found, items, per_mask, shown)
    order = [value for value in order if shown[value] not in found.ignore]
    alone = sum(sum(value in counts for counts in per_mask) == 1 for value in order)
    if alone >= COLOURED and alone > 0.5 * len(order) and not set(order) <= conventions.voc_colours():
        found.ask(
            "instances",
            f"Are the {len(order)} colours classes, although {alone} of them are in one mask alone, as colours of "
            "objects are? Proposed: yes.",
            "one class with all colours among its values",
        )
    _say_background(found, shown[background])
    return found


def _numbers(
    items: Sequence[Item], per_mask: Sequence[Mapping[int, int]], stated: int | None, names: Sequence[str]
) -> MaskReading:
    per_mask, total = _without(per_mask, stated), _total(per_mask, stated)
    values = sorted(total)
    if stated is None and (mixed := conventions.mixed_numbers(items, per_mask)):
        return mixed
    if found := conventions.nearly_binary(items, total):
        return found
    void = None if stated is not None else conventions.void_value(items, values)
    if void is not None and void.taken:
        per_mask, total = _without(per_mask, void.value), _total(per_mask, void.value)
        values = sorted(total)
    gone = [v for v in (stated, void.value if void and void.taken else None) if v is not None]
    named = bool(names) and assign(names, [*values, *gone], gone) is not None
    if not named and (answer := are_instances(items, per_mask)) != "no":
        return _instances(per_mask, gone, void, answer == "ask")
    found = MaskReading()
    _set_void(found, void)
    if len(values) == 2:
        kind = "palette indices" if items[0].mask.palette else "binary"
        found.kind = f"{kind} {values[0]} and {values[1]}{f', void {void.value}' if void else ''}"
        return _two(found, values, list(values), [total[v] for v in values])
    if _has_ends(total):
        return _anti_aliased(items, total)
    if lossy := next((item for item in items if item.mask.lossy), None):
        return _wrong(
            "lossy", f"{lossy.pair.mask}: a JPEG with {len(lossy.mask.counts)} values: JPEG is lossy, save masks as PNG"
        )
    if len(values) > max(MOST_CLASSES, len(names)):
        _too_many(found, items, total)
        return found
    return _several(found, items, per_mask, total, void, stated)


def _set_void(found: MaskReading, void: Void | None, colours: bool = False) -> None:
    """Take a value as void, say so, and ask if it is not sure."""
    if void is None:
        return
    value = f"#{void.value:06x}" if colours else void.value
    shown = f'"{value}"' if colours else value
    other = f"ignore = [] and a class with values = [{shown}]"
    if void.taken:
        found.ignore = [value]
        found.add("note" if void.sure else "warning", "void", f"{void.text}: taken as void")
        if not void.sure:
            found.ask("void", f"Is {value} void? Proposed: yes, {void.text}.", other)
    elif not void.sure:
        text = f"Is {value} void? Proposed: no, it is a class."
        found.ask("void", text, f"ignore = [{shown}] and no class with values = [{shown}]")


def _instances(per_mask: Sequence[Mapping[int, int]], gone: Sequence[int], void: Void | None, ask: bool) -> MaskReading:
    ids = sum(len(set(counts) - {0}) for counts in per_mask)
    top = max(max(c, default=0) for c in per_mask)
    most = max(len(set(counts) - {0}) for counts in per_mask)
    found = MaskReading(f"instance ids, {ids:,} instances, up to {most} in an image")
    _set_void(found, void if void and void.taken else None)
    found.set_ids(gone)
    text = "nearly every value is one connected region, numbered from 1: taken as instance ids, foreground = above 0"
    found.add("warning" if ask else "note", "instances", text)
    if ask:
        found.ask(
            "instances",
            f"Are the values 1 to {top} objects of one class, numbered in each image? Proposed: yes, all are merged "
            "into one foreground, as nearly every value is one connected region.",
            f"instances = false and a class with values = [k] for each k from 1 to {top}",
        )
    return found


def _has_ends(total: Mapping[int, int]) -> bool:
    """Return True if there are many values between 0 and 255, which together are few pixels."""
    if min(total) < 0 or max(total) > 255 or min(total) >= ENDS or max(total) <= 255 - ENDS:
        return False
    inner = [v for v in total if 0 < v < 255]
    between = sum(n for v, n in total.items() if ENDS <= v <= 255 - ENDS)
    return len(inner) >= conventions.BETWEEN and between <= BETWEEN_SHARE * sum(total.values())


def _anti_aliased(items: Sequence[Item], total: Mapping[int, int]) -> MaskReading:
    pixels = sum(total.values())
    inner = sum(n for v, n in total.items() if 0 < v < 255)
    found = MaskReading(f"anti-aliased 0 to 255, {inner / pixels:.2%} of the pixels between")
    if lossy := [item for item in items if item.mask.lossy]:
        found.kind = f"lossy 0 to 255, {inner / pixels:.2%} of the pixels between"
        text = f"{lossy[0].pair.mask}: {len(lossy)} masks are JPEG, which blurs their borders; they are cut at 128"
        found.add("warning", "lossy", text)
    low = sum(n for v, n in total.items() if v < 128)
    return _two(found, [0, 255], ["0-127", "128-255"], [low, pixels - low])


def _two(found: MaskReading, stored: Sequence[int], values: Sequence[Value], pixels: Sequence[int]) -> MaskReading:
    """Take 1 or 255 beside 0 as the foreground; of others the rarer one, or the higher one if neither is clearly rarer.

    Args:
        found: The proposal, which gets two classes.
        stored: The two values as stored.
        values: The same as the reading gives them.
        pixels: Pixels of each.
    """
    shares = [n / sum(pixels) for n in pixels]
    front = 0 if shares[0] < HALF else 1
    why = "the rarer one" if shares[front] < HALF else "the higher one, as both are about half of the pixels"
    if shares[front] > 1 - HALF:
        why = "the higher one"
    if stored[0] == 0 and stored[1] in HIGH:
        front, why = 1, f"as is usual beside {values[0]}"
    elif not (stored[0] == 0 and front == 1):
        found.ask(
            "foreground",
            f"Is {values[front]} the foreground? Proposed: yes, {why} ({shares[front]:.1%}).",
            f"foreground = true for the class of {values[1 - front]} and false for that of {values[front]}",
        )
    found.pair(values[1 - front], values[front])
    text = f"foreground = {values[front]} ({shares[front]:.1%}), {why}; if it is the other, swap the two values"
    found.add("warning" if shares[front] > 1 - HALF else "note", "foreground", text)
    return found


def _too_many(found: MaskReading, items: Sequence[Item], total: Mapping[int, int]) -> None:
    """Add the error that there are too many values, and list them as classes if their regions are large enough."""
    worst = max(items, key=lambda item: len(item.mask.counts))
    text = (
        f"{worst.pair.mask}: {len(worst.mask.counts)} different values, {len(total)} in all masks, too many to be "
        f"classes (at most {MOST_CLASSES}), and neither instance ids nor an anti-aliased mask"
    )
    regions = sum(sum(item.mask.components.values()) for item in items)
    if len(total) <= MOST_LISTED and min(total) >= 0 and sum(total.values()) >= REGION * regions:
        text += "; if they are classes, name them all in classes.txt, or confirm the dataset.toml that `unetzoo data "
        text += "check` writes"
        found.classes = [ClassReading(name=f"class{v}", values=[v], foreground=v != 0) for v in sorted(total)]
        found.kind = f"{len(total)} values"
        found.ask("values", f"Are the {len(total)} values classes?", "another list of classes, or instances = true")
    found.add("error", "values", text)


def _several(
    found: MaskReading,
    items: Sequence[Item],
    per_mask: Sequence[Mapping[int, int]],
    total: Counter[int],
    void: Void | None,
    stated: int | None,
) -> MaskReading:
    classes = sorted(total)
    whole = _total([item.mask.counts for item in items])
    last = next((v for v in (stated, *found.ignore) if isinstance(v, int)), classes[-1])
    dense = conventions.void_by_shape(items, sorted(whole), whole, last)
    if dense and last == classes[-1]:
        found.ignore = [last]
        classes = classes[:-1]
        text = f"{last} looks like void: {dense}; if it is a class, set ignore = [] and give a class values = [{last}]"
        found.add("warning", "void", text)
        found.ask(
            "void",
            f"Is {last} void? Proposed: yes, by its shape.",
            f"ignore = [] and a class with values = [{last}]",
        )
    shown = ", ".join(map(str, classes)) if len(classes) <= 12 else f"{classes[0]} to {classes[-1]}"
    what = "palette indices" if items[0].mask.palette else "values"
    void_text = f", void {found.ignore[0]}" if found.ignore else ""
    found.kind = f"{len(classes)} classes, {what} {shown}{void_text}"
    if len(classes) == 2:
        return _two(found, classes, list(classes), [total[v] for v in classes])
    # void between the regions: every pixel was meant to have a class, of which 0 is an ordinary one
    rare = 0 in classes and total[0] < 0.5 * sum(total.values())
    ordinary = bool(dense) and rare
    if rare and not dense and len(classes) >= SCENE and (found.ignore or stated is not None):
        ordinary = True
        found.ask(
            "background",
            f"Is 0 a class like the others? Proposed: yes, as it covers {total[0] / total.total():.0%} beside void.",
            "foreground = false for the class of 0, if it is the background",
        )
    for value in classes:
        found.classes.append(ClassReading(name=f"class{value}", values=[value], foreground=value != 0 or ordinary))
    conventions.strays(found, items, per_mask, {value: str(value) for value in classes})
    if 0 in classes and not ordinary:
        _say_background(found, "value 0")
    elif classes == [1, 2, 3]:
        found.add("warning", "background", "all of 1, 2 and 3 count in the headline score, and none is the background")
        found.ask(
            "background",
            "Do all of 1, 2 and 3 count, although a trimap means foreground, background and border? Proposed: yes.",
            "foreground = false for the background, and ignore = [3] without its class if 3 is the border",
        )
    elif 0 not in classes:
        found.add("note", "background", "all classes count in the headline score, and none is the background")
    return found


def _say_background(found: MaskReading, value: str) -> None:
    found.add("note", "background", f"{value} is taken as the background, which the headline score leaves out")
