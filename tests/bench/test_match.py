"""Matched widths: every model of the grid meets a reference, or says that it cannot."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import unetzoo
from support.entries import different, narrow
from unetzoo import UnetzooError
from unetzoo.bench.match import count, match_width
from unetzoo.measure.counts import count_macs, count_parameters
from unetzoo.models.factory import ModelConfig, resolve_model
from unetzoo.models.grid_entry import GridEntry
from unetzoo.nn.sizes import SameSize

GRID = [name for name in different(unetzoo.list_models()) if isinstance(unetzoo.model_info(name), GridEntry)]


def config(name: str, **options: object) -> ModelConfig:
    return resolve_model(name, in_channels=1, num_classes=2, options=options)


@pytest.fixture
def own(clean_registry: dict) -> None:
    @unetzoo.register_model("own")
    def own(in_channels: int, num_classes: int, width: int = 8) -> nn.Module:
        assert type(width) is int
        return nn.Sequential(nn.Conv2d(in_channels, width, 3, padding=1), nn.Conv2d(width, num_classes, 1))

    @unetzoo.register_model("widthless")
    def widthless(in_channels: int, num_classes: int) -> nn.Module:
        return nn.Conv2d(in_channels, num_classes, 1)

    @unetzoo.register_model("stubborn")
    def stubborn(in_channels: int, num_classes: int, width: int = 8) -> nn.Module:
        return nn.Conv2d(in_channels, num_classes, 1)

    @unetzoo.register_model("picky")
    def picky(in_channels: int, num_classes: int, width: int = 8) -> nn.Module:
        return nn.Sequential(nn.Conv2d(in_channels, width, 1), nn.GroupNorm(8, width), nn.Conv2d(width, num_classes, 1))


@pytest.mark.parametrize(
    ("name", "width"),
    [
        # With more levels more channels are rounded at once, which exceeds the tolerance at a small size.
        *((name, 64 if unetzoo.model_info(name).can_be_pretrained else 16) for name in GRID),
        *(("unet_paper", 64), ("unet_pixelshuffle", 64), ("unetpp", 64)),
    ],
)
def test_every_grid_model_meets_the_reference_parameters(name: str, width: int) -> None:
    small = {"encoder": narrow(name)["encoder"]} if unetzoo.model_info(name).can_be_pretrained else {}
    target = count(config("unet", width=width), "params")
    matched, reached = match_width(config(name, **small), target, "params")
    assert abs(reached / target - 1) <= 0.02
    with torch.device("meta"):
        assert count_parameters(matched.build()) == reached
    unchanged = {k: v for k, v in config(name, **small).options.items() if k != "width"}
    assert {k: v for k, v in matched.options.items() if k != "width"} == unchanged


@pytest.mark.parametrize(
    ("name", "size"),
    [("unet_bilinear", 96), ("unet_pixelshuffle", (64, 160)), ("unet_addskip", 96), ("unet_paper", (64, 160))],
)
def test_macs_are_matched(name: str, size: int | tuple[int, int]) -> None:
    target = count(config("unet", width=16), "macs", size)
    matched, reached = match_width(config(name), target, "macs", size)
    assert abs(reached / target - 1) <= 0.02
    assert count(matched, "macs", size) == reached


def test_no_width_is_nearer() -> None:
    target = 500_000
    matched, reached = match_width(config("unet_bilinear"), target, "params")
    width = matched.options["width"]
    for other in (width + step / 1000 for step in range(-200, 201, 10)):
        assert abs(count(config("unet_bilinear", width=other), "params") - target) >= abs(reached - target)


def test_a_model_matches_itself_at_its_own_whole_width() -> None:
    target = count(config("unet", width=24), "params")
    matched, reached = match_width(config("unet"), target, "params")
    assert (matched, reached) == (config("unet", width=24), target)
    assert type(matched.options["width"]) is int


def test_macs_are_the_benchmarks_own() -> None:
    """Count by the modules that `measure_cost` uses, on the CPU; a valid network needs 252 px for an output of 64."""
    for name in ("unet", "unet_paper"):
        network = config(name, width=2).build().eval()
        assert count(config(name, width=2), "params") == count_parameters(network)
        assert count(config(name, width=2), "macs", 64) == count_macs(SameSize(network, 2), torch.rand(1, 1, 64, 64))
    assert count(config("unet_paper", width=4), "macs", 64) > 4 * count(config("unet", width=4), "macs", 64)


def test_counts_by_hand(own: None) -> None:
    """Count for 1 channel, a 3x3 convolution to 4 and a 1x1 to 2, on 5x7 pixels."""
    assert count(config("own", width=4), "params") == (9 * 4 + 4) + (4 * 2 + 2)
    assert count(config("own", width=4), "macs", (5, 7)) == 5 * 7 * (9 * 4 + 4 * 2)


def test_an_own_model_is_matched_over_integers(own: None) -> None:
    matched, reached = match_width(config("own"), 12 * 100 + 2, "params")  # 12 w + 2 parameters
    assert (matched.options["width"], reached) == (100, 1202)
    assert type(matched.options["width"]) is int


@pytest.mark.parametrize(
    ("name", "target", "words"),
    [
        ("widthless", 100, ["'widthless'", "no numeric option 'width'", "leave it out of the match"]),
        ("own", 32, ["'own'", "within 2% of 32 parameters", "width 2 has 26 (-18.8%) and 3 has 38 (+18.8%)"]),
        ("own", 2, ["'own'", "width 1 has 14 (+600.0%)", "another reference"]),
        ("stubborn", 100, ["'stubborn'", "width 8192 has 4 (-96.0%)"]),
        ("picky", 1000, ["'picky'(width=", "cannot be counted: ValueError", "divisible"]),
        ("unet", 100, ["'unet'", "width 0.001 has"]),
    ],
)
def test_what_cannot_be_matched_says_so_in_one_line(own: None, name: str, target: int, words: list[str]) -> None:
    with pytest.raises(UnetzooError) as caught:
        match_width(config(name), target, "params")
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_what_does_not_run_on_the_meta_device_is_counted_all_the_same(own: None) -> None:
    class Branching(nn.Conv2d):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) if x.sum() >= 0 else x  # data-dependent

    @unetzoo.register_model("branching")
    def branching(in_channels: int, num_classes: int, width: int = 1) -> nn.Module:
        return Branching(in_channels, num_classes, 1)

    assert count(config("branching"), "macs", 4) == 4 * 4 * 2
