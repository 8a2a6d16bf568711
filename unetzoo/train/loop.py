"""Training and evaluation of one model: reads top to bottom."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from unetzoo.data.base import DatasetInfo
from unetzoo.data.stream import TrainingCrops
from unetzoo.metrics.overlap import confusion, dice
from unetzoo.nn.sizes import SameSize
from unetzoo.train.losses import cross_entropy_dice
from unetzoo.train.recipe import Recipe

Items = Mapping[str, tuple[Tensor, Tensor]]
Progress = Callable[[dict[str, Any]], None]


class NonFiniteLossError(ArithmeticError):
    """The training or validation loss became NaN or infinite."""


@dataclass
class History:
    """How a training went; ``seconds`` and ``images`` are those of training steps alone."""

    best_step: int = 0
    best_dice: float | None = None
    train_curve: list[tuple[int, float]] = field(default_factory=list)
    val_curve: list[tuple[int, float, float | None]] = field(default_factory=list)
    seconds: float = 0.0
    images: int = 0


def learning_rate(spent: float, recipe: Recipe) -> float:
    """At a share ``spent`` of the budget: linear warm-up over the first ``warmup`` of it, then a half cosine."""
    if spent < recipe.warmup:
        return recipe.lr * spent / recipe.warmup
    rest = (spent - recipe.warmup) / (1 - recipe.warmup)
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * min(1.0, rest)))


def supervised_loss(outputs: list[Tensor], target: Tensor, ignore_index: int | None) -> Tensor:
    """Mean loss over all supervised scales; coarser logits are interpolated to the target's size."""
    losses = []
    for logits in outputs:
        if logits.shape[-2:] != target.shape[-2:]:
            logits = F.interpolate(logits, size=target.shape[-2:], mode="bilinear", align_corners=False)
        losses.append(cross_entropy_dice(logits, target, ignore_index))
    return torch.stack(losses).mean()


def train(
    fabric: Fabric,
    network: nn.Module,
    crops: TrainingCrops,
    validation: Items,
    info: DatasetInfo,
    recipe: Recipe,
    progress: Progress,
) -> History:
    """Train ``network`` in place within the recipe's budget; it ends with its best validation weights.

    The best is the highest mean foreground Dice, the lowest loss among equals and where no validation image has
    any foreground. Raises `NonFiniteLossError` as soon as a loss is not finite.
    """
    layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
    done = History()
    best: dict[str, Tensor] = {}
    network.to(memory_format=layout)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)
    model, optimizer = fabric.setup(SameSize(network, info.classes), optimizer)
    share = range(fabric.global_rank, len(crops), fabric.world_size)  # this process's items
    loader = DataLoader(crops, batch_size=recipe.batch_size // recipe.devices, sampler=share)
    loader = fabric.setup_dataloaders(loader, use_distributed_sampler=False)
    judged_by_dice = any(bool((mask == c).any()) for _, mask in validation.values() for c in info.foreground)
    budget = 60 * recipe.minutes if recipe.minutes is not None else None
    recent: list[float] = []
    best_score = (-math.inf, -math.inf)

    model.train()
    clock = time.perf_counter()
    for step, (images, masks) in enumerate(loader, start=1):
        spent = done.seconds / budget if budget else (step - 0.5) / (recipe.steps or 1)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(spent, recipe)

        images = images.contiguous(memory_format=layout)
        loss = supervised_loss(model(images), masks, info.ignore_index)
        fabric.backward(loss)
        fabric.clip_gradients(model, optimizer, max_norm=recipe.clip_norm, error_if_nonfinite=False)
        optimizer.step()
        optimizer.zero_grad()

        value = float(fabric.all_reduce(loss.detach(), reduce_op="mean"))  # type: ignore[arg-type]
        if not math.isfinite(value):
            raise NonFiniteLossError(f"training loss is {value} at step {step}")
        recent.append(value)
        now = time.perf_counter()
        done.seconds += now - clock
        clock = now
        done.images += recipe.batch_size
        out_of_time = budget is not None and _any_rank(fabric, done.seconds >= budget)
        last = out_of_time or step == recipe.steps

        if last or step % recipe.validate_every == 0:
            val_loss, matrices = evaluate(model, validation, info, layout)
            val_dice = mean_foreground(dice(torch.stack(list(matrices.values()))), info)
            if not math.isfinite(val_loss):
                raise NonFiniteLossError(f"validation loss is {val_loss} at step {step}")
            done.train_curve.append((step, sum(recent) / len(recent)))
            done.val_curve.append((step, val_loss, val_dice))
            recent = []
            score = (val_dice or 0.0 if judged_by_dice else 0.0, -val_loss)
            if score > best_score:
                best_score, done.best_step, done.best_dice = score, step, val_dice
                best = {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
            model.train()
            clock = time.perf_counter()
        progress(
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
        if last:
            break
    network.load_state_dict(best)
    return done


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    items: Items,
    info: DatasetInfo,
    layout: torch.memory_format,
    keep: Callable[[str, Tensor], None] | None = None,
) -> tuple[float, dict[str, Tensor]]:
    """Mean loss and the confusion matrix (K, K) of every item: whole images, one at a time.

    ``model`` is a `SameSize` set up by Fabric; ``keep`` is shown each class map (H, W).
    """
    model.eval()
    device = next(model.parameters()).device
    losses, matrices = [], {}
    for key, (image, mask) in items.items():
        image = image[None].to(device).contiguous(memory_format=layout)
        mask = mask[None].to(device)
        logits = model(image)[0]
        losses.append(float(cross_entropy_dice(logits, mask, info.ignore_index)))
        prediction = logits.argmax(dim=1)[0]
        matrices[key] = confusion(prediction, mask[0], info.classes, info.ignore_index).cpu()
        if keep is not None:
            keep(key, prediction.cpu())
    return sum(losses) / len(losses), matrices


def mean_foreground(scores: Tensor, info: DatasetInfo) -> float | None:
    """Mean over images of the mean over foreground classes of (images, K) scores; NaN left out, None if all is."""
    value = float(scores[:, list(info.foreground)].nanmean(dim=1).nanmean())
    return None if math.isnan(value) else value


def _any_rank(fabric: Fabric, flag: bool) -> bool:
    """Ranks must stop at the same step: true on all as soon as it is true on one."""
    return bool(fabric.all_reduce(torch.tensor(float(flag)), reduce_op="sum"))  # type: ignore[arg-type]
