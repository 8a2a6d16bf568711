"""Every value of every option of the grid builds, takes any size, learns, and changes one thing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import unetzoo
from support.networks import without_dead_units
from unetzoo.grid.assembly import build as assemble
from unetzoo.grid.parts import ACTS, NORMS, callables
from unetzoo.grid.spec import UNetSpec
from unetzoo.measure.counts import count_macs, count_parameters, stages
from unetzoo.measure.rehearsal import tensor_memory
from unetzoo.models.factory import resolve_model
from unetzoo.nn import downsample, norms, upsample
from unetzoo.nn.dropout import DropBlock

UPS = list(callables(UNetSpec())["up"])
DOWNS = list(callables(UNetSpec())["down"])
PLACES = ("coarsest_two", "bottleneck", "encoder", "decoder", "blocks", "layers")


def _changes() -> Iterator[dict[str, Any]]:
    for option, values in callables(UNetSpec()).items():
        for value in values:
            extra = {"up": "bilinear"} if value == "full_scale" else {}
            yield {option: value, **extra, **({"dropout": 0.3} if option == "dropout_kind" else {})}
    yield from ({"dropout": 0.3, "dropout_at": place} for place in PLACES)
    yield from (
        {"up_width": "kept"},
        {"up_act": True},
        {"keep_last_up_width": True},
        {"halve_before_up": True},
        {"halve_before_up": True, "skip": "add", "up": "unpool"},
        {"conv_bias": True},
        {"head_kernel": 3},
        {"deep_supervision": True},
        {"deep_supervision": True, "decoder": "nested", "skip": "attention"},
        {"deep_supervision": True, "decoder": "full_scale", "up": "nearest", "class_guided": True, "attention": "se"},
        {"block": "recurrent", "t": 3, "dropout": 0.3, "dropout_at": "layers", "dropout_kind": "block"},
        {"init": "he_normal", "up": "pixelshuffle_icnr"},
    )


CHANGES = list(_changes())


def build(**changes: Any) -> nn.Module:
    torch.manual_seed(0)
    return assemble(UNetSpec(**{"width": 4, "depth": 3, **changes}), 2, 3)


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_every_value_takes_any_size_and_learns(changes: dict[str, Any]) -> None:
    model = build(**changes).eval()
    for size in ((1, 1), (7, 13)):
        logits = model(torch.rand(1, 2, *size))
        assert logits.shape == (1, 3, *size)
        assert logits.isfinite().all()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        images = torch.rand(1, 2, 33, 47).contiguous(memory_format=torch.channels_last)
        assert model.to(memory_format=torch.channels_last)(images).isfinite().all()
    without_dead_units(model).train()
    torch.stack([y.square().mean() for y in model.forward_all(torch.randn(2, 2, 32, 32))]).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0 or (name.endswith("bias") and changes.get("conv_bias")), name


@pytest.mark.parametrize(
    "value", [*[{"up": up} for up in UPS], {"down": "blurpool"}, {"bottleneck": "transformer"}], ids=str
)
def test_what_is_not_of_torch_can_be_exported(value: dict[str, Any]) -> None:
    model, images = build(**value).eval(), torch.rand(1, 2, 17, 32)
    exported = torch.export.export(model, (images,)).module()
    torch.testing.assert_close(exported(images), model(images))


@pytest.mark.parametrize("base", [{}, {"decoder": "nested"}])
@pytest.mark.parametrize("up", UPS)
def test_another_way_up_changes_the_ups_alone(up: str, base: dict[str, Any]) -> None:
    def outside(model: nn.Module) -> dict[str, tuple[int, ...]]:
        return {n: tuple(p.shape) for n, p in model.named_parameters() if ".up." not in n}

    assert outside(build(up=up, **base)) == outside(build(**base))


@pytest.mark.parametrize("option", ["down", "skip", "act", "norm", "bottleneck"])
def test_another_value_leaves_the_convolutions_of_the_blocks(option: str) -> None:
    """Their number and shapes stay; 'none' and 'add' inherently remove the encoder map from the next block's input."""

    def blocks(model: nn.Module) -> list[tuple[int, ...]]:
        named = model.named_modules()
        return [tuple(m.weight.shape) for n, m in named if ".block" in n and isinstance(m, nn.Conv2d)]

    for value in callables(UNetSpec())[option]:
        if value in ("none", "add"):
            continue
        found = blocks(build(**{option: value}))
        expected = blocks(build())
        if option == "bottleneck":  # adds convolutions of its own
            assert [shape for shape in expected if shape not in found] == []
        else:
            assert found == expected, value


@pytest.mark.parametrize("up", UPS)
def test_every_up_doubles(up: str) -> None:
    x, finer = torch.rand(2, 6, 5, 7), torch.rand(2, 3, 10, 14)
    assert callables(UNetSpec())["up"][up](6, 3)(x, finer).shape == (2, 3, 10, 14)


@pytest.mark.parametrize("down", DOWNS)
def test_every_down_halves_and_keeps_a_side_of_one(down: str) -> None:
    part = callables(UNetSpec())["down"][down](3)
    assert part(torch.rand(2, 3, 10, 6)).shape == (2, 3, 5, 3)
    assert part(torch.rand(2, 3, 1, 2)).shape == (2, 3, 1, 1)


def test_transposed_kernels_centre_as_they_say() -> None:
    """Output pixels 2i and 2i+1 lie over input pixel i, so a lone pixel spreads evenly about its square."""
    one = torch.zeros(1, 1, 5, 5)
    one[..., 2, 2] = 1
    for size, reach in ((2, range(4, 6)), (3, range(4, 7)), (4, range(3, 7))):
        up = upsample.TransposedUp(1, 1, kernel_size=size)
        nn.init.ones_(up.weight)
        nn.init.zeros_(up.bias)  # type: ignore[arg-type]
        rows = up(one)[0, 0].sum(dim=1).nonzero().flatten().tolist()
        assert rows == list(reach), size


def test_icnr_starts_as_nearest_neighbour() -> None:
    up = upsample.PixelShuffleUp(4, 2, icnr=True)
    fine = up(torch.rand(1, 4, 5, 5))
    torch.testing.assert_close(fine, F.interpolate(fine[..., ::2, ::2], scale_factor=2))
    plain = upsample.PixelShuffleUp(4, 2)(torch.rand(1, 4, 5, 5))
    assert not torch.allclose(plain, F.interpolate(plain[..., ::2, ::2], scale_factor=2))


def test_he_normal_leaves_what_has_weights_of_its_own() -> None:
    fine = build(init="he_normal", up="pixelshuffle_icnr").decoder.stages[0].up
    torch.testing.assert_close(fine[0].weight[0], fine[0].weight[3])
    assert build(init="he_normal", up="carafe").decoder.stages[0].up.encode.weight.std() < 2e-3


@pytest.mark.parametrize("size", [(10, 14), (11, 15), (1, 14)])
def test_unpool_is_torchs(size: tuple[int, int]) -> None:
    finer = torch.randn(2, 3, *size)
    coarse, places = F.max_pool2d(finer, (min(2, size[0]), 2), return_indices=True)
    expected = F.max_unpool2d(coarse, places, (min(2, size[0]), 2), output_size=list(size))
    assert torch.equal(upsample.UnpoolUp(3, 3)(coarse, finer), expected)


def test_carafe_by_hand() -> None:
    """Equal weights give the mean of 5x5 pixels; a weight of one at the centre gives nearest neighbour."""
    up, x = upsample.CarafeUp(3, 3), torch.rand(1, 3, 6, 8)
    nn.init.zeros_(up.encode.weight)
    mean = F.avg_pool2d(F.pad(x, (2, 2, 2, 2)), 5, stride=1)
    torch.testing.assert_close(up(x), F.interpolate(mean, scale_factor=2))
    assert up.encode.bias is not None
    with torch.no_grad():
        up.encode.bias.view(25, 4)[12] = 50
    torch.testing.assert_close(up(x), F.interpolate(x, scale_factor=2))
    with torch.no_grad():  # the left neighbour for the second fine pixel of each square: top right
        up.encode.bias.view(25, 4)[11, 1] = 150
    torch.testing.assert_close(up(x)[..., ::2, 3::2], x[..., :-1])


def test_dysample_without_offsets_is_bilinear_and_with_them_shifts() -> None:
    up, x = upsample.DySampleUp(8, 8), torch.rand(2, 8, 6, 9)
    nn.init.zeros_(up.offset.weight)
    torch.testing.assert_close(up(x), F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False))
    assert up.offset.bias is not None
    with torch.no_grad():  # group 0 looks one pixel to the right: 4 times the scope of 0.25
        up.offset.bias.view(4, 2, 4)[0, 0] = 4
    shifted = F.interpolate(x[:, :2], scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(up(x)[:, :2, :, 1:-4], shifted[..., 3:-2])
    plain = F.interpolate(x[:, 2:], scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(up(x)[:, 2:], plain)


def test_blurpool_of_a_constant_and_of_a_ramp() -> None:
    blur = downsample.BlurPool(2)
    torch.testing.assert_close(blur(torch.full((1, 2, 9, 9), 3.0)), torch.full((1, 2, 4, 4), 3.0))
    ramp = torch.arange(16.0).expand(1, 2, 16, 16)
    torch.testing.assert_close(blur(ramp)[..., 2:-2].diff(), torch.full((1, 2, 8, 3), 2.0))


@pytest.mark.parametrize(
    ("name", "torchs"),
    [
        ("batch", nn.BatchNorm2d(16, eps=1e-3)),
        ("instance", nn.InstanceNorm2d(16, eps=1e-3, affine=True)),
        ("group", nn.GroupNorm(8, 16, eps=1e-3)),
        ("layer", nn.GroupNorm(1, 16, eps=1e-3)),
        ("none", nn.Identity()),
    ],
)
def test_norms_are_torchs(name: str, torchs: nn.Module) -> None:
    x = torch.randn(2, 16, 5, 4)
    torch.testing.assert_close(NORMS[name](16, eps=1e-3)(x), torchs(x))


def test_layer_norm_per_pixel() -> None:
    y = norms.PixelLayerNorm(16)(torch.randn(2, 16, 5, 4))
    torch.testing.assert_close(y.mean(dim=1), torch.zeros(2, 5, 4), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("channels", "groups"), [(1, 1), (2, 1), (4, 2), (41, 1), (48, 8), (20, 5)])
def test_groups_divide_the_channels_and_have_two_at_least(channels: int, groups: int) -> None:
    assert norms.GroupNorm(channels, groups=8).num_groups == groups


@pytest.mark.parametrize("act", ACTS)
def test_activations(act: str) -> None:
    reference = {"relu": F.relu, "leaky_relu": F.leaky_relu, "elu": F.elu, "gelu": F.gelu, "silu": F.silu}
    x = torch.linspace(-2, 2, 9)
    expected: Tensor = torch.where(x > 0, x, 0.25 * x) if act == "prelu" else reference[act](x)
    torch.testing.assert_close(ACTS[act]()(x.clone()), expected)


def test_dropblock_drops_squares_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    drop, x = DropBlock(0.2, block_size=3), torch.ones(8, 4, 32, 32)
    y = drop(x)
    assert float(y.mean()) == pytest.approx(1, abs=1e-3)
    assert float((y == 0).float().mean()) == pytest.approx(0.2, abs=0.04)
    dropped = (y == 0).float()
    opened = F.max_pool2d(-F.max_pool2d(-dropped, 3, stride=1, padding=1), 3, stride=1, padding=1)
    assert torch.equal(opened, dropped)  # nothing but whole squares
    assert torch.equal(drop.eval()(x), x)
    for side in (1, 2, 4):
        assert DropBlock(0.5)(torch.ones(2, 3, side, side)).shape == (2, 3, side, side)


@pytest.mark.parametrize("place", PLACES)
def test_dropout_is_where_it_says(place: str) -> None:
    model = build(dropout=0.3, dropout_at=place, dropout_kind="channel")
    found = [n for n, m in model.named_modules() if isinstance(m, nn.Dropout2d)]
    levels = {"coarsest_two": 2, "bottleneck": 1, "encoder": 3, "blocks": 3, "decoder": 0, "layers": 6}
    stages = {"decoder": 2, "blocks": 2, "layers": 4}
    assert sum(n.startswith("encoder") for n in found) == levels[place]
    assert sum(n.startswith("decoder") for n in found) == stages.get(place, 0)


def test_deep_supervision_costs_nothing_but_in_training() -> None:
    model = build(deep_supervision=True).eval()
    images = torch.rand(1, 2, 32, 32)
    assert count_macs(model, images) == count_macs(build(), images)
    assert [tuple(y.shape) for y in model.forward_all(images)] == [(1, 3, 32, 32)] * 2


@pytest.mark.parametrize("name", ["unetpp_ds", "unet3plus_cgm"])
def test_stages_account_for_every_parameter(name: str) -> None:
    rows = stages(resolve_model(name, options={"width": 4}), 32, 32)
    with torch.device("meta"):
        assert sum(row.params for row in rows) == count_parameters(unetzoo.create_model(name, width=4))
    assert {row.name[:10] for row in rows if not row.shape} == {"aux_heads."}


def test_macs_see_the_ways_up() -> None:
    """Computed by hand for the last Up alone, 4x8x8 to 2x16x16."""
    x, finer = torch.rand(1, 4, 8, 8), torch.rand(1, 2, 16, 16)
    project = 4 * 2 * 64
    by_hand = {
        "transposed": 4 * 2 * 4 * 64,
        "transposed_3x3": 4 * 2 * 9 * 64,
        "transposed_4x4": 4 * 2 * 16 * 64,
        "bilinear": project,
        "unpool": project,
        "nearest_conv3x3": 4 * 2 * 9 * 256,
        "pixelshuffle": 4 * 8 * 9 * 64,
        "carafe": project + 2 * 2 * 64 + 2 * 100 * 9 * 64 + 2 * 25 * 256,
        "dysample": project + 2 * (2 * 4 * 2) * 64,  # sampling itself is interpolation, which counts nothing
    }
    for name, macs in by_hand.items():
        up = callables(UNetSpec())["up"][name](4, 2)
        assert count_macs(_Two(up, finer), x) == macs, name


class _Two(nn.Module):
    def __init__(self, up: nn.Module, finer: Tensor) -> None:
        super().__init__()
        self.up, self.finer = up, finer

    def forward(self, x: Tensor) -> Tensor:
        return self.up(x, self.finer)


@pytest.mark.parametrize("changes", [{"decoder": "nested"}, {"decoder": "full_scale", "up": "bilinear"}], ids=str)
def test_memory_of_skips_is_that_of_the_chain(changes: dict[str, Any]) -> None:
    """The encoder's maps wait in every decoder; maps added by a nested decoder count as activations."""
    shape = (1, 1, 32, 32)
    made = {"width": 4, "depth": 3, **changes}
    config = resolve_model("unet", in_channels=1, num_classes=2, options=made)
    memory = tensor_memory(config, 2, shape, shape, precision="float32")
    assert memory is not None
    assert memory.train.skips == 4 * (4 * 32**2 + 8 * 16**2)


def test_show_knows_what_a_way_up_costs() -> None:
    from typer.testing import CliRunner

    from unetzoo.cli.main import app

    shown = CliRunner().invoke(app, ["show", "unet", "--set", "up=carafe", "--set", "width=4", "--size", "32"])
    assert shown.exit_code == 0, shown.output
    assert "carafe" in shown.output
    macs = {n: count_macs(unetzoo.create_model("unet", width=4, up=n), torch.rand(1, 3, 32, 32)) for n in UPS}
    assert f"{macs['carafe']:,}" in shown.output
    assert len(set(macs.values())) > 6
