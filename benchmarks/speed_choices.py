"""Memory and time of `recompute`, and the ways in which trials of each network compute, as timing chooses them."""

from __future__ import annotations

import gc
from functools import partial
from typing import Any, get_args

import torch
from speed_steps import config_of, interleaved

from unetzoo.measure.rehearsal import tensor_memory
from unetzoo.models.factory import ModelConfig
from unetzoo.nn.recompute import Recompute, recomputing
from unetzoo.nn.sizes import SameSize
from unetzoo.train.compute import Compute, choose_compute
from unetzoo.train.losses import supervised_loss
from unetzoo.train.recipe import Recipe

SHAPE = (4, 1, 512, 512)
WIDTHS = (16, 64)
NETWORKS: dict[str, dict[str, Any]] = {
    "unet": {"width": 16},
    "unet_noskip": {"width": 16},
    "unet_convnext": {"width": 16},
    "nnunet_plain": {"width": 16},
    "smp_resnet18": {},
    "monai_basic": {},
    "mednext_s": {},
    "unext": {},
    "swin_unet": {"width": 24},
}


class Step:
    """A training step of `unet` in bfloat16 and channels_last that computes some maps twice."""

    def __init__(self, config: ModelConfig, recompute: Recompute) -> None:
        torch.manual_seed(0)
        network = config.build().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.model, self.recompute = SameSize(network, 2).train(), recompute
        self.optimizer = torch.optim.AdamW(network.parameters())
        self.images = torch.rand(SHAPE).contiguous(memory_format=torch.channels_last)
        self.masks = torch.randint(2, (SHAPE[0], *SHAPE[2:]))

    def __call__(self) -> None:
        with recomputing(self.model.network, self.recompute):
            with torch.autocast("cpu", torch.bfloat16):
                outputs = self.model(self.images)
            supervised_loss(outputs, self.masks, None).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


def recompute(rounds: int) -> list[dict[str, Any]]:
    """Return seconds and peak memory of a training step of `unet` for each way to recompute.

    Args:
        rounds: Rounds in which every way takes a step.
    """
    rows = []
    for width in WIDTHS:
        config = config_of("unet", width=width)
        ways: list[Recompute] = list(get_args(Recompute))
        taken = interleaved({way: Step(config, way) for way in ways}, rounds, seconds=float("inf"))
        for way in ways:
            memory = tensor_memory(config, 2, SHAPE, SHAPE, precision="bfloat16", recompute=way)
            assert memory is not None
            rows.append(
                {
                    "name": f"recompute: unet(width={width}), {way}",
                    "group": f"recompute, width {width}",
                    "unit": "s",
                    "values": taken[way],
                    "way": way,
                    "width": width,
                    "shape": SHAPE,
                    "peak_bytes": memory.train.total,
                }
            )
            print(rows[-1], flush=True)
        gc.collect()
    return rows


def choices() -> list[dict[str, Any]]:
    """Return, for each network, the seconds of a step by precision and memory format, and the choice a trial makes."""
    recipe = Recipe(batch_size=4, crop=256, compute="auto")
    rows = []
    for name, options in NETWORKS.items():
        config = config_of(name, **options)
        found = choose_compute(partial(config.build), recipe, device="cpu", channels=1, classes=2)
        seconds = {words(each.compute): each.seconds for each in found.timings}
        rows.append({"model": name, "options": options, "seconds": seconds, "choice": words(found.compute)})
        print(rows[-1], flush=True)
    return rows


def words(compute: Compute) -> str:
    """Return precision and memory format in words."""
    return f"{compute.precision}, {'channels_last' if compute.channels_last else 'contiguous'}"
