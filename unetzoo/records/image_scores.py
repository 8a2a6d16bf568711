"""The scores of a record's test images in one array: a twentieth of the memory of dictionaries, half of their text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, GetCoreSchemaHandler, TypeAdapter, ValidationError
from pydantic_core import core_schema

from unetzoo.errors import Strict, raise_one_line

Scores = Mapping[str, Mapping[str, float | None]]  # metric -> class -> score


class Table(Strict):
    """The scores as a record's file has them: columns, so that no name is repeated for every image.

    Attributes:
        images: Keys of the images.
        scores: Metric -> class -> score of every image, in the order of ``images``.
    """

    images: list[str]
    scores: dict[str, dict[str, list[float | None]]]


_BY_IMAGE = TypeAdapter(
    dict[str, dict[str, dict[str, float | None]]], config=ConfigDict(strict=True, allow_inf_nan=False)
)


class ImageScores(Mapping[str, Scores]):
    """Read-only `Result.per_image`: key of the image, sorted -> metric -> class -> score.

    Every image has every (metric, class) that one of them has; None where it has no score.

    Args:
        per_image: The same as dictionaries, as records of version 1 have it.
    """

    __slots__ = ("_columns", "_rows", "_values")

    @classmethod
    def of(cls, scores: ImageScores | Table | Mapping[str, Scores]) -> ImageScores:
        """Return scores in any of their three forms as an `ImageScores`.

        Raises:
            ValueError: If a column of a table has not one score for each of its images.
        """
        if isinstance(scores, ImageScores):
            return scores
        if not isinstance(scores, Table):
            return cls(scores)
        columns = {(metric, name): some for metric, of in scores.scores.items() for name, some in of.items()}
        for (metric, name), some in columns.items():
            if len(some) != len(scores.images):
                raise ValueError(f"{metric} of {name}: {len(some)} scores for {len(scores.images)} images")
        held = cls({})
        order = sorted(range(len(scores.images)), key=scores.images.__getitem__)
        held._rows = {scores.images[k]: row for row, k in enumerate(order)}
        if len(held._rows) != len(order):
            raise ValueError("an image is named twice")
        held._columns = {pair: column for column, pair in enumerate(columns)}
        held._values = np.array(list(columns.values()), dtype=float).reshape(len(columns), len(order)).T[order]
        return held

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Let a field of this type be read from, and written as, a `Table`; dictionaries are read too."""
        written = core_schema.plain_serializer_function_ser_schema(cls.table)
        return core_schema.no_info_plain_validator_function(_read, serialization=written)

    def __init__(self, per_image: Mapping[str, Scores]) -> None:
        columns = dict.fromkeys((m, c) for scores in per_image.values() for m, some in scores.items() for c in some)
        self._rows = {key: row for row, key in enumerate(sorted(per_image))}
        self._columns = {pair: column for column, pair in enumerate(columns)}
        table = [[per_image[key].get(m, {}).get(c) for m, c in columns] for key in self._rows]
        self._values = np.array(table, dtype=float).reshape(len(self._rows), len(columns))  # None becomes NaN

    def __getitem__(self, key: str) -> dict[str, dict[str, float | None]]:
        found: dict[str, dict[str, float | None]] = {}
        scores = self._values[self._rows[key]].tolist()
        for (metric, name), score in zip(self._columns, scores, strict=True):
            found.setdefault(metric, {})[name] = None if score != score else score
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def table(self) -> dict[str, Any]:
        """Return the fields of the scores as a `Table`."""
        scores: dict[str, dict[str, list[float | None]]] = {}
        for (metric, name), column in self._columns.items():
            some = self._values[:, column].tolist()
            scores.setdefault(metric, {})[name] = [None if score != score else score for score in some]
        return {"images": list(self), "scores": scores}

    def means(self, metric: str, counted: set[str] | None) -> npt.NDArray[np.float64]:
        """Return the mean score of each image over its classes that have one; NaN if none has.

        Args:
            metric: Name of the score.
            counted: Classes that count; None for all.
        """
        total, n = np.zeros(len(self)), np.zeros(len(self))
        for (name, of_class), column in self._columns.items():
            if name == metric and (counted is None or of_class in counted):
                scores = self._values[:, column]
                known = np.isfinite(scores)
                total[known] += scores[known]
                n += known
        return np.divide(total, n, out=np.full(len(self), np.nan), where=n > 0)


def _read(value: Any) -> ImageScores:
    """Return a field's value, in whichever form, as an `ImageScores`; an image may be called "images", too.

    Raises:
        ValueError: If it is none of these forms; in one line, without the name of the field.
    """
    if isinstance(value, dict) and isinstance(value.get("images"), list):
        return ImageScores.of(Table(**value))
    if isinstance(value, (ImageScores, Table)):
        return ImageScores.of(value)
    try:
        return ImageScores(_BY_IMAGE.validate_python(value))
    except ValidationError as error:
        raise_one_line(error, Table)
