"""Standalone entries with attention over tokens: the authors' function at any size, in any memory layout."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import unetzoo
from parity.parity import fill, make_input
from unetzoo import UnetzooError
from unetzoo.measure.counts import count_macs, count_parameters
from unetzoo.nn.dropout import DropPath
from unetzoo.nn.tokens import Expand, Positions, attend, fitting_heads, offset_index
from unetzoo.standalone import unetr
from unetzoo.standalone.swin_unet import WindowAttention

# Entry: input channels, classes, parameters. The counts are the reference's (named in issue 5), without parameters it
# registers and never uses: from its golden file if there is one, else from a transcription of its newest code.
# Published: TransUNet 105.28 M, Swin-Unet 27.17 M, UCTransNet 66.4 M, MISSFormer 42.46 M (with its unused layers).
PARAMETERS = {
    "transunet": (3, 9, 105_277_081),
    "swin_unet": (3, 9, 27_168_900),
    "utnet": (1, 4, 10_018_500),
    "uctransnet": (3, 1, 66_430_657),
    "missformer": (3, 9, 42_462_537 - 7_009_792),
}

# Entry: H, W, then statistics of the logits of a transcription of the reference, filled as tests/parity/parity.py does
# ("exact"): mean, standard deviation, and the first, middle and last value of the flattened output.
FUNCTIONS: dict[str, tuple[int, int, tuple[float, ...]]] = {
    "uctransnet": (224, 224, (-2.769389306, 0.6412036903, -1.850644119, -1.291395467, -0.6300665318)),
    "missformer": (224, 224, (-0.07139026903, 1.480240512, -0.4551673281, 0.2690162205, -0.512936021)),
}


def narrow(name: str, **changes: object) -> nn.Module:
    torch.manual_seed(0)
    return unetzoo.create_model(name, **{"in_channels": 2, "num_classes": 3, "width": 4, **changes})


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_are_the_references(name: str) -> None:
    channels, classes, parameters = PARAMETERS[name]
    with torch.device("meta"):
        model = unetzoo.create_model(name, in_channels=channels, num_classes=classes)
    assert count_parameters(model) == parameters


def test_vit_large() -> None:
    """The paper's larger model: 1024 channels, 16 heads, 24 layers (its configuration R50-ViT-L_16)."""
    with torch.device("meta"):
        model = unetzoo.create_model("transunet", in_channels=3, num_classes=9, heads=16, layers=24)
    layer = 4 * (1024 * 1024 + 1024) + 2 * 4 * 1024 * 1024 + 4 * 1024 + 1024 + 4 * 1024
    assert count_parameters(model.layers) == 24 * layer


@pytest.mark.parametrize("name", FUNCTIONS)
def test_same_function_as_a_transcription_of_the_reference(name: str) -> None:
    channels, classes, _ = PARAMETERS[name]
    height, width, expected = FUNCTIONS[name]
    model = fill(unetzoo.create_model(name, in_channels=channels, num_classes=classes).double().eval(), "exact")
    with torch.inference_mode():
        logits = model(make_input((1, channels, height, width))).numpy().ravel()
    found = (logits.mean(), logits.std(), logits[0], logits[logits.size // 2], logits[-1])
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6 * expected[1])


@pytest.mark.parametrize("name", PARAMETERS)
def test_trains_on_one_image_of_one_pixel(name: str) -> None:
    model = narrow(name).train()
    logits = model(torch.rand(1, 2, 1, 1))
    logits.square().mean().backward()
    assert logits.shape == (1, 3, 1, 1)


@pytest.mark.parametrize("name", PARAMETERS)
def test_macs_are_the_same_on_every_device(name: str) -> None:
    """The CPU's fused attention kernel is counted as the matrix products it stands for."""
    images = torch.zeros(1, 2, 64, 64)
    with torch.device("meta"):
        planned = count_macs(narrow(name).eval(), images.to("meta"))
    assert count_macs(narrow(name).eval(), images) == planned


def test_deep_supervision_of_utnet() -> None:
    images = torch.rand(1, 2, 33, 20)
    model = narrow("utnet", deep_supervision=True).eval()
    scales = model.forward_all(images)
    assert [scale.shape for scale in scales] == [(1, 3, 33, 20)] * 4
    assert torch.equal(scales[0], model(images))
    assert len(narrow("utnet").eval().forward_all(images)) == 1


def test_what_fills_up_a_window_is_seen_by_nobody() -> None:
    """Attention on a 3x5 map in windows of 4 equals attention by hand among pixels that share a (shifted) window."""
    torch.manual_seed(0)
    for shift in (0, 2):
        module = WindowAttention(6, 2, 4, shift, 0.0).double()
        x = torch.randn(1, 3, 5, 6, dtype=torch.float64)
        query, key, value = module.project(x.flatten(1, 2)).chunk(3, dim=-1)
        at = [(i, j) for i in range(3) for j in range(5)]
        # Rows have one window and so no shift; columns, filled up to 8, have their border at 4, or at 2 and 6.
        window = [(j + 4 - shift) // 4 for _, j in at]
        bias = torch.full((2, 15, 15), -100.0, dtype=torch.float64)
        for a, (i, j) in enumerate(at):
            for b, (k, m) in enumerate(at):
                if window[a] == window[b]:
                    bias[:, a, b] = module.table[(i - k + 3) * 7 + (j - m + 3)]
        by_hand = module.out(attend(query, key, value, 2, bias=bias)).reshape(x.shape)
        torch.testing.assert_close(module(x), by_hand)


def test_attention_by_hand() -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(2, 3, 4), torch.randn(2, 5, 4), torch.randn(2, 5, 4)
    bias = torch.randn(2, 3, 5)
    found = attend(query, key, value, 2, bias=bias)
    for head in range(2):
        part = slice(2 * head, 2 * head + 2)
        scores = query[..., part] @ key[..., part].mT / 2**0.5 + bias[head]
        torch.testing.assert_close(found[..., part], scores.softmax(-1) @ value[..., part])


def test_offsets_and_heads() -> None:
    index = offset_index(3)
    assert index.shape == (9, 9)
    assert (index.diagonal() == 2 * 5 + 2).all()
    assert index[0, 8] == 0  # two up, two left
    assert index[8, 0] == 24
    assert [fitting_heads(c, 3) for c in (1, 2, 4, 96)] == [1, 2, 2, 3]


def test_positions_are_interpolated() -> None:
    positions = Positions(4, 2)
    nn.init.normal_(positions.table)
    assert positions(4, 4) is positions.table
    means = positions.table.detach().reshape(2, 2, 2, 2, 2).mean(dim=(1, 3)).reshape(1, 4, 2)
    torch.testing.assert_close(positions(2, 2), means)
    assert positions(3, 7).shape == (1, 21, 2)


def test_expanding_puts_channels_beside_each_other() -> None:
    expand = Expand(4, 1)
    expand.norm = nn.Identity()
    nn.init.eye_(expand.expand.weight)
    tokens = torch.arange(8.0).reshape(1, 1, 2, 4)
    assert expand(tokens)[0, ..., 0].tolist() == [[0, 1, 4, 5], [2, 3, 6, 7]]


def test_drop_path_drops_whole_images() -> None:
    torch.manual_seed(0)
    x = DropPath(0.25)(torch.ones(4000, 2, 1))
    assert x.unique().tolist() == pytest.approx([0, 4 / 3])
    assert torch.equal(x[:, 0], x[:, 1])
    assert float(x.mean()) == pytest.approx(1, abs=0.03)
    assert torch.equal(DropPath(0.25).eval()(x), x)


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_batch_is_not_mixed(name: str) -> None:
    model, images = narrow(name).double().eval(), torch.rand(2, 2, 40, 24, dtype=torch.float64)
    torch.testing.assert_close(model(images)[1:], model(images[1:]))


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("transunet", {"skips": 0}),
        ("transunet", {"skips": 1, "heads": 3, "layers": 2, "image_size": 64}),
        ("transunet", {"hybrid": False, "skips": 0}),
        ("swin_unet", {"skips": 1}),
        ("swin_unet", {"skips": 0, "up": "bilinear"}),
        ("swin_unet", {"up": "transposed", "depths": [1, 1, 3, 1], "heads": [1, 2, 2, 4], "window": 4}),
        ("utnet", {"levels": []}),
        ("utnet", {"levels": [0, 4], "blocks": [1, 1, 1, 2], "side": 4, "relative": False}),
        ("utnet", {"decoder_attention": False, "deep_supervision": True}),
        ("uctransnet", {"levels": []}),
        ("uctransnet", {"levels": [4, 2], "layers": 2, "heads": 1}),
        ("uctransnet", {"cca": False, "image_size": 64}),
        ("missformer", {"ffn": "mix"}),
        ("missformer", {"ffn": "plain", "bridge_layers": 0}),
        ("missformer", {"bridge_levels": 2, "bridge_layers": 1}),
    ],
)
def test_options_change_the_network_and_it_trains(name: str, changes: dict[str, object]) -> None:
    plain, changed = narrow(name), narrow(name, **changes).train()
    shapes, others = ([tuple(p.shape) for p in m.parameters()] for m in (plain, changed))
    assert shapes != others
    scales = changed.forward_all(torch.randn(2, 2, 64, 48))
    assert all(logits.shape == (2, 3, 64, 48) for logits in scales)
    torch.stack([logits.square().mean() for logits in scales]).sum().backward()
    assert all(p.grad is not None for p in changed.parameters())


def outputs(name: str, **changes: object) -> Tensor:
    return narrow(name, **changes).eval()(torch.rand(1, 2, 64, 64, generator=torch.Generator().manual_seed(1)))


def test_options_without_parameters_change_the_function() -> None:
    assert not torch.allclose(outputs("utnet", reduce="maxpool"), outputs("utnet"))
    for name in ("transunet", "swin_unet", "utnet", "uctransnet"):
        model = narrow(name, dropout=0.5).train()
        images = torch.rand(2, 2, 32, 32)
        assert not torch.allclose(model(images), model(images))
    model = narrow("swin_unet", drop_path=0.9).train()
    assert not torch.allclose(model(images), model(images))


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("transunet", {"width": 0}, "option width = 0: must be a whole number of at least 1"),
        ("transunet", {"skips": 4}, "option skips = 4: must be at most 3"),
        ("transunet", {"hybrid": False}, "option skips = 3: must be at most 0 with hybrid = False"),
        ("transunet", {"image_size": 8}, "option image_size = 8: must be a whole number of at least 16"),
        ("swin_unet", {"up": "expanded"}, "option up = 'expanded': did you mean expand"),
        ("swin_unet", {"depths": [2, 2]}, r"option depths = \[2, 2\]: must be a list of 4 whole numbers"),
        ("swin_unet", {"skips": 5}, "option skips = 5: must be at most 3"),
        ("utnet", {"levels": [5]}, r"option levels = \[5\]: must be a list of whole numbers from 0 to 4"),
        ("utnet", {"reduce": "max"}, "option reduce = 'max': did you mean maxpool"),
        ("uctransnet", {"levels": [1, 1]}, r"option levels = \[1, 1\]: must be a list of distinct whole numbers"),
        ("uctransnet", {"dropout": 1}, "option dropout = 1: must be at least 0 and below 1"),
        ("missformer", {"bridge_levels": 5}, "option bridge_levels = 5: must be at most 4"),
        ("missformer", {"ffn": "mixed"}, "option ffn = 'mixed': did you mean mix"),
    ],
)
def test_bad_options_are_refused_in_one_line(name: str, changes: dict[str, object], message: str) -> None:
    with pytest.raises(UnetzooError, match=message):
        unetzoo.create_model(name, **changes)


def test_feature_size_is_swin_unetrs_width() -> None:
    shapes = [
        [p.shape for p in narrow("swin_unetr_2d", **changes).parameters()] for changes in ({}, {"feature_size": 4})
    ]
    assert shapes[0] == shapes[1]
    assert shapes[0] != [p.shape for p in narrow("swin_unetr_2d", feature_size=6).parameters()]


def test_positions_of_another_grid_lie_between() -> None:
    positions = unetr.Positions((2, 3), 4)
    assert positions(2, 3) is positions.table
    with torch.no_grad():
        positions.table.copy_(torch.arange(3.0).repeat(2)[None, :, None].expand(1, 6, 4))  # the column
    columns = positions(5, 6).detach().unflatten(1, (5, 6))
    torch.testing.assert_close(columns[0, 3, :, 1], torch.tensor([0, 0.25, 0.75, 1.25, 1.75, 2]))
    assert torch.equal(columns[:, 0], columns[:, 4])
