"""The scores of a record's test images in one array, a twentieth of the memory of the dictionaries in its file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

Scores = Mapping[str, Mapping[str, float | None]]  # metric -> class -> score


class ImageScores(Mapping[str, Scores]):
    """Read-only `Result.per_image`: key of the image, sorted -> metric -> class -> score.

    Every image has every (metric, class) that one of them has; None where it has no score.

    Args:
        per_image: The scores as a record's file has them.
    """

    __slots__ = ("_columns", "_rows", "_values")

    @classmethod
    def of(cls, per_image: Mapping[str, Scores]) -> ImageScores:
        """Return the scores themselves if they are an `ImageScores`, else as one."""
        return per_image if isinstance(per_image, ImageScores) else cls(per_image)

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
