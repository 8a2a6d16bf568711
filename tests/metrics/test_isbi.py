"""ISBI 2012 scores: cases worked by hand, identities, and comparison with brute force."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.measure import euler_number
from skimage.metrics import adapted_rand_error, variation_of_information

from support.maps import grid
from unetzoo.metrics.isbi import (
    THRESHOLDS,
    IsbiScores,
    image_scores,
    rand_and_information,
    segments,
    thinned,
)
from unetzoo.metrics.policy import ISBI, ISBI_BEST
from unetzoo.metrics.warping import RING, SIMPLE, components, warp

PERFECT = {name: 0.0 if "error" in name else 1.0 for name in ISBI}
SHAPES = st.tuples(st.integers(1, 14), st.integers(1, 14))


def drawing(*rows: str) -> np.ndarray:
    """Return a boolean map from text, in which '#' is True."""
    return np.array([[c == "#" for c in row] for row in rows])


@st.composite
def pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = draw(SHAPES)
    return draw(arrays(bool, shape)), draw(arrays(bool, shape))


@st.composite
def label_pairs(draw: st.DrawFn, least: int = 0) -> tuple[np.ndarray, np.ndarray]:
    shape = draw(SHAPES)
    maps = arrays(np.int64, shape, elements=st.integers(least, 5))
    return draw(maps), draw(maps)


# --- V_rand and V_info


def test_two_objects_merged_and_one_split_by_hand():
    two, one = np.array([[1, 1, 1, 2]]), np.array([[1, 1, 1, 1]])
    merged, split = rand_and_information(one, two), rand_and_information(two, one)
    # p = (3/4, 1/4): sum p^2 = t^2 = 10/16, s^2 = 1; F = 2 * 10/16 / (10/16 + 1) = 20/26
    assert (merged["v_rand_split"], merged["v_rand_merge"]) == (1, pytest.approx(10 / 16))
    assert merged["v_rand"] == split["v_rand"] == pytest.approx(20 / 26)
    assert (split["v_rand_split"], split["v_rand_merge"]) == (pytest.approx(10 / 16), 1)
    assert (merged["v_info_split"], merged["v_info_merge"], merged["v_info"]) == (1, 0, 0)

    halves, shifted = np.array([[1, 1, 2, 2]]), np.array([[1, 1, 1, 2]])
    found = rand_and_information(shifted, halves)
    # p = (2, 1, 1)/4, t = (2, 2)/4, s = (3, 1)/4
    assert found["v_rand"] == pytest.approx(2 * 6 / (10 + 8))
    entropies = [-sum(p * math.log(p) for p in ps) for ps in ((0.5, 0.25, 0.25), (0.75, 0.25), (0.5, 0.5))]
    mutual = entropies[1] + entropies[2] - entropies[0]
    assert found["v_info_split"] == pytest.approx(mutual / entropies[1])
    assert found["v_info_merge"] == pytest.approx(mutual / entropies[2])
    assert found["v_info"] == pytest.approx(2 * mutual / (entropies[1] + entropies[2]))


def test_boundaries_are_left_out_in_the_truth_and_single_segments_in_the_prediction():
    truth, found = np.array([[1, 1, 0, 2, 2]]), np.array([[7, 0, 7, 0, 9]])
    scores = rand_and_information(found, truth)
    # four pixels, each a segment of the prediction: p = s = 4 * (1/4)^2, t = 2 * (2/4)^2
    assert (scores["v_rand_split"], scores["v_rand_merge"]) == (pytest.approx(0.5), pytest.approx(1))


def by_pairs(found: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Compute the split and merge scores from all ordered pairs of pixels, including each pixel with itself."""
    pixels = [(t, f or -k) for k, (t, f) in enumerate(zip(truth.flat, found.flat, strict=True), start=1) if t]
    together = [(a[0] == b[0], a[1] == b[1]) for a, b in itertools.product(pixels, pixels)]
    both = sum(t and f for t, f in together)
    return both / sum(t for t, _ in together), both / sum(f for _, f in together)


@settings(max_examples=40, deadline=None)
@given(label_pairs())
def test_v_rand_is_what_counting_pairs_gives(maps: tuple[np.ndarray, np.ndarray]):
    found, truth = maps
    scores = rand_and_information(found, truth)
    if not truth.any():
        assert all(math.isnan(score) for score in scores.values())
        return
    split, merge = by_pairs(found, truth)
    assert (scores["v_rand_split"], scores["v_rand_merge"]) == (pytest.approx(split), pytest.approx(merge))
    assert scores["v_rand"] == pytest.approx(2 * split * merge / (split + merge))
    assert all(0 <= score <= 1 for score in scores.values())


@settings(max_examples=60, deadline=None)
@given(label_pairs(least=1), st.randoms())
def test_swapping_and_renaming(maps: tuple[np.ndarray, np.ndarray], random: Any):
    found, truth = maps
    scores, swapped = rand_and_information(found, truth), rand_and_information(truth, found)
    for name in ("v_rand", "v_info"):
        assert swapped[f"{name}_merge"] == pytest.approx(scores[f"{name}_split"], abs=1e-9)
        assert swapped[f"{name}_split"] == pytest.approx(scores[f"{name}_merge"], abs=1e-9)
        assert swapped[name] == pytest.approx(scores[name], abs=1e-9)
    names = list(range(1, 50))
    random.shuffle(names)
    assert rand_and_information(np.array(names)[found], truth) == pytest.approx(scores, abs=1e-9)
    assert rand_and_information(truth, truth) == pytest.approx(dict.fromkeys(scores, 1), abs=1e-9)


def test_scikit_image_says_the_same_where_its_conventions_do():
    rng = np.random.default_rng(0)
    found, truth = rng.integers(1, 4, (2, 60, 60))
    truth[rng.random(truth.shape) < 0.2] = 0
    scores = rand_and_information(found, truth)
    error, precision, recall = adapted_rand_error(truth, found)  # pairs of two different pixels: off by about 1 / n
    expected = (1 - error, recall, precision)
    assert [scores[f"v_rand{end}"] for end in ("", "_split", "_merge")] == pytest.approx(expected, abs=1e-3)
    splits, merges = variation_of_information(truth, found, ignore_labels=(0,))  # H(found | truth), H(truth | found)
    shares = (np.bincount(found[truth > 0]) / (truth > 0).sum(), np.bincount(truth[truth > 0]) / (truth > 0).sum())
    entropies = [-sum(p * math.log2(p) for p in ps if p) for ps in shares]
    assert scores["v_info_split"] == pytest.approx(1 - splits / entropies[0], abs=1e-9)
    assert scores["v_info_merge"] == pytest.approx(1 - merges / entropies[1], abs=1e-9)


# --- thinning


def test_segments_meet_by_sides_only_and_grow_to_a_line():
    assert segments(drawing("#.", ".#")).tolist() == [[1, 0], [0, 2]]
    wide = np.array([[1, 0, 0, 0, 0, 0, 2]] * 3)
    assert thinned(wide).tolist() == [[1, 1, 1, 0, 2, 2, 2]] * 3
    assert thinned(np.array([[1, 0, 0, 0]])).tolist() == [[1, 1, 1, 1]]  # nothing else to keep a line from
    assert not thinned(np.zeros((3, 3), int)).any()
    hole = np.array([[1, 1, 1, 1, 1], [1, 0, 0, 0, 1], [1, 1, 1, 1, 1]])
    assert thinned(hole).all()


def test_width_of_boundaries_does_not_count():
    truth = grid(3, 8)
    thick = truth.copy()
    for shift in (1, -1):
        thick |= np.roll(truth, shift, 0) | np.roll(truth, shift, 1)
    scores = image_scores(thick, truth)
    assert scores | {"pixel_error": 0.0, "rand_error": 0.0} == pytest.approx(PERFECT)
    assert scores["pixel_error"] == pytest.approx((thick & ~truth).mean())
    assert scores["rand_error"] > 0.2  # without thinning the width does count
    back = image_scores(truth, thick)
    assert back | {"pixel_error": 0.0} == pytest.approx(PERFECT)


# --- warping


def test_simple_points_are_those_whose_flip_keeps_the_number_of_components():
    """Check all 256 neighbourhoods by counting components of figure and ground with and without the centre."""
    for code in range(256):
        patch = np.zeros((5, 5), bool)
        for bit, (y, x) in enumerate(RING):
            patch[2 + y, 2 + x] = code >> bit & 1
        counts = []
        for centre in (False, True):
            patch[2, 2] = centre
            counts.append((components(patch, 1).max(), components(~patch, 2).max()))
        assert SIMPLE[code] == (counts[0] == counts[1]), f"{code:08b}"


def one_by_one(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Flip in the same order without vectorisation: round by round, sub-lattice by sub-lattice, pixel by pixel."""
    now, target = np.pad(truth, 1), np.pad(prediction, 1)
    flipped = True
    while flipped:
        flipped = False
        for parity in ((0, 0), (0, 1), (1, 0), (1, 1)):
            for y, x in np.argwhere(now != target):
                code = sum(int(now[y + dy, x + dx]) << bit for bit, (dy, dx) in enumerate(RING))
                if (y % 2, x % 2) == parity and SIMPLE[code]:
                    now[y, x] ^= True
                    flipped = True
    return now[1:-1, 1:-1]


@settings(max_examples=60, deadline=None)
@given(pairs())
def test_warping_keeps_the_topology_and_equals_flips_one_by_one(maps: tuple[np.ndarray, np.ndarray]):
    truth, prediction = maps
    done = warp(truth, prediction)
    assert (done.warped == one_by_one(truth, prediction)).all()
    assert (done.left == (done.warped ^ prediction)).all()
    assert ((truth == done.warped) | (truth != prediction)).all()  # nothing moved where they agreed
    before, after = (np.pad(m, 1) for m in (truth, done.warped))
    assert components(before, 1).max() == components(after, 1).max()
    assert components(~before, 2).max() == components(~after, 2).max()
    assert euler_number(before, connectivity=1) == euler_number(after, connectivity=1)
    assert not (done.mergers & done.splits).any()
    for y, x in np.argwhere(done.left):
        flipped = np.pad(done.warped, 1)
        flipped[y + 1, x + 1] ^= True
        beside = {
            int(components(after, 1)[y + 1 + dy, x + 1 + dx]) for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0))
        } - {0}
        change = components(flipped, 1).max() - components(after, 1).max()
        assert done.mergers[y, x] == (not done.warped[y, x] and len(beside) > 1)
        assert done.splits[y, x] == (done.warped[y, x] and bool(beside) and change > 0)


def test_a_gap_costs_the_line_that_would_close_it():
    truth = grid(2, 5)
    broken = truth.copy()
    broken[3, 6] = False  # one pixel of the wall between the upper two cells
    scores = image_scores(broken, truth)
    assert scores["pixel_error"] == scores["warping_error"] == scores["split_merge_error"] == 1 / truth.size
    assert scores["v_rand_merge"] < scores["v_rand"] < 1
    done = warp(~truth, ~broken)
    assert done.mergers.sum() == 1
    assert done.mergers[3, 6]


def test_a_wall_too_many_is_a_split_and_a_speck_is_neither():
    truth = grid(1, 7)
    walled, speck = truth.copy(), truth.copy()
    walled[4] = True
    speck[4, 4] = True
    done = warp(~truth, ~walled)
    assert done.splits.sum() == done.left.sum() == 1  # all but one pixel of the wall grew out of the frame
    assert image_scores(walled, truth)["v_rand_split"] < 0.6
    found = image_scores(speck, truth)
    assert (found["warping_error"], found["split_merge_error"]) == (1 / truth.size, 0)
    assert found["v_rand"] == pytest.approx(1)  # thinning closes a hole


def test_ignored_pixels_are_as_though_outside():
    truth, counted = grid(2, 5), np.ones((13, 13), bool)
    prediction = truth.copy()
    prediction[3, 6] = False  # the gap, and with it the only difference, is void
    counted[3, 6] = False
    assert image_scores(prediction, truth, counted) == pytest.approx(PERFECT)
    truth[3, 6] = False
    assert image_scores(prediction, truth, counted) == pytest.approx(PERFECT)
    assert image_scores(prediction, truth)["v_rand"] == pytest.approx(1)
    halves = np.zeros((3, 7), bool)
    sides = np.ones((3, 7), bool)
    sides[:, 3] = False  # two objects, for what joins them does not count
    assert (thinned(segments(sides), sides) == segments(sides)).all()
    assert image_scores(halves, halves, sides) == pytest.approx(PERFECT)


# --- a whole image, a whole test set


@settings(max_examples=60, deadline=None)
@given(pairs())
def test_scores_lie_between_0_and_1_and_a_perfect_map_is_perfect(maps: tuple[np.ndarray, np.ndarray]):
    prediction, truth = maps
    scores = image_scores(prediction, truth)
    assert tuple(scores) == ISBI
    assert all(0 <= s <= 1 for s in scores.values() if not math.isnan(s))
    assert scores["split_merge_error"] <= scores["warping_error"] <= scores["pixel_error"]
    assert math.isnan(scores["v_rand"]) == bool(truth.all())
    own = image_scores(truth, truth)
    assert {n: s for n, s in own.items() if not math.isnan(s)} == pytest.approx(
        {n: PERFECT[n] for n, s in own.items() if not math.isnan(s)}
    )


@settings(max_examples=30, deadline=None)
@given(pairs(), st.integers(0, 3), st.booleans())
def test_turned_images_score_the_same_where_no_order_matters(
    maps: tuple[np.ndarray, np.ndarray], turns: int, mirrored: bool
):
    """Warping depends on the order of flips and thinning on which side reaches a pixel first; the rest does not."""
    turned = [np.rot90(m[::-1] if mirrored else m, turns) for m in maps]
    one, other = image_scores(*maps), image_scores(*turned)
    for name in ("rand_error", "pixel_error"):
        assert other[name] == pytest.approx(one[name], nan_ok=True)


def test_nothing_and_everything():
    none, all_ = np.zeros((4, 5), bool), np.ones((4, 5), bool)
    assert image_scores(none, none) == pytest.approx(PERFECT)
    walls = np.tile(np.arange(300) % 7 == 0, (300, 1))  # so many pixels that accumulated shares would not sum to 1
    fused = image_scores(np.zeros_like(walls), walls)
    assert (fused["v_info_split"], fused["v_info_merge"], fused["v_info"]) == (1, 0, 0)
    missing = image_scores(all_, none)  # no segment is predicted: every pixel is alone
    assert (missing["v_rand_split"], missing["v_rand_merge"]) == (pytest.approx(1 / 20), pytest.approx(1))
    no_truth = image_scores(none, all_)
    assert (math.isnan(no_truth["v_rand"]), no_truth["pixel_error"]) == (True, 1)
    assert all(math.isnan(score) for score in image_scores(none, none, none).values())


def test_one_threshold_for_all_images():
    """Each image has its own best threshold, so the best mean is worse than the mean of the best scores."""
    truth = grid(2, 5)
    early, late = (np.where(truth, high, low) for high, low in ((0.35, 0.05), (0.95, 0.65)))
    scores, counted = IsbiScores(), np.ones(truth.shape, bool)
    scores.add("early", early >= 0.5, truth, counted, early)
    scores.add("late", late >= 0.5, truth, counted, late)
    means = scores.means()
    assert tuple(means) == (*ISBI, *ISBI_BEST)
    at = [[image_scores(p >= t, truth)["v_rand"] for p in (early, late)] for t in THRESHOLDS]
    assert means["v_rand_max"] == pytest.approx(max(np.mean(at, axis=1)))
    assert means["v_rand_max"] < np.mean(np.max(at, axis=0)) == 1
    assert means["v_rand"] < means["v_rand_max"] + 1e-9
    # at 0.1 to 0.3 'late' is all boundary: no hit, and its interior is missed; at 0.7 to 0.9 'early' is all interior
    inside, walls = int((~truth).sum()), int(truth.sum())
    least = min(inside / (2 * inside + inside), walls / (2 * 2 * inside + walls))
    assert means["pixel_f_error_min"] == pytest.approx(least)
    scores.add("no probability", truth, truth, counted)
    assert all(math.isnan(scores.means()[name]) for name in ISBI_BEST)
