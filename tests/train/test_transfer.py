"""Training from pretrained weights: frozen parts, and the encoder's own learning rate."""

from __future__ import annotations

import pytest
import torch

import unetzoo
from support.pretrained import tiny, trials
from unetzoo import UnetzooError
from unetzoo.measure.counts import count_training_flops
from unetzoo.models.factory import resolve_model
from unetzoo.train.loop import make_optimizer
from unetzoo.train.recipe import Recipe


def test_frozen_parts_stay_as_they_are() -> None:
    recipe = Recipe(freeze_encoder=True, freeze_norm=True)
    model = tiny().train()
    before = {key: value.clone() for key, value in model.encoder.body.state_dict().items()}
    fine = {key: value.clone() for key, value in model.decoder.state_dict().items()}
    optimizer = make_optimizer(recipe, model)
    for _ in range(2):
        model.train()
        model(torch.rand(2, 3, 64, 64)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    assert all(torch.equal(value, before[key]) for key, value in model.encoder.body.state_dict().items())
    assert not all(torch.equal(value, fine[key]) for key, value in model.decoder.state_dict().items())
    config = resolve_model("unet", options={"encoder": "test_resnet", "depth": 6, "width": 4})
    frozen, whole = (
        count_training_flops(config, (2, 3, 64, 64), lambda network, r=r: make_optimizer(r, network))
        for r in (recipe, Recipe())
    )
    assert frozen < whole


def test_statistics_alone_or_weights_alone() -> None:
    for recipe, changes in ((Recipe(freeze_norm=True), "weight"), (Recipe(freeze_encoder=True), "running_mean")):
        model = tiny().train()
        before = {key: value.clone() for key, value in model.encoder.body.state_dict().items()}
        optimizer = make_optimizer(recipe, model)
        model(torch.rand(2, 3, 64, 64)).square().mean().backward()
        optimizer.step()
        moved = {k for k, value in model.encoder.body.state_dict().items() if not torch.equal(value, before[k])}
        assert any(key.endswith(changes) for key in moved)
        other = {"weight": "running_mean", "running_mean": "weight"}[changes]
        assert not any(key.endswith(other) for key in moved)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_the_encoder_learns_at_its_own_rate(optimizer: str) -> None:
    """SGD's step is the rate times the gradient; AdamW's first is the rate, whatever the gradient."""
    recipe = Recipe(encoder_lr_scale=0.1, optimizer=optimizer, weight_decay=0.0)  # type: ignore[arg-type]
    model = tiny()
    groups = make_optimizer(recipe, model).param_groups
    assert [group.get("lr_scale", 1.0) for group in groups] == [1.0, 0.1]
    assert {id(p) for p in groups[1]["params"]} == {id(p) for p in model.encoder.body.parameters()}
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


def test_options_of_an_encoder_are_refused_without_one() -> None:
    for train in ({"freeze_encoder": True}, {"encoder_lr_scale": 0.1}, {"freeze_norm": True}):
        with pytest.raises(UnetzooError, match=f"model 'unet': train: {next(iter(train))} = .*lacks"):
            trials(train=train)
        assert trials(train=train, set={"encoder": "test_resnet"})
        if "freeze_norm" in train:
            with pytest.raises(UnetzooError, match=r"model 'unet': train: freeze_norm = .* 'test_convnext' has none"):
                trials(train=train, set={"encoder": "test_convnext"})
        with pytest.raises(UnetzooError, match="UNet has none"):
            make_optimizer(Recipe(**train), unetzoo.create_model("unet", width=2))
    with pytest.raises(UnetzooError, match=r"encoder_lr_scale = 0\.1 has no effect with freeze_encoder"):
        Recipe(freeze_encoder=True, encoder_lr_scale=0.1)
    with pytest.raises(UnetzooError, match="lacks"):  # an option of that name is not timm's
        trials(models=["smp_unet"], train={"freeze_encoder": True})
