"""Crops for training and whole images for evaluation, as tensors, from items that are decoded once."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import Dataset

from unetzoo.data.augmentation import AugmentationName, Drawn, augmentation
from unetzoo.data.balance import ForegroundPlaces, median_frequency_weights
from unetzoo.data.base import SegmentationDataset
from unetzoo.data.decoded import Decoded, Stored, to_float
from unetzoo.data.pixel_transforms import Numbers
from unetzoo.data.transforms import ElasticDeformation, normalize, take
from unetzoo.nn.sizes import ValidSizes, mirrored

Crop = tuple[Tensor, ...]
"""Image (C, S, S), mask (crop, crop) and, if the loss is weighted, weights (crop, crop)."""


@dataclass(frozen=True)
class CropNumbers:
    """The random numbers of a crop.

    Attributes:
        seed: Seed of the crop's noise.
        image: Number of the image among those of training.
        top: First row of the crop's image, also negative.
        left: First column of the crop's image, also negative.
        warp: Numbers of its deformation; None if it has none.
        pixels: Numbers of the transforms after it.
    """

    seed: int
    image: int
    top: int
    left: int
    warp: Numbers | None
    pixels: Drawn


@dataclass(frozen=True)
class Normalization:
    """Mean and standard deviation of each channel of the training images, saved with the weights."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, dataset: SegmentationDataset) -> Normalization:
        """Compute the statistics over the training images, reading one image at a time.

        Counts, means and squared deviations are merged (Chan et al. 1979).
        """
        count, mean, squares = 0, torch.zeros(()), torch.zeros(())
        for key in dataset.splits["train"]:
            pixels = dataset[key][0].flatten(1).double()
            here, off = pixels.shape[1], pixels.mean(dim=1) - mean
            squares = squares + pixels.var(dim=1, correction=0) * here + off.square() * (count * here / (count + here))
            count += here
            mean = mean + off * (here / count)
        std = (squares / max(1, count - 1)).sqrt().clamp_min(1e-3)
        return cls(tuple(round(v, 6) for v in mean.tolist()), tuple(round(v, 6) for v in std.tolist()))

    def __call__(self, image: Tensor) -> Tensor:
        return normalize(image, self.mean, self.std)

    def of_stored(self, image: Tensor) -> Tensor:
        """Return an image, or part of one, from how `Decoded` keeps it, which stays as it is.

        Args:
            image: Image (C, H, W), uint8 or float32 in [0, 1].
        """
        return normalize(to_float(image), self.mean, self.std, inplace=image.dtype == torch.uint8)


class TrainingCrops(Dataset[Crop]):
    """Random training crops. Item i is a function of (seed, i) alone, whoever asks for it and in what order.

    Images come in a new permutation each epoch; item i is a crop of one of them, normalised and augmented:
    image (C, crop, crop), mask (crop, crop), and the border weights (crop, crop) if a ``border`` is given.
    Images smaller than the crop are extended by mirroring. After `with_context` the image is larger than its mask.

    Args:
        dataset: Data set whose train split is used.
        normalization: Normalization of the images.
        crop: Side of the crops in px.
        seed: Seed of the crops.
        length: Number of items.
        augment: Augmentation; see `unetzoo.data.augmentation.augmentation`.
        border: ``w0`` and ``sigma`` of `border_weight_map`.
        foreground: Share of the crops that are placed around a foreground pixel; see `ForegroundPlaces`.

    Raises:
        UnetzooError: If such crops are asked for and no training image has foreground.
    """

    def __init__(
        self,
        dataset: SegmentationDataset,
        normalization: Normalization,
        *,
        crop: int,
        seed: int,
        length: int,
        augment: AugmentationName = "flips",
        border: tuple[float, float] | None = None,
        foreground: float = 0.0,
    ) -> None:
        data = dataset if isinstance(dataset, Decoded) else Decoded(dataset)
        self.info, self.normalization = data.info, normalization
        self.items: list[tuple[Stored, Tensor | None]] = [
            (data.stored(key), data.border_weights(key, *border) if border else None) for key in data.splits["train"]
        ]
        self.crop, self.seed, self.length = crop, seed, length
        self.order: tuple[int, Tensor] | None = None  # of an epoch
        self.before, self.side = 0, crop  # of the image: pixels before the first of the mask, and in total
        self.augmentation = augmentation(augment)
        self.places: ForegroundPlaces | None = None
        if foreground:
            masks = [mask for (_, mask), _ in self.items]
            self.places = ForegroundPlaces(masks, data.info.foreground, foreground, data.info.name)

    def with_context(self, sizes: ValidSizes) -> TrainingCrops:
        """Return the same crops for a network of valid convolutions, with the surrounding pixels that it reads.

        These are the image's own, mirrored at its border (arXiv 1505.04597, figure 2).

        Args:
            sizes: Input sizes of the network.
        """
        wider = copy.copy(self)
        wider.side = sizes.input(self.crop)
        wider.before = (wider.side - self.crop) // 2
        return wider

    def class_weights(self) -> Tensor:
        """Return the `median_frequency_weights` of the training masks, (K,)."""
        return median_frequency_weights([mask for (_, mask), _ in self.items], self.info.classes)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Crop:
        with self._seeded(index):
            number, top, left = self._place(index)
            (image, mask), weights = self.items[number]
            maps = (mask,) if weights is None else (mask, weights)
            if (warp := self.augmentation.draw_warp()) is None:
                image, *maps = (window(x, top, left, self.side, self.side) for x in (image, *maps))
                image = self.normalization.of_stored(image)
            else:
                image, *maps = self._warped(warp, image, maps, top, left)
            image, *maps = self.augmentation.change(image, *maps)
        return self.finished(image, *maps)

    def numbers(self, index: int) -> CropNumbers:
        """Return the random numbers of an item, from which `DeviceCrops` makes it.

        Args:
            index: Index of the item.
        """
        with self._seeded(index):
            place = self._place(index)
            warp = self.augmentation.draw_warp()
            field = None if warp is None else warp.draw(self.side, self.side)
            pixels = self.augmentation.draw(self.info.channels, self.side)
        return CropNumbers(_mix(self.seed, index), *place, field, pixels)

    def finished(self, image: Tensor, *maps: Tensor) -> Crop:
        """Return augmented images with masks and weights of the crop itself, without its context.

        Args:
            image: Images (..., C, S, S).
            maps: Masks and weights (..., S, S).
        """
        inside = slice(self.before, self.before + self.crop)
        mask, *rest = (x[..., inside, inside].contiguous() for x in maps)
        return (image, mask.long(), *rest)

    @contextmanager
    def _seeded(self, index: int) -> Iterator[None]:
        """Draw from a random stream of this item's own inside the block."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(_mix(self.seed, index))  # leaves the generators of other devices alone
            yield

    def _order_of(self, epoch: int) -> Tensor:
        """Return the order of the images in an epoch; the last one asked for is kept."""
        if self.order is None or self.order[0] != epoch:
            generator = torch.Generator().manual_seed(_mix(self.seed, -1 - epoch))
            self.order = epoch, torch.randperm(len(self.items), generator=generator)
        return self.order[1]

    def _place(self, index: int) -> tuple[int, int, int]:
        """Return the number of the image that a crop is taken from, and the first row and column with its context."""
        epoch, position = divmod(index, len(self.items))
        number = int(self._order_of(epoch)[position])
        pixel: list[int] = []
        if self.places is not None and self.places.wanted(index):
            number, *pixel = self.places.draw(number)
        firsts = []
        for axis, side in enumerate(self.items[number][0][1].shape):
            last = max(0, side - self.crop)
            if pixel:
                firsts.append(min(max(pixel[axis] - int(torch.randint(self.crop, ())), 0), last))
            else:
                firsts.append(int(torch.randint(last + 1, ())) if last else 0)
        return number, firsts[0] - self.before, firsts[1] - self.before

    def _warped(
        self, warp: ElasticDeformation, image: Tensor, maps: tuple[Tensor, ...], top: int, left: int
    ) -> Iterator[Tensor]:
        """Yield the deformed image and maps, with pixels from anywhere in the image, not from the crop alone."""
        positions = warp.positions(self.side, self.side) + torch.tensor([top, left])[:, None, None]
        low, high = positions.amin((1, 2)), positions.amax((1, 2))
        (first, start), (last, stop) = low.floor().long().tolist(), high.ceil().long().tolist()
        positions = positions - torch.tensor([first, start])[:, None, None]
        around = (first, start, last - first + 1, stop - start + 1)
        yield warp.sample(self.normalization.of_stored(window(image, *around)), positions)
        row, column = positions.round().long()  # within the window, so none needs mirroring as in `nearest`
        indices = row * around[3] + column
        yield from (take(window(x, *around), indices) for x in maps)


class EvaluationItems(Mapping[str, tuple[Tensor, Tensor]]):
    """Whole images (C, H, W), normalised when they are asked for, with their masks (H, W), by key."""

    def __init__(self, dataset: SegmentationDataset, keys: tuple[str, ...], normalization: Normalization) -> None:
        self.dataset, self.order, self.normalization = dataset, keys, normalization

    def __getitem__(self, key: str) -> tuple[Tensor, Tensor]:
        image, mask = self.dataset[key]
        return self.normalization(image), mask

    def __iter__(self) -> Iterator[str]:
        return iter(self.order)

    def __len__(self) -> int:
        return len(self.order)


def window(x: Tensor, top: int, left: int, height: int, width: int) -> Tensor:
    """Return a window of an image (..., H, W), which is mirrored beyond its borders.

    Args:
        x: Image or mask (..., H, W).
        top: First row, also negative.
        left: First column, also negative.
        height: Height of the window.
        width: Width of the window.

    Returns:
        The window (..., height, width).
    """
    h, w = x.shape[-2:]
    if top >= 0 and left >= 0 and top + height <= h and left + width <= w:
        return x[..., top : top + height, left : left + width]
    rows, columns = mirrored(top, top + height, h), mirrored(left, left + width, w)
    return x.index_select(-2, rows).index_select(-1, columns)


def _mix(seed: int, index: int) -> int:
    """Mix two numbers into a 63-bit seed (finaliser of splitmix64), so that neighbours share no random stream."""
    z = (seed * 0x9E3779B97F4A7C15 + index * 0xBF58476D1CE4E5B9 + 0x94D049BB133111EB) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return (z ^ (z >> 31)) >> 1
