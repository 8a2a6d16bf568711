"""Graphs: sizes that are free, sizes that networks ask for, and networks whose code depends on sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import unetzoo
from unetzoo.export.graph import trace
from unetzoo.export.module import Exported
from unetzoo.export.runtimes import write
from unetzoo.export.sides import Sides
from unetzoo.export.verify import compare
from unetzoo.nn.sizes import ValidSizes
from unetzoo.standalone.common import AnySize


class Mirrors(AnySize):
    """Takes multiples of 8 from 16 pixels on."""

    multiple, least = 8, 16

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(1, 2, 8, stride=8), nn.ConvTranspose2d(2, 2, 8, stride=8)

    def logits(self, x: Tensor) -> Tensor:
        return self.up(self.down(x).relu())


class Branches(nn.Module):
    """Computes another function of images of odd height."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) * (2 if x.shape[-2] % 2 else 1)


class Counts(nn.Module):
    """Has a table of a fixed number of rows, so takes 32 x 32 pixels alone, one image at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.rand(1, 1, 32, 32))

    def forward(self, x: Tensor) -> Tensor:
        if x.shape != (1, 1, 32, 32):
            raise ValueError("not 32 x 32")
        return torch.cat((x, x + self.table), dim=1)


@given(st.integers(1, 40), st.integers(1, 40))
def test_padding_is_that_of_the_network(h: int, w: int) -> None:
    network = Mirrors()
    sides = Sides.of(network)
    assert (sides.multiple, sides.least, sides.padded) == (8, 16, True)
    x = torch.rand(1, 1, h, w)
    assert torch.equal(sides.pad(x), network.fit(x))
    sides.check(h, w)


@given(st.integers(2, 5), st.integers(1, 700))
def test_sides_of_valid_convolutions(depth: int, side: int) -> None:
    rule = ValidSizes(depth)
    network = nn.Identity()
    object.__setattr__(network, "sizes", rule)
    sides = Sides.of(network)
    takes = rule.output(side) is not None
    assert takes == (sides.next(side) == side)
    if not takes:
        with pytest.raises(unetzoo.UnetzooError, match="next size that fits"):
            sides.check(side, side)


# Each exports in one more way than those before it: any side, valid convolutions, an encoder's multiple, sampling.
REPRESENTATIVE: dict[str, dict[str, Any]] = {
    "unet": {"width": 2, "depth": 2},
    "unet_paper": {"width": 2, "depth": 2, "up": "bilinear"},
    "basic_unet": {"width": 2},
    "unet_resnet34": {"encoder": "test_resnet", "width": 4},
    "unet_bilinear": {"width": 4, "depth": 2, "up": "dysample", "down": "strided"},
}


@pytest.mark.parametrize("name", REPRESENTATIVE)
def test_onnx_equals_torch_in_both_runtimes(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = unetzoo.create_model(name, in_channels=1, num_classes=2, **REPRESENTATIVE[name]).eval()
    graph = trace(model, 1, (64, 64))
    assert graph.batched
    assert graph.sides.fixed is None
    write(graph.program, "onnx", tmp_path)
    exported = Exported(tmp_path / "model.onnx", "onnx", graph.sides)
    for backend in ("onnxruntime", "openvino"):
        assert compare(model, exported, 1, backend).worst.relative < 1e-5


def test_mirrored_images_and_least_sides(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Mirrors().eval()
    graph = trace(model, 1, (64, 64))
    write(graph.program, "pt2", tmp_path)
    exported = Exported(tmp_path / "model.pt2", "pt2", graph.sides)
    for h, w in ((1, 1), (16, 16), (7, 50), (33, 17)):
        x = torch.rand(3, 1, h, w)
        with torch.no_grad():
            assert torch.allclose(exported(x), model(x), atol=1e-6)


def test_a_network_that_branches_by_size_gets_fewer_sizes() -> None:
    torch.manual_seed(0)
    graph = trace(Branches().eval(), 1, (64, 64))
    assert graph.sides.multiple > 1
    assert not graph.sides.padded
    with pytest.raises(unetzoo.UnetzooError, match="does not fit this exported model, which takes multiples of 16"):
        graph.sides.check(33, 32)


def test_a_network_of_one_size(tmp_path: Path) -> None:
    model = Counts().eval()
    graph = trace(model, 1, (32, 32))
    assert (graph.sides.fixed, graph.batched) == ((32, 32), False)
    assert "not 32 x 32" in graph.reason
    write(graph.program, "pt2", tmp_path)
    exported = Exported(tmp_path / "model.pt2", "pt2", graph.sides, batched=False)
    images = torch.rand(3, 1, 32, 32)
    assert torch.equal(exported(images), torch.cat([model(x[None]) for x in images]))
    with pytest.raises(
        unetzoo.UnetzooError, match="33x32 px does not fit this exported model, which takes 32x32 px only"
    ):
        exported(torch.rand(1, 1, 33, 32))


def test_what_cannot_be_traced_is_one_line() -> None:
    class Reads(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * float(x.mean())

    with pytest.raises(unetzoo.UnetzooError, match=r"torch\.export cannot trace Reads") as caught:
        trace(Reads(), 1, (32, 32))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("sides", [(1, 3), (4, 4), (5, 9), (7, 2)])
def test_code_for_exporting_computes_the_same(sides: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    from unetzoo.nn import skips
    from unetzoo.standalone import basic_unet, ce_net, swin_unet

    torch.manual_seed(0)
    x, skip = torch.rand(1, 8, *sides), torch.rand(1, 8, sides[0] + 1, sides[1])
    attention = swin_unet.WindowAttention(8, 2, 4, 2, 0.0).eval()
    merge = basic_unet.UpMerge(8, 8, 4, finest=False, dropout=0.0).eval()

    def results() -> list[Tensor]:
        pooled = [ce_net.PyramidPool.pool(x, size) for size in (2, 3, 6)]
        same = skips.pad_to_skip(skip, x)[1]
        merged = merge(x, torch.ones(1, 8, 2 * sides[0] + 1, 2 * sides[1]))
        return [
            *pooled,
            same,
            merged,
            attention(x.permute(0, 2, 3, 1)),
            swin_unet.rolled(x.movedim(1, -1), sides, (1, -1)),
        ]

    with torch.no_grad():
        wanted = results()
        for module in (skips, basic_unet, ce_net, swin_unet):
            monkeypatch.setattr(module, "exporting", lambda: True)
        for found, right in zip(results(), wanted, strict=True):
            assert torch.equal(found, right)
