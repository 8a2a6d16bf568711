"""Calibration compared with torchmetrics and scikit-learn, and worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torchmetrics.functional import classification as tm

from unetzoo.metrics.calibration import Calibration

VOID = 255


def predicted(rng: np.random.Generator, classes: int, size: int, bins: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw logits (K, H, W) and truth (H, W), partly void, with some confidences at the edge of a bin."""
    logits = torch.from_numpy(rng.normal(0, rng.uniform(0.2, 5), (classes, size, size)))
    truth = torch.from_numpy(rng.integers(0, classes, (size, size)))
    truth = torch.where(torch.from_numpy(rng.random((size, size)) < 0.5), logits.argmax(0), truth)
    position = logits.softmax(0).amax(0) * bins
    at_edge = (position - position.round()).abs() < 1e-4
    return logits, torch.where(at_edge | (torch.from_numpy(rng.random((size, size))) < 0.1), VOID, truth)


@pytest.mark.parametrize(("classes", "bins"), [(2, 15), (3, 10), (5, 7), (2, 1)])
def test_calibration_equals_torchmetrics_and_scikit_learn(classes: int, bins: int) -> None:
    """Three images of different sizes are pooled, so that every pixel weighs the same."""
    rng = np.random.default_rng(classes * bins)
    for _ in range(40):
        images = [predicted(rng, classes, size, bins) for size in (4, 13, 20)]
        found = Calibration(bins)
        for logits, truth in images:
            found.add(logits, truth, VOID)
        flat = torch.cat([x.flatten(1) for x, _ in images], 1).T.softmax(1)
        target = torch.cat([t.flatten() for _, t in images])
        theirs = tm.multiclass_calibration_error(flat, target, classes, bins, "l1", VOID)
        assert found.ece() == pytest.approx(float(theirs), abs=2e-6)
        sklearn = pytest.importorskip("sklearn.metrics")
        flat, target = flat[target != VOID].numpy(), target[target != VOID].numpy()
        labels = list(range(classes))
        brier = sklearn.brier_score_loss(target, flat, labels=labels, scale_by_half=False)
        assert found.brier() == pytest.approx(brier)
        if classes == 2:
            assert found.brier() == pytest.approx(2 * sklearn.brier_score_loss(target, flat[:, 1]))


def test_calibration_by_hand() -> None:
    probabilities = torch.tensor([[0.9, 0.8, 0.6, 0.1]]).double()
    logits = torch.cat([probabilities, 1 - probabilities]).log()[:, None]
    truth = torch.tensor([[0, 1, 0, 1]])
    found = Calibration(bins=2)  # every confidence lies in (0.5, 1]
    found.add(logits, truth)
    assert found.brier() == pytest.approx(2 * (0.01 + 0.64 + 0.16 + 0.01) / 4)
    assert found.ece() == pytest.approx(abs(3 / 4 - (0.9 + 0.8 + 0.6 + 0.9) / 4))
    coin = Calibration(bins=10)
    coin.add(torch.zeros(2, 1, 2), torch.tensor([[0, 1]]))
    assert (coin.brier(), coin.ece()) == (0.5, 0)


def test_a_confidence_at_the_edge_belongs_to_the_bin_below() -> None:
    """Guo et al.: bins ((m-1)/M, m/M]. With 2 bins, 0.5 and 1 are such edges: 0.5 is in the first, 1 in the last."""
    logits = torch.tensor([[0.0, 100.0, 1.0], [0.0, -100.0, -1.0]])[:, None]
    found = Calibration(bins=2)
    found.add(logits, torch.tensor([[0, 1, 0]]))
    certain = 1 / (1 + math.exp(-2))
    assert found.ece() == pytest.approx((abs(1 - 0.5) + abs(1 - (1 + certain))) / 3)
    assert found._sums[0].tolist() == [1, 2]


def test_calibration_without_pixels_and_with_broken_logits() -> None:
    found = Calibration()
    found.add(torch.zeros(2, 3, 3), torch.full((3, 3), VOID), VOID)
    assert math.isnan(found.brier())
    assert math.isnan(found.ece())
    with pytest.raises(ArithmeticError, match="NaN"):
        found.add(torch.full((2, 3, 3), math.nan), torch.zeros(3, 3, dtype=torch.long))
