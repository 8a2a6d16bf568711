"""Timings of single training steps and forward passes: as a plain script does them, and as a trial does."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import speed_peers  # noqa: F401  (registers the networks of other packages)
import torch
from plain_training import dice_loss
from torch import nn
from torch.nn import functional as F

from unetzoo.measure.latency import PRODUCT_SIDE
from unetzoo.measure.rehearsal import Rehearsal
from unetzoo.models.factory import ModelConfig, resolve_model

MODELS: dict[str, dict[str, Any]] = {
    "unet": {"width": 16},
    "unet_noskip": {"width": 16},
    "attention_unet": {},
    "unetpp": {},
    "smp_resnet18": {},
    "monai_basic": {},
}
PRODUCTS = (PRODUCT_SIDE["cpu"], 4 * PRODUCT_SIDE["cpu"])  # sides; large networks need the larger to be compared with
COPIED = 2**26  # float32 numbers, 256 MiB
SECONDS = 20.0  # of a comparison, after which it has no more rounds once there were three

Work = Callable[[], object]
Shape = tuple[int, int, int, int]


def interleaved(candidates: dict[str, Work], rounds: int, seconds: float = SECONDS) -> dict[str, list[float]]:
    """Run every candidate in every round, in alternating order, after one round to warm up; return their seconds."""
    values: dict[str, list[float]] = {name: [] for name in candidates}
    begun = time.perf_counter()
    for number in range(-1, rounds):
        if number >= 3 and time.perf_counter() - begun > seconds:
            break
        for name in list(candidates)[:: 1 if number % 2 else -1]:
            start = time.perf_counter()
            candidates[name]()
            if number >= 0:
                values[name].append(time.perf_counter() - start)
    return values


def reference() -> dict[str, Work]:
    """Return what the machine can do: a product of square matrices, and a copy of memory."""
    source = torch.zeros(COPIED)
    target = torch.empty_like(source)
    found: dict[str, Work] = {"copy of 256 MiB": lambda: target.copy_(source)}
    for side in PRODUCTS:
        values = torch.linspace(-1, 1, side**2).reshape(side, side)
        for kind in (values, values.bfloat16()):
            found[f"{side} matrix product, {str(kind.dtype).removeprefix('torch.')}"] = partial(
                torch.matmul, kind, kind
            )
    return found


def config_of(name: str, **options: Any) -> ModelConfig:
    """Return the model for grey images and two classes."""
    return resolve_model(name, in_channels=1, num_classes=2, options=options)


def plain_step(config: ModelConfig, shape: Shape) -> Work:
    """Return a training step as `plain_training` makes it: float32, memory layout as it comes."""
    model = config.build()
    optimizer = torch.optim.AdamW(model.parameters())
    images, masks = torch.rand(shape), torch.randint(2, (shape[0], *shape[2:]))

    def step() -> None:
        logits = model(images)
        loss = F.cross_entropy(logits, masks) + dice_loss(logits, masks)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def our_step(config: ModelConfig, shape: Shape) -> Work:
    """Return a training step as a trial makes it: bfloat16 autocast and channels_last."""
    work = Rehearsal(config, 2, precision="bfloat16", fake=False)
    return partial(work.step, work.images(shape), work.masks(shape))


def plain_pass(config: ModelConfig, shape: Shape) -> Work:
    """Return a forward pass in float32."""
    model, images = config.build().eval(), torch.rand(shape)
    return torch.inference_mode()(lambda: model(images))


def our_pass(config: ModelConfig, shape: Shape) -> Work:
    """Return a forward pass as a trial makes it in evaluation."""
    work = Rehearsal(config, 2, precision="bfloat16", fake=False)
    return partial(work.forward, work.images(shape))


def comparisons(rounds: int) -> list[dict[str, Any]]:
    """Compare steps and passes of several networks with those of a plain script, and the machine with itself."""
    found = [_measurement(name, "reference", values) for name, values in interleaved(reference(), 3 * rounds).items()]
    for name, options in MODELS.items():
        config = config_of(name, **options)
        for what, shape, plain, ours in (
            ("training step", (4, 1, 256, 256), plain_step, our_step),
            ("forward pass", (1, 1, 512, 512), plain_pass, our_pass),
        ):
            works = {"plain": plain(config, shape), "unetzoo": ours(config, shape)}
            found += _listed(name, what, shape, interleaved(works, rounds), config)
    return found


def sweeps(rounds: int, largest: int) -> list[dict[str, Any]]:
    """Time `unet` over sizes, batches, widths and threads, with the predicted memory of the tensors."""
    found: list[dict[str, Any]] = []
    sides = [128 * 2**k for k in range(6) if 128 * 2**k <= largest]
    unet = config_of("unet", width=16)
    for what, make, shapes in (
        ("training step", our_step, [(1, 1, side, side) for side in sides if side <= 1024]),
        ("forward pass", our_pass, [(1, 1, side, side) for side in sides]),
    ):
        found += _swept(f"size, {what}", what, ((unet, shape, make) for shape in shapes), rounds)
    found += _swept("batch", "training step", ((unet, (n, 1, 128, 128), our_step) for n in (1, 2, 4, 8, 16)), rounds)
    widths = (config_of("unet", width=width) for width in (8, 16, 32, 64))
    found += _swept("width", "training step", ((config, (2, 1, 128, 128), our_step) for config in widths), rounds)
    threads = torch.get_num_threads()
    for number in range(1, threads + 1):
        torch.set_num_threads(number)
        done = _swept("threads", "training step", [(unet, (4, 1, 256, 256), our_step)], rounds)
        found += [{**each, "name": f"{each['name']}, {number} threads", "threads": number} for each in done]
    torch.set_num_threads(threads)
    return found


def _swept(
    sweep: str, what: str, points: Iterable[tuple[ModelConfig, Shape, Callable[..., Work]]], rounds: int
) -> list[dict[str, Any]]:
    found = []
    for config, shape, make in points:
        values = interleaved({"unetzoo": make(config, shape)}, rounds, SECONDS / 2)["unetzoo"]
        rehearsal = Rehearsal(config, 2, precision="bfloat16")
        peak = rehearsal.training_peak(shape) if what == "training step" else rehearsal.inference_peak(shape)
        name = f"{config.name}(width={config.options['width']}), {what}, {'x'.join(map(str, shape))}"
        facts = {"shape": shape, "width": config.options["width"], "predicted_bytes": peak.total}
        found.append({**_measurement(name, f"sweep of {sweep}", values), **facts})
    return found


def _listed(
    model: str, what: str, shape: Shape, values: dict[str, list[float]], config: ModelConfig
) -> list[dict[str, Any]]:
    from unetzoo.measure.counts import count_macs, count_parameters

    network: nn.Module = config.build().eval()
    facts = {
        "model": model,
        "what": what,
        "shape": shape,
        "params": count_parameters(network),
        "macs": count_macs(network, torch.zeros(1, *shape[1:])),
    }
    size = "x".join(map(str, shape))
    return [
        {**_measurement(f"{model}, {what}, {size}, {by}", f"{what}s", taken), **facts, "by": by}
        for by, taken in values.items()
    ]


def _measurement(name: str, group: str, values: list[float]) -> dict[str, Any]:
    assert all(math.isfinite(value) for value in values)
    return {"name": name, "group": group, "unit": "s", "values": [round(value, 6) for value in values]}
