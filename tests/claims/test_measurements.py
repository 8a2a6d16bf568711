"""Measurements, in small: what they find is known beforehand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from unetzoo import create_model
from unetzoo.claims.measurements import Context, any_size, measure, real_time
from unetzoo.claims.measurements.architecture import details, layers_of
from unetzoo.errors import UnetzooError


def read_off(name: str, **options: Any) -> dict[str, float]:
    with torch.device("meta"):
        network = create_model(name, in_channels=1, num_classes=2, **options).eval()
        image = torch.zeros(1, 1, 188, 188)
    return details(layers_of(network, image), network)


def test_the_papers_network_has_every_detail() -> None:
    assert set(read_off("unet_paper").values()) == {1.0}


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        ({"width": 32}, {"first_width_64"}),
        ({"depth": 4}, {"convolutions_23"}),
        ({"skip": "none"}, {"concatenation"}),
        ({"act": "elu"}, {"two_3x3_relu_encoder", "bottleneck_two_3x3", "two_3x3_decoder"}),
        ({"up_width": "kept"}, {"halving"}),
        ({"head_kernel": 3}, {"head_1x1"}),
        ({"up": "transposed_4x4"}, {"up_2x2"}),
    ],
)
def test_a_changed_option_changes_its_detail_alone(options: dict[str, Any], changed: set[str]) -> None:
    found = read_off("unet", **options)
    assert {name for name, share in found.items() if share < 1} == changed


def test_another_pooling_is_no_max_pooling() -> None:
    with pytest.raises((ValueError, IndexError)):
        read_off("unet", down="avgpool")


def test_sizes_and_the_papers_rule() -> None:
    options = {"models": ["unet", "unet_paper", "smp_pspnet"], "sizes": [(1, 1), (17, 33)], "sides": 230}
    found = measure("any_size", Context(options=options))
    assert found.quantities["paper_rule"].value == 1.0
    assert found.quantities["paper_sides"].value == pytest.approx(3 / 230)  # 188, 204, 220
    assert "1 entries are left out" in found.method
    assert len(found.tables[0].rows) == 2


class Picky(nn.Conv2d):
    def __init__(self, device: str) -> None:
        super().__init__(3, 2, 1)
        self.refused = device

    def forward(self, input: Tensor) -> Tensor:
        if input.device.type == self.refused or self.refused == "all":
            raise RuntimeError("no")
        return super().forward(input)


def test_what_the_meta_device_alone_refuses_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def create(name: str, **options: Any) -> nn.Module:
        return create_model(name, **options) if name == "unet_paper" else Picky(name)

    monkeypatch.setattr(any_size, "create_model", create)
    options = {"models": ["meta", "cpu", "all"], "sizes": [(1, 1), (17, 33)], "sides": 1}
    found = measure("any_size", Context(options=options))
    assert found.quantities["padded_entries"].value == 0.5
    assert found.tables[1].rows == [["all", 2, "17x33", "RuntimeError: no"]]
    assert "1 entries are left out" in found.method


def test_memory_counts_what_skips_hold_and_recomputation_gives_back() -> None:
    options = {"side": 32, "sides": [], "widths": [], "depths": []}
    found = measure("memory", Context(options=options)).quantities
    assert 0 < found["skip_share_training"].value < found["skip_share_inference"].value < 1
    assert found["recompute_flops"].value > 1


def test_operations_grow_with_the_square_of_the_side_and_tiles_do_not() -> None:
    options = {"sides": (256, 512, 1024), "width": 8, "timed": (32, 48, 64), "timed_width": 4, "seconds": 0.05}
    found = measure("large_inputs", Context(options=options)).quantities
    assert found["operations_exponent"].value == pytest.approx(2)
    assert found["inference_exponent"].value == pytest.approx(2, abs=0.05)
    assert found["tiled_exponent"].value < 1.9


def test_transposed_ways_up_have_a_checkerboard_and_interpolation_has_none() -> None:
    options = {"seeds": 3, "width": 4, "depth": 3, "ways": ("transposed", "bilinear", "nearest")}
    found = measure("artefacts", Context(options=options))
    assert found.quantities["transposed_map"].low > 0.01
    assert found.quantities["bilinear_map"].high < 0.01
    assert found.tables[0].rows[0][0] == "transposed"


def test_gradients_are_compared_seed_by_seed() -> None:
    found = measure("gradients", Context(options={"seeds": 3, "steps": 5, "depths": (3,), "width": 4}))
    assert set(found.quantities) == {"batch_start", "batch_training", "none_start", "none_training"}
    assert all(estimate.value > 0 and estimate.n == 3 for estimate in found.quantities.values())
    assert (found.data, found.plot is not None) == (None, True)


def test_real_time_keeps_the_faster_precision() -> None:
    options = {"networks": [("tiny", "unet", {"width": 2, "depth": 2})], "sides": (16,), "seconds": 0.02}
    found = measure("real_time", Context(options=options))
    rates = [row[3] for row in found.tables[0].rows]
    assert found.quantities["tiny at 16"].value == max(rates)  # type: ignore[type-var]


@pytest.mark.parametrize(("supported", "timed"), [(True, ["float32", "bfloat16"]), (False, ["float32"])])
def test_what_a_cpu_would_emulate_is_not_timed(
    monkeypatch: pytest.MonkeyPatch, supported: bool, timed: list[str]
) -> None:
    monkeypatch.setattr(real_time, "resolve_device", lambda wanted: "cpu")
    monkeypatch.setattr(real_time, "cpu_has_bfloat16", lambda: supported)
    options = {"networks": [("tiny", "unet", {"width": 2, "depth": 2})], "sides": (16,), "seconds": 0.02}
    found = measure("real_time", Context(options=options))
    assert [row[2] for row in found.tables[0].rows] == timed
    assert ("bfloat16" in found.method) == supported


def test_an_unknown_measurement_is_refused() -> None:
    with pytest.raises(UnetzooError, match="did you mean memory"):
        measure("memry", Context())


def test_dropout_and_norms_do_not_count_as_layers() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(), nn.ReLU())
    assert [layer.kind for layer in layers_of(network.eval(), torch.zeros(1, 1, 8, 8))] == ["Conv2d", "ReLU"]
