"""Splits that lists of stems or folders give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from unetzoo.data.base import SPLITS
from unetzoo.data.folders.files import SUFFIXES
from unetzoo.data.folders.pairs import LEAK, Finding, Pairing
from unetzoo.data.folders.reading import Files
from unetzoo.data.splits import SHARE, split, take_val
from unetzoo.errors import UnetzooError

LIST_FOLDERS = ("", "splits", "ImageSets/Segmentation")
LIST_PREFIXES = ("", "suggested_", "split_")


def split_keys(
    root: Path,
    files: Files,
    pairing: Pairing,
    groups: Mapping[str, str],
    given: dict[str, tuple[str, ...]],
    fixed: str,
    ordered: bool,
) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """Return the splits, and those of them drawn by hash. After a mistake, which is a finding, splits may be empty."""
    keys, drawn = tuple(pairing.pairs), ()
    if not given and len(keys) < 3 and any(f.severity == "error" for f in pairing.findings):
        return {name: keys if name == "train" else () for name in SPLITS}, ()  # that error is the cause
    try:
        if ordered:  # neighbouring pages are nearly equal
            held = max(1, round(SHARE * len(keys)))
            return dict(zip(SPLITS, (keys[: -2 * held], keys[-2 * held : -held], keys[-held:]), strict=True)), ()
        if not given:
            return split(keys, groups=groups, seed=files.seed), SPLITS
        _check_both(given, fixed)
        if "val" not in given:
            given["train"], given["val"] = take_val(given["train"], groups=groups, seed=files.seed)
            drawn = ("val",)
    except UnetzooError as error:
        pairing.error("split", f"{root}: {error}")
        return {name: given.get(name, () if name != "train" or given else keys) for name in SPLITS}, ()
    if unused := len(keys) - len({key for listed in given.values() for key in listed}):
        pairing.findings.append(Finding("warning", "unused", f"{unused} pairs are in no split of {fixed}: not used"))
    return {name: given[name] for name in SPLITS}, drawn


def _check_both(given: Mapping[str, object], fixed: str) -> None:
    """Check that train and test are given.

    Raises:
        UnetzooError: If one of them is not.
    """
    for name in ("train", "test"):
        if name not in given:
            raise UnetzooError(f"there is no {name} split beside {fixed}; give both train and test")


def read_keys(path: Path, pairing: Pairing) -> tuple[str, ...]:
    """Read the keys in a list file, whose lines are stems, file names or, as SegNet's, "image mask".

    Args:
        path: File of the list.
        pairing: The pairs; unknown lines are added to its findings.

    Returns:
        The keys in the order of the file.

    Raises:
        UnetzooError: If the file cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise UnetzooError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UnetzooError(f"{path}: cannot be read: {error}") from None
    known = pairing.pairs
    without_mask = {image.stem for missing, image in pairing.unmatched if missing == "mask"}
    keys, strange = [], []
    for line in (line.strip() for line in lines):
        if not line:
            continue
        key = next((name for name in _meant(line) if name in known), None)
        if key is None:
            strange.append(line)
        else:
            keys.append(key)
    if strange:
        more = f" (and {len(strange) - 1} more)" if len(strange) > 1 else ""
        what = "an image but no mask" if strange[0] in without_mask else "no image"
        pairing.error("list", f"{path}: {strange[0]!r} has {what}{more}")
    return tuple(keys)


def _meant(line: str) -> Iterable[str]:
    """Yield the possible meanings of a line, most literal first."""
    for word in (line, line.split()[0]):
        path = Path(word)
        bare = path.with_suffix("") if path.suffix.lower() in SUFFIXES else path
        yield from (word, bare.as_posix(), bare.name)


def check_lists(paths: Mapping[str, Path], given: dict[str, tuple[str, ...]], pairing: Pairing) -> None:
    """Report lists that are empty, or name a key twice; a key in two lists stays in both, as a leak.

    Args:
        paths: List file of each split.
        given: Keys of each split, of which repeated ones are removed.
        pairing: The pairs, whose findings grow.
    """
    where: dict[str, str] = {}
    for name, keys in given.items():
        if not keys and not any(f.text.startswith(f"{paths[name]}:") for f in pairing.findings):
            pairing.error("list", f"{paths[name]}: is empty")
        if twice := [key for key, count in Counter(keys).items() if count > 1]:
            pairing.error("list", f"{paths[name]}: {twice[0]!r} is listed twice")
            given[name] = tuple(dict.fromkeys(keys))
        if both := [key for key in given[name] if key in where]:
            more = f" (and {len(both) - 1} more)" if len(both) > 1 else ""
            other = paths[where[both[0]]].name
            text = f"{paths[name]}: {both[0]!r} is also in {other}{more}; remove it from one of them, or set on_leak = "
            pairing.error(LEAK, f"{text}'drop_from_training'")
        where |= dict.fromkeys(given[name], name)
