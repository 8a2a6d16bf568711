"""The moving average of weights: its values, its place in the network, and a training that keeps it."""

from __future__ import annotations

from contextlib import suppress

import pytest
import torch
from torch import nn

from unetzoo.train.averaging import WeightAverage


def test_it_is_the_average_with_a_decay_that_rises() -> None:
    layer = nn.Linear(1, 1, bias=False)
    layer.weight.data.fill_(0.0)
    average, expected = WeightAverage(layer, 0.5), 0.0
    for step in range(1, 30):
        layer.weight.data.fill_(float(step))
        average.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
        assert float(average.values["weight"]) == pytest.approx(expected)


def test_the_network_has_it_for_the_block_alone_whatever_happens() -> None:
    layer = nn.BatchNorm2d(2)
    average = WeightAverage(layer, 0.9)
    layer(torch.randn(4, 2, 3, 3))
    own = {name: value.clone() for name, value in layer.state_dict().items()}
    with suppress(KeyError), average.in_place():
        assert float(layer.running_mean.abs().sum()) == 0  # type: ignore[union-attr]
        raise KeyError
    assert all(torch.equal(value, own[name]) for name, value in layer.state_dict().items())
    average.update(1)
    assert int(average.values["num_batches_tracked"]) == 1
