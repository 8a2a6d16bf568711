"""The description of a named data set: all that opening, fetching and presenting it needs, as data."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unetzoo.data.folders.reading import ClassReading, Pair, Reading, Value
from unetzoo.data.named.download import Remote
from unetzoo.data.named.official_layout import Files, OfficialLayout
from unetzoo.errors import UnetzooError

BYTES = (0.0, 255.0)  # the range of 8-bit images
PAIRED = Files("images/*", "masks/*")
FLAT = OfficialLayout("images/ and masks/ with equal stems", (PAIRED,))

Rule = Callable[[Mapping[str, Pair]], Mapping[str, Sequence[str]]]
"""Assignment of pairs to train and test (and perhaps val) where neither the layout nor a list gives it."""


@dataclass(frozen=True)
class Prepare:
    """A one-time conversion of official files to ``images/`` and ``masks/``.

    Attributes:
        find: Returns the official files below a folder; nothing if they are not there.
        run: Converts them and returns the number of images.
        words: Names the official files in messages.
    """

    find: Callable[[Path], Sequence[object]]
    run: Callable[[Path], int]
    words: str


@dataclass(frozen=True)
class NamedSet:
    """A named data set with files. Where no validation set is given, one is taken from train, by group.

    Attributes:
        reading: Classes, citation, terms and groups; its paths and lists are not used.
        folder: Folder below ``UNETZOO_DATA``.
        images: Number of labelled images in the official set.
        home: Address of its page.
        masks: Meaning of the mask values, in words.
        split: How it is split, in words.
        layouts: Layouts in which its files may lie.
        rule: Splits what no layout splits.
        sampled: Regular expression that names what a key was sampled with, where the splits do not keep that whole: a
            film, a document; "" if all images are of one volume. Default: the groups of ``reading``.
        test_is_fixed: True if the test images are official or customary, so that k-fold leaves them alone.
        unusable: Keys that are left out.
        notes: Remarks for the user.
        remotes: Files to download.
        into: Folder below the target in which archives are unpacked.
        by_hand: Why ``unetzoo data get`` does not download it, and what to place in ``{target}``.
        prepare: Conversion of the official files after a download.
    """

    reading: Reading
    folder: str
    images: int
    home: str
    masks: str
    split: str
    layouts: tuple[OfficialLayout, ...]
    rule: Rule | None = None
    sampled: str | None = None
    test_is_fixed: bool = True
    unusable: tuple[str, ...] = ()
    notes: str = ""
    remotes: tuple[Remote, ...] = ()
    into: str = ""
    by_hand: str = ""
    prepare: Prepare | None = None

    @property
    def name(self) -> str:
        """The registered name."""
        return self.reading.name

    def sampled_with(self, keys: Iterable[str]) -> dict[str, str]:
        """Return what each key was sampled with; see `SegmentationDataset.sampled_with`. No file is read.

        Args:
            keys: Keys of the data set; one that is not named as usual is left out.
        """
        pattern = self.reading.group if self.sampled is None else self.sampled
        if pattern is None:
            return {}
        found = ((key, re.search(pattern, key)) for key in keys)
        return {key: (match[1] if match.re.groups else match[0]) or self.name for key, match in found if match}


def every(nth: int, *, by: Callable[[Pair], object] = lambda pair: None) -> Rule:
    """Return a rule by which every ``nth`` of the sorted keys is test, and all others train.

    Args:
        nth: Distance between test keys.
        by: Kind of a pair; the pairs of each kind are counted separately.
    """

    def rule(pairs: Mapping[str, Pair]) -> dict[str, list[str]]:
        counts: dict[object, int] = {}
        parts: dict[str, list[str]] = {"train": [], "test": []}
        for key in sorted(pairs):
            kind = by(pairs[key])
            counts[kind] = counts.get(kind, 0) + 1
            parts["train" if counts[kind] % nth else "test"].append(key)
        return parts

    return rule


def test_where(is_test: Callable[[str], bool]) -> Rule:
    """Return a rule by which keys that satisfy ``is_test`` are test and all others train."""

    def rule(pairs: Mapping[str, Pair]) -> dict[str, list[str]]:
        parts: dict[str, list[str]] = {"train": [], "test": []}
        for key in sorted(pairs):
            parts["test" if is_test(key) else "train"].append(key)
        return parts

    return rule


ISBI_VAL, ISBI_TEST = 4, 6  # slices at the end of the stack


def contiguous(pairs: Mapping[str, Pair], n_val: int = ISBI_VAL) -> dict[str, tuple[str, ...]]:
    """Split a stack into runs of slices, in sorted order: train, then val, then test.

    Args:
        pairs: Pairs by key.
        n_val: Number of validation slices; the number of test slices is ``ISBI_TEST``.

    Returns:
        The keys of each split.

    Raises:
        UnetzooError: If no slice is left to train on.
    """
    keys = tuple(sorted(pairs))
    train = len(keys) - ISBI_TEST - n_val
    if train < 1:
        raise UnetzooError(
            f"{len(keys)} slices, of which {ISBI_TEST} are test and {n_val} validation: none is left to train on"
        )
    return {"train": keys[:train], "val": keys[train:-ISBI_TEST], "test": keys[-ISBI_TEST:]}


def of_class(name: str, *values: Value, foreground: bool = True) -> ClassReading:
    """Return a class and the mask values that stand for it.

    Args:
        name: Name of the class.
        *values: Whole numbers, ranges such as "1-", or colours.
        foreground: True if the class counts towards the headline score.
    """
    return ClassReading(name=name, values=list(values), foreground=foreground)


def github(repository: str, commit: str, file: str) -> Remote:
    """Return the archive that GitHub offers of a repository at one commit.

    Args:
        repository: Owner and name.
        commit: Hash of the commit.
        file: Name of the local file.
    """
    return Remote(url=f"https://github.com/{repository}/archive/{commit}.zip", file=file)
