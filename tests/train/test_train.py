"""Losses, schedule, metrics and the loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning_fabric import Fabric
from torch import nn
from torchmetrics.functional.classification import multiclass_jaccard_index
from torchmetrics.functional.segmentation import dice_score

import unetzoo
from unetzoo.data.base import DatasetInfo
from unetzoo.data.stream import EvaluationItems, Normalization, TrainingCrops
from unetzoo.machine import device
from unetzoo.machine.device import resolve_device, resolve_precision
from unetzoo.machine.phases import Phases
from unetzoo.metrics.overlap import confusion, dice, iou
from unetzoo.nn.sizes import SameSize
from unetzoo.train.evaluation import evaluate, mean_foreground
from unetzoo.train.hooks import TrainingHooks
from unetzoo.train.loop import NonFiniteLossError, train
from unetzoo.train.losses import cross_entropy_dice, soft_dice_loss, supervised_loss
from unetzoo.train.recipe import Recipe
from unetzoo.train.schedule import learning_rate

INFO = DatasetInfo(name="x", channels=1, class_names=("a", "b", "c"), foreground=(1, 2), ignore_index=255)

# --- metrics ----------------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(st.integers(2, 5), st.integers(1, 12), st.integers(0, 2**31), st.booleans())
def test_dice_and_iou_are_torchmetrics(classes: int, side: int, seed: int, only_two: bool) -> None:
    random = torch.Generator().manual_seed(seed)
    present = 2 if only_two else classes  # absent classes are the hard case
    truth, prediction = torch.randint(present, (2, side, side), generator=random)
    matrix = confusion(prediction, truth, classes)
    theirs = dice_score(
        prediction[None], truth[None], classes, include_background=True, average="none", input_format="index"
    )
    torch.testing.assert_close(dice(matrix).float(), theirs.flatten().float(), equal_nan=True)
    theirs = multiclass_jaccard_index(prediction, truth, classes, average="none", zero_division=math.nan)
    torch.testing.assert_close(iou(matrix).float(), theirs.float(), equal_nan=True)
    assert not bool((dice(matrix) > 1).any())


def test_conventions_worked_by_hand() -> None:
    truth = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 255]])
    prediction = torch.tensor([[0, 2, 1, 0], [0, 0, 1, 1]])
    matrix = confusion(prediction, truth, 4, ignore_index=255)
    assert matrix.sum() == 7  # the void pixel counts for nothing
    # class 0: 3 hits, 1 missed, 1 false; class 1: 2 hits, 1 missed; class 2: a false alarm; class 3: nowhere.
    assert dice(matrix)[:3].tolist() == pytest.approx([6 / 8, 4 / 5, 0])
    assert iou(matrix)[:3].tolist() == pytest.approx([3 / 5, 2 / 3, 0])
    assert bool(dice(matrix)[3].isnan())


def test_foreground_mean_leaves_undefined_scores_out() -> None:
    nan = math.nan
    scores = torch.tensor([[0.9, 0.4, nan], [0.9, 0.2, 0.8], [0.9, nan, nan]])
    assert mean_foreground(scores, INFO) == pytest.approx((0.4 + 0.5) / 2)
    assert mean_foreground(torch.full((2, 3), nan), INFO) is None


# --- losses -----------------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 4), st.integers(0, 2**31))
def test_loss_is_what_it_is_made_of(classes: int, seed: int) -> None:
    torch.manual_seed(seed)
    logits, target = torch.randn(2, classes, 5, 6), torch.randint(classes, (2, 5, 6))
    p, g = logits.softmax(1), torch.eye(classes)[target].permute(0, 3, 1, 2)
    by_class = [(2 * (p * g)[:, c].sum() + 1) / (p[:, c].sum() + g[:, c].sum() + 1) for c in range(classes)]
    expected = nn.functional.cross_entropy(logits, target) + 1 - sum(by_class) / classes
    torch.testing.assert_close(cross_entropy_dice(logits, target), expected)


def test_ignored_pixels_count_for_nothing() -> None:
    logits, target = torch.randn(1, 3, 6, 6), torch.randint(3, (1, 6, 6))
    target[0, :, 4:] = 255
    changed = logits.clone()
    changed[..., 4:] += 5 * torch.randn(1, 3, 6, 2)
    for loss in (cross_entropy_dice, soft_dice_loss):
        torch.testing.assert_close(loss(logits, target, 255), loss(changed, target, 255))
    everything = torch.full_like(target, 255)
    assert bool(cross_entropy_dice(logits, everything, 255).isfinite())


def test_perfect_logits_have_hardly_any_loss() -> None:
    target = torch.randint(3, (2, 8, 8))
    perfect = 50.0 * nn.functional.one_hot(target, 3).permute(0, 3, 1, 2).float()
    assert float(cross_entropy_dice(perfect, target)) < 1e-3


def test_coarser_scales_are_supervised_at_full_size() -> None:
    target = torch.zeros(1, 8, 8, dtype=torch.long)
    fine, coarse = torch.zeros(1, 2, 8, 8), torch.zeros(1, 2, 4, 4)
    torch.testing.assert_close(supervised_loss([fine, coarse], target, None), supervised_loss([fine], target, None))


# --- schedule and settings --------------------------------------------------------------------------------------


def test_learning_rate_rises_then_falls() -> None:
    recipe = Recipe(lr=1.0, warmup=0.1)
    rates = [learning_rate(x, recipe) for x in np.linspace(0, 1, 101)]
    assert rates[0] == 0
    assert rates[10] == pytest.approx(1)
    assert rates[100] == pytest.approx(0)
    assert rates[55] == pytest.approx(0.5)
    assert rates[:11] == sorted(rates[:11])
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_a_budget_is_steps_or_minutes_or_flops() -> None:
    assert Recipe(recipe="modern").steps == 200
    assert Recipe().steps == 1000
    assert Recipe(minutes=1.0).steps is None
    assert Recipe(flops=1e12).steps is None
    with pytest.raises(unetzoo.UnetzooError, match="steps and minutes are given"):
        Recipe(steps=1, minutes=1.0)


def test_device_and_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    for in_hardware, precision in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr(device, "cpu_has_bfloat16", lambda answer=in_hardware: answer)
        assert resolve_precision("auto", "cpu") == precision
        assert resolve_precision("float32", "cpu") == "float32"
        assert resolve_precision("bfloat16", "cpu") == "bfloat16"
    assert resolve_device("cpu") == "cpu"
    if not torch.cuda.is_available():
        with pytest.raises(unetzoo.UnetzooError, match="device = 'cuda' is not available on this machine"):
            resolve_device("cuda")


def test_only_a_gpu_that_need_not_repeat_itself_tunes_its_algorithms() -> None:
    before = torch.backends.cudnn.benchmark
    for kind, deterministic, tuned in (("cuda", False, True), ("cuda", True, before), ("cpu", False, before)):
        with device.autotuned(kind, deterministic):
            assert torch.backends.cudnn.benchmark is tuned
        assert torch.backends.cudnn.benchmark is before


# --- the loop ---------------------------------------------------------------------------------------------------


class Setup:
    """Tiny `cells` and the arguments of `train`."""

    def __init__(self, **recipe: object) -> None:
        self.dataset = unetzoo.create_dataset("cells", n_train=4, n_val=2, n_test=1, size=48)
        self.recipe = Recipe(**{"recipe": "modern", "batch_size": 2, "crop": 48, "validate_every": 4, **recipe})
        self.normalization = Normalization.of(self.dataset)
        self.validation = EvaluationItems(self.dataset, self.dataset.splits["val"], self.normalization)
        self.fabric = Fabric(accelerator="cpu", devices=1, precision="32-true")
        self.messages: list[dict] = []

    def run(self, network: nn.Module, both_empty: str = "exclude"):
        length = 2 * (self.recipe.steps or 10**6)
        crops = TrainingCrops(self.dataset, self.normalization, crop=48, seed=0, length=length)
        hooks = TrainingHooks(progress=self.messages.append)
        return train(self.fabric, network, crops, self.validation, self.dataset.info, self.recipe, hooks, both_empty)


def net(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return unetzoo.create_model("unet", in_channels=1, num_classes=2, width=4, depth=3)


def test_training_lowers_the_loss_and_keeps_the_best_weights() -> None:
    setup = Setup(steps=40, lr=0.01)
    network = net()
    history = setup.run(network)
    assert [step for step, _, _ in history.val_curve] == list(range(4, 41, 4))
    assert history.train_curve[-1][1] < 0.95 * history.train_curve[0][1]
    assert history.images == 80
    assert len(setup.messages) == 40
    best = max(history.val_curve, key=lambda point: point[2] or 0)
    assert (history.best_step, history.best_dice) == (best[0], best[2])
    _, matrices = evaluate(SameSize(network, 2), setup.validation.items(), setup.dataset.info, torch.contiguous_format)
    again = mean_foreground(dice(torch.stack(list(matrices.values()))), setup.dataset.info)
    assert again == pytest.approx(history.best_dice, abs=1e-4)


def test_validation_scores_by_the_policy_of_the_test_set() -> None:
    """One of two masks is empty; predicting nothing scores 0 or, if empty against empty is perfect, 0.5."""
    setup = Setup(steps=1, lr=1e-12)
    items = list(setup.validation.items())
    setup.validation = {key: (image, mask * number) for number, (key, (image, mask)) in enumerate(items)}
    found = {}
    for rule in ("exclude", "perfect"):
        network = net()
        with torch.no_grad():
            network.head.bias.copy_(torch.tensor([100.0, -100.0]))
        history = setup.run(network, rule)
        found[rule] = history.best_dice, history.best_images
    assert found == {"exclude": (0.0, [0.0]), "perfect": (0.5, [1.0, 0.0])}


def test_same_seed_same_history() -> None:
    histories = [Setup(steps=6).run(net()) for _ in range(2)]
    assert histories[0].train_curve == histories[1].train_curve
    assert histories[0].val_curve == histories[1].val_curve


def test_last_step_is_validated_too() -> None:
    assert [p[0] for p in Setup(steps=6).run(net()).val_curve] == [4, 6]


def test_patience_ends_a_training_that_no_longer_improves() -> None:
    setup = Setup(steps=40, lr=1e-12, patience=2)
    history = setup.run(net())
    assert history.stale() == 2
    assert history.step == history.best_step + 8


def test_phases_account_for_the_whole_of_it() -> None:
    phases = Phases("other")
    for name in ("one", "two", "one"):
        phases(name)
        with phases.during("inside"):
            pass
    seconds = phases.so_far()
    assert set(seconds) == {"other", "one", "two", "inside"}
    earlier = Phases("one")
    earlier.take_over({"one": 5.0, "wait": 1.0})
    earlier.take_over({"one": 2.0})  # saved by an older version
    assert earlier.so_far()["one"] >= 5
    assert earlier.so_far()["wait"] == 1
    assert earlier.total("one") < 5


def test_budget_in_minutes_ends() -> None:
    setup = Setup(minutes=1 / 60, validate_every=10_000)
    history = setup.run(net())
    assert history.seconds >= 1
    assert len(history.val_curve) == 1
    assert setup.messages[-1]["step"] == history.best_step


def test_so_does_one_of_the_validation() -> None:
    class NanInEval(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.net(x) if self.training else self.net(x) * math.nan

    with pytest.raises(NonFiniteLossError, match="validation loss is nan at step 4"):
        Setup(steps=6).run(NanInEval())


def test_without_any_foreground_in_validation_the_lowest_loss_is_best() -> None:
    setup = Setup(steps=24, lr=0.01)
    setup.validation = {key: (image, 0 * mask) for key, (image, mask) in setup.validation.items()}
    history = setup.run(net())
    assert history.best_step == min(history.val_curve, key=lambda point: point[1])[0]


def test_a_loss_that_is_not_finite_stops_at_once() -> None:
    network = net()
    with torch.no_grad():
        network.head.weight.fill_(math.inf)
    setup = Setup(steps=6)
    with pytest.raises(NonFiniteLossError, match="training loss is nan at step 1"):
        setup.run(network)
    assert not setup.messages


# --- until converged --------------------------------------------------------------------------------------------


def test_a_training_that_no_longer_rises_cools_down_and_says_that_it_has_converged() -> None:
    setup = Setup(until="converged", lr=1e-12, patience=2, most_steps=100)
    history = setup.run(net())
    assert history.ended == "converged"
    assert history.cooldown == (13, 16)  # 3 validations of 4 steps, then max(validate_every, a quarter)
    assert history.step == 16
    assert setup.messages[-1]["steps"] == 16


def test_one_that_still_rises_ends_at_its_most_steps() -> None:
    history = Setup(until="converged", lr=0.01, patience=50, most_steps=20).run(net())
    assert (history.ended, history.cooldown, history.step) == ("most_steps", (17, 20), 20)


def test_patience_and_budget_are_told_apart() -> None:
    assert Setup(steps=40, lr=1e-12, patience=2).run(net()).ended == "patience"
    assert Setup(steps=6).run(net()).ended == "budget"


def test_averaged_weights_are_those_that_are_validated_and_kept() -> None:
    setup = Setup(steps=12, lr=0.01, ema=0.9)
    network = net()
    history = setup.run(network)
    _, matrices = evaluate(SameSize(network, 2), setup.validation.items(), setup.dataset.info, torch.contiguous_format)
    again = mean_foreground(dice(torch.stack(list(matrices.values()))), setup.dataset.info)
    assert again == pytest.approx(history.best_dice, abs=1e-4)
    assert history.val_curve != Setup(steps=12, lr=0.01).run(net()).val_curve


def test_class_weights_change_the_loss() -> None:
    curves = [Setup(steps=2, class_weights=w).run(net()).train_curve for w in ("none", "median_frequency")]
    assert curves[0] != curves[1]


def test_recomputation_changes_no_more_than_rounding() -> None:
    kept, again = (Setup(steps=6, recompute=which).run(net()) for which in ("none", "all"))
    assert [loss for _, loss in again.train_curve] == pytest.approx([loss for _, loss in kept.train_curve], rel=1e-4)
