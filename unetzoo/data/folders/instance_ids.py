"""Instance ids told from class numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

from unetzoo.data.folders.survey import Item

MOST_CLASSES = 64  # more values or colours are grey levels, ids or a lossy file
ONE_REGION = 0.9  # least share of the ids that are one connected region
SURE = 10  # least number of objects in some mask from which ids numbered from 1 are hardly classes
NUMBERED = 0.95  # least share of the masks whose ids are 1 to n
GAPS = 0.5  # largest share of the masks with gaps, if the ids are too many to be classes
RARE = 0.5  # largest mean share of the masks that hold an id with gaps, as after cropping

Answer = Literal["yes", "ask", "no"]


def are_instances(items: Sequence[Item], per_mask: Sequence[Mapping[int, int]]) -> Answer:
    """Tell whether values look like instance ids: nearly each one connected region, and not the same in every mask.

    Ids are "yes" if a mask has many, numbered from 1, and the number varies widely between masks, or if there are more
    than classes can be. A few objects may be classes (the third vertebra) as well as ids, so the answer is "ask".

    Args:
        items: Properties of each pair.
        per_mask: Pixels of each value in each mask, without void.
    """
    held = [set(counts) - {0} for counts in per_mask]
    held = [ids for ids in held if ids]
    ids = set().union(*held)
    counts = [len(found) for found in held]
    background = any(0 in present for present in per_mask)
    if len(ids) < 2 or min(ids) < 0 or len(set(counts)) < 2 or not background:
        return "no"
    regions = [n for item, present in zip(items, per_mask, strict=True) for n in _regions(item, present)]
    if not regions or sum(n == 1 for n in regions) < ONE_REGION * len(regions):
        return "no"
    numbered = sum(max(found) == len(found) for found in held)
    if numbered >= NUMBERED * len(held):
        top, low = max(counts), min(counts)
        if top >= SURE and top >= 2 * low:
            return "yes"
        return "no" if _nested(items) else "ask"
    if len(ids) > MOST_CLASSES:
        return "yes" if len(held) - numbered <= GAPS * len(held) else "ask"
    of_id = Counter(value for found in held for value in found)
    rare = sum(of_id.values()) / len(of_id) <= RARE * len(held)
    return "ask" if max(counts) >= 3 and len(ids) >= 2 * min(counts) and rare and not _nested(items) else "no"


def _regions(item: Item, present: Mapping[int, int]) -> list[int]:
    """Return the regions of each id; none for a mask of two values, whose regions are not counted."""
    return [n for value, n in item.mask.components.items() if value != 0 and value in present]


def _nested(items: Sequence[Item]) -> bool:
    """Return True if a value never touches 0 in most masks that hold several, as a part inside a whole does not."""
    several = [item.mask for item in items if 0 in item.mask.counts and sum(v > 0 for v in item.mask.counts) > 1]
    inside = [mask for mask in several if any(v > 0 and (0, v) not in mask.touching for v in mask.counts)]
    return len(inside) > 0.5 * len(several)
