"""The range on which an image is read: that of training, another one that is provably the same, or an error.

All decisions follow from a few facts about the image, so that they can be tested without one. The rules in words:
docs/how-to/predicting.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from unetzoo.data.expected import Expected, needed_depth
from unetzoo.errors import UnetzooError
from unetzoo.inference.read_as import ReadAs, Spelling

TYPES = ("bool", "uint8", "uint16")  # whose full range is read if training had no files
DIM_FLOAT = 8.0  # a float image is dim if its values reach less than this part of the dimmest training image's
EXACT = 255 * 257  # 16-bit copies of 8-bit values are multiples of 257


@dataclass(frozen=True)
class Seen:
    """Facts about an image that is to be read.

    Attributes:
        dtype: Type of the numbers, such as "uint16".
        bits: Bits of one number, as its file states them.
        low: Lowest value.
        high: Highest value.
        whole: True if all values are whole numbers.
        copies: True if all values are multiples of 257.
        levels: True if all values are those of k / (2**depth - 1) for whole k from 0, depth being that of training, and
            one lies between 0 and 1.
        array: True if it is an array, which has no file that states facts.
    """

    dtype: str
    bits: int
    low: float
    high: float
    whole: bool = True
    copies: bool = False
    levels: bool = False
    array: bool = False

    @property
    def kind(self) -> str:
        """One of "unsigned", "signed" and "float"."""
        return "float" if "float" in self.dtype else "signed" if self.dtype.startswith("int") else "unsigned"

    @property
    def words(self) -> str:
        """The depth in words, such as "16-bit" or "float32"."""
        return f"{self.bits}-bit" if self.kind == "unsigned" else self.dtype

    @property
    def values(self) -> str:
        """The values in words."""
        return f"values {self.low:g} to {self.high:g}"


class Chosen(NamedTuple):
    """The range to read an image by, and a remark if that is not the range of training."""

    range: tuple[float, float]
    note: str = ""


class _Refused(Exception):
    """A reason, and the options that would read the image."""

    def __init__(self, why: str, *remedies: str) -> None:
        super().__init__(f"{why}; {' or '.join(remedies)}" if remedies else why)


def choose(seen: Seen, expected: Expected, options: ReadAs, say: Spelling) -> Chosen:
    """Choose the range on which an image is read.

    Args:
        seen: Facts about the image.
        expected: Facts about the training images.
        options: Options of the user.
        say: Spelling of the options in the message.

    Raises:
        UnetzooError: If the image is not stored as the training images were, and cannot be proven to hold the same
            values; the message names the options that would read it.
    """
    if options.range is not None:
        return Chosen(options.range)
    if options.as_trained:
        return Chosen(expected.range or full_range(seen))
    try:
        return _choose(seen, expected, say)
    except _Refused as error:
        raise UnetzooError(str(error)) from None


def full_range(seen: Seen) -> tuple[float, float]:
    """Return the range of an unsigned type, as the file states its bits; [0, 1] for others."""
    return (0.0, 2.0**seen.bits - 1) if seen.dtype in TYPES else (0.0, 1.0)


def _choose(seen: Seen, expected: Expected, say: Spelling) -> Chosen:
    """Choose as `choose` does without options.

    Raises:
        _Refused: If it is not certain how to read it.
    """
    if expected.range is None:
        return _without_files(seen, say)
    if seen.kind == "float" and seen.array and not _floats(expected) and 0 <= seen.low <= seen.high <= 1:
        return Chosen((0.0, 1.0))  # an array that is scaled already, as the data sets return them
    depth = expected.depth
    alike = seen.dtype in expected.dtypes and (seen.kind != "unsigned" or seen.bits == expected.bits)
    if alike or (not expected.dtypes and depth is None):
        return _alike(seen, expected, say)
    if depth is None:
        trained = " or ".join(expected.dtypes)
        raise _Refused(
            f"{seen.words} with {seen.values}, but the model was trained on {trained} images of range "
            f"{shown(expected.range)}",
            f"{say.any_range} reads it",
            f"{say.as_trained} takes its values as those of training",
        )
    if seen.kind == "unsigned":
        return _other_depth(seen, expected, depth, say)
    if seen.kind == "float":
        return _floats_for_integers(seen, expected, depth, say)
    raise _Refused(
        f"{seen.words} with {seen.values}, but the model was trained on {depth}-bit images",
        f"{say.any_range} reads it",
        f"{say.as_trained} takes its values as {depth}-bit ones",
    )


def _without_files(seen: Seen, say: Spelling) -> Chosen:
    """Choose for a model whose training images had no files, or are not known.

    Raises:
        _Refused: If it is not certain how to read it.
    """
    if seen.kind == "float":
        if not 0 <= seen.low <= seen.high <= 1:
            raise _Refused(
                f"float values must lie in [0, 1], got {seen.low:g} to {seen.high:g}",
                f"{say.range(0, 255) if seen.low >= 0 and seen.high <= 255 else say.any_range} reads them",
            )
        return Chosen((0.0, 1.0))
    if seen.dtype not in TYPES:
        raise _Refused(
            f"pixels of type {seen.dtype} are not supported; allowed: 8- and 16-bit unsigned, float",
            f"{say.any_range} reads them",
        )
    whole = full_range(seen)
    _check_dim(seen, whole, whole[1], seen.bits, say)
    return Chosen(whole)


def _alike(seen: Seen, expected: Expected, say: Spelling) -> Chosen:
    """Choose for an image stored in the type of the training images, or if that type is not known.

    Raises:
        _Refused: If it is not certain how to read it.
    """
    assert expected.range is not None
    low, high = expected.range
    least = min(low, expected.low if expected.low is not None else low)
    most = max(high, expected.high if expected.high is not None else high)
    depth = expected.depth or (needed_depth(expected.high) if expected.high is not None else 32)
    if seen.kind == "unsigned" and seen.dtype in expected.dtypes and depth < 32:
        least, most = 0, max(most, 2**depth - 1)
    if seen.low < least or seen.high > most:
        raise _Refused(
            f"{seen.values} lie beyond those of training, {shown((least, most))}",
            f"{_other_range(seen, say)} reads it",
            f"{say.as_trained} clips to {shown(expected.range)}",
        )
    dimmest = min(high, high if expected.dimmest is None else expected.dimmest)
    _check_dim(seen, expected.range, dimmest, depth, say)
    return Chosen(expected.range)


def _check_dim(seen: Seen, whole: tuple[float, float], dimmest: float, depth: int, say: Spelling) -> None:
    """Refuse an image whose values look like those of a lower depth or another scale.

    Args:
        seen: Facts about the image.
        whole: Range of training.
        dimmest: Highest value of the dimmest training image.
        depth: Bits of the training images.
        say: Spelling of the options.

    Raises:
        _Refused: If the image is far dimmer than the dimmest training image, and a lower depth would hold it.
    """
    reach, least = seen.high - whole[0], dimmest - whole[0]
    if reach <= 0:
        return
    needed = needed_depth(seen.high)
    if seen.kind == "unsigned" and needed < depth and 2 * reach < least:
        raise _Refused(
            f"values up to {seen.high:g}, as of {needed} bits, but those of training reach {dimmest:g} at least",
            f"{say.range(0, 2**needed - 1)} reads {needed} bits",
            f"{say.as_trained} if it is a dark image",
        )
    if seen.kind != "unsigned" and DIM_FLOAT * reach < least:
        raise _Refused(
            f"values up to {seen.high:g}, but those of training reach {dimmest:g} at least",
            f"{_other_range(seen, say)} reads it",
            f"{say.as_trained} if it is a dark image",
        )


def _other_depth(seen: Seen, expected: Expected, depth: int, say: Spelling) -> Chosen:
    """Choose for an unsigned image of another type or number of bits than the training images of ``depth`` bits.

    Raises:
        _Refused: If it is not certain how to read it.
    """
    assert expected.range is not None
    if seen.bits == depth:
        return _within(seen, expected, depth, say)
    if seen.bits > depth > 8 and seen.high < 2**depth:  # such as 12 bits in files of 16
        return _within(seen, expected, depth, say)
    if seen.bits == 16 and depth == 8 and seen.copies and needed_depth(seen.high) == 16:
        return Chosen(
            (0.0, float(EXACT)),
            "16-bit copies of 8-bit values (all are multiples of 257), read by range 0 to 65535, which is the same",
        )
    most = 2 ** (needed_depth(seen.high) if seen.bits > 8 else seen.bits) - 1
    remedies = [f"{say.range(0, most)} reads it"]
    if seen.bits == 16 and seen.high < 2**8:
        remedies = [f"{say.range(0, 65535)} reads it as dark", f"{say.as_trained} as {depth}-bit values"]
    elif seen.high < 2**depth:
        remedies.append(f"{say.as_trained} takes its values as {depth}-bit ones")
    raise _Refused(f"{seen.bits}-bit with {seen.values}, but the model was trained on {depth}-bit images", *remedies)


def _within(seen: Seen, expected: Expected, depth: int, say: Spelling, note: str = "") -> Chosen:
    """Choose the range of training for an image of the same depth, unless it is too dim."""
    assert expected.range is not None
    high = expected.range[1]
    dimmest = min(high, high if expected.dimmest is None else expected.dimmest)
    _check_dim(seen, expected.range, dimmest, depth, say)
    return Chosen(expected.range, note)


def _floats_for_integers(seen: Seen, expected: Expected, depth: int, say: Spelling) -> Chosen:
    """Choose for a float image where training had unsigned images of ``depth`` bits, or images of that range.

    Raises:
        _Refused: If it is not certain how to read it.
    """
    assert expected.range is not None
    most = 2**depth - 1
    if seen.low == seen.high == 0:
        return Chosen(expected.range)
    if seen.levels:
        return Chosen((0.0, 1.0), f"{seen.dtype} copies of {depth}-bit values divided by {most}, read by range 0 to 1")
    inside = seen.low >= 0 and 1 < seen.high <= most
    if inside and seen.whole:
        note = f"{seen.dtype} copies of {depth}-bit values (all are whole numbers), read by range 0 to {most}"
        like_integers = Seen(f"uint{8 if depth <= 8 else 16}", depth, seen.low, seen.high)
        return _within(like_integers, expected, depth, say, note)
    if inside and not expected.dtypes:  # perhaps floats in training too
        return _within(seen, expected, depth, say)
    trained = f"{depth}-bit images" if expected.dtypes else f"images of range {shown(expected.range)}"
    remedies = [f"{_other_range(seen, say)} reads it"]
    if inside:
        remedies.append(f"{say.as_trained} takes its values as {depth}-bit ones")
    raise _Refused(f"{seen.dtype} with {seen.values}, but the model was trained on {trained}", *remedies)


def _other_range(seen: Seen, say: Spelling) -> str:
    """Return the option for the usual range that holds an image, or for one that only the user knows."""
    if seen.low < 0 or seen.kind == "signed":
        return say.any_range
    if seen.kind == "float" and seen.high <= 1:
        return say.range(0, 1)
    depth = needed_depth(seen.high)
    return say.range(0, 2**depth - 1) if depth < 32 else say.any_range


def _floats(expected: Expected) -> bool:
    return any("float" in kind for kind in expected.dtypes)


def shown(bounds: tuple[float, float]) -> str:
    """Return a range in words."""
    return f"[{bounds[0]:.6g}, {bounds[1]:.6g}]"


def levels(values: np.ndarray, depth: int | None) -> bool:
    """Return True if all values are the float nearest to k / (2**depth - 1) for whole k."""
    if depth is None:
        return False
    most = 2.0**depth - 1
    return np.array_equal((np.rint(values.astype(np.float64) * most) / most).astype(values.dtype), values)
