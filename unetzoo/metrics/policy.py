"""What is scored, and by which conventions: the one object that decides. No torch in here: suites and reports read it.

Per image and class the truth or the prediction, or both, may be empty, and libraries differ most there. The rules:

- *Empty against empty* (the class is neither true nor predicted): ``both_empty``. By default the class is left out of
  that image's means. It is counted in ``undefined`` either way.
- *Miss* (true, not predicted) and *false alarm* (predicted, not true): Dice and IoU are 0 by arithmetic. Precision of
  a miss and recall of a false alarm are 0/0 and set to 0. NSD and boundary IoU are 0. HD95 and ASSD, which have no
  finite value, are the image diagonal: longer than any distance between two pixels, so a miss is worse than every hit
  and never left out. Counted in ``penalised``.
- *Specificity* is TN / (TN + FP), so 1 where a class is neither true nor predicted; where the class is true at every
  pixel it is 0/0 and always left out.
- *Ignored pixels* belong to no mask: they are left out of every count and removed from both masks before edges are
  sought.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, field_validator

from unetzoo.errors import Strict, UnetzooError, nearest

OVERLAP = ("dice", "iou", "precision", "recall", "specificity")
SURFACE = ("nsd", "hd95", "assd", "boundary_iou")
# of a predicted class map, and the best over thresholds of a probability; see `unetzoo.metrics.isbi`
ISBI = ("v_rand", "v_rand_split", "v_rand_merge", "v_info", "v_info_split", "v_info_merge")
ISBI += ("rand_error", "pixel_error", "warping_error", "split_merge_error")
ISBI_BEST = ("v_rand_max", "v_info_max", "rand_error_min", "pixel_f_error_min", "split_merge_error_min")
DISTANCES = ("hd95", "assd")  # lengths in ``unit``, lower is better; OVERLAP and the rest of SURFACE are shares


class Scoring(Strict):
    """The ``[score]`` table of a suite. The defaults are the policy of a suite that says nothing.

    ``spacing`` is the height and width of a pixel in ``unit``, and one number stands for both. HD95, ASSD and
    ``tolerance`` are in ``unit``. ``boundary`` is in pixels whatever the spacing, as Cheng et al. (arXiv 2103.16562)
    define it.
    """

    both_empty: Literal["exclude", "perfect"] = Field(
        "exclude", description="a class neither true nor predicted in an image: left out, or scored as perfect"
    )
    tolerance: float = Field(2.0, ge=0, description="surface Dice (NSD) forgives edges this far apart; in units")
    spacing: tuple[float, float] = Field((1.0, 1.0), description="height and width of a pixel in units")
    unit: str = Field("px", min_length=1)
    boundary: float = Field(0.02, gt=0, le=1, description="boundary IoU: width as a share of the image diagonal")
    ece_bins: int = Field(15, ge=1, description="equal-width bins of the expected calibration error")
    isbi: str | None = Field(None, description="the class whose pixels separate objects; asks for the ISBI 2012 scores")

    @field_validator("spacing", mode="before")
    @classmethod
    def _pair(cls, value: Any) -> Any:
        """``spacing = 0.5`` is [0.5, 0.5]."""
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return (value, value)
        return tuple(value) if isinstance(value, list) else value

    @field_validator("spacing")
    @classmethod
    def _positive(cls, value: tuple[float, float]) -> tuple[float, float]:
        if min(value) <= 0:
            raise ValueError(f"a pixel must have a size above 0; got {list(value)}")
        return value

    def separator(self, class_names: Sequence[str]) -> int | None:
        """The index of the class ``isbi`` names, None where it names none. Raises `UnetzooError` on an unknown one."""
        if self.isbi is None:
            return None
        if self.isbi not in class_names:
            raise UnetzooError(
                f"score.isbi = {self.isbi!r} is no class of the data set; {nearest(self.isbi, class_names)}"
            )
        return list(class_names).index(self.isbi)

    def describe(self) -> dict[str, Any]:
        """Options and rules in words, for a record."""
        empty = {
            "exclude": "left out of every mean (specificity is 1)",
            "perfect": "overlaps, NSD and boundary IoU 1, HD95 and ASSD 0",
        }
        penalty = f"0 for overlaps, NSD and boundary IoU; the image diagonal in {self.unit} for HD95 and ASSD"
        return {
            **self.model_dump(mode="json"),
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
