"""Metrics compared with scikit-learn, torchmetrics and MONAI on random masks; hand-worked cases; invariances."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import binary_erosion
from scipy.spatial.distance import cdist
from torchmetrics.functional import classification as tm
from torchmetrics.functional.segmentation import dice_score, hausdorff_distance, mean_iou

from unetzoo.errors import UnetzooError
from unetzoo.metrics import overlap
from unetzoo.metrics.policy import Scoring
from unetzoo.metrics.score import Scores
from unetzoo.metrics.surface import boundary_iou, diagonal, surface_distances, surface_scores

VOID = 255
monai_warns = pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")  # MONAI 1.5 to 1.6, of itself
FINE = settings(max_examples=100, deadline=None, derandomize=True)


# --- masks --------------------------------------------------------------------------------------------------------


def blob(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Draw a random mask (H, W): a box, specks, a disc that may leave the image, one pixel, or all of it."""
    y, x = np.mgrid[:height, :width]
    cy, cx, radius = rng.integers(height), rng.integers(width), rng.uniform(0.5, max(height, width) / 2)
    return [
        (abs(y - cy) <= rng.integers(height)) & (abs(x - cx) <= rng.integers(width)),
        rng.random((height, width)) < rng.uniform(0.02, 0.9),
        np.hypot(y - cy, x - cx) <= radius,
        (y == cy) & (x == cx),
        np.ones((height, width), bool),
    ][rng.choice(5, p=[0.25, 0.25, 0.4, 0.08, 0.02])]


def pairs(count: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Draw pairs of masks of equal size, neither empty; half of the pairs resemble each other."""
    rng, found = np.random.default_rng(seed), []
    while len(found) < count:
        height, width = rng.integers(1, 24, size=2)
        a, b = blob(rng, height, width), blob(rng, height, width)
        if rng.random() < 0.5:
            b = np.roll(a, rng.integers(-2, 3, size=2), axis=(0, 1)) ^ (rng.random(a.shape) < 0.02)
        if a.any() and b.any():
            found.append((a, b))
    return found


def one_hot(mask: np.ndarray) -> torch.Tensor:
    """Return background and foreground as floats (1, 2, H, W)."""
    return torch.from_numpy(np.stack([~mask, mask])[None].astype(np.float32))


def masks(least: int = 0) -> st.SearchStrategy[tuple[np.ndarray, np.ndarray]]:
    sizes = st.tuples(st.integers(2, 12), st.integers(2, 12))
    both = sizes.flatmap(lambda size: st.tuples(arrays(bool, size), arrays(bool, size)))
    return both.filter(lambda pair: min(pair[0].sum(), pair[1].sum()) >= least)


@pytest.fixture(scope="module")
def monai() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MONAI's imports raise warnings from other packages
        return pytest.importorskip("monai.metrics", reason="MONAI is not installed (pip install unetzoo[test])")


# --- overlap ------------------------------------------------------------------------------------------------------


def class_maps(count: int, classes: int, void: float, seed: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Draw class maps (H, W), prediction and truth; classes are often absent, void pixels only in the truth."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(count):
        size = rng.integers(1, 20, size=2)
        drawn = []
        for _ in range(2):
            present = rng.choice(classes, size=rng.integers(1, classes + 1), replace=False)
            drawn.append(rng.choice(present, size=size))
        prediction, truth = drawn
        agree = rng.random(size) < rng.random()
        prediction = np.where(agree, truth, prediction)
        truth = np.where(rng.random(size) < void, VOID, truth)
        found.append((torch.from_numpy(prediction), torch.from_numpy(truth)))
    return found


@pytest.mark.parametrize(("classes", "void"), [(2, 0.0), (2, 0.2), (4, 0.0), (4, 0.3)])
def test_overlap_equals_scikit_learn(classes: int, void: float) -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    for prediction, truth in class_maps(80, classes, void, seed=classes):
        counted = truth != VOID
        p, t = prediction[counted].numpy(), truth[counted].numpy()
        matrix = overlap.confusion(prediction, truth, classes, VOID)
        if not t.size:
            assert not matrix.any()
            continue
        labels = list(range(classes))
        np.testing.assert_array_equal(matrix.numpy(), sklearn.confusion_matrix(t, p, labels=labels))
        asked = {"labels": labels, "average": None, "zero_division": 0}
        present = [c for c in labels if c in p or c in t]
        precision, recall, f1, _ = sklearn.precision_recall_fscore_support(t, p, **asked)
        for ours, theirs in (
            (overlap.dice, f1),
            (overlap.iou, sklearn.jaccard_score(t, p, **asked)),
            (overlap.precision, precision),
            (overlap.recall, recall),
        ):
            scores = ours(matrix).numpy()
            np.testing.assert_allclose(scores[present], theirs[present], rtol=1e-12)
            assert np.isnan(np.delete(scores, present)).all()
            assert (np.delete(theirs, present) == 0).all()  # the difference: both empty


@pytest.mark.parametrize("classes", [2, 5])
def test_overlap_equals_torchmetrics(classes: int) -> None:
    for prediction, truth in class_maps(150, classes, 0.1, seed=10 + classes):
        matrix = overlap.confusion(prediction, truth, classes, VOID)
        empty = ((matrix.sum(0) + matrix.sum(1)) == 0).numpy()
        asked = {"num_classes": classes, "average": None, "ignore_index": VOID}
        for ours, theirs in (
            (overlap.precision, tm.multiclass_precision(prediction[None], truth[None], **asked)),
            (overlap.recall, tm.multiclass_recall(prediction[None], truth[None], **asked)),
            (overlap.specificity, tm.multiclass_specificity(prediction[None], truth[None], **asked)),
            (overlap.iou, tm.multiclass_jaccard_index(prediction[None], truth[None], **asked)),
        ):
            scores = ours(matrix).numpy()
            both = ~np.isnan(scores)
            np.testing.assert_allclose(scores[both], theirs.numpy()[both], rtol=1e-5)
            if ours is not overlap.specificity:
                np.testing.assert_array_equal(both, ~empty)


def test_dice_and_iou_equal_torchmetrics_segmentation() -> None:
    for prediction, truth in class_maps(150, 3, 0, seed=3):
        matrix = overlap.confusion(prediction, truth, 3)
        p, t = prediction[None], truth[None]
        theirs = dice_score(p, t, num_classes=3, average="none", input_format="index")[0]
        np.testing.assert_allclose(overlap.dice(matrix), theirs, rtol=1e-6)
        jaccard = mean_iou(p, t, num_classes=3, per_class=True, input_format="index")[0].double()
        jaccard[jaccard < 0] = math.nan  # -1: both empty
        np.testing.assert_allclose(overlap.iou(matrix), jaccard, rtol=1e-6)


def test_overlap_equals_monai(monai: Any) -> None:
    for a, b in pairs(300, seed=5):
        matrix = overlap.confusion(torch.from_numpy(a).long(), torch.from_numpy(b).long(), 2)
        p, t = one_hot(a), one_hot(b)
        counts = monai.get_confusion_matrix(p, t)
        for ours, theirs in (
            (overlap.dice, monai.compute_dice(p, t, ignore_empty=False)),
            (overlap.iou, monai.compute_iou(p, t, ignore_empty=False)),
            (overlap.precision, monai.compute_confusion_matrix_metric("precision", counts)),
            (overlap.recall, monai.compute_confusion_matrix_metric("sensitivity", counts)),
            (overlap.specificity, monai.compute_confusion_matrix_metric("specificity", counts)),
        ):
            theirs = theirs.flatten().numpy()
            known = ~np.isnan(theirs) & ~np.isnan(ours(matrix).numpy())
            assert known[1] or ours is overlap.specificity
            np.testing.assert_allclose(ours(matrix).numpy()[known], theirs[known], rtol=1e-6)


def test_overlap_by_hand() -> None:
    matrix = torch.tensor([[50, 4, 0], [6, 30, 0], [10, 0, 0]])  # class 2 is missed
    assert overlap.dice(matrix).tolist() == pytest.approx([100 / 120, 60 / 70, 0])
    assert overlap.iou(matrix).tolist() == pytest.approx([50 / 70, 30 / 40, 0])
    assert overlap.precision(matrix).tolist() == pytest.approx([50 / 66, 30 / 34, 0])
    assert overlap.recall(matrix).tolist() == pytest.approx([50 / 54, 30 / 36, 0])
    assert overlap.specificity(matrix).tolist() == pytest.approx([30 / 46, 60 / 64, 1])
    false_alarm = torch.tensor([[5, 3, 0], [0, 0, 0], [0, 0, 0]])
    assert overlap.recall(false_alarm)[1] == overlap.precision(false_alarm)[1] == 0
    assert overlap.recall(false_alarm).isnan().tolist() == [False, False, True]
    assert overlap.specificity(false_alarm).tolist()[1:] == pytest.approx([5 / 8, 1])
    assert overlap.specificity(false_alarm)[0].isnan()  # the background is true everywhere


@given(masks())
@FINE
def test_dice_is_a_function_of_iou(pair: tuple[np.ndarray, np.ndarray]) -> None:
    matrix = overlap.confusion(*(torch.from_numpy(m).long() for m in pair), 2)
    d, j = overlap.dice(matrix), overlap.iou(matrix)
    torch.testing.assert_close(d, 2 * j / (1 + j), equal_nan=True)
    p, r = overlap.precision(matrix), overlap.recall(matrix)
    hit = d > 0
    torch.testing.assert_close(d[hit], (2 * p * r / (p + r))[hit])
    assert ((d >= 0) & (d <= 1) | d.isnan()).all()


# --- surfaces -----------------------------------------------------------------------------------------------------


@monai_warns
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.5, 0.5), (2.0, 0.7)])
def test_surfaces_equal_monai(monai: Any, spacing: tuple[float, float]) -> None:
    for a, b in pairs(100, seed=7):
        found = surface_distances(a, b, spacing)
        p, t = one_hot(a)[:, 1:], one_hot(b)[:, 1:]
        asked = {"include_background": True, "spacing": list(spacing)}
        theirs = [
            monai.compute_hausdorff_distance(p, t, percentile=95, **asked),
            monai.compute_average_surface_distance(p, t, symmetric=True, **asked),
            monai.compute_surface_dice(p, t, [1.5], **asked),
        ]
        ours = [found.hd95(), found.assd(), found.nsd(1.5)]
        np.testing.assert_allclose(ours, [float(x) for x in theirs], rtol=2e-5, atol=1e-6)


def test_the_longest_distance_equals_torchmetrics_on_square_images() -> None:
    """Only on square images, since torchmetrics 1.9 mistakes height for width in its distance transform."""
    rng = np.random.default_rng(11)
    for _ in range(80):
        size = int(rng.integers(4, 20))
        a, b = blob(rng, size, size), blob(rng, size, size)
        if not (a.any() and b.any()):
            continue
        found = surface_distances(a, b)
        longest = max(found.to_truth.max(), found.to_prediction.max())
        p, t = (torch.from_numpy(m)[None, None].long() for m in (a, b))
        assert longest == pytest.approx(float(hausdorff_distance(p, t, 1, include_background=True)), rel=1e-5)


def test_surfaces_equal_the_definition_pair_by_pair() -> None:
    """Compare every edge pixel with every other one, on uncropped masks."""
    spacing = (0.9, 1.3)
    for a, b in pairs(200, seed=13):
        edges = [np.argwhere(m & ~binary_erosion(m)) * spacing for m in (a, b)]
        table = cdist(*edges)
        d, e = table.min(axis=1), table.min(axis=0)
        found = surface_distances(a, b, spacing)
        assert found.hd95() == pytest.approx(max(np.percentile(d, 95), np.percentile(e, 95)))
        assert found.assd() == pytest.approx((d.sum() + e.sum()) / (d.size + e.size))
        assert found.nsd(2) == pytest.approx(((d <= 2).sum() + (e <= 2).sum()) / (d.size + e.size))


def test_boundary_iou_equals_the_authors_procedure() -> None:
    """Follow Cheng et al.: pad by one, erode d times by a 3x3 square, subtract the rest (their code, with scipy)."""

    def rim(mask: np.ndarray, share: float) -> np.ndarray:
        width = max(1, round(share * math.hypot(*mask.shape)))
        eroded = binary_erosion(np.pad(mask, 1), np.ones((3, 3)), iterations=width)
        return mask & ~eroded[1:-1, 1:-1]

    for share in (0.02, 0.1, 1.0):
        for a, b in pairs(200, seed=17):
            p, t = rim(a, share), rim(b, share)
            assert boundary_iou(a, b, share) == pytest.approx((p & t).sum() / (p | t).sum())


def test_surfaces_by_hand() -> None:
    truth = np.zeros((10, 12), bool)
    truth[2:7, 3:8] = True  # 5x5: 16 edge pixels
    shifted = np.roll(truth, 1, axis=1)
    found = surface_distances(shifted, truth)
    # The outer column of 5 lies 1 px off; of the column given up, the three inner pixels too. The rest coincides.
    assert sorted(found.to_truth) == [0.0] * 8 + [1.0] * 8
    assert (found.hd95(), found.assd(), found.nsd(0), found.nsd(1)) == (1, 0.5, 0.5, 1)
    assert boundary_iou(shifted, truth) == pytest.approx(8 / 24)
    assert surface_distances(shifted, truth, (1, 0.25)).hd95() == 0.25
    far = np.zeros((10, 12), bool)
    far[0, 0] = True
    near = np.zeros((10, 12), bool)
    near[3, 4] = True
    assert surface_distances(far, near).hd95() == surface_distances(far, near).assd() == 5
    assert diagonal((3, 4)) == 5
    assert diagonal((3, 4), (2, 2)) == 10


def test_the_image_border_is_an_edge() -> None:
    whole = np.ones((9, 9), bool)
    assert len(surface_distances(whole, whole).to_truth) == 32
    inner = np.zeros((9, 9), bool)
    inner[1:-1, 1:-1] = True
    assert surface_distances(inner, whole).hd95() == pytest.approx(1, abs=0.5)
    assert boundary_iou(inner, whole) == 0  # rims of one pixel, one within the other


def test_a_tolerance_forgives_the_same_distance_in_units() -> None:
    truth = np.zeros((4, 20), bool)
    truth[1, 2] = True
    for pixels in range(1, 15):
        moved = np.roll(truth, pixels, axis=1)
        assert surface_distances(moved, truth, (0.1, 0.1)).nsd(float(f"{pixels / 10:.1f}")) == 1
        assert surface_distances(moved, truth, (0.1, 0.1)).nsd(pixels / 10 - 0.001) == 0


@given(masks(least=1), st.sampled_from([(1.0, 1.0), (0.5, 2.0)]))
@FINE
def test_surfaces_are_symmetric_and_bounded(pair: tuple[np.ndarray, np.ndarray], spacing: tuple[float, float]) -> None:
    a, b = pair
    scoring = Scoring(spacing=spacing)
    there, back = surface_scores(a, b, scoring), surface_scores(b, a, scoring)
    assert there == pytest.approx(back)
    miss = surface_scores(np.zeros_like(b), b, scoring)
    assert miss["hd95"] > there["hd95"]  # a miss is worse than any hit, however bad
    assert miss["assd"] > there["assd"]
    found = surface_distances(a, b, spacing)
    assert there["assd"] <= max(found.to_truth.max(), found.to_prediction.max()) + 1e-9
    assert 0 == miss["nsd"] <= there["nsd"] <= 1
    assert 0 == miss["boundary_iou"] <= there["boundary_iou"] <= 1
    same = surface_scores(a, a, scoring)
    assert same == {"nsd": 1, "hd95": 0, "assd": 0, "boundary_iou": 1}


@given(masks(least=1), st.integers(0, 5), st.integers(0, 5))
@FINE
def test_surfaces_do_not_depend_on_the_place(pair: tuple[np.ndarray, np.ndarray], down: int, right: int) -> None:
    """Moving both masks together within the background keeps the scores, so cropping is exact."""
    size = (20, 22)

    def put(mask: np.ndarray, y: int, x: int) -> np.ndarray:
        canvas = np.zeros(size, bool)
        canvas[y : y + mask.shape[0], x : x + mask.shape[1]] = mask
        return canvas

    home = surface_scores(*(put(m, 0, 0) for m in pair), Scoring())
    moved = surface_scores(*(put(m, down, right) for m in pair), Scoring())
    assert home == pytest.approx(moved)


@given(masks(least=1), st.floats(0, 4), st.floats(0, 4))
@FINE
def test_nsd_grows_with_the_tolerance(pair: tuple[np.ndarray, np.ndarray], one: float, other: float) -> None:
    found = surface_distances(*pair)
    low, high = sorted((one, other))
    assert found.nsd(low) <= found.nsd(high) <= found.nsd(20) == 1


def test_spacing_scales_distances() -> None:
    for a, b in pairs(100, seed=19):
        small, large = surface_distances(a, b), surface_distances(a, b, (3.0, 3.0))
        assert large.hd95() == pytest.approx(3 * small.hd95())
        assert large.assd() == pytest.approx(3 * small.assd())
        assert large.nsd(6) == small.nsd(2)


def test_distances_of_an_empty_mask_are_refused() -> None:
    empty, full = np.zeros((4, 4), bool), np.ones((4, 4), bool)
    for pair in ((empty, full), (full, empty), (empty, empty)):
        with pytest.raises(UnetzooError, match="not empty"):
            surface_distances(*pair)
    assert math.isnan(boundary_iou(empty, empty))
    assert boundary_iou(empty, full) == 0


@monai_warns
def test_the_surface_of_void_pixels_is_monais(monai: Any) -> None:
    rng = np.random.default_rng(23)
    for a, b in pairs(60, seed=23):
        void = rng.random(a.shape) < 0.1
        p, t = one_hot(a), one_hot(b)
        t[:, :, torch.from_numpy(void)] = 0  # void as MONAI has it: a pixel of no class
        truth = torch.from_numpy(np.where(void, VOID, b))
        scores = Scores(("0", "1"), (1,), VOID, Scoring(tolerance=1.0))
        scores.add_map("x", torch.from_numpy(a).long(), truth)
        if (a & ~void).any() and (b & ~void).any():
            theirs = monai.compute_surface_dice(p, t, [1.0], ignore_index=VOID)
            assert scores.result()["foreground"]["nsd"] == pytest.approx(float(theirs), abs=1e-6)
