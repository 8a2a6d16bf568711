"""The scoring policy: names of all metrics, and the conventions for cases where libraries differ.

Suites and reports import this module, so it does not import torch.

In an image a class may be absent from the truth, the prediction or both, and libraries differ most there. The rules:

- *Empty against empty* (the class is neither true nor predicted): ``both_empty`` decides. By default the class is left
  out of that image's means. It is counted in ``undefined`` in any case.
- *Miss* (true, not predicted) and *false alarm* (predicted, not true): Dice and IoU are 0 by arithmetic. Precision of
  a miss and recall of a false alarm are 0/0 and set to 0. NSD and boundary IoU are 0. HD95 and ASSD, which have no
  finite value, are set to the image diagonal. It is longer than any distance between two pixels, so a miss is worse
  than every hit and never left out. Both are counted in ``penalised``.
- *Specificity* is TN / (TN + FP), so it is 1 for a class that is neither true nor predicted. For a class that is true
  at every pixel it is 0/0 and always left out.
- *Ignored pixels* belong to no mask: they are left out of every count and removed from both masks before edges are
  found. An image of nothing else has no score, whatever ``both_empty`` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, field_validator

from unetzoo.errors import Strict, UnetzooError, nearest

OVERLAP = ("dice", "iou", "precision", "recall", "specificity")
SURFACE = ("nsd", "hd95", "assd", "boundary_iou")
# Scores of a predicted class map, and the best over thresholds of a probability map; see `unetzoo.metrics.isbi`.
ISBI = ("v_rand", "v_rand_split", "v_rand_merge", "v_info", "v_info_split", "v_info_merge")
ISBI += ("rand_error", "pixel_error", "warping_error", "split_merge_error")
ISBI_BEST = ("v_rand_max", "v_info_max", "rand_error_min", "pixel_f_error_min", "split_merge_error_min")
MARGIN = 0.01  # Dice
DISTANCES = ("hd95", "assd")  # lengths, lower is better; all others of OVERLAP and SURFACE are shares


class Scoring(Strict):
    """The ``[score]`` table of a suite; without one the defaults apply.

    A single number for ``spacing`` stands for height and width. HD95, ASSD and ``tolerance`` are in ``unit``. The width
    of the boundary IoU is measured in pixels whatever the spacing, as Cheng et al. (arXiv 2103.16562) define it.
    ``margin`` is read by the report alone: it changes no score, and is no part of a trial's id.
    """

    both_empty: Literal["exclude", "perfect"] = Field(
        "exclude", description="leave out or score as perfect a class that is neither true nor predicted in an image"
    )
    tolerance: float = Field(
        2.0, ge=0, description="distance up to which surface Dice (NSD) counts edges as matching, in units"
    )
    spacing: tuple[float, float] = Field((1.0, 1.0), description="height and width of a pixel in units")
    unit: str = Field("px", min_length=1, description="unit of length")
    boundary: float = Field(0.02, gt=0, le=1, description="width of the boundary IoU as a share of the image diagonal")
    ece_bins: int = Field(15, ge=1, description="number of equal-width bins of the expected calibration error")
    isbi: str | None = Field(None, description="class whose pixels separate objects; adds the ISBI 2012 scores")
    margin: float = Field(
        MARGIN,
        ge=0,
        allow_inf_nan=False,
        description="largest difference in Dice that does not matter; within it, the report calls variants equivalent",
    )

    @field_validator("spacing", mode="before")
    @classmethod
    def _pair(cls, value: Any) -> Any:
        """Turn a single number into a pair."""
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return (value, value)
        return tuple(value) if isinstance(value, list) else value

    @field_validator("spacing")
    @classmethod
    def _positive(cls, value: tuple[float, float]) -> tuple[float, float]:
        if min(value) <= 0:
            raise ValueError(f"height and width of a pixel are {list(value)}, but must be above 0")
        return value

    def separator(self, class_names: Sequence[str]) -> int | None:
        """Return the index of the class that separates objects, or None if ``isbi`` is not set.

        Args:
            class_names: Names of the data set's classes.

        Raises:
            UnetzooError: If ``isbi`` is not one of them.
        """
        if self.isbi is None:
            return None
        if self.isbi not in class_names:
            raise UnetzooError(
                f"score.isbi = {self.isbi!r} is not a class of the data set; {nearest(self.isbi, class_names)}"
            )
        return list(class_names).index(self.isbi)

    def describe(self) -> dict[str, Any]:
        """Return the options and the rules in words, for a record."""
        empty = {
            "exclude": "left out of every mean (specificity is 1)",
            "perfect": "overlaps, NSD and boundary IoU 1, HD95 and ASSD 0, unless every pixel is ignored",
        }
        penalty = f"0 for overlaps, NSD and boundary IoU; the image diagonal in {self.unit} for HD95 and ASSD"
        return {
            **self.model_dump(mode="json", exclude={"margin"}),
            "rules": {
                "empty against empty": f"{empty[self.both_empty]}; counted in 'undefined'",
                "miss": f"{penalty}; counted in 'penalised'",
                "false alarm": f"{penalty}; counted in 'penalised' and 'false_alarms'",
                "ignored pixels": "left out of every count and removed from both masks",
                "mean": "over the foreground classes of an image, then over images",
                "surface metrics": "foreground classes only",
                **({"ISBI 2012 scores": f"boundary is class {self.isbi}, interior all others"} if self.isbi else {}),
            },
        }
