"""Topology: the edges of known networks, of odd ones and of every entry; the drawing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import unetzoo
from support.entries import different, of_each_class, rest_nightly
from unetzoo.gallery.drawing import APART, HEIGHT, WIDTH, _columns, _levels, draw_topology
from unetzoo.gallery.measured import Box, Topology
from unetzoo.gallery.topology import MOST, topology
from unetzoo.models.factory import resolve_model

Names = set[tuple[str, str]]
MODELS = different(unetzoo.list_models())


def edges(found: Topology) -> Names:
    return {(found.boxes[a].name, found.boxes[b].name) for a, b in found.edges}


def of(name: str, **options: Any) -> Topology:
    return topology(resolve_model(name, options=options))


@pytest.fixture
def own(clean_registry: dict) -> Callable[[type[nn.Module]], Topology]:
    """Return the topology of a module class without arguments, registered for the duration of a test."""

    def found(network: type[nn.Module]) -> Topology:
        unetzoo.register_model("own")(lambda in_channels, num_classes: network())
        return topology(resolve_model("own"))

    return found


CHAIN = {
    ("image", "encoder.levels.0"),
    ("encoder.levels.0", "encoder.levels.1"),
    ("encoder.levels.1", "encoder.levels.2"),
    ("encoder.levels.2", "decoder.stages.1"),
    ("decoder.stages.1", "decoder.stages.0"),
    ("decoder.stages.0", "head"),
    ("head", "logits"),
}
SKIPS = {("encoder.levels.0", "decoder.stages.0"), ("encoder.levels.1", "decoder.stages.1")}


@pytest.mark.parametrize("skip", ["concat", "add", "attention"])
def test_a_unet_is_a_chain_with_skips(skip: str) -> None:
    found = of("unet", width=4, depth=3, skip=skip)
    assert edges(found) == CHAIN | SKIPS
    assert [box.level for box in found.boxes] == [0, 0, 1, 2, 1, 0, 0, 0]
    assert [box.channels for box in found.boxes] == [3, 4, 8, 16, 8, 4, 1, 1]


def test_without_skips_there_are_none() -> None:
    """There are none although the decoder is given the encoder's maps, for their sizes."""
    assert edges(of("unet_noskip", width=4, depth=3)) == CHAIN


def test_pooling_indices_are_data() -> None:
    assert {(f"encoder.{i}", f"decoder.{i}") for i in range(5)} <= edges(of("segnet", width=4))


def test_a_nested_decoder_takes_all_before_it() -> None:
    found = edges(of("unetpp", width=4, depth=3))
    assert {a for a, b in found if b == "decoder.stages.2"} == {
        "encoder.levels.0", "decoder.stages.0", "decoder.stages.1"
    }  # fmt: skip


def test_a_network_of_networks_is_opened() -> None:
    """LadderNet: the second U-Net takes the first one's maps level by level."""
    found = of("ladder_net", width=4)
    assert {(f"unets.0.decoder.{i}", f"unets.1.encoder.{i}") for i in range(4)} <= edges(found)
    assert [box.level for box in found.boxes].count(4) == 2 * 2  # the end of `downs`, and the bottleneck


def test_what_is_too_much_stays_closed_and_shows_how_deep_it_goes() -> None:
    boxes = {box.name: box for box in of("u2net", width=4).boxes}
    assert boxes["encoder.0"].inside == [1, 2, 3, 4, 5]
    assert boxes["encoder.5"].inside == []


def conv(channels: int = 3) -> nn.Module:
    return nn.Conv2d(3, channels, 3, padding=1)


class Odd(nn.Module):
    """A network with a part run twice, an identity, constants, use of a shape, and channel attention."""

    def __init__(self) -> None:
        super().__init__()
        self.twice, self.same, self.constant, self.vector = conv(), nn.Identity(), nn.Embedding(4, 3), conv()
        self.head = nn.Conv2d(3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        first = self.twice(x)
        second = self.twice(self.same(first))
        scale = self.vector(x.mean((2, 3), keepdim=True))
        bias = self.constant(torch.zeros(1, dtype=torch.long, device=x.device))
        return self.head(torch.zeros_like(first) + second * scale + bias[..., None, None])


def test_odd_parts(own: Callable[[type[nn.Module]], Topology]) -> None:
    found = own(Odd)
    assert [box.name for box in found.boxes] == ["image", "twice", "same", "twice", "vector", "head", "logits"]
    assert found.edges == [(0, 1), (0, 4), (1, 2), (2, 3), (3, 5), (4, 5), (5, 6)]
    assert found.boxes[4].level is None


class Tokens(nn.Module):
    """A network on 16x16 patches as (N, L, C), then as (N, H, W, C); it cannot run without values."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 5, 16, stride=16)
        self.mix, self.mix_map = nn.Linear(5, 7), nn.Linear(7, 9)
        self.head = nn.ConvTranspose2d(9, 1, 16, stride=16)

    def forward(self, x: Tensor) -> Tensor:
        assert x.sum().item() == 0
        tokens = self.mix(self.embed(x).flatten(2).transpose(1, 2))
        return self.head(self.mix_map(tokens.unflatten(1, (16, 16))).permute(0, 3, 1, 2))


def test_tokens_have_a_level_too(own: Callable[[type[nn.Module]], Topology]) -> None:
    found = own(Tokens)
    assert [(box.name, box.level, box.channels) for box in found.boxes[1:-1]] == [
        ("embed", 4, 5), ("mix", 4, 7), ("mix_map", 4, 9), ("head", 0, 1)
    ]  # fmt: skip


class Long(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(conv() for _ in range(MOST + 5))
        self.head = nn.Conv2d(3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


def test_too_many_are_merged(own: Callable[[type[nn.Module]], Topology]) -> None:
    found = own(Long)
    assert [box.name for box in found.boxes] == ["image", f"layers.0 to layers.{MOST + 4}", "head", "logits"]
    assert found.edges == [(0, 1), (1, 2), (2, 3)]


@pytest.mark.parametrize("name", rest_nightly(MODELS, of_each_class(MODELS)))
def test_every_entry(name: str) -> None:
    found = of(name)
    assert len(found.boxes) <= MOST + 2
    assert all(a < b for a, b in found.edges)
    assert {b for _, b in found.edges} == set(range(1, len(found.boxes)))
    drawing = draw_topology(found)
    assert len(drawing) < 20_000
    ElementTree.fromstring(drawing)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    level = draw(st.none() | st.floats(-3, 8))
    inside = st.lists(st.integers(int(level) + 1, 9), max_size=2) if level is not None else st.just([])
    return Box(name=draw(st.text(max_size=4)), channels=draw(st.integers(0, 5000)), level=level, inside=draw(inside))


@st.composite
def topologies(draw: st.DrawFn) -> Topology:
    n = draw(st.integers(2, 12))
    pairs = st.tuples(st.integers(0, n - 2), st.integers(1, n - 1)).filter(lambda edge: edge[0] < edge[1])
    return Topology(boxes=[draw(boxes()) for _ in range(n)], edges=sorted(draw(st.sets(pairs))))


@settings(max_examples=60, deadline=None)
@given(topologies())
def test_the_drawing_fits_and_boxes_do_not_cover_each_other(found: Topology) -> None:
    levels = _levels(found.boxes)
    columns = _columns(found, levels)
    assert all(columns[a] < columns[b] for a, b in found.edges)
    assert max(columns) == columns[-1]
    places = list(zip(columns, levels, strict=True))
    for i, (column, level) in enumerate(places):
        assert not any(column == c and abs(level - other) < APART for c, other in places[:i])
    for shape in ElementTree.fromstring(draw_topology(found)).iter("{http://www.w3.org/2000/svg}rect"):
        x, y, w, h = (float(shape.get(key, "nan")) for key in ("x", "y", "width", "height"))
        assert x >= 0
        assert y >= 0
        assert x + w <= WIDTH
        assert y + h <= HEIGHT


def test_names_are_escaped() -> None:
    parts = [Box(name=name, channels=3, level=0) for name in ("image", '</title><script>"&', "logits")]
    drawing = draw_topology(Topology(boxes=parts, edges=[(0, 1), (1, 2)]))
    assert "<script" not in drawing
    assert '</title><script>"&: 3 channels' in {
        title.text for title in ElementTree.fromstring(drawing).iter("{http://www.w3.org/2000/svg}title")
    }
