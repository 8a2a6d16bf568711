"""The scores of a test set: means, counts and the policy for empty masks."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch

from support.maps import logits_of
from unetzoo.errors import UnetzooError
from unetzoo.metrics.policy import OVERLAP, SURFACE, Scoring
from unetzoo.metrics.score import Scores
from unetzoo.records.parts import Result

VOID = 255
NAMES = ("background", "cell", "edge")


def scored(*images: tuple[str, torch.Tensor, torch.Tensor], scoring: Scoring | None = None) -> dict[str, Any]:
    scores = Scores(NAMES, (1, 2), VOID, scoring or Scoring())
    for key, prediction, truth in images:
        scores.add(key, logits_of(prediction), truth)
    return scores.result()


def square(value: int, top: int = 2, left: int = 2, size: int = 4) -> torch.Tensor:
    mask = torch.zeros(12, 16, dtype=torch.long)
    mask[top : top + size, left : left + size] = value
    return mask


def test_a_result_fills_a_record_and_is_json() -> None:
    found = scored(("a", square(1), square(1)), ("b", square(1), square(2)), ("c", square(0), square(1)))
    record = Result(**found, best_step=1, best_val_dice=None)
    assert Result.from_json(record.model_dump_json(), "round trip") == record
    assert set(found["foreground"]) == set(found["per_image"]["a"]) == {*OVERLAP, *SURFACE}
    assert set(found["per_class"]["background"]) == set(found["pooled"]["cell"]) == set(OVERLAP)
    assert set(found["per_image"]["a"]["hd95"]) == {"cell", "edge"}
    assert found["per_image"]["a"]["hd95"] == {"cell": 0, "edge": None}


def test_every_kind_of_emptiness_is_counted_and_scored() -> None:
    found = scored(
        ("hit", square(1), square(1)),
        ("miss", square(0), square(1)),
        ("false alarm", square(1), square(0)),
        ("nothing", square(0), square(0)),
        ("beside", square(1, left=10), square(1)),
    )
    assert found["undefined"] == {"background": 0, "cell": 1, "edge": 5}
    assert found["missed"] == {"background": 0, "cell": 2, "edge": 0}  # a near miss is a miss
    assert found["false_alarms"] == {"background": 0, "cell": 1, "edge": 0}
    assert found["penalised"] == {"cell": 2, "edge": 0}
    cell = {metric: {key: found["per_image"][key][metric]["cell"] for key in found["per_image"]} for metric in SURFACE}
    assert cell["hd95"] == {"hit": 0, "miss": 20, "false alarm": 20, "nothing": None, "beside": pytest.approx(8)}
    assert cell["nsd"] == {"hit": 1, "miss": 0, "false alarm": 0, "nothing": None, "beside": 0}
    assert found["per_class"]["cell"]["hd95"] == pytest.approx((0 + 20 + 20 + 8) / 4)
    assert found["per_class"]["edge"]["hd95"] is None
    for metric in ("dice", "iou", "precision", "recall"):
        scores = {key: found["per_image"][key][metric]["cell"] for key in found["per_image"]}
        assert scores == {"hit": 1, "miss": 0, "false alarm": 0, "nothing": None, "beside": 0}
        assert found["per_class"]["cell"][metric] == found["foreground"][metric] == 0.25
    assert found["per_image"]["nothing"]["specificity"] == {"background": None, "cell": 1, "edge": 1}
    assert found["pooled"]["cell"]["dice"] == pytest.approx(2 * 16 / (3 * 16 + 3 * 16), abs=1e-6)
    assert found["policy"]["both_empty"] == "exclude"
    assert found["policy"]["unit"] == "px"


def test_empty_against_empty_may_be_perfect() -> None:
    images = (("hit", square(1), square(1)), ("nothing", square(0), square(0)), ("miss", square(0), square(1)))
    found = scored(*images, scoring=Scoring(both_empty="perfect"))
    assert found["undefined"] == {"background": 0, "cell": 1, "edge": 3}
    assert found["per_class"]["cell"]["dice"] == pytest.approx(2 / 3, abs=1e-6)
    assert found["per_class"]["cell"]["hd95"] == pytest.approx(20 / 3, abs=1e-6)
    assert found["per_image"]["nothing"]["nsd"] == {"cell": 1, "edge": 1}
    assert found["per_image"]["nothing"]["assd"] == {"cell": 0, "edge": 0}
    assert found["foreground"]["dice"] == pytest.approx((1 + 1 + 0.5) / 3, abs=1e-6)
    assert found["policy"]["rules"]["empty against empty"].startswith("overlaps, NSD")


@pytest.mark.parametrize("both_empty", ["exclude", "perfect"])
def test_an_image_whose_every_pixel_is_ignored_has_no_score(both_empty: str) -> None:
    """It leaves the others' means and counts as they are, whether or not something is predicted there."""
    scoring = Scoring(both_empty=both_empty, isbi="edge")
    images = [("hit", square(1), square(1)), ("nothing", square(0), square(0))]
    void = torch.full_like(square(0), 255)
    before = scored(*images, scoring=scoring)
    after = scored(*images, ("void", square(1), void), ("void too", square(0), void), scoring=scoring)
    for field in ("dice", "iou", "foreground", "per_class", "pooled", "missed", "false_alarms", "penalised", "isbi"):
        assert after[field] == before[field], field
    for key in ("void", "void too"):
        assert {score for of_class in after["per_image"][key].values() for score in of_class.values()} == {None}
    assert after["undefined"]["cell"] == before["undefined"]["cell"] + 2


def test_more_misses_make_hd95_worse() -> None:
    """In MONAI a missed object becomes NaN, which improves the mean over the others."""
    images = [(str(i), square(1, left=2 + i), square(1)) for i in range(4)]
    before = scored(*images)["foreground"]["hd95"]
    for i in range(4):
        images[i] = (str(i), square(0), square(1))
        after = scored(*images)["foreground"]["hd95"]
        assert after > before
        before = after


def test_void_pixels_count_nowhere() -> None:
    """Predictions where the truth is void do not matter; the scores are as if both masks were cut there."""
    truth = square(1)
    truth[:, 5] = VOID
    plain, other = square(1), square(1)
    other[:, 5] = 2
    a, b = scored(("x", plain, truth)), scored(("x", other, truth))
    assert a.pop("predictions") != b.pop("predictions")
    assert a.pop("calibration") == pytest.approx(b.pop("calibration"))
    assert a == b
    assert a["foreground"]["dice"] == a["foreground"]["nsd"] == 1
    assert a["undefined"]["edge"] == 1
    blank = scored(("x", plain, torch.full_like(truth, VOID)))
    assert blank["dice"] is None
    assert blank["calibration"] == {"brier": None, "ece": None}


def test_means_are_over_classes_then_images_and_pooled_is_not() -> None:
    truth = square(1)
    truth[8:10, 8:10] = 2
    half = truth.clone()
    half[8, 8:10] = 0  # half of the edge class is not found
    found = scored(("a", half, truth), ("b", square(1), square(1)))
    of_edge = 2 * 2 / (2 + 4)
    assert found["dice"] == pytest.approx(((1 + of_edge) / 2 + 1) / 2, abs=1e-6)
    assert found["per_class"]["edge"]["dice"] == pytest.approx(of_edge, abs=1e-6)
    assert found["pooled"]["edge"]["recall"] == 0.5
    assert found["per_image"]["a"]["recall"]["edge"] == 0.5


def test_units_reach_the_distances() -> None:
    one = scored(("a", square(1, left=5), square(1)))
    two = scored(("a", square(1, left=5), square(1)), scoring=Scoring(spacing=(0.5, 0.5), unit="um", tolerance=1.0))
    assert two["foreground"]["hd95"] == pytest.approx(one["foreground"]["hd95"] / 2)
    assert two["foreground"]["nsd"] == one["foreground"]["nsd"]
    assert two["foreground"]["boundary_iou"] == one["foreground"]["boundary_iou"]
    assert "um" in two["policy"]["rules"]["miss"]


def test_predictions_are_hashed_whatever_the_order() -> None:
    a, b = ("a", square(1), square(1)), ("b", square(2), square(2))
    assert scored(a, b)["predictions"] == scored(b, a)["predictions"]
    swapped = scored(("a", square(2), square(2)), ("b", square(1), square(1)))
    assert len({scored(a, b)["predictions"], scored(a)["predictions"], swapped["predictions"]}) == 3
    assert len(scored(a)["predictions"]) == 16
    assert scored(("c", square(1), square(1)))["predictions"] != scored(a)["predictions"]
    turned = square(0).T.contiguous()  # the same bytes in another shape
    assert scored(("a", turned, turned))["predictions"] != scored(("a", square(0), square(0)))["predictions"]


def test_class_maps_alone_have_no_calibration_and_the_same_scores() -> None:
    scores = Scores(NAMES, (1, 2), VOID, Scoring())
    scores.add_map("a", square(1, left=3), square(1))
    found, other = scores.result(), scored(("a", square(1, left=3), square(1)))
    assert found.pop("calibration") == {"brier": None, "ece": None}
    assert 0 < other.pop("calibration")["brier"] < 2
    assert found == other
    scores.add("b", logits_of(square(1)), square(1))  # scores of half the images would mislead
    assert scores.result()["calibration"] == {"brier": None, "ece": None}
    mixed = Scores(NAMES, (1, 2), VOID, Scoring())
    mixed.add("b", logits_of(square(1)), square(1))
    mixed.add_map("a", square(1), square(1))
    assert mixed.result()["calibration"] == {"brier": None, "ece": None}
    matrix = scores.matrices["a"]
    assert matrix.dtype == torch.int64
    assert matrix.tolist() == [[172, 4, 0], [4, 12, 0], [0, 0, 0]]


def test_mistakes_get_one_line() -> None:
    scores = Scores(NAMES, (1, 2), VOID, Scoring())
    with pytest.raises(UnetzooError, match="no image"):
        scores.result()
    scores.add("a", logits_of(square(1)), square(1))
    with pytest.raises(UnetzooError, match="'a' is scored twice"):
        scores.add("a", logits_of(square(1)), square(1))
    with pytest.raises(UnetzooError, match=r"b: logits \(3, 12, 16\) do not fit 3 classes and a mask \(16, 12\)"):
        scores.add("b", logits_of(square(1)), square(1).T)
    with pytest.raises(UnetzooError, match="does not fit"):
        scores.add_map("b", square(1), square(1).T)


# --- the policy ---------------------------------------------------------------------------------------------------


def test_scoring_is_read_from_a_table() -> None:
    found = Scoring.from_mapping({"spacing": [0.5, 0.25], "unit": "um", "both_empty": "perfect"}, "x.toml")
    assert (found.spacing, found.unit, found.both_empty, found.tolerance) == ((0.5, 0.25), "um", "perfect", 2)
    assert Scoring.from_mapping({"spacing": 2}, "x.toml").spacing == (2, 2)
    assert Scoring.from_json(found.model_dump_json(), "again") == found


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"spacing": 0}, "above 0"),
        ({"spacing": [1, -2]}, "above 0"),
        ({"spacing": "wide"}, "spacing"),
        ({"spacing": True}, "spacing"),
        ({"tolerance": -1}, "tolerance"),
        ({"both_empty": "one"}, "exclude, perfect"),
        ({"tolerence": 1}, "did you mean tolerance"),
        ({"ece_bins": 0}, "ece_bins"),
        ({"boundary": 2}, "boundary"),
    ],
)
def test_a_wrong_table_gets_one_line(table: dict[str, Any], words: str) -> None:
    with pytest.raises(UnetzooError, match=words) as caught:
        Scoring.from_mapping(table, "x.toml")
    assert str(caught.value).startswith("x.toml: ")
    assert "\n" not in str(caught.value)


def test_the_policy_is_read_without_torch() -> None:
    code = "import sys, unetzoo.metrics.policy; sys.exit('torch' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
