"""A survey of the files: every image and mask is opened once, and what matters about it is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from unetzoo.data.folders.layout import Layout
from unetzoo.data.folders.look import Content, look_at, tasks_of
from unetzoo.data.folders.pairs import Finding, listed
from unetzoo.data.folders.properties import ImageProperties, MaskProperties
from unetzoo.data.folders.reading import Pair, Reading
from unetzoo.data.folders.thumbnails import Compared, Thumbnails


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
        compared: Near-duplicates under that reading, if they were searched and it fits every pair of the splits.
    """

    layout: Layout
    items: list[Item] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    similar: list[tuple[str, str, str, str, float]] = field(default_factory=list)
    guess: Reading | None = None
    contents: dict[str, Content] = field(default_factory=dict)
    compared: Compared | None = None

    def pixels(self) -> Counter[int]:
        """Return the pixels of each stored value, over all masks."""
        total: Counter[int] = Counter()
        for item in self.items:
            total.update(item.mask.counts)
        return total

    def known(self, reading: Reading) -> tuple[Mapping[str, Content], Compared | None]:
        """Return the content of each pair and the near-duplicates under a reading, as far as they are known."""
        if self.guess is None or not self.guess.same_content(reading):
            return {}, None
        return self.contents, self.compared


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
        compare: Search for near-duplicates too, under the guess if there is one.
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
    tasks = tasks_of({key: layout.pairing.pairs[key] for key in keys}, split_of, compare)
    for key, look in look_at(tasks, guess):
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
    if thumbnails is not None and guess is None:
        found.similar = thumbnails.similar()
    elif thumbnails is not None and found.contents.keys() >= split_of.keys():
        found.compared = Compared.of(layout.splits, thumbnails)
    return found
