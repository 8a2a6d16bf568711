"""Training and evaluation of one model."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.utils.data import DataLoader

from unetzoo.data.base import DatasetInfo, SegmentationDataset
from unetzoo.data.stream import Normalization, TrainingCrops
from unetzoo.machine.lock import MachineLock, no_beat
from unetzoo.machine.phases import Phases
from unetzoo.metrics.overlap import confusion, dice, settle
from unetzoo.nn.sizes import SameSize, ValidSizes
from unetzoo.train.checkpoint import Checkpoint, random_state, set_random_state
from unetzoo.train.losses import LOSSES, cross_entropy_dice, supervised_loss
from unetzoo.train.recipe import Recipe
from unetzoo.train.transfer import parameter_groups

Items = Iterable[tuple[str, tuple[Tensor, Tensor]]]  # key, (image (C, H, W), mask (H, W))
Progress = Callable[[dict[str, Any]], None]


class NonFiniteLossError(ArithmeticError):
    """The training or validation loss became NaN or infinite."""


class Interrupted(Exception):
    """The training was asked to stop; its state is in the checkpoint."""


@dataclass
class History:
    """Course of a training run, in plain values.

    Attributes:
        step: Training steps so far.
        best_step: Step after which the validation was best.
        best_dice: Mean foreground Dice of that validation; None if no validation image has one.
        best_loss: Loss of that validation.
        best_images: Dice of each image of that validation that has one.
        train_curve: (step, mean training loss since the validation before) at each validation.
        val_curve: (step, loss, Dice) of each validation.
        recent: Training losses since the last validation.
        seconds: Time spent in training steps, without validation.
        images: Training images seen.
        resumed: Steps from which an interrupted training was resumed.
    """

    step: int = 0
    best_step: int = 0
    best_dice: float | None = None
    best_loss: float = math.inf
    best_images: list[float] = field(default_factory=list)
    train_curve: list[tuple[int, float]] = field(default_factory=list)
    val_curve: list[tuple[int, float, float | None]] = field(default_factory=list)
    recent: list[float] = field(default_factory=list)
    seconds: float = 0.0
    images: int = 0
    resumed: list[int] = field(default_factory=list)

    def stale(self) -> int:
        """Return the number of validations since the best one."""
        return sum(step > self.best_step for step, _, _ in self.val_curve)


@dataclass
class TrainingHooks:
    """Callbacks, clock, lock and checkpoint of a training run; without lock and checkpoint by default.

    Attributes:
        progress: Called with a message after every step.
        beat: Called between messages as a sign of life.
        stop: Returns True if the training is to stop and save its state.
        phases: Clock of the time spent in each phase.
        lock: Lock that keeps training steps and timings on this machine apart.
        checkpoint: File from which the training resumes and to which it saves its state.
    """

    progress: Progress = lambda message: None
    beat: Callable[[], None] = no_beat
    stop: Callable[[], bool] = lambda: False
    phases: Phases = field(default_factory=lambda: Phases("train"))
    lock: MachineLock | None = None
    checkpoint: Checkpoint | None = None

    @contextmanager
    def turn(self, phase: str) -> Iterator[None]:
        """Run the block in ``phase``, after waiting for timings on this machine to end.

        Args:
            phase: Name of the phase.
        """
        if self.lock is None:
            with self.phases.during(phase):
                yield
            return
        with self.phases.during("wait"), self.lock.shared(), self.phases.during(phase):
            yield

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Run the block, a timing, in the current phase while nothing else on this machine trains or is timed."""
        if self.lock is None:
            yield
            return
        phase = self.phases.now
        with self.phases.during("wait"), self.lock.alone(), self.phases.during(phase):
            yield


def learning_rate(spent: float, recipe: Recipe) -> float:
    """Return the learning rate: a linear warm-up, then half a cosine down to zero, or constant.

    Args:
        spent: Share of the budget that is spent, from 0 to 1.
        recipe: The recipe, which has peak, warm-up and schedule.
    """
    if spent < recipe.warmup:
        return recipe.lr * spent / recipe.warmup
    if recipe.schedule == "constant":
        return recipe.lr
    rest = (spent - recipe.warmup) / (1 - recipe.warmup)
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * min(1.0, rest)))


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
        return torch.optim.SGD(groups, recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay)
    return torch.optim.AdamW(groups, lr=recipe.lr, weight_decay=recipe.weight_decay)


def training_crops(
    data: SegmentationDataset, normalization: Normalization, recipe: Recipe, *, seed: int, length: int
) -> TrainingCrops:
    """Return the stream of training crops that a recipe asks for.

    Args:
        data: The training images.
        normalization: Mean and standard deviation of each channel.
        recipe: The recipe, which has size, augmentation and border weights of the crops.
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
    hooks = hooks or TrainingHooks()
    phases, checkpoint = hooks.phases, hooks.checkpoint
    memory_format = torch.channels_last if recipe.channels_last else torch.contiguous_format
    network.to(memory_format=memory_format)  # type: ignore[call-overload]
    optimizer = make_optimizer(recipe, network)
    model, optimizer = fabric.setup(SameSize(network, info.classes), optimizer)
    done, best, finished = _resume(fabric, network, optimizer, hooks)

    batches = _batches(fabric, network, crops, recipe, done.step)
    loss_function = LOSSES[recipe.loss]
    # Every mask is read, even if the first one settles it and the training is finished, so that the account is whole.
    shown = [bool((mask == c).any()) for _, mask in validation.values() for c in info.foreground]
    judged_by_dice = any(shown)
    budget = 60 * recipe.minutes if recipe.minutes is not None else None
    earlier = done.seconds - phases.total("train", "load")

    model.train()
    while not finished:
        with hooks.turn("load"):
            images, masks, *weights = next(batches)
        with hooks.turn("train"):
            step = done.step = done.step + 1
            spent = done.seconds / budget if budget else (step - 0.5) / (recipe.steps or 1)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(spent, recipe) * group.get("lr_scale", 1.0)

            images = images.contiguous(memory_format=memory_format)
            outputs = model(images, masks.shape[-2:])
            loss = supervised_loss(outputs, masks, info.ignore_index, loss_function, *weights)
            fabric.backward(loss)
            if recipe.clip_norm:
                fabric.clip_gradients(model, optimizer, max_norm=recipe.clip_norm, error_if_nonfinite=False)
            optimizer.step()
            optimizer.zero_grad()
            value = float(fabric.all_reduce(loss.detach(), reduce_op="mean"))  # type: ignore[arg-type]
        if not math.isfinite(value):
            raise NonFiniteLossError(f"training loss is {value} at step {step}")
        done.recent.append(value)
        done.images += recipe.batch_size
        # Use the first process's clock everywhere: different learning rates would make the weights diverge.
        done.seconds = fabric.broadcast(earlier + phases.total("train", "load"))
        finished = step == recipe.steps or (budget is not None and done.seconds >= budget)

        if finished or step % recipe.validate_every == 0:
            val_loss, matrices = evaluate(model, validation.items(), info, memory_format, hooks, "validate")
            val_dice = mean_dice(torch.stack(list(matrices.values())), info, both_empty)
            val_loss, val_dice = fabric.broadcast((val_loss, val_dice))  # so that all choose and stop alike
            if not math.isfinite(val_loss):
                raise NonFiniteLossError(f"validation loss is {val_loss} at step {step}")
            done.train_curve.append((step, sum(done.recent) / len(done.recent)))
            done.val_curve.append((step, val_loss, val_dice))
            done.recent = []
            dices = (val_dice or 0.0, done.best_dice or 0.0) if judged_by_dice else (0.0, 0.0)
            if not best or (dices[0], -val_loss) > (dices[1], -done.best_loss):
                done.best_step, done.best_dice, done.best_loss = step, val_dice, val_loss
                done.best_images = image_dice(matrices, info, both_empty)
                best = {name: _copy(value) for name, value in network.state_dict().items()}
            finished = finished or (recipe.patience is not None and done.stale() >= recipe.patience)
            model.train()
        hooks.progress(
            {
                "phase": "train",
                "step": step,
                "steps": recipe.steps or math.ceil(step * budget / done.seconds if budget else step),
                "loss": value,
                "val_dice": done.val_curve[-1][2] if done.val_curve else None,
                "validations": len(done.val_curve),
                "seconds": done.seconds,
            }
        )
        if checkpoint is not None:
            stop = not finished and hooks.stop()
            due = fabric.global_rank == 0 and checkpoint.due()  # only the first process saves
            if _any_rank(fabric, stop or due or (finished and checkpoint.final)):
                with phases.during("save"):
                    _save(fabric, network, optimizer, hooks, done, best, finished)
            if _any_rank(fabric, stop):
                raise Interrupted
    network.load_state_dict(best)
    return done


def _batches(
    fabric: Fabric, network: nn.Module, crops: TrainingCrops, recipe: Recipe, done: int
) -> Iterator[tuple[Tensor, ...]]:
    """Return this process's batches of crops from step ``done`` on; crop i is the same whichever worker prepares it."""
    sizes = getattr(network, "sizes", None)
    if recipe.context == "image" and isinstance(sizes, ValidSizes):
        crops = crops.with_context(sizes)
    share = range(done * recipe.batch_size + fabric.global_rank, len(crops), fabric.world_size)
    workers = recipe.workers
    if workers == "auto":  # if the CPU trains, its cores are busy already
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        workers = min(8, cores // recipe.devices - 1) if fabric.device.type == "cuda" else 0
    loader = DataLoader(
        crops,
        batch_size=recipe.batch_size // recipe.devices,
        sampler=share,
        generator=torch.Generator(),  # else the loader draws from the default one, as the network does
        num_workers=max(0, workers),
    )
    return iter(fabric.setup_dataloaders(loader, use_distributed_sampler=False))  # type: ignore[arg-type]


def _resume(
    fabric: Fabric, network: nn.Module, optimizer: Any, hooks: TrainingHooks
) -> tuple[History, dict[str, Any], bool]:
    """Return history, best weights and True if the training is finished, from the checkpoint or for a new start."""
    saved = hooks.checkpoint.load() if hooks.checkpoint else None
    if saved is None:
        return History(), {}, False
    hooks.phases.take_over(saved["phases"])
    history = History(**saved["history"])
    history.resumed.append(history.step)
    if not saved["finished"]:
        network.load_state_dict(saved["network"])
        optimizer.load_state_dict(saved["optimizer"])
        set_random_state(saved["random"][fabric.global_rank])
    return history, saved["best"], saved["finished"]


def _save(
    fabric: Fabric,
    network: nn.Module,
    optimizer: Any,
    hooks: TrainingHooks,
    done: History,
    best: dict[str, Any],
    finished: bool,
) -> None:
    """Save everything that the next steps depend on, or only the outcome of a finished training."""
    states: list[Any] = [random_state()]
    if fabric.world_size > 1:
        states = [None] * fabric.world_size
        torch.distributed.all_gather_object(states, random_state())
    state = {"finished": finished, "history": asdict(done), "best": best, "phases": hooks.phases.so_far()}
    if not finished:
        state |= {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "random": states}
    if hooks.checkpoint is not None and fabric.global_rank == 0:
        hooks.checkpoint.save(state)


def _copy(value: Any) -> Any:
    return value.detach().cpu().clone() if isinstance(value, Tensor) else copy.deepcopy(value)


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    items: Items,
    info: DatasetInfo,
    memory_format: torch.memory_format,
    hooks: TrainingHooks | None = None,
    phase: str = "test",
    keep: Callable[[str, Tensor, Tensor], None] | None = None,
) -> tuple[float, dict[str, Tensor]]:
    """Evaluate a model on whole images, one at a time.

    The loss is `cross_entropy_dice` whatever loss the model was trained with, so that losses of models are comparable.

    Args:
        model: A `SameSize` set up by Fabric.
        items: Pairs of key and (image (C, H, W), mask (H, W)).
        info: Description of the data set.
        memory_format: Memory format of the images.
        hooks: Sign of life, clock and lock; none by default.
        phase: Name of the phase for the clock.
        keep: Called with each image's key, logits (K, H, W) and mask (H, W); optional.

    Returns:
        The mean loss, and key -> confusion matrix (K, K).
    """
    hooks = hooks or TrainingHooks()
    model.eval()
    device = next(model.parameters()).device
    losses, matrices = [], {}
    for key, (image, mask) in items:
        hooks.beat()
        with hooks.turn(phase):
            image = image[None].to(device).contiguous(memory_format=memory_format)
            mask = mask[None].to(device)
            logits = model(image)[0]
            losses.append(float(cross_entropy_dice(logits, mask, info.ignore_index)))
            matrices[key] = confusion(logits.argmax(dim=1)[0], mask[0], info.classes, info.ignore_index).cpu()
            if keep is not None:
                keep(key, logits[0].float(), mask[0])
    return sum(losses) / len(losses), matrices


def image_dice(matrices: dict[str, Tensor], info: DatasetInfo, both_empty: str = "exclude") -> list[float]:
    """Return the mean foreground Dice of each image that has one.

    Args:
        matrices: Key -> confusion matrix (K, K).
        info: Description of the data set.
        both_empty: The policy for classes that are neither true nor predicted.
    """
    stacked = torch.stack(list(matrices.values()))
    scores = settle(dice(stacked), stacked, both_empty)[:, list(info.foreground)].nanmean(dim=1)
    return [value for value in scores.tolist() if not math.isnan(value)]


def mean_dice(matrices: Tensor, info: DatasetInfo, both_empty: str = "exclude") -> float | None:
    """Return the mean over images of each image's mean foreground Dice; None if no image has one.

    Args:
        matrices: Confusion matrices, (images, K, K).
        info: Description of the data set.
        both_empty: The policy for classes that are neither true nor predicted.
    """
    return mean_foreground(settle(dice(matrices), matrices, both_empty), info)


def mean_foreground(scores: Tensor, info: DatasetInfo) -> float | None:
    """Compute the mean over images of each image's mean over foreground classes, leaving out NaN.

    Args:
        scores: Scores, (images, K).
        info: Description of the data set.

    Returns:
        The mean; None if all scores are NaN.
    """
    value = float(scores[:, list(info.foreground)].nanmean(dim=1).nanmean())
    return None if math.isnan(value) else value


def _any_rank(fabric: Fabric, flag: bool) -> bool:
    """Return True on all ranks if the flag is True on any of them, so that they stop at the same step."""
    if fabric.world_size == 1:
        return flag
    return bool(fabric.all_reduce(torch.tensor(float(flag)), reduce_op="sum"))  # type: ignore[arg-type]
