"""Moving average of a network's weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """Exponential moving average of a network's weights and running statistics.

    The decay rises to its value, as (1 + step) / (10 + step), so that the first weights are forgotten.

    Args:
        network: The network whose weights are averaged.
        decay: Share of the average that one step leaves, from 0 to 1.

    References:
        Polyak and Juditsky 1992, doi 10.1137/0330046; Tarvainen and Valpola 2017, arXiv 1703.01780.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network, self.decay = network, decay
        self.values = _copies(network)

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take the network's weights into the average.

        Args:
            step: Number of the training step, from 1.
        """
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in self.network.state_dict().items():
            if value.is_floating_point():
                self.values[name].lerp_(value, 1 - decay)
            else:  # such as a count of batches
                self.values[name].copy_(value)

    def load(self, values: dict[str, Tensor]) -> None:
        """Take over the average of an interrupted training.

        Args:
            values: Its ``values``.
        """
        for name, value in values.items():
            self.values[name].copy_(value)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Give the network the averaged weights for the block, and its own ones back after it."""
        own = _copies(self.network)
        self.network.load_state_dict(self.values)
        try:
            yield
        finally:
            self.network.load_state_dict(own)


def _copies(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}
