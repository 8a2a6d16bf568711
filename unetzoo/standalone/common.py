"""Helpers shared by the networks of this folder: any image size, checked options, resizing and unpooling."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.errors import UnetzooError, nearest
from unetzoo.nn.blocks import spatial
from unetzoo.nn.sizes import mirror_pad


class AnySize(nn.Module):
    """Base class of networks whose authors' code takes only certain image sizes.

    Other images (N, C, H, W) are mirrored at the bottom and the right up to the next size that fits, and the logits are
    cropped back to H, W; an image that fits is left as it is. Subclasses implement `logits`, and `scales` where several
    outputs are supervised.

    Attributes:
        multiple: Number of pixels of which H and W must be a multiple.
        least: Smallest H and W, in pixels.
    """

    multiple = 1
    least = 1

    def logits(self, x: Tensor) -> Tensor:
        """Return logits (N, K, H', W') with H' >= H and W' >= W for an image whose sides fit.

        Raises:
            NotImplementedError: If a subclass does not implement it.
        """
        raise NotImplementedError

    def scales(self, x: Tensor) -> list[Tensor]:
        """Return the logits of all supervised scales, finest first, for an image whose sides fit; here `logits`."""
        return [self.logits(x)]

    def fit(self, x: Tensor) -> Tensor:
        """Return the image unchanged where its sides fit, otherwise mirrored up to the next size that does."""
        m = self.multiple
        below, right = (max((side + m - 1) // m * m, self.least) - side for side in spatial(x))
        return mirror_pad(x, 0, below, 0, right) if below or right else x

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, K, H, W)."""
        h, w = spatial(x)
        return self.logits(self.fit(x))[..., :h, :w]

    def forward_all(self, x: Tensor) -> list[Tensor]:
        """Return the logits of all supervised scales, finest first.

        Coarse scales keep their own size where the image fits. Where it had to be mirrored, they are interpolated to
        the mirrored image's size and cropped like the finest.
        """
        (h, w), fitted = spatial(x), self.fit(x)
        finest, *coarse = self.scales(fitted)
        if spatial(fitted) != (h, w):
            coarse = [resize(scale, fitted) for scale in coarse]
        return [scale[..., :h, :w] for scale in (finest, *coarse)]


def resize(x: Tensor, like: Tensor) -> Tensor:
    """Interpolate a map bilinearly to the size of another one, with pixels as areas (align_corners=False).

    Args:
        x: Map (N, C, h, w).
        like: Map or image whose H, W the result has.
    """
    return F.interpolate(x, size=spatial(like), mode="bilinear", align_corners=False)


def max_pool_indices(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the 2x2 max pooling of (N, C, H, W) and, for each maximum, its index into H * W; a side of 1 stays 1."""
    h, w = spatial(x)
    return F.max_pool2d(x, (min(2, h), min(2, w)), return_indices=True)


def max_unpool(x: Tensor, indices: Tensor, like: Tensor) -> Tensor:
    """Put each value where the maximum was that it belongs to, with zeros elsewhere.

    Equals torch's max_unpool2d, which has no bfloat16 on the CPU and is not deterministic on CUDA. Windows do not
    overlap, so no place is written twice.

    Args:
        x: Values (N, C, h, w).
        indices: Index into H * W of each value, as `max_pool_indices` returns them.
        like: Map whose H, W the result has.
    """
    n, c = x.shape[:2]
    h, w = spatial(like)
    flat = torch.zeros(n, c, h * w, dtype=x.dtype, device=x.device)
    return flat.scatter(2, indices.flatten(2), x.flatten(2)).reshape(n, c, h, w)


def init_by_fan_out(module: nn.Module) -> None:
    """Draw the initial weights of UNeXt's code and its descendants: convolutions by their fan-out, linear N(0, 0.02).

    Biases start at 0, except in 1-D convolutions, which keep torch's own and whose groups do not count. The code's
    truncation of the linear layers' weights at 2, a hundred standard deviations, cuts nothing. Use with
    ``model.apply``.
    """
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.02)
    elif isinstance(module, nn.Conv1d | nn.Conv2d):
        groups = module.groups if isinstance(module, nn.Conv2d) else 1
        fan_out = math.prod(module.kernel_size) * module.out_channels // groups
        nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
    if isinstance(module, nn.Linear | nn.Conv2d) and module.bias is not None:
        nn.init.zeros_(module.bias)


def at_least(least: float, **options: float) -> None:
    """Raise an error unless every option is a number of at least ``least``.

    Args:
        least: Smallest value allowed.
        **options: The options by name.

    Raises:
        UnetzooError: If an option is not such a number.
    """
    for option, value in options.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= least:
            raise UnetzooError(f"option {option} = {value!r}: must be a number of at least {least}")


def whole(least: int = 1, **options: int) -> None:
    """Raise an error unless every option is a whole number of at least ``least``.

    Args:
        least: Smallest value allowed.
        **options: The options by name.

    Raises:
        UnetzooError: If an option is not such a number.
    """
    for option, value in options.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise UnetzooError(f"option {option} = {value!r}: must be a whole number of at least {least}")


def wholes(count: int | None = None, **options: Iterable[int]) -> None:
    """Raise an error unless every option is a list of positive whole numbers.

    Args:
        count: Number of values each list must have; any number but 0 if None.
        **options: The options by name.

    Raises:
        UnetzooError: If an option is not such a list.
    """
    for option, values in options.items():
        good = isinstance(values, list | tuple) and all(type(v) is int and v >= 1 for v in values)
        if not good or not values or (count is not None and len(values) != count):  # type: ignore[arg-type]
            many = f"{count} " if count is not None else ""
            raise UnetzooError(f"option {option} = {values!r}: must be a list of {many}whole numbers of at least 1")


def odd(**options: int) -> None:
    """Raise an error unless every option is a positive odd number.

    Args:
        **options: The options by name.

    Raises:
        UnetzooError: If an option is not such a number.
    """
    for option, value in options.items():
        if type(value) is not int or value < 1 or value % 2 == 0:
            raise UnetzooError(f"option {option} = {value!r}: must be an odd number of at least 1")


def fraction(**options: float) -> None:
    """Raise an error unless every option is a probability of at least 0 and below 1.

    Args:
        **options: The options by name.

    Raises:
        UnetzooError: If an option is not such a number.
    """
    for option, value in options.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
            raise UnetzooError(f"option {option} = {value!r}: must be at least 0 and below 1")


def one_of(known: Iterable[object], **options: object) -> None:
    """Raise an error unless every option is one of the known words or numbers.

    Args:
        known: The values allowed.
        **options: The options by name.

    Raises:
        UnetzooError: If an option has another value; the message suggests the nearest ones.
    """
    words = list(known)
    for option, value in options.items():
        if value not in words:
            raise UnetzooError(f"option {option} = {value!r}: {nearest(value, words)}")
