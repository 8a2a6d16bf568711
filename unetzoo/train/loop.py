"""Training of one model."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from unetzoo.data.base import DatasetInfo, SegmentationDataset
from unetzoo.data.stream import Normalization, TrainingCrops
from unetzoo.machine.device import autotuned, check_compiler
from unetzoo.nn.recompute import recomputing
from unetzoo.nn.sizes import SameSize
from unetzoo.train.averaging import WeightAverage
from unetzoo.train.batches import batches
from unetzoo.train.checkpoint import random_state, set_random_state
from unetzoo.train.evaluation import evaluate, image_dice, mean_dice
from unetzoo.train.history import History
from unetzoo.train.hooks import TrainingHooks
from unetzoo.train.losses import loss_of, supervised_loss
from unetzoo.train.recipe import Recipe
from unetzoo.train.schedule import converging_rate, cooldown_from, has_converged, learning_rate
from unetzoo.train.transfer import parameter_groups


class NonFiniteLossError(ArithmeticError):
    """The training or validation loss became NaN or infinite."""


class Interrupted(Exception):
    """The training was asked to stop; its state is in the checkpoint."""


def make_optimizer(recipe: Recipe, network: nn.Module) -> torch.optim.Optimizer:
    """Build the optimizer over the trainable parameters and freeze the rest.

    Args:
        recipe: The recipe.
        network: The network; the parameters that the recipe freezes stop requiring gradients.

    Raises:
        UnetzooError: If the recipe has options for a timm encoder and the network has none.
    """
    groups = parameter_groups(recipe, network)
    if recipe.optimizer == "sgd":
        momentum = {"momentum": recipe.momentum, "nesterov": recipe.nesterov}
        return torch.optim.SGD(groups, recipe.lr, weight_decay=recipe.weight_decay, **momentum)
    return torch.optim.AdamW(groups, lr=recipe.lr, weight_decay=recipe.weight_decay)


def with_size(network: nn.Module, classes: int, recipe: Recipe) -> nn.Module:
    """Return a network in its `SameSize`, compiled if the recipe asks for it.

    Args:
        network: The network.
        classes: Number of classes.
        recipe: The recipe.

    Raises:
        UnetzooError: If it is to be compiled and there is no compiler.
    """
    model = SameSize(network, classes)
    if not recipe.compile:
        return model
    check_compiler(next(network.parameters()).device.type)
    return torch.compile(model)  # pyright: ignore[reportReturnType]


def training_crops(
    data: SegmentationDataset, normalization: Normalization, recipe: Recipe, *, seed: int, length: int
) -> TrainingCrops:
    """Return the stream of training crops that a recipe asks for.

    Args:
        data: The training images.
        normalization: Mean and standard deviation of each channel.
        recipe: The recipe, which has size, places, augmentation and border weights of the crops.
        seed: Seed of the crops.
        length: Number of crops.
    """
    return TrainingCrops(
        data,
        normalization,
        crop=recipe.crop,
        seed=seed,
        length=length,
        augment=recipe.augment,
        border=(recipe.border.w0, recipe.border.sigma) if recipe.border else None,
        foreground=recipe.foreground,
    )


def train(
    fabric: Fabric,
    network: nn.Module,
    crops: TrainingCrops,
    validation: Mapping[str, tuple[Tensor, Tensor]],
    info: DatasetInfo,
    recipe: Recipe,
    hooks: TrainingHooks | None = None,
    both_empty: str = "exclude",
) -> History:
    """Train a network in place within the recipe's budget; at the end it has the best weights on validation.

    The best weights have the highest mean foreground Dice on validation; among equals, and if no validation image has
    any foreground, the lowest loss. If ``hooks`` has a checkpoint of an interrupted training, it is resumed.

    Args:
        fabric: Device, precision and processes.
        network: The network.
        crops: Stream of training crops.
        validation: Key -> (image (C, H, W), mask (H, W)) of the validation set.
        info: Description of the data set.
        recipe: The recipe, with a budget in steps or minutes.
        hooks: Callbacks, clock, lock and checkpoint; none by default.
        both_empty: The policy for classes that are neither true nor predicted, as for the test set.

    Returns:
        The course of the training.

    Raises:
        NonFiniteLossError: As soon as a training or validation loss is not finite.
        Interrupted: If ``hooks.stop`` returned True.
    """
    return Training(fabric, network, crops, validation, info, recipe, hooks or TrainingHooks(), both_empty).run()


class Training:
    """The state of one training; see `train`, which makes and runs it."""

    def __init__(
        self,
        fabric: Fabric,
        network: nn.Module,
        crops: TrainingCrops,
        validation: Mapping[str, tuple[Tensor, Tensor]],
        info: DatasetInfo,
        recipe: Recipe,
        hooks: TrainingHooks,
        both_empty: str,
    ) -> None:
        self.fabric, self.network, self.validation = fabric, network, validation
        self.info, self.recipe, self.hooks, self.both_empty = info, recipe, hooks, both_empty
        self.memory_format = torch.channels_last if recipe.channels_last else torch.contiguous_format
        network.to(memory_format=self.memory_format)  # type: ignore[call-overload]
        model = with_size(network, info.classes, recipe)
        self.model, self.optimizer = fabric.setup(model, make_optimizer(recipe, network))
        self.average = WeightAverage(network, recipe.ema) if recipe.ema else None
        self.done, self.best, self.finished = History(), {}, False
        self._resume()
        self.batches = batches(fabric, network, crops, recipe, self.done.step)
        self.loss = loss_of(recipe, info.foreground)
        self.class_weights: Tensor | None = None
        if recipe.class_weights != "none":
            self.class_weights = fabric.to_device(crops.class_weights())
        # Every mask is read, even if the first one settles it and the training is finished, so that the account is
        # whole.
        shown = [bool((mask == c).any()) for _, mask in validation.values() for c in info.foreground]
        self.judged_by_dice = any(shown)
        self.budget = 60 * recipe.minutes if recipe.minutes is not None else None
        self.earlier = self.done.seconds - hooks.phases.total("train", "load")

    def run(self) -> History:
        """Train to the end and give the network its best weights."""
        self.model.train()
        with recomputing(self.network, self.recipe.recompute):
            self._train()
        self.network.load_state_dict(self.best)
        return self.done

    def _train(self) -> None:
        while not self.finished:
            loss = self._step()
            if self.finished or self.done.step % self.recipe.validate_every == 0:
                self._validate()
            self._report(loss)
            self._save()

    def _step(self) -> float:
        """Train for one step and return its loss.

        Raises:
            NonFiniteLossError: If the loss is not finite.
        """
        done, recipe, hooks = self.done, self.recipe, self.hooks
        with hooks.turn("load"):
            images, masks, *weights = next(self.batches)
        with hooks.turn("train"), autotuned(self.fabric.device.type, recipe.deterministic):
            done.step += 1
            for group in self.optimizer.param_groups:
                group["lr"] = self._rate() * group.get("lr_scale", 1.0)
            images = images.contiguous(memory_format=self.memory_format)
            if self.class_weights is not None:
                weights = [self.class_weights[masks.clamp(0, self.info.classes - 1)]]
            outputs = self.model(images, masks.shape[-2:])
            loss = supervised_loss(
                outputs, masks, self.info.ignore_index, self.loss, *weights, supervision=recipe.supervision
            )
            self.fabric.backward(loss)
            if recipe.clip_norm:
                self.fabric.clip_gradients(
                    self.model, self.optimizer, max_norm=recipe.clip_norm, error_if_nonfinite=False
                )
            self.optimizer.step()
            self.optimizer.zero_grad()
            if self.average is not None:
                self.average.update(done.step)
            value = float(self.fabric.all_reduce(loss.detach(), reduce_op="mean"))  # type: ignore[arg-type]
        if not math.isfinite(value):
            raise NonFiniteLossError(f"training loss is {value} at step {done.step}")
        done.recent.append(value)
        done.images += recipe.batch_size
        # Use the first process's clock everywhere: different learning rates would make the weights diverge.
        done.seconds = self.fabric.broadcast(self.earlier + hooks.phases.total("train", "load"))
        self._see_whether_to_end()
        return value

    def _rate(self) -> float:
        if self.recipe.until is not None:
            return converging_rate(self.done.step, self.done.cooldown, self.recipe)
        spent = self.done.seconds / self.budget if self.budget else (self.done.step - 0.5) / (self.recipe.steps or 1)
        return learning_rate(spent, self.recipe)

    def _see_whether_to_end(self) -> None:
        """End the training if its budget is spent, or begin the fall of the rate before its most steps."""
        done, recipe = self.done, self.recipe
        if recipe.until is None:
            self.finished = done.step == recipe.steps or (self.budget is not None and done.seconds >= self.budget)
        elif done.cooldown is not None:
            self.finished = done.step >= done.cooldown[1]
        elif (cooldown := cooldown_from(done.step, False, recipe)) is not None:
            done.cooldown, done.ended = cooldown, "most_steps"

    def _validate(self) -> None:
        """Evaluate on validation, keep the weights if they are the best so far, and end or slow the training.

        Raises:
            NonFiniteLossError: If the loss is not finite.
        """
        done, recipe, info = self.done, self.recipe, self.info
        with self.average.in_place() if self.average is not None else nullcontext():
            items = self.validation.items()
            loss, matrices = evaluate(self.model, items, info, self.memory_format, self.hooks, "validate")
            score = mean_dice(torch.stack(list(matrices.values())), info, self.both_empty)
            loss, score = self.fabric.broadcast((loss, score))  # so that all choose and stop alike
            if not math.isfinite(loss):
                raise NonFiniteLossError(f"validation loss is {loss} at step {done.step}")
            done.train_curve.append((done.step, sum(done.recent) / len(done.recent)))
            done.val_curve.append((done.step, loss, score))
            done.recent = []
            dices = (score or 0.0, done.best_dice or 0.0) if self.judged_by_dice else (0.0, 0.0)
            if not self.best or (dices[0], -loss) > (dices[1], -done.best_loss):
                done.best_step, done.best_dice, done.best_loss = done.step, score, loss
                done.best_images = image_dice(matrices, info, self.both_empty)
                self.best = {name: _copy(value) for name, value in self.network.state_dict().items()}
        if recipe.until is not None:
            if done.cooldown is None and has_converged(done, recipe):
                done.cooldown, done.ended = cooldown_from(done.step, True, recipe), "converged"
        elif not self.finished and recipe.patience is not None and done.stale() >= recipe.patience:
            self.finished, done.ended = True, "patience"
        self.model.train()

    def _report(self, loss: float) -> None:
        done, recipe = self.done, self.recipe
        if recipe.until is not None:
            steps = done.cooldown[1] if done.cooldown is not None else recipe.most_steps
        else:
            steps = recipe.steps or math.ceil(done.step * self.budget / done.seconds if self.budget else done.step)
        self.hooks.progress(
            {
                "phase": "train",
                "step": done.step,
                "steps": steps,
                "loss": loss,
                "val_step": done.val_curve[-1][0] if done.val_curve else None,
                "val_loss": done.val_curve[-1][1] if done.val_curve else None,
                "val_dice": done.val_curve[-1][2] if done.val_curve else None,
                "validations": len(done.val_curve),
                "seconds": done.seconds,
            }
        )

    def _save(self) -> None:
        """Save the state if it is time to, or if the training is asked to stop.

        Raises:
            Interrupted: If it was asked to stop.
        """
        checkpoint, fabric = self.hooks.checkpoint, self.fabric
        if checkpoint is None:
            return
        stop = not self.finished and self.hooks.stop()
        due = fabric.global_rank == 0 and checkpoint.due()  # only the first process saves
        if _any_rank(fabric, stop or due or (self.finished and checkpoint.final)):
            with self.hooks.phases.during("save"):
                state = self._state()
                if fabric.global_rank == 0:
                    checkpoint.save(state)
        if _any_rank(fabric, stop):
            raise Interrupted

    def _state(self) -> dict[str, Any]:
        """Return everything that the next steps depend on, or only the outcome of a finished training."""
        states: list[Any] = [random_state()]
        if self.fabric.world_size > 1:
            states = [None] * self.fabric.world_size
            torch.distributed.all_gather_object(states, random_state())
        state = {"finished": self.finished, "history": asdict(self.done), "best": self.best}
        state |= {"phases": self.hooks.phases.so_far()}
        if self.finished:
            return state
        state |= {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict(), "random": states}
        state |= {"precision": self.fabric.strategy.precision.state_dict()}  # the scale of float16's gradients
        return state | ({"average": self.average.values} if self.average is not None else {})

    def _resume(self) -> None:
        """Take over the state of an interrupted training, if there is one."""
        saved = self.hooks.checkpoint.load() if self.hooks.checkpoint else None
        if saved is None:
            return
        self.hooks.phases.take_over(saved["phases"])
        self.done = History(**saved["history"])
        self.done.resumed.append(self.done.step)
        self.best, self.finished = saved["best"], saved["finished"]
        if not self.finished:
            self.network.load_state_dict(saved["network"])
            self.optimizer.load_state_dict(saved["optimizer"])
            set_random_state(saved["random"][self.fabric.global_rank])
            self.fabric.strategy.precision.load_state_dict(saved.get("precision", {}))
            if self.average is not None:
                self.average.load(saved["average"])


def _copy(value: Any) -> Any:
    return value.detach().cpu().clone() if isinstance(value, Tensor) else copy.deepcopy(value)


def _any_rank(fabric: Fabric, flag: bool) -> bool:
    """Return True on all ranks if the flag is True on any of them, so that they stop at the same step."""
    if fabric.world_size == 1:
        return flag
    return bool(fabric.all_reduce(torch.tensor(float(flag)), reduce_op="sum"))  # type: ignore[arg-type]
