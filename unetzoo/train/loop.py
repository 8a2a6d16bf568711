"""Training and evaluation of one model: reads top to bottom."""

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
from unetzoo.machine.phases import Phases
from unetzoo.machine.quiet import Quiet, nothing
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
    """Somebody asked for an end; what there was to keep is in the checkpoint."""


@dataclass
class History:
    """How a training went, in plain values; ``seconds`` and ``images`` are those of training steps alone."""

    step: int = 0
    best_step: int = 0
    best_dice: float | None = None
    best_loss: float = math.inf
    best_images: list[float] = field(default_factory=list)  # Dice of each validation image that has one
    train_curve: list[tuple[int, float]] = field(default_factory=list)
    val_curve: list[tuple[int, float, float | None]] = field(default_factory=list)
    recent: list[float] = field(default_factory=list)  # training losses since the last validation
    seconds: float = 0.0
    images: int = 0
    resumed: list[int] = field(default_factory=list)  # steps after which an interrupted training went on

    def stale(self) -> int:
        """Validations since the best one."""
        return sum(step > self.best_step for step, _, _ in self.val_curve)


@dataclass
class Session:
    """What a training is embedded in. The defaults train in peace: nobody listens, interrupts or measures."""

    progress: Progress = lambda message: None
    beat: Callable[[], None] = nothing  # a sign of life between messages
    stop: Callable[[], bool] = lambda: False
    phases: Phases = field(default_factory=lambda: Phases("train"))
    quiet: Quiet | None = None
    checkpoint: Checkpoint | None = None

    @contextmanager
    def turn(self, phase: str) -> Iterator[None]:
        """Compute in ``phase``, but wait while something on this machine is being timed."""
        if self.quiet is None:
            with self.phases.during(phase):
                yield
            return
        with self.phases.during("wait"), self.quiet.step(), self.phases.during(phase):
            yield

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Time something in the phase it is, while nothing else on this machine trains or is timed."""
        if self.quiet is None:
            yield
            return
        phase = self.phases.now
        with self.phases.during("wait"), self.quiet.alone(), self.phases.during(phase):
            yield


def learning_rate(spent: float, recipe: Recipe) -> float:
    """At a share ``spent`` of the budget: a linear warm-up over its first part, then half a cosine, or level."""
    if spent < recipe.warmup:
        return recipe.lr * spent / recipe.warmup
    if recipe.schedule == "constant":
        return recipe.lr
    rest = (spent - recipe.warmup) / (1 - recipe.warmup)
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * min(1.0, rest)))


def make_optimizer(recipe: Recipe, network: nn.Module) -> torch.optim.Optimizer:
    """Of all that learns; what the recipe freezes is frozen (`parameter_groups`)."""
    groups = parameter_groups(recipe, network)
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay)
    return torch.optim.AdamW(groups, lr=recipe.lr, weight_decay=recipe.weight_decay)


def training_crops(
    data: SegmentationDataset, normalization: Normalization, recipe: Recipe, *, seed: int, length: int
) -> TrainingCrops:
    """The crops of a recipe, ``length`` of them."""
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
    session: Session | None = None,
    both_empty: str = "exclude",
) -> History:
    """Train ``network`` in place within the recipe's budget of steps or minutes; it ends with its best weights.

    The best is the highest mean foreground Dice on validation, the lowest loss among equals and where no validation
    image has any foreground; ``both_empty`` is the policy's, as for the test set. With a checkpoint in its session it
    goes on where an interrupted training was saved. Raises `NonFiniteLossError` as soon as a loss is not finite,
    `Interrupted` when it was asked to stop.
    """
    session = session or Session()
    phases, checkpoint = session.phases, session.checkpoint
    layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
    network.to(memory_format=layout)  # type: ignore[call-overload]
    optimizer = make_optimizer(recipe, network)
    model, optimizer = fabric.setup(SameSize(network, info.classes), optimizer)
    done, best, finished = _resume(fabric, network, optimizer, session)

    batches = _batches(fabric, network, crops, recipe, done.step)
    loss_function = LOSSES[recipe.loss]
    judged_by_dice = any(bool((mask == c).any()) for _, mask in validation.values() for c in info.foreground)
    budget = 60 * recipe.minutes if recipe.minutes is not None else None
    earlier = done.seconds - phases.total("train", "load")

    model.train()
    while not finished:
        with session.turn("load"):
            images, masks, *weights = next(batches)
        with session.turn("train"):
            step = done.step = done.step + 1
            spent = done.seconds / budget if budget else (step - 0.5) / (recipe.steps or 1)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(spent, recipe) * group.get("lr_scale", 1.0)

            images = images.contiguous(memory_format=layout)
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
        # By the first process's clock, or each would take a learning rate of its own and their weights part.
        done.seconds = fabric.broadcast(earlier + phases.total("train", "load"))
        finished = step == recipe.steps or (budget is not None and done.seconds >= budget)

        if finished or step % recipe.validate_every == 0:
            val_loss, matrices = evaluate(model, validation.items(), info, layout, session, "validate")
            stacked = torch.stack(list(matrices.values()))
            val_dice = mean_foreground(settle(dice(stacked), stacked, both_empty), info)
            val_loss, val_dice = fabric.broadcast((val_loss, val_dice))  # all choose, and stop, alike
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
        session.progress(
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
            stop = not finished and session.stop()
            due = fabric.global_rank == 0 and checkpoint.due()  # it alone saves, and knows when
            if _any_rank(fabric, stop or due or (finished and checkpoint.final)):
                with phases.during("save"):
                    _save(fabric, network, optimizer, session, done, best, finished)
            if _any_rank(fabric, stop):
                raise Interrupted
    network.load_state_dict(best)
    return done


def _batches(
    fabric: Fabric, network: nn.Module, crops: TrainingCrops, recipe: Recipe, done: int
) -> Iterator[tuple[Tensor, ...]]:
    """Batches of crops for this process, after those of ``done`` steps: item i is the same whoever prepares it."""
    sizes = getattr(network, "sizes", None)
    if recipe.context == "image" and isinstance(sizes, ValidSizes):
        crops = crops.with_context(sizes)
    share = range(done * recipe.batch_size + fabric.global_rank, len(crops), fabric.world_size)
    workers = recipe.workers
    if workers == "auto":  # where the CPU trains, its cores are busy with that
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        workers = min(8, cores // recipe.devices - 1) if fabric.device.type == "cuda" else 0
    loader = DataLoader(
        crops,
        batch_size=recipe.batch_size // recipe.devices,
        sampler=share,
        generator=torch.Generator(),  # or the loader would draw from the network's
        num_workers=max(0, workers),
    )
    return iter(fabric.setup_dataloaders(loader, use_distributed_sampler=False))  # type: ignore[arg-type]


def _resume(
    fabric: Fabric, network: nn.Module, optimizer: Any, session: Session
) -> tuple[History, dict[str, Any], bool]:
    """History, best weights, and whether that was all: from the checkpoint, or from the beginning."""
    saved = session.checkpoint.load() if session.checkpoint else None
    if saved is None:
        return History(), {}, False
    session.phases.take_over(saved["phases"])
    history = History(**saved["history"])
    if not saved["finished"]:
        history.resumed.append(history.step)
        network.load_state_dict(saved["network"])
        optimizer.load_state_dict(saved["optimizer"])
        set_random_state(saved["random"][fabric.global_rank])
    return history, saved["best"], saved["finished"]


def _save(
    fabric: Fabric,
    network: nn.Module,
    optimizer: Any,
    session: Session,
    done: History,
    best: dict[str, Any],
    finished: bool,
) -> None:
    """Everything the next steps depend on; of a training that is over its outcome."""
    states: list[Any] = [random_state()]
    if fabric.world_size > 1:
        states = [None] * fabric.world_size
        torch.distributed.all_gather_object(states, random_state())
    state = {"finished": finished, "history": asdict(done), "best": best, "phases": session.phases.so_far()}
    if not finished:
        state |= {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "random": states}
    if session.checkpoint is not None and fabric.global_rank == 0:
        session.checkpoint.save(state)


def _copy(value: Any) -> Any:
    return value.detach().cpu().clone() if isinstance(value, Tensor) else copy.deepcopy(value)


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    items: Items,
    info: DatasetInfo,
    layout: torch.memory_format,
    session: Session | None = None,
    phase: str = "test",
    keep: Callable[[str, Tensor, Tensor], None] | None = None,
) -> tuple[float, dict[str, Tensor]]:
    """Mean loss and the confusion matrix (K, K) of every item: whole images, one at a time.

    The loss is `cross_entropy_dice` whatever a model was trained with, so that those of two models compare.
    ``model`` is a `SameSize` set up by Fabric; ``keep`` is shown each image's key, logits (K, H, W) and mask (H, W).
    """
    session = session or Session()
    model.eval()
    device = next(model.parameters()).device
    losses, matrices = [], {}
    for key, (image, mask) in items:
        session.beat()
        with session.turn(phase):
            image = image[None].to(device).contiguous(memory_format=layout)
            mask = mask[None].to(device)
            logits = model(image)[0]
            losses.append(float(cross_entropy_dice(logits, mask, info.ignore_index)))
            matrices[key] = confusion(logits.argmax(dim=1)[0], mask[0], info.classes, info.ignore_index).cpu()
            if keep is not None:
                keep(key, logits[0].float(), mask[0])
    return sum(losses) / len(losses), matrices


def image_dice(matrices: dict[str, Tensor], info: DatasetInfo, both_empty: str = "exclude") -> list[float]:
    """Mean foreground Dice of each image that has one, from its confusion matrix."""
    stacked = torch.stack(list(matrices.values()))
    scores = settle(dice(stacked), stacked, both_empty)[:, list(info.foreground)].nanmean(dim=1)
    return [value for value in scores.tolist() if not math.isnan(value)]


def mean_foreground(scores: Tensor, info: DatasetInfo) -> float | None:
    """Mean over images of the mean over foreground classes of (images, K) scores; NaN left out, None if all is."""
    value = float(scores[:, list(info.foreground)].nanmean(dim=1).nanmean())
    return None if math.isnan(value) else value


def _any_rank(fabric: Fabric, flag: bool) -> bool:
    """Ranks must stop at the same step: true on all as soon as it is true on one."""
    if fabric.world_size == 1:
        return flag
    return bool(fabric.all_reduce(torch.tensor(float(flag)), reduce_op="sum"))  # type: ignore[arg-type]
