"""Details of the architecture, read off built networks by hooks on every layer that runs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from unetzoo.claims.measured import Estimate, Measured, Plot, Table, exact
from unetzoo.claims.measurements import Context
from unetzoo.models.factory import create_model

NETWORKS = {"unet_paper": (1, 2, 572), "unet": (3, 2, 512)}  # channels, classes, side
CONVOLUTIONS = ("Conv2d", "ConvTranspose2d")


@dataclass(frozen=True)
class Layer:
    """One layer as it ran: its kind, kernel and stride, and channels and sides of its input and output."""

    kind: str
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    taken: tuple[int, int]  # channels, side
    given: tuple[int, int]
    is_pool: bool  # a 2x2 max pooling with stride 2, by what it does to random values


def layers_of(network: nn.Module, image: Tensor) -> list[Layer]:
    """Return the layers of a network in the order in which they run on an image.

    Args:
        network: The network.
        image: (1, C, H, W), also on the meta device.
    """
    found: list[Layer] = []

    def note(module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        kernel, stride = (_pair(getattr(module, name, 0)) for name in ("kernel_size", "stride"))
        kind = next((name for name in CONVOLUTIONS if isinstance(module, getattr(nn, name))), type(module).__name__)
        ends = [(int(x.shape[1]), int(x.shape[-1])) for x in (inputs[0], output)]
        found.append(Layer(kind, kernel, stride, ends[0], ends[1], id(module) in pools))

    leaves = [m for m in network.modules() if not list(m.children()) and not isinstance(m, nn.Identity)]
    pools = {id(leaf) for leaf in leaves if _is_pool(leaf)}
    hooks = [leaf.register_forward_hook(note) for leaf in leaves]
    with torch.no_grad():
        network(image)
    for hook in hooks:
        hook.remove()
    return [x for x in found if not x.kind.startswith(("Dropout", "BatchNorm")) and not x.kind.endswith("Skip")]


def details(layers: list[Layer], network: nn.Module) -> dict[str, float]:
    """Return each detail of the architecture as the share of its places at which it is so.

    Args:
        layers: The layers in the order in which they run.
        network: The network they belong to.
    """
    pools = [k for k, layer in enumerate(layers) if layer.is_pool]
    ups = [k for k, layer in enumerate(layers) if layer.kind == "ConvTranspose2d"]
    levels = _between(layers, [-1, *pools, ups[0]])  # encoder, the last one the bottleneck
    stages = [layers[a + 1 : b] for a, b in zip(ups, [*ups[1:], len(layers) - 1], strict=True)]
    widths = [level[-1].given[0] for level in levels]
    pairs = [(layers[k], stage[0], width) for k, stage, width in zip(ups, stages, reversed(widths[:-1]), strict=True)]
    first_of_level = [level[0].taken[0] for level in levels[1:]]
    return {
        "two_3x3_relu_encoder": _share(map(_is_double, levels[:-1])),
        "pool_2x2": float(len(pools) == len(ups)),
        "doubling": _share([b == 2 * a for a, b in zip(first_of_level, widths[1:], strict=True)]),
        "bottleneck_two_3x3": _share([_is_double(levels[-1])]),
        "up_2x2": _share(layers[k].kernel == layers[k].stride == (2, 2) for k in ups),
        "halving": _share(layers[k].taken[0] == 2 * layers[k].given[0] for k in ups),
        "concatenation": _share(first.taken[0] == up.given[0] + width for up, first, width in pairs),
        "two_3x3_decoder": _share(map(_is_double, stages)),
        "head_1x1": float(layers[-1].kind == "Conv2d" and layers[-1].kernel == (1, 1)),
        "symmetric": float(widths[:-1] == [stage[-1].given[0] for stage in reversed(stages)]),
        "no_fully_connected": float(not any(isinstance(m, nn.Linear) for m in network.modules())),
        "first_width_64": float(widths[0] == 64),
        "convolutions_23": float(sum(layer.kind in CONVOLUTIONS for layer in layers) == 23),
    }


def measure(context: Context) -> Measured:
    """Read the details of the paper's network and of `unet`."""
    found: dict[str, dict[str, float]] = {}
    rows: list[list[str | float | int | bool | None]] = []
    for name, (channels, classes, side) in NETWORKS.items():
        context.progress(f"architecture: {name}")
        with torch.device("meta"):
            network = create_model(name, in_channels=channels, num_classes=classes).eval()
            image = torch.zeros(1, channels, side, side)
        layers = layers_of(network, image)
        found[name] = details(layers, network)
        rows += [
            [
                name,
                k,
                layer.kind,
                "2x2" if layer.is_pool else "x".join(map(str, layer.kernel)),
                *layer.taken,
                *layer.given,
            ]
            for k, layer in enumerate(layers)
            if layer.kind != "ReLU"
        ]
    quantities: dict[str, Estimate] = {
        key: exact(min(found[name][key] for name in NETWORKS)) for key in found["unet_paper"]
    }
    detail_rows: list[list[str | float | int | bool | None]] = [
        [key, *(found[name][key] for name in NETWORKS)] for key in found["unet_paper"]
    ]
    return Measured(
        quantities=quantities,
        tables=[
            Table(title="Share of places at which the detail is so", columns=["detail", *NETWORKS], rows=detail_rows),
            Table(
                title="Layers in the order in which they ran (activations left out)",
                columns=["network", "place", "layer", "kernel", "channels in", "side in", "channels out", "side out"],
                rows=rows,
            ),
        ],
        plot=Plot(
            table=1,
            kind="lines",
            x="place",
            y="channels out",
            series="network",
            caption="Channels after every convolution and pooling, in the order in which they run: doubling on the way "
            "down, halving on the way up, the classes at the end.",
        ),
        method="Hooks on every layer of the built networks note kind, kernel, channels and sides while one "
        "image passes; "
        "batch norm and dropout are left out of the order, so that 3x3 + norm + ReLU counts as 3x3 + ReLU. A quantity "
        "is the smaller share of the two networks.",
    )


def _between(layers: list[Layer], cuts: list[int]) -> list[list[Layer]]:
    return [layers[a + 1 : b] for a, b in pairwise(cuts)]


def _is_double(part: list[Layer]) -> bool:
    """Return True if a part is two 3x3 convolutions, each followed by a ReLU."""
    kinds = [layer.kind for layer in part]
    return kinds == ["Conv2d", "ReLU"] * 2 and all(layer.kernel == (3, 3) for layer in part[::2])


def _pair(value: Any) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, tuple) else (value, value)


def _is_pool(module: nn.Module) -> bool:
    """Return True if a layer without parameters does to random values what a 2x2 max pooling with stride 2 does."""
    if next(module.parameters(), None) is not None or isinstance(module, nn.ReLU):
        return False
    values = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    try:
        pooled = module(values)
    except (TypeError, RuntimeError):  # a layer of several inputs
        return False
    return isinstance(pooled, Tensor) and torch.equal(pooled, functional.max_pool2d(values, 2, 2))


def _share(places: Any) -> float:
    values = list(places)
    return sum(values) / len(values) if values else 0.0
