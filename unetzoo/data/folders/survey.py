"""A survey of the files: every image and mask is opened once, and what matters about it is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from unetzoo.data.folders.layout import Layout
from unetzoo.data.folders.look import Content, Task, look_at
from unetzoo.data.folders.pairs import Finding, listed
from unetzoo.data.folders.properties import ImageProperties, MaskProperties
from unetzoo.data.folders.reading import Pair, Reading
from unetzoo.data.folders.thumbnails import Thumbnails


@dataclass(frozen=True, slots=True)
class Item:
    """Properties of a pair."""

    key: str
    pair: Pair
    image: ImageProperties
    mask: MaskProperties


@dataclass
class Survey:
    """Properties of all pairs of a folder.

    Attributes:
        layout: Layout of the folder.
        items: Properties of each pair that could be read.
        findings: Files that could not be read or are unsound.
        similar: Near-duplicates in different splits, as (split, key, split, key, correlation).
        guess: Reading under which the contents were hashed, if one was given.
        contents: Content of each pair under that reading.
    """

    layout: Layout
    items: list[Item] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    similar: list[tuple[str, str, str, str, float]] = field(default_factory=list)
    guess: Reading | None = None
    contents: dict[str, Content] = field(default_factory=dict)

    def pixels(self) -> Counter[int]:
        """Return the pixels of each stored value, over all masks."""
        total: Counter[int] = Counter()
        for item in self.items:
            total.update(item.mask.counts)
        return total

    def known_contents(self, reading: Reading) -> Mapping[str, Content]:
        """Return the content of each pair under a reading, as far as it is known."""
        return self.contents if self.guess is not None and self.guess.same_content(reading) else {}


def survey(
    layout: Layout,
    *,
    on_pair: Callable[[str], None] = lambda key: None,
    compare: bool = True,
    guess: Reading | None = None,
    every: int = 1,
) -> Survey:
    """Open every pair once, in the order of the splits.

    Args:
        layout: Layout of the folder.
        on_pair: Called with each key after its pair was opened.
        compare: Search for near-duplicates too.
        guess: Reading under which contents are hashed too, as it will probably be proposed.
        every: Open every n-th pair only.

    Returns:
        The survey. Files that cannot be read are among its findings, and the others are still opened.
    """
    found = Survey(layout, guess=guess)
    wrong: dict[str, list[str]] = {}
    split_of = layout.split_of
    keys = [*split_of, *(key for key in layout.pairing.pairs if key not in split_of)][::every]
    thumbnails = Thumbnails() if compare else None
    for key, look in look_at({key: _task(key, layout, split_of, compare) for key in keys}, guess):
        if look.image is not None and look.mask is not None:
            found.items.append(Item(key, layout.pairing.pairs[key], look.image, look.mask))
        for kind, text in look.wrong:
            wrong.setdefault(kind, []).append(text)
        if thumbnails is not None and look.views is not None:
            thumbnails.add(split_of[key], key, look.views)
        if look.content is not None:
            found.contents[key] = look.content
        on_pair(key)
    for kind, texts in wrong.items():
        found.findings += listed("error", kind, texts)
    if thumbnails is not None:
        found.similar = thumbnails.similar()
    return found


def _task(key: str, layout: Layout, split_of: Mapping[str, str], compare: bool) -> Task:
    """Return the task to look at a pair; images of the first split are compared with none, and need not be moved."""
    first = next(iter(split_of.values()), None)
    moved = None
    if compare and key in split_of:
        moved = 0 if split_of[key] == first else 1
    return Task(layout.pairing.pairs[key], moved)
