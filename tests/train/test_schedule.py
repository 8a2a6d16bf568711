"""Learning rates over a budget, and the end of a training that goes on until it has converged."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unetzoo.train.history import History
from unetzoo.train.recipe import Recipe
from unetzoo.train.schedule import converging_rate, cooldown_from, has_converged, learning_rate


def converging(**options: object) -> Recipe:
    return Recipe.from_mapping({"recipe": "modern", "until": "converged", "lr": 1.0, **options}, "test")


def test_polynomial_decay() -> None:
    recipe = Recipe(recipe="modern", schedule="poly", warmup=0.0, lr=2.0)
    assert [learning_rate(x, recipe) for x in (0.0, 0.5, 1.0)] == pytest.approx([2.0, 2 * 0.5**0.9, 0.0])
    assert learning_rate(1.2, recipe) == 0  # of a budget in minutes, which is overstepped by up to a step


@settings(max_examples=100, deadline=None)
@given(st.integers(10, 5000), st.floats(0, 1))
def test_the_rate_warms_up_stays_and_falls_to_zero(most: int, when: float) -> None:
    recipe = converging(most_steps=most)
    warm = min(200, most // 10)
    first = warm + 1 + round(when * (most - warm - 1))
    rates = [converging_rate(step, None, recipe) for step in range(1, first)]
    assert rates[:warm] == sorted(rates[:warm])
    assert all(0 < rate <= 1 for rate in rates)
    assert all(rate == 1 for rate in rates[warm:])
    falling = [converging_rate(step, (first, most), recipe) for step in range(max(first, warm + 1), most + 1)]
    assert falling == sorted(falling, reverse=True)
    assert all(0 < rate < 1 for rate in falling)


def curve(*scores: float) -> History:
    return History(val_curve=[(10 * n, 1.0, score) for n, score in enumerate(scores, 1)])


def test_converged_is_no_rise_of_the_best_over_the_patience() -> None:
    recipe = converging(patience=2, min_delta=0.01)
    assert not has_converged(curve(0.5, 0.5), recipe)  # no validation before the two
    assert has_converged(curve(0.5, 0.505, 0.509), recipe)
    assert not has_converged(curve(0.5, 0.505, 0.511), recipe)
    assert not has_converged(curve(0.5, 0.6, 0.1), recipe)
    assert has_converged(curve(0.5, 0.6, 0.1, 0.2), recipe)


def test_while_nothing_is_found_the_loss_decides() -> None:
    recipe = converging(patience=2, min_delta=0.01)
    falling = History(val_curve=[(n, 1.0 / n, 0.0) for n in range(1, 6)])
    flat = History(val_curve=[(n, 1.0, None) for n in range(1, 6)])
    assert not has_converged(falling, recipe)
    assert has_converged(flat, recipe)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 9999), st.booleans(), st.integers(10, 10_000))
def test_the_fall_begins_after_the_step_and_ends_by_the_most_steps(step: int, converged: bool, most: int) -> None:
    if step >= most:
        return
    found = cooldown_from(step, converged, converging(most_steps=most))
    if found is None:
        assert not converged
        assert step < most / 1.25
    else:
        assert found[0] == step + 1
        assert step < found[1] <= most
        assert converged or found[1] == most
