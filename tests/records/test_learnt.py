"""Runs that did not learn, seeds in two camps, and runs that were still rising."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.records import record
from unetzoo.records.learnt import camps, images_with, still_rising, unlearnt
from unetzoo.records.record import Record


def made(*args: Any, result: dict[str, Any] | None = None, **change: Any) -> Record:
    fields = record(*args, **change)
    if fields["result"]:
        fields["result"] |= {"missed": {"interior": 0, "membrane": 0}, **(result or {})}
    return Record.model_validate_json(json.dumps(fields))


def trivial(label: str, dice: float, val: float | None) -> Record:
    return made(label, dice=dice, baseline=True, result={"best_val_dice": val})


TRIVIAL = [trivial("otsu", 0.30, 0.40), trivial("position prior", 0.35, 0.38)]


@pytest.mark.parametrize(("val", "learnt"), [(0.41, True), (0.40, False), (0.39, False)])
def test_validation_decides_and_a_tie_is_not_enough(val: float, learnt: bool) -> None:
    """Test scores say the opposite."""
    found = unlearnt(made(dice=0.2 if learnt else 0.9, result={"best_val_dice": val}), TRIVIAL)
    assert (found is None) == learnt
    if found:
        assert found.kind == "trivial"
        assert found.reason == f"validation Dice {val:.3f} is not above the 0.400 of 'otsu'"


@settings(deadline=None)
@given(val=st.floats(0, 1), others=st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_a_run_learnt_if_it_is_above_every_trivial_predictor(val: float, others: list[float]) -> None:
    baselines = [trivial(f"b{i}", dice=0.5, val=other) for i, other in enumerate(others)]
    found = unlearnt(made(dice=0.5, result={"best_val_dice": val}), baselines)
    assert (found is None) == all(val > other for other in others)


def test_test_scores_stand_in_where_a_trivial_predictor_has_no_validation_score() -> None:
    older = [trivial("otsu", 0.30, None), TRIVIAL[1]]
    assert unlearnt(made(dice=0.36, result={"best_val_dice": 0.1}), older) is None
    found = unlearnt(made(dice=0.35, result={"best_val_dice": 0.9}), older)
    assert found is not None
    assert found.reason == (
        "test Dice 0.350 is not above the 0.350 of 'position prior' (not validation Dice, of which some trivial "
        "predictors have none on record)"
    )


def test_test_scores_stand_in_where_the_run_has_no_validation_score() -> None:
    found = unlearnt(made(dice=0.1, result={"best_val_dice": None}), TRIVIAL)
    assert found is not None
    assert "of which this run has none" in found.reason


def test_nothing_is_said_of_failures_or_without_trivial_predictors() -> None:
    assert unlearnt(made(status="crashed"), TRIVIAL) is None
    assert unlearnt(made(dice=0.0, result={"best_val_dice": 0.0}), []) is None
    failed = made("otsu", status="crashed", baseline=True)
    assert unlearnt(made(dice=0.0, result={"best_val_dice": 0.0}), [failed]) is None


def test_constant_predictions_have_not_learnt_whatever_the_score() -> None:
    found = unlearnt(made(dice=0.9, result={"best_val_dice": 0.9}, flags=[{"kind": "constant", "text": "all 1"}]), [])
    assert found is not None
    assert (found.kind, found.reason) == ("constant", "all 1")


@pytest.mark.parametrize(("missed", "learnt"), [(9, True), (10, False)])
def test_a_class_missed_in_over_nine_tenths_of_its_images(missed: int, learnt: bool) -> None:
    """10 of 14 images have it: one is undefined, three are false alarms."""
    result = {"missed": {"interior": 0, "membrane": missed}, "undefined": {"membrane": 1, "interior": 0}}
    run = made(images=14, result=result | {"false_alarms": {"membrane": 3, "interior": 0}})
    assert run.result is not None
    assert images_with(run.result, "membrane") == 10
    found = unlearnt(run, [])
    assert (found is None) == learnt
    if found:
        assert found.kind == "missed"
        assert found.reason == "'membrane' is missed in 10 of the 10 test images with it"


def test_the_background_may_be_missed_and_a_class_in_no_image_is_not_missed() -> None:
    assert unlearnt(made(images=5, result={"missed": {"interior": 5, "membrane": 0}}), []) is None
    nowhere = {"missed": {"interior": 0, "membrane": 0}, "undefined": {"membrane": 5, "interior": 0}}
    assert unlearnt(made(images=5, result=nowhere), []) is None


def test_several_missed_classes_are_counted_and_the_worst_is_named() -> None:
    data = {"class_names": ["road", "pole", "car", "sign"], "foreground": [0, 1, 2, 3]}
    missed = {"road": 0, "pole": 19, "car": 20, "sign": 3}
    found = unlearnt(made(images=20, data=data, result={"missed": missed}), [])
    assert found is not None
    assert found.reason == "'car' is missed in 20 of the 20 test images with it, and 1 more of 4 classes"


@settings(deadline=None)
@given(st.lists(st.floats(0.41, 1), max_size=6), st.randoms())
def test_camps_do_not_depend_on_the_order_of_records(scores: list[float], random: Random) -> None:
    runs = seeds(*scores)
    mixed = random.sample(runs, len(runs))
    assert camps(runs, TRIVIAL) == camps(mixed, TRIVIAL)


def seeds(*scores: float) -> list[Record]:
    return [made("unet", seed, dice=score, result={"best_val_dice": score}) for seed, score in enumerate(scores)]


def test_seeds_of_which_some_learnt_are_two_camps() -> None:
    assert camps(seeds(0.612, 0.0), TRIVIAL) == "1 of 2 seeds did not learn (seed 1)"
    assert camps(seeds(0.1, 0.612, 0.0), TRIVIAL) == "2 of 3 seeds did not learn (seeds 0, 2)"
    assert camps(seeds(0.1, 0.0), TRIVIAL) is None  # no seed learnt, which `unlearnt` says


@pytest.mark.parametrize(
    ("scores", "split"),
    [
        ((0.80, 0.52, 0.81), True),
        ((0.80, 0.81, 0.82, 0.52, 0.55, 0.53), True),
        ((0.80, 0.85, 0.66), False),  # the gap is not three times the upper camp's width
        ((0.80, 0.81, 0.72), False),  # less than 0.1
        ((0.5, 0.6, 0.7, 0.8, 0.9), False),
        ((0.52, 0.81), False),  # too few
        ((), False),
    ],
)
def test_a_gap_between_the_scores_makes_two_camps(scores: tuple[float, ...], split: bool) -> None:
    found = camps(seeds(*scores), TRIVIAL)
    assert (found is not None) == split
    if len(scores) == 3 and found:
        assert found == "the seeds fall in two camps: test Dice up to 0.520 (seed 1) and from 0.800 (the others)"


@pytest.mark.parametrize(
    ("best", "val", "rising"),
    [
        (10, [[5, 0.5, 0.6], [10, 0.4, 0.7]], True),
        (5, [[5, 0.5, 0.8], [10, 0.4, 0.7]], False),
        (10, [[10, 0.4, 0.7]], False),  # one validation shows no direction
    ],
)
def test_a_best_checkpoint_at_the_end_was_still_rising(best: int, val: list[list[float]], rising: bool) -> None:
    curves = {"train": [], "val": val}
    assert still_rising(made(curves=curves, result={"best_step": best})) is rising
    for ended in ("budget", "most_steps", "converged"):
        run = made(curves=curves, result={"best_step": best, "ended": ended})
        assert still_rising(run) is (rising and ended != "converged")
    assert not still_rising(made(status="crashed"))
    assert not still_rising(made(baseline=True, curves=curves, result={"best_step": best}))
