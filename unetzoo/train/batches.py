"""Batches of training crops on the device that trains, and where they are augmented."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.utils.data import DataLoader

from unetzoo._util.helpers import cores
from unetzoo.data.device_crops import CropDraws, DeviceCrops, held_bytes
from unetzoo.data.stream import TrainingCrops
from unetzoo.machine.memory import memory_limit
from unetzoo.nn.sizes import ValidSizes
from unetzoo.train.recipe import Recipe

HELD = 4  # the training images may take one part in this many of a GPU's free memory


def augments_on(recipe: Recipe, crops: TrainingCrops, device: str) -> tuple[Literal["loader", "device"], str]:
    """Return where training crops are augmented, and why, in words for the record.

    Args:
        recipe: The recipe.
        crops: The training crops.
        device: 'cuda', 'mps' or 'cpu'.
    """
    held = held_bytes(crops)
    lying = f"{held / 2**20:.1f} MiB of training images"
    if recipe.augment_on == "device":
        return "device", f"on the device, as asked for, which holds {lying}"
    if recipe.augment_on == "loader" or device != "cuda":
        return "loader", "in the loader"
    free = (memory_limit(device) or (0, ""))[0]
    if held > free / HELD:
        return "loader", f"in the loader, as {lying} are too many for {free / 2**20:.1f} MiB of free memory"
    return "device", f"on the device, which holds {lying} in {free / 2**20:.1f} MiB of free memory"


def batches(
    fabric: Fabric, network: nn.Module, crops: TrainingCrops, recipe: Recipe, done: int
) -> Iterator[tuple[Tensor, ...]]:
    """Return this process's batches of crops, on its device; crop i is the same whichever worker prepares it.

    Args:
        fabric: Device and processes.
        network: The network, whose crops have their context from the image if it needs one.
        crops: Stream of training crops.
        recipe: The recipe.
        done: Steps that are done already.
    """
    sizes = getattr(network, "sizes", None)
    if recipe.context == "image" and isinstance(sizes, ValidSizes):
        crops = crops.with_context(sizes)
    share = range(done * recipe.batch_size + fabric.global_rank, len(crops), fabric.world_size)
    on_gpu = fabric.device.type == "cuda"
    on_device = augments_on(recipe, crops, fabric.device.type)[0] == "device"
    workers = recipe.workers
    if workers == "auto":  # if the CPU trains, its cores are busy already; random numbers alone need few
        workers = min(2 if on_device else 8, cores() // recipe.devices - 1) if on_gpu else 0
    loader = DataLoader(
        CropDraws(crops) if on_device else crops,
        batch_size=recipe.batch_size // recipe.devices,
        sampler=share,
        collate_fn=list if on_device else None,
        generator=torch.Generator(),  # else the loader draws from the default one, as the network does
        num_workers=max(0, workers),
        pin_memory=on_gpu and not on_device,  # from which Fabric copies while the GPU computes
    )
    if on_device:
        return map(DeviceCrops(crops, fabric.device).batch, loader)
    return iter(fabric.setup_dataloaders(loader, use_distributed_sampler=False))  # type: ignore[arg-type]
