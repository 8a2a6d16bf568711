"""The border weight map compared with its definition and with cases worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import unetzoo
from unetzoo import UnetzooError
from unetzoo.data.weight_map import border_weight_map, connected_components


def by_definition(labels: np.ndarray, w0: float = 10, sigma: float = 5) -> np.ndarray:
    """Compute equation 2 pixel by pixel and instance by instance."""
    foreground = labels != 0
    share = foreground.mean()
    out = np.ones(labels.shape)
    ids = [i for i in np.unique(labels) if i]
    points = {i: np.argwhere(labels == i) for i in ids}
    for y, x in np.ndindex(*labels.shape):
        if 0 < share < 1:
            out[y, x] = 0.5 / share if foreground[y, x] else 0.5 / (1 - share)
        if not foreground[y, x] and len(ids) > 1:
            distances = sorted(np.hypot(*(points[i] - (y, x)).T).min() for i in ids)
            out[y, x] += w0 * np.exp(-((distances[0] + distances[1]) ** 2) / (2 * sigma**2))
    return out


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.integers(1, 34), st.integers(1, 34)),
    st.integers(0, 6),
    st.floats(0.5, 8),
    st.floats(0, 30),
    st.integers(0, 10_000),
)
def test_it_is_the_definition(size: tuple[int, int], count: int, sigma: float, w0: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    labels = np.zeros(size, np.int32)
    for number in random.permutation([-7, 1, 2, 5, 90, 255])[:count]:  # labels with gaps, blobs that overlap
        y, x = random.integers(0, size[0]), random.integers(0, size[1])
        labels[y : y + random.integers(1, 9), x : x + random.integers(1, 9)] = number
    found = border_weight_map(labels, w0=w0, sigma=sigma)
    assert (found.dtype, found.shape) == (np.float32, size)
    np.testing.assert_allclose(found, by_definition(labels, w0, sigma), rtol=1e-5)


def test_a_gap_worked_by_hand() -> None:
    labels = np.zeros((1, 9), np.uint8)
    labels[0, :3], labels[0, 4:6] = 1, 2
    found = border_weight_map(labels)[0]
    background = 9 / (2 * 4)
    assert found[3] == pytest.approx(background + 10 * np.exp(-((1 + 1) ** 2) / 50))
    assert found[8] == pytest.approx(background + 10 * np.exp(-((3 + 6) ** 2) / 50))
    assert found[:3] == pytest.approx(9 / (2 * 5))


def test_balance_has_mean_one_and_both_classes_weigh_the_same() -> None:
    labels = np.zeros((20, 20), np.int64)
    labels[2:6, 3:11] = 1
    found = border_weight_map(labels)
    assert found.mean() == pytest.approx(1)  # a single instance: no border anywhere
    assert found[labels == 1].sum() == pytest.approx(found[labels == 0].sum())
    assert (border_weight_map(np.zeros((4, 5), int)) == 1).all()
    assert (border_weight_map(np.full((4, 5), 3)) == 1).all()


def test_a_mask_is_split_into_components() -> None:
    mask = np.zeros((12, 12), bool)
    mask[1:4, 1:4] = mask[4, 4] = mask[1:5, 7:10] = True  # (4, 4) touches the first by a corner
    labels = connected_components(mask)
    assert labels.max() == 2
    assert labels[4, 4] == labels[1, 1] != labels[1, 7]
    np.testing.assert_array_equal(border_weight_map(mask), border_weight_map(labels))


def test_ignored_pixels_weigh_nothing_and_count_nowhere() -> None:
    labels = np.zeros((10, 12), np.int16)
    labels[2:8, 2:5], labels[2:8, 7:10] = 1, 2
    void = labels.copy()
    void[:, 11] = 255
    found = border_weight_map(void, ignore_index=255)
    assert (found[:, 11] == 0).all()
    np.testing.assert_allclose(found[:, :11], by_definition(labels[:, :11]), rtol=1e-5)


def test_gaps_between_generated_cells_weigh_most() -> None:
    dataset = unetzoo.create_dataset("cells", n_train=1, n_val=1, n_test=1, size=128)
    labels = dataset.instances(dataset.splits["train"][0])
    assert labels is not None
    found = border_weight_map(labels)
    np.testing.assert_allclose(found[40:60, 50:70], by_definition_at(labels, slice(40, 60), slice(50, 70)), rtol=1e-5)
    assert found.max() > 8
    assert (labels[found > 5] == 0).all()


def by_definition_at(labels: np.ndarray, rows: slice, columns: slice) -> np.ndarray:
    """Compute the definition on a part of a larger image: distances by brute force, class balance of the whole."""
    share = (labels != 0).mean()
    points = [np.argwhere(labels == i) for i in np.unique(labels) if i]
    grid = np.argwhere(np.ones(labels.shape, bool)).reshape(*labels.shape, 2)[rows, columns]
    distances = np.stack([np.linalg.norm(grid[:, :, None] - p, axis=-1).min(axis=-1) for p in points])
    two = np.sort(distances, axis=0)[:2].sum(axis=0)
    inside = labels[rows, columns] != 0
    return np.where(inside, 0.5 / share, 0.5 / (1 - share) + 10 * np.exp(-(two**2) / 50))


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (np.zeros((3, 4, 4), int), {}, r"labels are int64 of shape \(3, 4, 4\); instance labels must be whole numbers"),
        (np.zeros((4, 4)), {}, "labels are float64 of shape .*; instance labels must be whole numbers"),
        (np.zeros((4, 4), int), {"sigma": 0.0}, "sigma = 0.0 must be above 0"),
    ],
)
def test_what_does_not_fit_is_one_line(labels: np.ndarray, options: dict, message: str) -> None:
    with pytest.raises(UnetzooError, match=message):
        border_weight_map(labels, **options)
