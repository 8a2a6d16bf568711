"""Training crops made on a device: the images lie there, and the crops of a batch are cut and augmented together."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.data import Dataset

from unetzoo.data.decoded import to_float
from unetzoo.data.pixel_transforms import sent
from unetzoo.data.stream import Crop, CropNumbers, TrainingCrops


class CropDraws(Dataset[CropNumbers]):
    """The random numbers of training crops, which `DeviceCrops` turns into crops.

    Args:
        crops: The training crops.
    """

    def __init__(self, crops: TrainingCrops) -> None:
        self.crops = crops

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, index: int) -> CropNumbers:
        return self.crops.numbers(index)


class DeviceCrops:
    """Training images on a device, and the crops that are made of them there.

    A batch is that of `TrainingCrops` up to rounding, apart from noise, which the device draws itself. All images lie
    in a row, so that those of different sizes are read by one indexing.

    Args:
        crops: The training crops, with their context if they have one.
        device: The device.
    """

    def __init__(self, crops: TrainingCrops, device: torch.device) -> None:
        self.crops, self.device = crops, device
        images, masks = zip(*(stored for stored, _ in crops.items), strict=True)
        sizes = [image.shape[-2:] for image in images]
        self.pixels = _row(images, device)
        self.maps = [_row(masks, device)]
        weights = [x for _, x in crops.items if x is not None]
        if weights:
            self.maps.append(_row(weights, device))
        starts = torch.tensor([0, *(height * width for height, width in sizes)]).cumsum(0)[:-1]
        self.places = torch.cat([starts[:, None], torch.tensor(sizes)], dim=1).to(device)
        """First position, height and width of each image."""
        self.noise = torch.Generator(device)

    def batch(self, drawn: Sequence[CropNumbers]) -> Crop:
        """Make a batch of crops.

        Args:
            drawn: The numbers of each crop.

        Returns:
            Images (N, C, S, S), masks (N, crop, crop) and, if the loss is weighted, weights (N, crop, crop).
        """
        crops, augmentation, side = self.crops, self.crops.augmentation, self.crops.side
        self.noise.manual_seed(drawn[0].seed)
        chosen = sent([(x.image, x.top, x.left) for x in drawn], self.device, torch.long)
        start, height, width = self.places[chosen[:, 0]][:, :, None, None].unbind(1)
        axis = torch.arange(side, device=self.device)
        rows = (chosen[:, 1, None] + axis)[:, :, None]
        columns = (chosen[:, 2, None] + axis)[:, None]
        read = _Reading(start, height, width)
        images, maps = self._normal(read(self.pixels, rows, columns)), [read(x, rows, columns) for x in self.maps]
        warped = [number for number, x in enumerate(drawn) if x.warp is not None]
        if warped:
            where = sent(warped, self.device, torch.long)
            field = augmentation.warps[0][1].fields(
                [x.warp for x in drawn if x.warp is not None], side, side, self.device
            )
            positions = field + chosen[where, 1:, None, None]
            read = _Reading(*(x[where] for x in (start, height, width)))
            images = images.index_copy(0, where, self._interpolated(read, positions))
            rows, columns = positions.round().long().unbind(1)
            maps = [x.index_copy(0, where, read(row, rows, columns)) for x, row in zip(maps, self.maps, strict=True)]
        images, *maps = augmentation.apply([x.pixels for x in drawn], (images, *maps), self.noise)
        return crops.finished(images, *maps)

    def _interpolated(self, read: _Reading, positions: Tensor) -> Tensor:
        """Return normalised images (N, C, S, S), interpolated linearly at rows and columns (N, 2, S, S)."""
        first = positions.floor()
        down, right = (positions - first)[:, :, None].unbind(1)
        rows, columns = first.long().unbind(1)
        corners = (self._normal(read(self.pixels, rows + i, columns + j)) for i in (0, 1) for j in (0, 1))
        upper, lower = (torch.lerp(next(corners), next(corners), right) for _ in range(2))
        return torch.lerp(upper, lower, down)

    def _normal(self, images: Tensor) -> Tensor:
        return self.crops.normalization.of_stored(images)


class _Reading:
    """Reads pixels of images that lie in a row, mirrored beyond their borders.

    Args:
        start: Position of each crop's image in the row, (N, 1, 1).
        height: Its height, (N, 1, 1).
        width: Its width, (N, 1, 1).
    """

    def __init__(self, start: Tensor, height: Tensor, width: Tensor) -> None:
        self.start, self.height, self.width = start, height, width

    def __call__(self, row: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Return pixels of a row (..., P) as (N, ..., S, S), at rows and columns that broadcast to (N, S, S)."""
        indices = self.start + _mirrored(rows, self.height) * self.width + _mirrored(columns, self.width)
        found = row.index_select(-1, indices.flatten()).unflatten(-1, indices.shape)
        return found if row.ndim == 1 else found.transpose(0, 1).contiguous()


def held_bytes(crops: TrainingCrops) -> int:
    """Return the memory that `DeviceCrops` takes for the images, masks and weights, in bytes.

    Args:
        crops: The training crops.
    """
    images, masks = zip(*(stored for stored, _ in crops.items), strict=True)
    weights = [x for _, x in crops.items if x is not None]
    return sum(_kind(kind).itemsize * sum(x.numel() for x in kind) for kind in (images, masks, weights) if kind)


def _kind(images: Sequence[Tensor]) -> torch.dtype:
    """Return the type that holds the pixels of all images."""
    kinds = {x.dtype for x in images}
    found = kinds.pop()
    for kind in kinds:
        found = torch.promote_types(found, kind)
    return found


def _row(images: Sequence[Tensor], device: torch.device) -> Tensor:
    """Return the pixels of all images (..., H, W) one after the other, (..., P), on a device."""
    kind, lengths = _kind(images), [x.shape[-2] * x.shape[-1] for x in images]
    row = torch.empty(*images[0].shape[:-2], sum(lengths), dtype=kind, device=device)
    for part, image in zip(row.split(lengths, dim=-1), images, strict=True):
        part.copy_((to_float(image) if kind.is_floating_point else image).flatten(-2))
    return row


def _mirrored(positions: Tensor, sizes: Tensor) -> Tensor:
    """Return positions (N, ...) inside sides of ``sizes`` pixels (N, 1, 1), mirrored again and again at both ends."""
    positions = positions.remainder((2 * (sizes - 1)).clamp_min(1))
    return torch.minimum(positions, 2 * (sizes - 1) - positions)
