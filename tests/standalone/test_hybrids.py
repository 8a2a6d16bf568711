"""Networks of convolutions and attention: the function of their references, options with an effect, bad options."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import unetzoo
from parity.parity import build, fill, make_input
from support.entries import refused_in_one_line
from unetzoo.standalone.dae_former import efficient
from unetzoo.standalone.mt_unet import LocalGlobalAttention
from unetzoo.standalone.udtransnet import RecalibratedSkip

# Entry: options, H, W, then statistics of every output of the transcription (the main one first), filled as
# tests/parity/parity.py does ("exact"): mean, standard deviation, and first, middle and last value of the flattened
# output.
FUNCTIONS: dict[str, tuple[dict[str, Any], int, int, tuple[tuple[float, ...], ...]]] = {
    "levit_unet": (
        {"width": 8, "image_size": 96},
        96,
        96,
        ((-22995175.03, 5246107.204, -6108344.441, -15285155.23, 1572208.843),),
    ),
    "udtransnet": (
        {"image_size": 64},
        64,
        64,
        ((-20244.53138, 47703.04083, -5964.999359, -10964.63816, 793.5146449),),
    ),
    "trans_fuse": (
        {"image_size": (64, 96)},
        64,
        96,
        (
            (-1764.661556, 2763.56476, 281.8245756, 724.3262166, 3166.231168),
            (3.213238569, 1.19656214, -1.100549099, -0.09735119773, 3.624647823),
            (-612.3822164, 3318.93253, -5170.790181, -1130.218397, -1954.028349),
        ),
    ),
    "mt_unet": (
        {"width": 16, "image_size": 96},
        96,
        96,
        ((41.02518322, 256.3717079, 14.40057853, 122.3697164, 12.45735433),),
    ),
    "dae_former": ({"width": 16}, 64, 64, ((0.568757575, 1.588775844, -1.079514015, -0.2386514897, 0.3895668652),)),
}


def narrow(name: str, **changes: object) -> nn.Module:
    torch.manual_seed(0)
    return unetzoo.create_model(name, **{"in_channels": 2, "num_classes": 3, "width": 4, **changes})


@pytest.mark.parametrize("name", FUNCTIONS)
def test_same_function_as_a_transcription_of_the_reference(name: str) -> None:
    options, height, width, expected = FUNCTIONS[name]
    model = fill(build({}, lambda: unetzoo.create_model(name, **options)), "exact")
    forward_all = getattr(model, "forward_all", lambda x: [model(x)])
    with torch.inference_mode():
        outputs = forward_all(make_input((1, 3, height, width)))
    for output, values in zip(outputs, expected, strict=True):
        flat = output.numpy().ravel()
        found = (flat.mean(), flat.std(), flat[0], flat[flat.size // 2], flat[-1])
        np.testing.assert_allclose(found, values, rtol=1e-6, atol=1e-6 * values[1])


def test_levits_biases_belong_to_distances() -> None:
    """A bias for the distance 0 on both axes reaches only a pixel's attention to itself, also at another size."""
    model = narrow("levit_unet", image_size=96).eval()
    attention = model.levels[0][0].branch[0]
    with torch.no_grad():
        attention.biases[:, 0] = 1
        bias = attention.bias(3, 4)
    assert torch.equal(bias[0].diagonal(), torch.ones(12))
    assert not bias[0, 0, 3]  # the far end of the row


def test_udtransnet_asks_for_skips_among_channels_or_tokens() -> None:
    """Among channels the tokens' order is kept; among tokens, whose weights are a softmax, any order will do."""
    up, tokens = torch.rand(1, 8, 8, 8), torch.rand(1, 16, 8)
    for channelwise in (True, False):
        torch.manual_seed(1)
        skip = RecalibratedSkip(8, 8, 4, 2, channelwise=channelwise).eval()
        with torch.inference_mode():
            same = torch.allclose(skip(up, tokens), skip(up, tokens.flip(1)), atol=1e-5)
        assert same is not channelwise


def test_one_of_trans_fuses_outputs_is_the_transformers_alone() -> None:
    model = narrow("trans_fuse").eval()
    images = torch.rand(1, 2, 32, 48)
    with torch.inference_mode():
        before = model.forward_all(images)
        for parameter in model.resnet.parameters():
            parameter.mul_(1.5)
        after = model.forward_all(images)
    assert [torch.equal(a, b) for a, b in zip(before, after, strict=True)] == [False, True, False]


def test_hi_formers_class_tokens_reach_the_output_with_layers() -> None:
    images = torch.rand(1, 2, 32, 48)
    for layers, reached in (((0, 0), False), ((1, 2), True)):
        model = narrow("hi_former", layers=layers)
        model(images.expand(2, -1, -1, -1)).square().mean().backward()
        weights = {name: p.grad for name, p in model.fusion.named_parameters() if name.endswith("weight")}
        assert {name: bool(grad.any()) for name, grad in weights.items()} == dict.fromkeys(weights, reached)


def test_mt_unet_repeats_the_corner_of_a_map_that_it_pads() -> None:
    tokens = torch.arange(1.0, 19).reshape(1, 3, 6, 1)
    padded = LocalGlobalAttention(1, 1, 4)._padded(tokens)[0, ..., 0]
    assert torch.equal(padded[:3, :6], tokens[0, ..., 0])
    assert padded[3].tolist() == [0, 0, 0, 0, 0, 0, 17, 18]
    assert not padded[:3, 6:].any()


def test_dae_formers_attention_is_of_linear_cost() -> None:
    """It equals softmax(Q) (softmax(K)^T V) with the matrix of all pairs of tokens written out."""
    query, key, value = torch.rand(3, 1, 6, 4).unbind()
    pairs = query.softmax(dim=2) @ key.softmax(dim=1).transpose(1, 2)
    torch.testing.assert_close(efficient(query, key, value), pairs @ value)


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("levit_unet", {"heads": [1, 2]}, ["option heads = [1, 2]: must be a list of 3 whole numbers of at least 1"]),
        ("levit_unet", {"image_size": 8}, ["option image_size = 8: must be a whole number of at least 16"]),
        ("udtransnet", {"width": 3}, ["option width = 3: must be an even number"]),
        ("udtransnet", {"dra": "both"}, ["option dra = 'both':"]),
        ("trans_fuse", {"image_size": [8, 32]}, ["option image_size = [8, 32]: must be at least 16 px on each side"]),
        (
            "hi_former",
            {"layers": [0, 2]},
            ["option layers = [0, 2]: must be two whole numbers of at least 1, or [0, 0]"],
        ),
        ("mt_unet", {"window": 0}, ["option window = 0: must be a whole number of at least 1"]),
        ("dae_former", {"heads": 0}, ["option heads = 0: must be a whole number of at least 1"]),
    ],
)
def test_bad_options_are_refused_in_one_line(name: str, changes: dict[str, Any], words: list[str]) -> None:
    refused_in_one_line(words, lambda: unetzoo.create_model(name, **changes))
