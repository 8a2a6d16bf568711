"""The border weight map of the 2015 paper, which makes a loss insist on the gaps between touching objects."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from unetzoo.errors import UnetzooError


def border_weight_map(
    labels: ArrayLike, *, w0: float = 10.0, sigma: float = 5.0, ignore_index: int | None = None
) -> NDArray[np.float32]:
    """Return the weights of a pixel-wise loss that emphasises the gaps between instances.

    w(x) = w_c(x) + w0 exp(-(d1(x) + d2(x))^2 / (2 sigma^2)), equation 2 of arXiv 1505.04597, where d1 and d2 are the
    distances in pixels, centre to centre, from x to the nearest and the second nearest instance. Pixels inside an
    instance get no border term: the paper computes the map on the background that separates cells. With fewer than
    two instances there is none either.

    w_c balances the classes foreground and background, "to compensate the different frequency": the inverse of a
    class's share, scaled so that its mean over the image is 1, hence n / (2 n_c). If one class is absent it is 1.

    Args:
        labels: Instance labels (H, W), whole numbers with 0 = background, or a bool mask, which is split into its
            8-connected components.
        w0: Weight of the border term.
        sigma: Width of the border term in px.
        ignore_index: Label of void pixels, which weigh 0, count towards neither class and are not an instance.

    Returns:
        Weights, float32 (H, W).

    Raises:
        UnetzooError: If the labels have another shape or type, or ``sigma`` is not positive.

    References:
        Ronneberger, Fischer, Brox 2015, arXiv 1505.04597, equation 2.
    """
    labels = np.asarray(labels)
    if labels.ndim != 2 or not (labels.dtype == bool or np.issubdtype(labels.dtype, np.integer)):
        raise UnetzooError(
            f"labels are {labels.dtype} of shape {labels.shape}; instance labels must be whole numbers (H, W)"
        )
    if not sigma > 0:
        raise UnetzooError(f"sigma = {sigma!r} must be above 0")
    counted = np.ones(labels.shape, bool) if ignore_index is None else labels != ignore_index
    inside = np.where(counted, labels, 0)
    instances = connected_components(inside) if labels.dtype == bool else inside
    weights = _class_balance(instances != 0, counted)
    background = (instances == 0) & counted
    reach = int(np.ceil(sigma * np.sqrt(2 * 26)))  # beyond it the exponential is below 1e-11, negligible in float32
    total = _nearest_two(instances, reach)
    weights[background] += w0 * np.exp(-(total[background] ** 2) / (2 * sigma**2))
    return weights.astype(np.float32)


def connected_components(mask: ArrayLike) -> NDArray[np.int32]:
    """Return the 8-connected components of a mask (H, W), int32, numbered from 1; 0 is background."""
    labels = np.zeros(np.shape(mask), np.int32)
    ndimage.label(np.asarray(mask, bool), structure=np.ones((3, 3)), output=labels)
    return labels


def _class_balance(foreground: NDArray[np.bool_], counted: NDArray[np.bool_]) -> NDArray[np.float64]:
    weights = counted.astype(np.float64)
    total, inside = counted.sum(), foreground.sum()
    if 0 < inside < total:
        weights[foreground] = total / (2 * inside)
        weights[counted & ~foreground] = total / (2 * (total - inside))
    return weights


def _nearest_two(instances: NDArray[np.integer], reach: int) -> NDArray[np.float64]:
    """Return d1 + d2 (H, W) to the two nearest instances; infinite where the second is farther than ``reach``.

    One distance transform per instance, within ``reach`` of its bounding box: the cost grows with the area of the
    instances, not with their number times the area of the image.
    """
    ids = np.unique(instances[instances != 0])
    compact = np.where(instances != 0, np.searchsorted(ids, instances) + 1, 0)  # labels may have gaps
    first = np.full(instances.shape, np.inf)
    second = np.full(instances.shape, np.inf)
    h, w = instances.shape
    for number, box in enumerate(ndimage.find_objects(compact), start=1):
        near = tuple(slice(max(0, s.start - reach), min(n, s.stop + reach)) for s, n in zip(box, (h, w), strict=True))
        distance = np.asarray(ndimage.distance_transform_edt(compact[near] != number))
        nearest = first[near]
        second[near] = np.minimum(second[near], np.maximum(nearest, distance))
        first[near] = np.minimum(nearest, distance)
    return first + second
