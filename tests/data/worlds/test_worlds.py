"""Generated worlds: the same everywhere, with the contents they claim, and harder on request."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy import ndimage

import unetzoo
from unetzoo import UnetzooError
from unetzoo.bench.sanity import near_duplicates
from unetzoo.data.base import SPLITS
from unetzoo.data.worlds.drawing import box, curve, ease, stroke
from unetzoo.data.worlds.generated import GeneratedDataset

WORLDS = ("cells", "defects", "lanes", "roads", "text_lines", "vessels")
SMALL = {"n_train": 4, "n_val": 1, "n_test": 1}


def world(name: str, **options: float) -> GeneratedDataset:
    dataset = unetzoo.create_dataset(name, **options)
    assert isinstance(dataset, GeneratedDataset)
    return dataset


@cache
def rendered(name: str) -> GeneratedDataset:
    """Return the default world, each image drawn once for all tests, which must not change it."""
    dataset = world(name)
    dataset.read = cache(dataset.read)  # type: ignore[method-assign]
    return dataset


# --- all of them ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WORLDS)
def test_deterministic_and_by_key(name: str) -> None:
    first, again, other = (world(name, seed=s, size=64, **SMALL) for s in (3, 3, 4))
    ahead, mask = first.read("train-002")
    again.read("train-000")  # neither order nor earlier calls matter
    assert np.array_equal(again.read("train-002")[0], ahead)
    assert np.array_equal(again.read("train-002")[1], mask)
    assert first.digest() == again.digest() != other.digest()
    assert not np.array_equal(other.read("train-002")[0], ahead)
    ahead[:] = 0  # the caller owns the returned array
    assert first.read("train-002")[0].any()


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("size", [48, 128])
@pytest.mark.parametrize("difficulty", [0.0, 1.0])
def test_shapes_ranges_and_classes(name: str, size: int, difficulty: float) -> None:
    dataset = world(name, size=size, difficulty=difficulty, n_train=12, n_val=1, n_test=1)
    found: set[int] = set()
    for key in dataset.splits["train"]:
        image, mask = dataset.read(key)
        assert (image.dtype, image.shape) == (np.float32, (dataset.info.channels, size, size))
        assert (mask.dtype, mask.shape) == (np.int64, (size, size))
        assert 0 <= image.min() < image.max() <= 1
        assert np.array_equal(image, (np.round(image * 255) / 255).astype(np.float32))  # 8 bits
        assert ((image == 0) | (image == 1)).mean() < 0.1  # hardly anything is clipped
        found |= set(np.unique(mask).tolist())
    assert found == set(range(dataset.info.classes))


@pytest.mark.parametrize("name", WORLDS)
def test_splits_share_nothing(name: str) -> None:
    dataset = rendered(name)
    assert [len(dataset.splits[s]) for s in SPLITS] == ([96, 16, 60] if name == "defects" else [48, 8, 24])
    keys = [key for split in SPLITS for key in dataset.splits[split]]
    images = {dataset.read(key)[0].tobytes() for key in keys}
    assert len(images) == len(keys)
    assert near_duplicates(dataset) == []


@pytest.mark.parametrize("name", WORLDS)
def test_difficulty_lowers_contrast_to_noise_of_the_same_scenes(name: str) -> None:
    ratios, masks = [], []
    for difficulty in (0.0, 0.5, 1.0):
        dataset = world(name, difficulty=difficulty, n_train=16, n_val=1, n_test=1)
        pairs = [dataset.read(key) for key in dataset.splits["train"]]
        ratios.append(np.mean([_contrast_to_noise(*pair) for pair in pairs if pair[1].any()]))
        masks.append(np.stack([mask for _, mask in pairs]))
    assert np.array_equal(masks[0], masks[1])
    assert np.array_equal(masks[1], masks[2])
    assert ratios[0] > 1.15 * ratios[1] > 1.3 * ratios[2]


def _contrast_to_noise(image: np.ndarray, mask: np.ndarray) -> float:
    """Return the contrast across the mask's outline divided by the deviation of the noise.

    The contrast is between pixels just inside an edge and the mean of those just outside nearby; the noise is
    estimated with the kernel of Immerkaer (1996, doi 10.1006/cviu.1996.0060), which ignores smooth structure.
    """
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]])
    grey = image.mean(axis=0).astype(np.float64)
    noise = np.median(abs(ndimage.convolve(grey, kernel))) / 0.6745 / 6
    inside = mask > 0
    weight = ndimage.uniform_filter((~inside).astype(np.float64), 9)
    outside = ndimage.uniform_filter(grey * ~inside, 9) / np.maximum(weight, 1e-9)
    return float(abs(grey - outside)[inside & (weight > 0.1)].mean() / noise)


def test_difficulty_is_part_of_the_identity() -> None:
    plain, same, harder = (world("vessels", **o) for o in ({}, {"difficulty": 0.5}, {"difficulty": 0.6}))
    assert plain.digest() == same.digest() != harder.digest()
    assert harder.info.description == "generated vessels, 128x128, seed 0, difficulty 0.6"
    for wrong in (-0.1, 1.5, float("nan")):
        with pytest.raises(UnetzooError, match=r"'lanes': difficulty = .* must lie in \[0, 1\]"):
            world("lanes", difficulty=wrong)
    with pytest.raises(UnetzooError, match="'roads' is generated and has no files"):
        unetzoo.create_dataset("roads", "somewhere")


def test_cells_are_what_they_were_before_they_had_a_difficulty() -> None:
    assert unetzoo.create_dataset("cells").digest() == "c150726605af5606"  # older records stay comparable


# --- each -------------------------------------------------------------------------------------------------------


def test_about_half_of_the_defect_masks_are_empty_and_defects_are_small() -> None:
    dataset = rendered("defects")
    masks = np.stack([dataset.read(key)[1] for split in SPLITS for key in dataset.splits[split]])
    shares = masks.mean(axis=(1, 2))
    assert 0.35 < (shares == 0).mean() < 0.65
    assert 0.003 < shares[shares > 0].mean() < 0.1
    for split in SPLITS:
        assert any(dataset.read(key)[1].any() for key in dataset.splits[split])


def test_a_small_window_cannot_tell_a_stain_from_the_light() -> None:
    inside, light = [], []
    dataset = rendered("defects")
    for key in dataset.splits["train"]:
        image, mask = dataset.read(key)
        deep = ndimage.distance_transform_edt(mask) > 9  # no rim within 9 px, the reach of a net of depth 2
        smooth = ndimage.uniform_filter(image[0], 9)
        (inside if deep.any() else light).append(smooth[deep] if deep.any() else smooth[mask == 0][::50])
    inside, light = np.concatenate(inside), np.concatenate(light)
    assert len(inside) > 1000  # there is something to segment
    threshold = np.quantile(light, [0.02, 0.98])
    assert ((inside > threshold[0]) & (inside < threshold[1])).mean() > 0.7


def test_vessels_are_thin_and_hang_together() -> None:
    dataset = rendered("vessels")
    for key in dataset.splits["val"]:
        mask = dataset.read(key)[1]
        half_widths = ndimage.distance_transform_edt(mask)[mask > 0]
        assert np.median(half_widths) <= 1.5  # most are up to 3 px wide
        _, parts = ndimage.label(mask, np.ones((3, 3)))
        assert parts < 15  # trees, not crumbs


def test_roads_have_all_their_classes_in_every_split() -> None:
    dataset = rendered("roads")
    assert dataset.info.class_names == ("open land", "building", "road", "water")
    for split in SPLITS:
        share = np.bincount(np.concatenate([dataset.read(k)[1].ravel() for k in dataset.splits[split]]), minlength=4)
        assert (share / share.sum() > 0.04).all()  # no class is so rare that a network ignores it


def test_lane_markings_lie_on_the_ground_and_narrow_with_distance() -> None:
    dataset = rendered("lanes")
    far, near = [], []
    for key in dataset.splits["test"]:
        mask = dataset.read(key)[1]
        top = int(np.flatnonzero(mask.any(axis=1))[0])
        assert top > 0.25 * 128  # below the horizon
        for rows, widths in ((mask[top : top + 10], far), (mask[-20:], near)):
            widths.append(rows.sum() / max(1, (np.diff(rows, prepend=0) == 1).sum()))  # px of a run along a row
    assert np.mean(near) > 2 * np.mean(far)


def test_text_lines_are_many_curved_and_close() -> None:
    dataset = rendered("text_lines")
    gaps, bends = [], []
    for key in dataset.splits["test"]:
        labels, mask = dataset.instances(key), dataset.read(key)[1]
        assert labels is not None
        assert np.array_equal(labels > 0, mask == 1)
        assert len(np.unique(labels)) > 4
        for i in range(1, labels.max() + 1):
            line = labels == i
            assert not (ndimage.binary_dilation(line) & (labels != i) & (labels > 0)).any()  # a gap between lines
            columns = np.flatnonzero(line.any(axis=0))
            if len(columns) > 100:
                middle = [np.nonzero(line[:, x])[0].mean() for x in columns]
                bends.append(np.ptp(middle - np.polyval(np.polyfit(columns, middle, 1), columns)))
        gaps += [np.diff(np.flatnonzero(column)) for column in mask.T]
    between = np.concatenate(gaps)
    assert (between[between > 1] <= 5).mean() > 0.1
    assert np.mean(bends) > 1.5  # largest deviation in px of a line from a straight one


# --- what they are drawn with -----------------------------------------------------------------------------------


def test_strokes_have_the_width_they_are_told() -> None:
    canvas = np.zeros((40, 60))
    stroke(canvas, np.stack([np.full(200, 20.0), np.linspace(-5, 65, 200)], 1), 2.5, 0.8)
    assert canvas.max() == pytest.approx(0.8)
    assert canvas[:, 30].sum() == pytest.approx(5 * 0.8, abs=0.1)
    assert canvas[20, [0, 59]].min() > 0.79  # it runs over the borders


def test_curves_and_boxes() -> None:
    points = curve(np.random.default_rng(0), (5, 6), 0.0, 20, 0.0)
    assert np.allclose(points[-1], (5, 26))  # without a bend, along the row
    assert np.allclose(np.hypot(*np.diff(points, axis=0).T), 0.5)
    inside, *_ = box(40, np.array([20.0, 15.0]), np.pi / 2, (4, 9))
    assert inside[20, 15] == pytest.approx(4)
    assert (inside > 0).sum() == pytest.approx(8 * 18, rel=0.15)
    assert (inside[:, 18] > 0).sum() > (inside[20] > 0).sum()  # turned by a right angle
    assert [ease(d, 2.0) for d in (0, 0.5, 1)] == [2, 1, 0.5]
