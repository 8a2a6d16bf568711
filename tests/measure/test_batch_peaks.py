"""Peaks of memory at any batch from two tracked steps are those of steps that are tracked."""

from __future__ import annotations

import pytest
from torch import Tensor, nn

import unetzoo
from support.entries import narrow_config
from unetzoo.measure.batch_peaks import BatchPeaks
from unetzoo.measure.rehearsal import Rehearsal
from unetzoo.models.factory import resolve_model

SHAPE = (3, 1, 32, 32)


@pytest.mark.parametrize(("name", "precision"), [("unet", "bfloat16"), ("attention_unet", "float32")])
def test_two_steps_tell_every_other(name: str, precision: str) -> None:
    config = narrow_config(name, depth=3)
    work = Rehearsal(config, config.num_classes, precision=precision)
    peaks = BatchPeaks(work, SHAPE)
    found = {batch: peaks.at(batch) for batch in (3, 6, 40)}
    assert peaks.tracked == [3, 6]
    assert found[40] == work.training_peak((40, *SHAPE[1:]))
    assert found[40].total > found[6].total


class Whimsical(nn.Module):
    """Computes something else for every batch, or needs memory that does not grow in proportion to it."""

    def __init__(self, in_channels: int, num_classes: int, kind: str = "extra") -> None:
        super().__init__()
        self.layer, self.kind = nn.Conv2d(in_channels, num_classes, 1), kind

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "square":  # every image with every other
            return self.layer(x) + (x.flatten(1) @ x.flatten(1).T).mean()
        for _ in range(len(x)):
            x = x + 1
        return self.layer(x)


@pytest.mark.parametrize("kind", ["extra", "square"])
def test_steps_that_do_not_agree_are_all_tracked(kind: str, clean_registry: dict) -> None:
    unetzoo.register_model("whimsical")(Whimsical)
    config = resolve_model("whimsical", in_channels=1, num_classes=2, options={"kind": kind})
    peaks = BatchPeaks(Rehearsal(config, 2, precision="float32"), SHAPE)
    for batch in (2, 4, 7):
        peaks.at(batch)
    assert peaks.tracked == [2, 4, 7]
