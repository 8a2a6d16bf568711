"""What is known about a named data set: everything that opening, fetching and describing it needs, as data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unetzoo.data.folders.reading import ClassReading, Pair, Reading, Value
from unetzoo.data.named.download import Remote
from unetzoo.data.named.layout import Files, Layout
from unetzoo.errors import UnetzooError

BYTES = (0.0, 255.0)  # the range of 8-bit images
PAIRED = Files("images/*", "masks/*")
FLAT = Layout("images/ and masks/ with equal stems", (PAIRED,))

Rule = Callable[[Mapping[str, Pair]], Mapping[str, Sequence[str]]]
"""Which pairs are train and which test (and val), where neither the layout nor a list tells."""


@dataclass(frozen=True)
class Prepare:
    """Official files that must be made into ``images/`` and ``masks/`` once: what finds them, and what does it."""

    found: Callable[[Path], Sequence[object]]
    run: Callable[[Path], int]
    words: str


@dataclass(frozen=True)
class NamedSet:
    """``reading`` gives classes, citation, terms and groups; of its paths and lists none is used.

    ``rule`` splits what no layout splits. A validation set that is not given is taken from train, by group.
    ``test_is_fixed``: the test images are official or usual, so k-fold leaves them alone.
    """

    reading: Reading
    folder: str  # below UNETZOO_DATA
    images: int  # with labels, in the official set
    home: str
    masks: str  # what the mask values mean
    split: str
    layouts: tuple[Layout, ...]
    rule: Rule | None = None
    test_is_fixed: bool = True
    unusable: tuple[str, ...] = ()
    notes: str = ""
    remotes: tuple[Remote, ...] = ()
    into: str = ""  # the folder below the target in which archives are unpacked
    by_hand: str = ""  # why `get` does not fetch it, and what to place where
    prepare: Prepare | None = None

    @property
    def name(self) -> str:
        return self.reading.name


def every(nth: int, *, by: Callable[[Pair], object] = lambda pair: None) -> Rule:
    """Of the sorted keys every nth is test; counted for each value of ``by`` on its own."""

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
    """The keys for which it is true are test, all others train."""

    def rule(pairs: Mapping[str, Pair]) -> dict[str, list[str]]:
        parts: dict[str, list[str]] = {"train": [], "test": []}
        for key in sorted(pairs):
            parts["test" if is_test(key) else "train"].append(key)
        return parts

    return rule


ISBI_VAL, ISBI_TEST = 4, 6  # slices at the end of the stack


def contiguous(pairs: Mapping[str, Pair], n_val: int = ISBI_VAL) -> dict[str, tuple[str, ...]]:
    """The last keys are test, those before them val. Raises `UnetzooError` where nothing is left to train on."""
    keys = tuple(sorted(pairs))
    train = len(keys) - ISBI_TEST - n_val
    if train < 1:
        raise UnetzooError(f"{len(keys)} slices: {ISBI_TEST} are test, {n_val} validation: none is left to train on")
    return {"train": keys[:train], "val": keys[train:-ISBI_TEST], "test": keys[-ISBI_TEST:]}


def of_class(name: str, *values: Value, foreground: bool = True) -> ClassReading:
    return ClassReading(name=name, values=list(values), foreground=foreground)


def github(repository: str, commit: str, file: str) -> Remote:
    """A repository as it was at one commit, as GitHub packs it."""
    return Remote(url=f"https://github.com/{repository}/archive/{commit}.zip", file=file)
