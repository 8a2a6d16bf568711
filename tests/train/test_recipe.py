"""Recipes by name, options that would have no effect, and what a changed recipe keeps."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from unetzoo.bench.expand import expand
from unetzoo.bench.suite import Suite
from unetzoo.errors import UnetzooError
from unetzoo.train.loop import make_optimizer
from unetzoo.train.losses import cross_entropy, loss_of, soft_dice_loss, supervised_loss
from unetzoo.train.presets import DEFAULT, PRESETS
from unetzoo.train.recipe import Recipe


@pytest.mark.parametrize("name", PRESETS)
def test_a_recipe_is_its_options_and_survives_json(name: str) -> None:
    recipe = Recipe.from_mapping({"recipe": name}, "test")
    for option, value in PRESETS[name].items():  # type: ignore[index]
        assert recipe.model_dump()[option] == value
    assert Recipe.from_mapping(recipe.model_dump(), "again") == recipe


@pytest.mark.parametrize("one", PRESETS)
@pytest.mark.parametrize("other", PRESETS)
def test_another_recipe_leaves_nothing_of_the_first_but_the_budget(one: str, other: str) -> None:
    first = Recipe.from_mapping({"recipe": one, "steps": 77, "crop": 64}, "test")
    expected = Recipe.from_mapping({"recipe": other, "steps": 77, "crop": 64}, "test")
    assert first.changed({"recipe": other}, "test") == expected


def test_a_suite_without_a_recipe_has_the_default_one() -> None:
    assert Suite(name="s", models=["unet"]).train.recipe == DEFAULT  # type: ignore[list-item]
    assert Suite(name="s", models=["unet"], train={"lr": 0.1}).train.recipe == DEFAULT  # type: ignore


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"momentum": 0.5}, r"momentum = 0.5 has no effect without optimizer = 'sgd'"),
        ({"nesterov": True}, r"nesterov = True has no effect without optimizer = 'sgd'"),
        ({"min_delta": 0.1}, r"min_delta = 0.1 has no effect without until = 'converged'"),
        ({"most_steps": 99}, r"most_steps = 99 has no effect without until = 'converged'"),
        ({"until": "converged", "schedule": "poly"}, r"schedule = 'poly' has no effect with until"),
        (
            {"loss": "cross_entropy", "recipe": "modern", "dice_classes": "foreground"},
            r"dice_classes = 'foreground' has",
        ),
        ({"until": "converged", "steps": 5}, r"steps and until are given; give only one of them as the budget"),
        ({"until": "converged", "minutes": 5.0}, r"minutes and until are given"),
        ({"until": "done"}, r"until = 'done' is not a choice; allowed: converged"),
        ({"foreground": 1.5}, r"foreground = 1.5: input should be less than or equal to 1"),
        ({"ema": 1.0}, r"ema = 1.0: input should be less than 1"),
        (
            {"border": {"w0": 1.0}, "class_weights": "median_frequency"},
            r"class_weights = 'median_frequency' and border",
        ),
        ({"until": "converged", "tune": {"lr": [0.1, 0.2]}}, r"tune needs steps of its own with until"),
    ],
)
def test_what_has_no_effect_or_cannot_be_is_one_line(options: dict[str, object], message: str) -> None:
    with pytest.raises(UnetzooError, match=message) as error:
        Recipe.from_mapping(options, "suite.toml: train")
    assert "\n" not in str(error.value)


def test_another_budget_replaces_until_and_its_options() -> None:
    base = Recipe(until="converged", most_steps=500, min_delta=0.1)
    assert base.changed({"steps": 9}, "x") == Recipe(steps=9)
    assert Recipe(steps=9).changed({"until": "converged"}, "x") == Recipe(until="converged")


def test_nnunet_trains_with_nesterov_and_supervises_where_it_can() -> None:
    recipe = Recipe(recipe="nnunet")
    optimizer = make_optimizer(recipe, nn.Linear(1, 1))
    assert isinstance(optimizer, torch.optim.SGD)
    assert (optimizer.defaults["nesterov"], optimizer.defaults["momentum"]) == (True, 0.99)
    models = ["unet", "unetpp", {"name": "unetpp", "set": {"deep_supervision": False}, "label": "plain"}]
    suite = Suite.from_mapping(
        {"name": "s", "models": models, "train": {"recipe": "nnunet", "steps": 1}, "baselines": False}, "test"
    )
    found = {t.model.label: t.model.options.get("deep_supervision") for t in expand(suite, suite.data.open())}
    assert found == {"unet": True, "unetpp": True, "plain": False}


def test_dice_of_the_foreground_leaves_the_background_out() -> None:
    logits, target = torch.randn(2, 3, 6, 6), torch.randint(3, (2, 6, 6))
    by_class = [soft_dice_loss(logits, target, classes=[c]) for c in range(3)]
    torch.testing.assert_close(soft_dice_loss(logits, target), sum(by_class) / 3)
    loss = loss_of(Recipe(recipe="modern", dice_classes="foreground"), (1, 2))
    expected = cross_entropy(logits, target) + (by_class[1] + by_class[2]) / 2
    torch.testing.assert_close(loss(logits, target, None, None), expected)


def test_halved_supervision_weighs_scales_by_their_side() -> None:
    target = torch.randint(2, (1, 8, 8))
    fine, coarse = torch.randn(1, 2, 8, 8), torch.randn(1, 2, 4, 4)
    alone = [supervised_loss([x], target, None) for x in (fine, coarse)]
    halved = supervised_loss([fine, coarse], target, None, supervision="halved")
    torch.testing.assert_close(halved, (alone[0] + alone[1] / 2) / 1.5)
