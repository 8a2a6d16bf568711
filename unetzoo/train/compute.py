"""Precision and memory format of a training, chosen by timing a few steps."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import nn

from unetzoo.errors import Strict, one_line
from unetzoo.machine.device import resolve_precision
from unetzoo.machine.lock import no_beat
from unetzoo.nn.recompute import Recompute, recomputing
from unetzoo.nn.sizes import SameSize
from unetzoo.train.loop import make_optimizer
from unetzoo.train.losses import supervised_loss
from unetzoo.train.recipe import Recipe

GAIN = 0.10  # share of the default's time that another choice must save, so that the choice is stable
HOPELESS = 1.5  # times the default's time; slower ones are not timed again
FEWEST, MOST = 3, 7  # timed rounds


class Compute(Strict):
    """How the steps of a training are computed.

    Attributes:
        precision: "float32", or "bfloat16" for autocast.
        channels_last: Whether weights and images are in channels_last.
        compile: Whether the model is compiled.
    """

    precision: str
    channels_last: bool
    compile: bool = False

    @classmethod
    def of(cls, recipe: Recipe, device: str) -> Compute:
        """Return what a recipe asks for where nothing is timed.

        Args:
            recipe: The recipe.
            device: 'cuda', 'mps' or 'cpu'.
        """
        precision = resolve_precision(recipe.precision, device)
        return cls(precision=precision, channels_last=recipe.channels_last, compile=recipe.compile)


class ComputeTiming(Strict):
    """Median seconds of a training step over some rounds; None, with the reason, if the step failed."""

    compute: Compute
    seconds: float | None
    rounds: int
    problem: str = ""


class ComputeChoice(Strict):
    """A choice and the timings that it was made by, the default's first; no timings if there was no choice."""

    compute: Compute
    timings: list[ComputeTiming] = []

    def applied(self, recipe: Recipe) -> Recipe:
        """Return a copy of a recipe that states the choice.

        Args:
            recipe: The recipe.
        """
        return recipe.model_copy(update=self.compute.model_dump())


def candidates(recipe: Recipe, device: str) -> list[Compute]:
    """Return the ways to compute that a recipe leaves open, the default first.

    ``precision = "auto"`` leaves the precision open, ``channels_last = True``, its default, the memory format.

    Args:
        recipe: The recipe.
        device: 'cuda', 'mps' or 'cpu'.
    """
    default = Compute.of(recipe, device)
    if recipe.compute == "fixed" or recipe.deterministic:
        return [default]
    precisions = dict.fromkeys((default.precision, "float32")) if recipe.precision == "auto" else [default.precision]
    formats = [True, False] if recipe.channels_last else [False]
    return [
        default.model_copy(update={"precision": precision, "channels_last": channels_last})
        for precision in precisions
        for channels_last in formats
    ]


def choose_compute(
    build: Callable[[], nn.Module],
    recipe: Recipe,
    *,
    device: str,
    channels: int,
    classes: int,
    seconds: float = 2.0,
    beat: Callable[[], None] = no_beat,
) -> ComputeChoice:
    """Time a few training steps of every candidate in turn, and choose the default unless another is clearly faster.

    Each round times one step of each candidate on random crops of the recipe's shape. There are at least three rounds
    after a warm-up, and more while time is left. The random state stays as it was.

    Args:
        build: Builds the network, without pretrained weights.
        recipe: The recipe.
        device: 'cuda', 'mps' or 'cpu'.
        channels: Channels of the images.
        classes: Number of classes.
        seconds: Time after which there are no more rounds than needed.
        beat: Called before each step as a sign of life.

    Returns:
        The choice and all timings.
    """
    found = candidates(recipe, device)
    if len(found) == 1:
        return ComputeChoice(compute=found[0])
    with torch.random.fork_rng(devices=[torch.cuda.current_device()] if device == "cuda" else []):
        steps = {layout: _Steps(build, recipe, device, channels, classes, layout) for layout in _layouts(found)}
        taken, problems = _timed(found, steps, seconds, beat)
    medians = {compute: statistics.median(times) for compute, times in taken.items()}
    default, fastest = found[0], min(medians, key=medians.__getitem__)
    clear = medians[fastest] <= (1 - GAIN) * medians[default] and len(taken[fastest]) == len(taken[default])
    timings = [
        ComputeTiming(
            compute=compute,
            seconds=round(medians[compute], 5) if compute in medians else None,
            rounds=len(taken.get(compute, [])),
            problem=problems.get(compute, ""),
        )
        for compute in found
    ]
    return ComputeChoice(compute=fastest if clear else default, timings=timings)


def _layouts(found: list[Compute]) -> list[bool]:
    return list(dict.fromkeys(compute.channels_last for compute in found))


class _Steps:
    """A network in one memory format, with the training steps to time."""

    def __init__(
        self,
        build: Callable[[], nn.Module],
        recipe: Recipe,
        device: str,
        channels: int,
        classes: int,
        channels_last: bool,
    ) -> None:
        memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.device = device
        self.recompute: Recompute = recipe.recompute
        network = build().to(device)
        network.to(memory_format=memory_format)  # type: ignore[call-overload]
        self.model, self.optimizer = SameSize(network, classes).train(), make_optimizer(recipe, network)
        batch, crop = recipe.batch_size // recipe.devices, recipe.crop
        self.images = torch.rand(batch, channels, crop, crop, device=device).contiguous(memory_format=memory_format)
        self.masks = torch.randint(classes, (batch, crop, crop), device=device)

    def __call__(self, precision: str) -> float:
        """Take one step and return its seconds."""
        self._wait()
        begun = time.perf_counter()
        half = precision != "float32"
        context = torch.autocast(self.device, dtype=getattr(torch, precision)) if half else nullcontext()
        with recomputing(self.model.network, self.recompute):
            with context:
                outputs = self.model(self.images)
            supervised_loss(outputs, self.masks, None).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self._wait()
        return time.perf_counter() - begun

    def _wait(self) -> None:
        if self.device != "cpu":
            getattr(torch, self.device).synchronize()


def _timed(
    found: list[Compute], steps: dict[bool, _Steps], seconds: float, beat: Callable[[], None]
) -> tuple[dict[Compute, list[float]], dict[Compute, str]]:
    """Return the times of each candidate and why some failed; the default's exceptions are passed on."""
    taken: dict[Compute, list[float]] = {}
    problems: dict[Compute, str] = {}
    begun = time.perf_counter()
    for compute in found:
        beat()
        try:
            steps[compute.channels_last](compute.precision)
            taken[compute] = []
        except Exception as error:  # such as an operator that lacks this precision
            if compute == found[0]:
                raise
            problems[compute] = one_line(error)
    left = list(taken)
    for number in range(MOST):
        if number >= FEWEST and time.perf_counter() - begun > seconds:
            break
        for compute in left:
            beat()
            taken[compute].append(steps[compute.channels_last](compute.precision))
        bound = HOPELESS * statistics.median(taken[found[0]])
        left = [compute for compute in left if statistics.median(taken[compute]) <= bound]
    return taken, problems
