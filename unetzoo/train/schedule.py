"""Learning rates: over a budget, or until a training has converged."""

from __future__ import annotations

import math

from unetzoo.train.history import History
from unetzoo.train.recipe import CONVERGED_PATIENCE, Recipe

POWER = 0.9  # of the polynomial decay (Chen et al. 2016, arXiv 1606.00915)
WARMUP_STEPS = 200  # of a training without a budget
COOLDOWN = 0.25  # its final fall to zero, as a share of the steps before


def learning_rate(spent: float, recipe: Recipe) -> float:
    """Return the learning rate of a training with a budget: a linear warm-up, then the recipe's schedule.

    Args:
        spent: Share of the budget that is spent, from 0 to 1.
        recipe: The recipe, which has peak, warm-up and schedule.
    """
    if spent < recipe.warmup:
        return recipe.lr * spent / recipe.warmup
    rest = min(1.0, (spent - recipe.warmup) / (1 - recipe.warmup))
    if recipe.schedule == "constant":
        return recipe.lr
    if recipe.schedule == "poly":
        return recipe.lr * (1 - rest) ** POWER
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * rest))


def converging_rate(step: int, cooldown: tuple[int, int] | None, recipe: Recipe) -> float:
    """Return the learning rate of a training until it has converged: warm-up, constant, and a fall to zero at the end.

    Args:
        step: Number of the step, from 1.
        cooldown: First and last step of the fall; None before it has begun.
        recipe: The recipe, which has the peak.

    References:
        Haegele et al. 2024, arXiv 2405.18392: a constant rate with a fall of the form 1 - sqrt(t) does as well as a
        cosine, and its length need not be known beforehand.
    """
    warmup = min(WARMUP_STEPS, recipe.most_steps // 10)
    if step <= warmup:
        return recipe.lr * (step - 0.5) / warmup
    if cooldown is None:
        return recipe.lr
    first, last = cooldown
    return recipe.lr * (1 - math.sqrt((step - first + 0.5) / (last - first + 1)))


def has_converged(history: History, recipe: Recipe) -> bool:
    """Return True if the best validation has not risen by more than ``min_delta`` over ``patience`` validations.

    Dice counts, or while it is 0 or not defined, the loss.

    Args:
        history: The course of the training.
        recipe: The recipe.
    """
    span = recipe.patience or CONVERGED_PATIENCE
    if len(history.val_curve) <= span:
        return False
    merits = [dice or 0.0 for _, _, dice in history.val_curve]
    if not any(merits):
        merits = [-loss for _, loss, _ in history.val_curve]
    return max(merits) - max(merits[:-span]) <= recipe.min_delta


def cooldown_from(step: int, converged: bool, recipe: Recipe) -> tuple[int, int] | None:
    """Return first and last step of the final fall if it begins after this step, else None.

    Args:
        step: Number of the step that is done.
        converged: Whether the training has converged.
        recipe: The recipe, which has the most steps.
    """
    if not converged and step < math.floor(recipe.most_steps / (1 + COOLDOWN)):
        return None
    length = max(recipe.validate_every, round(COOLDOWN * step)) if converged else recipe.most_steps
    return step + 1, min(step + length, recipe.most_steps)
