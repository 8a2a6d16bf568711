"""Training augmentation: torchvision v2 transforms that change an image and its mask together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import PIL.Image
import torch
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from unetzoo.data.pixel_transforms import Numbers, sent
from unetzoo.errors import UnetzooError


class RandomRightAngle(v2.Transform):
    """Rotation by 0, 90, 180 or 270 degrees, exact and without interpolation."""

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"quarters": int(torch.randint(4, ()))}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        turned = torch.rot90(inpt.as_subclass(Tensor), params["quarters"], dims=(-2, -1))
        return tv_tensors.wrap(turned, like=inpt)  # pyright: ignore[reportCallIssue]


class ElasticDeformation(v2.Transform):
    """The elastic deformation of the 2015 paper: smooth random displacements, one field for all inputs.

    Displacement vectors are drawn from a Gaussian, rows and columns independently, on a coarse grid whose corners are
    the image's; bicubic interpolation gives those of each pixel. Rotation about the centre and shift, both uniform, go
    into the same field, so that the image is interpolated once. The paper names both without ranges; here they are off
    by default, and so is a change of scale, which the paper does not have.

    Takes `tv_tensors.Image` and `tv_tensors.Mask`, or a plain tensor as the image, (..., H, W), all of one size.
    Images of any numeric type are interpolated. Masks, including instance labels and weight maps wrapped as masks, take
    the unchanged value of the nearest pixel, whatever its type. Borders are mirrored without repeating the border
    pixel. Random numbers come from torch's global generator.

    Args:
        displacement: Standard deviation of the displacements in px.
        grid: Nodes per side of the coarse grid.
        degrees: Largest rotation, in either direction.
        shift: Largest shift, in either direction, as a share of each side.
        zoom: Smallest and largest factor by which objects grow, drawn uniformly; None: no change of scale.
        interpolation: Interpolation of images.

    Raises:
        UnetzooError: If an option is out of range, or (when called) on boxes, PIL images and unequal sizes.

    References:
        Ronneberger, Fischer, Brox 2015, arXiv 1505.04597, section 3.1.
    """

    def __init__(
        self,
        displacement: float = 10.0,
        grid: int = 3,
        *,
        degrees: float = 0.0,
        shift: float = 0.0,
        zoom: tuple[float, float] | None = None,
        interpolation: Literal["bilinear", "bicubic"] = "bilinear",
    ) -> None:
        super().__init__()
        if grid < 2:
            raise UnetzooError(f"grid = {grid} must be at least 2, as its outer nodes are the image's corners")
        if interpolation not in ("bilinear", "bicubic"):
            raise UnetzooError(f"interpolation = {interpolation!r} is not a choice; allowed: bilinear, bicubic")
        if zoom is not None and not 0 < zoom[0] <= zoom[1]:
            raise UnetzooError(f"zoom = {zoom} must be two factors above 0, the smaller first")
        self.displacement, self.grid, self.zoom = displacement, grid, zoom
        self.degrees, self.shift, self.interpolation = degrees, shift, interpolation

    def check_inputs(self, flat_inputs: list[Any]) -> None:
        """Check that the inputs are image and mask tensors of one size.

        Raises:
            UnetzooError: If they are not.
        """
        moved = _moved(flat_inputs)
        for x in moved:
            if not isinstance(x, tv_tensors.Image | tv_tensors.Mask | tv_tensors.Video) and type(x) is not Tensor:
                raise UnetzooError(f"ElasticDeformation takes image and mask tensors, not {type(x).__name__}")
        if len({x.shape[-2:] for x in moved}) > 1:
            raise UnetzooError(f"image and masks differ in size: {', '.join(str(tuple(x.shape)) for x in moved)}")

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        sides = next((x.shape[-2:] for x in _moved(flat_inputs)), (1, 1))
        return {"positions": self.positions(*sides)}

    def positions(self, height: int, width: int) -> Tensor:
        """Draw a new field.

        Args:
            height: Height of the field in px.
            width: Width of the field in px.

        Returns:
            The row and column, in px, from which each pixel is taken, float32 (2, height, width).
        """
        return self.fields([self.draw(height, width)], height, width, torch.device("cpu"))[0]

    def draw(self, height: int, width: int) -> Numbers:
        """Draw the random numbers of a field, which are those of its grid's nodes and four of an affine map.

        Args:
            height: Height of the field in px.
            width: Width of the field in px.
        """
        coarse = self.displacement * torch.randn(2, self.grid, self.grid)
        angle, down, right = (2 * torch.rand(3) - 1).tolist()
        angle *= math.radians(self.degrees)
        step = 1.0  # between neighbours, in px of the image
        if self.zoom is not None:
            step /= self.zoom[0] + float(torch.rand(())) * (self.zoom[1] - self.zoom[0])
        affine = (
            step * math.cos(angle) - 1,
            step * math.sin(angle),
            down * self.shift * height,
            right * self.shift * width,
        )
        return *coarse.flatten().tolist(), *affine

    def fields(self, drawn: Sequence[Numbers], height: int, width: int, device: torch.device) -> Tensor:
        """Return the fields of drawn numbers.

        Args:
            drawn: What `draw` returned for each field.
            height: Height of the fields in px.
            width: Width of the fields in px.
            device: Device to compute on.

        Returns:
            Rows and columns, as `positions` returns them, float32 (N, 2, height, width).
        """
        numbers = sent(drawn, device)
        coarse = numbers[:, :-4].reshape(-1, 2, self.grid, self.grid)
        cosine, sine, down, right = numbers[:, -4:, None, None].unbind(1)
        field = _bicubic(self.grid, height, device) @ coarse @ _bicubic(self.grid, width, device).T
        rows = torch.arange(height, dtype=torch.float32, device=device)[:, None]
        columns = torch.arange(width, dtype=torch.float32, device=device)
        # Rotation and shift are added as displacements, so that without them a pixel's position stays exact.
        y, x = rows - (height - 1) / 2, columns - (width - 1) / 2
        field[:, 0] += rows + (cosine * y + down)
        field[:, 0] -= sine * x
        field[:, 1] += sine * y
        field[:, 1] += columns + (cosine * x + right)
        return field

    def sample(self, pixels: Tensor, positions: Tensor) -> Tensor:
        """Return the pixels of an image, interpolated at given positions, as (..., H', W').

        Args:
            pixels: Image (..., H, W).
            positions: Rows and columns (2, H', W').
        """
        return _sample(pixels, positions, self.interpolation)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        positions = params["positions"].to(inpt.device)
        pixels = inpt.as_subclass(Tensor)
        if isinstance(inpt, tv_tensors.Mask):
            if "nearest" not in params:  # computed for the first mask, used for all
                params["nearest"] = nearest(positions, *pixels.shape[-2:])
            moved = take(pixels, params["nearest"].to(inpt.device))
        else:
            moved = self.sample(pixels, positions)
        return tv_tensors.wrap(moved, like=inpt) if isinstance(inpt, tv_tensors.TVTensor) else moved  # pyright: ignore[reportCallIssue]


def _moved(flat_inputs: list[Any]) -> list[Any]:
    """Return the inputs that v2 passes to `transform`: wrapped ones, and without an image the first plain tensor."""
    wrapped = [x for x in flat_inputs if isinstance(x, tv_tensors.TVTensor | PIL.Image.Image)]
    if any(isinstance(x, tv_tensors.Image | tv_tensors.Video | PIL.Image.Image) for x in wrapped):
        return wrapped
    return wrapped + [x for x in flat_inputs if type(x) is Tensor][:1]


def _bicubic(nodes: int, length: int, device: torch.device) -> Tensor:
    """Return weights (length, nodes) that interpolate between equidistant nodes, the outer ones at the ends."""
    unit = torch.eye(nodes, device=device)[None, :, :, None]  # one image, a channel for each node, one column wide
    return interpolate(unit, (length, 1), mode="bicubic", align_corners=True)[0, :, :, 0].T


def nearest(positions: Tensor, height: int, width: int) -> Tensor:
    """Return the indices of the pixels nearest to given positions.

    Args:
        positions: Rows and columns (2, H', W'), also beyond the borders, where they are mirrored.
        height: Height H of the image.
        width: Width W of the image.

    Returns:
        Indices into the flattened image (H * W,), int64 (H', W').
    """
    indices = []
    for position, side in zip(positions, (height, width), strict=True):
        last, period = side - 1, max(1, 2 * (side - 1))
        position = position.round()
        position = position - period * (position / period).floor()
        indices.append((last - (position - last).abs()).long())
    return indices[0] * width + indices[1]


def take(pixels: Tensor, indices: Tensor) -> Tensor:
    """Return the unchanged pixels of a mask or weights at given indices, as (..., H', W').

    Args:
        pixels: Mask or weights (..., H, W).
        indices: Indices from `nearest`, int64 (H', W').
    """
    return pixels.flatten(-2).index_select(-1, indices.flatten()).unflatten(-1, indices.shape)


def _sample(pixels: Tensor, positions: Tensor, mode: str) -> Tensor:
    """Return the pixels of (..., H, W), interpolated at ``positions``; integers are rounded and kept in their range."""
    sides = torch.tensor(pixels.shape[-2:], device=pixels.device)[:, None, None]
    relative = 2 * positions / (sides - 1).clamp_min(1) - 1
    grid = relative.flip(0).permute(1, 2, 0)[None]
    channels = pixels.reshape(1, -1, *pixels.shape[-2:]).to(torch.float32)
    moved = grid_sample(channels, grid, mode=mode, padding_mode="reflection", align_corners=True)
    if not pixels.is_floating_point() and pixels.dtype != torch.bool:
        limits = torch.iinfo(pixels.dtype)
        moved = moved.round().clamp(limits.min, limits.max)
    return moved.reshape(*pixels.shape[:-2], *positions.shape[-2:]).to(pixels.dtype)


def normalize(image: Tensor, mean: tuple[float, ...], std: tuple[float, ...], *, inplace: bool = False) -> Tensor:
    """Return (x - mean) / std for each channel of an image.

    Args:
        image: Image (..., C, H, W).
        mean: Mean of each channel.
        std: Standard deviation of each channel.
        inplace: Overwrite the image.
    """
    return F.normalize(image, list(mean), list(std), inplace=inplace)
