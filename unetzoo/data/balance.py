"""Two remedies for rare classes: crops that are sure to hold foreground, and weights of the classes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from unetzoo.data.foreground import without_foreground

MOST_PLACES = 4096  # pixels kept of each class of an image: enough to go anywhere, little to hold


class ForegroundPlaces:
    """Foreground pixels of the training images, around which a share of the crops is placed.

    An image's own classes are equally likely, so that rare ones are seen. An image without any foreground is replaced
    by one that has some.

    Args:
        masks: Mask (H, W) of each training image.
        foreground: Indices of the foreground classes.
        share: Share of the crops, above 0.
        name: Name of the data set, for the error.

    Raises:
        UnetzooError: If no training image has foreground.

    References:
        nnU-Net, Isensee et al. 2021, doi 10.1038/s41592-020-01008-z: a third of the crops holds foreground.
    """

    def __init__(self, masks: Sequence[Tensor], foreground: Sequence[int], share: float, name: str) -> None:
        self.share = share
        self.places = [[found for c in foreground if len(found := _places(mask, c))] for mask in masks]
        self.images = [number for number, found in enumerate(self.places) if found]
        if not self.images:
            raise without_foreground(name)

    def wanted(self, index: int) -> bool:
        """Return True if the crop of this index is one of the share; in any run of crops the share is kept."""
        return int((index + 1) * self.share) > int(index * self.share)

    def draw(self, image: int) -> tuple[int, int, int]:
        """Draw a place, from torch's global generator.

        Args:
            image: Number of the image to draw from, if it has foreground.

        Returns:
            Number of the image, and row and column of the pixel.
        """
        if not self.places[image]:
            image = self.images[_below(len(self.images))]
        places = self.places[image][_below(len(self.places[image]))]
        row, column = places[_below(len(places))].tolist()
        return image, row, column


def _places(mask: Tensor, label: int) -> Tensor:
    """Return rows and columns (n, 2) of up to `MOST_PLACES` pixels of a class, the same ones on every call."""
    found = (mask == label).nonzero().to(torch.int32)
    if len(found) <= MOST_PLACES:
        return found
    return found[torch.randint(len(found), (MOST_PLACES,), generator=torch.Generator().manual_seed(0))]


def _below(n: int) -> int:
    return int(torch.randint(n, ()))


def median_frequency_weights(masks: Sequence[Tensor], classes: int, most: float = 10.0) -> Tensor:
    """Return weights (K,) of the classes by which those that are rarer than the median one count more.

    A class's frequency is its share of the pixels of the images that have it, ignored pixels included; its weight is
    the median frequency over its own. A class that no mask has is given 1.

    Args:
        masks: Mask (H, W) of each training image.
        classes: Number of classes K.
        most: Largest weight; the smallest is its inverse.

    References:
        Eigen and Fergus 2015, arXiv 1411.4734, section 6.3.2.
    """
    pixels, area = torch.zeros(classes, dtype=torch.float64), torch.zeros(classes, dtype=torch.float64)
    for mask in masks:
        known = mask[(mask >= 0) & (mask < classes)].long()
        counts = torch.bincount(known.flatten(), minlength=classes)
        pixels += counts
        area += (counts > 0) * mask.numel()
    present = pixels > 0
    frequency = pixels[present] / area[present]
    weights = torch.ones(classes, dtype=torch.float64)
    weights[present] = frequency.quantile(0.5) / frequency
    return weights.clamp(1 / most, most).float()
