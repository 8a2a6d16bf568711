"""Tensors for training and evaluation, all held in memory."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors

from unetzoo.data.base import SegmentationDataset
from unetzoo.data.transforms import normalize, training_transform
from unetzoo.nn.sizes import mirror_pad


@dataclass(frozen=True)
class Normalization:
    """Mean and standard deviation per channel of the training images; they travel with the weights."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, dataset: SegmentationDataset) -> Normalization:
        pixels = torch.cat([dataset[key][0].flatten(1) for key in dataset.splits["train"]], dim=1).double()
        std = pixels.std(dim=1).clamp_min(1e-3)
        return cls(tuple(round(v, 6) for v in pixels.mean(dim=1).tolist()), tuple(round(v, 6) for v in std.tolist()))

    def __call__(self, image: Tensor) -> Tensor:
        return normalize(image, self.mean, self.std)


class TrainingCrops(Dataset[tuple[Tensor, Tensor]]):
    """Item i is a function of (seed, i) alone, whoever asks for it and in what order.

    Images come in a new permutation each epoch; item i is a crop of one of them, normalised and augmented:
    image (C, crop, crop) and mask (crop, crop). Images smaller than the crop are mirrored out to it.
    """

    def __init__(
        self, dataset: SegmentationDataset, normalization: Normalization, *, crop: int, seed: int, length: int
    ) -> None:
        items = evaluation_items(dataset, "train", normalization).values()
        self.info = dataset.info
        self.items = [_at_least(image, mask, crop) for image, mask in items]
        self.seed, self.length = seed, length
        self.transform = training_transform(crop)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        epoch, position = divmod(index, len(self.items))
        order = torch.randperm(len(self.items), generator=torch.Generator().manual_seed(_mix(self.seed, -1 - epoch)))
        image, mask = self.items[int(order[position])]
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(_mix(self.seed, index))  # the CPU's alone
            image, mask = self.transform(tv_tensors.Image(image), tv_tensors.Mask(mask))
        return image.as_subclass(Tensor), mask.as_subclass(Tensor).contiguous()


def evaluation_items(
    dataset: SegmentationDataset, split: str, normalization: Normalization
) -> dict[str, tuple[Tensor, Tensor]]:
    """key -> whole image (C, H, W), normalised, and its mask (H, W)."""
    items = {}
    for key in dataset.splits[split]:
        image, mask = dataset[key]
        items[key] = (normalization(image), mask)
    return items


def _at_least(image: Tensor, mask: Tensor, size: int) -> tuple[Tensor, Tensor]:
    h, w = mask.shape
    if h >= size and w >= size:
        return image, mask
    pad = (0, max(0, size - h), 0, max(0, size - w))
    return mirror_pad(image, *pad), mirror_pad(mask, *pad)


def _mix(seed: int, index: int) -> int:
    """One 63-bit seed from two numbers (splitmix64's finaliser), so that neighbours share no random stream."""
    z = (seed * 0x9E3779B97F4A7C15 + index * 0xBF58476D1CE4E5B9 + 0x94D049BB133111EB) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return (z ^ (z >> 31)) >> 1
