"""Parameters and multiply-accumulates, of a whole model and part by part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from unetzoo.errors import UnetzooError
from unetzoo.nn.sizes import SameSize, ValidSizes
from unetzoo.registry import ModelConfig


@dataclass(frozen=True)
class Stage:
    """A part of a network: ``shape`` is its output's (C, H, W), ``macs`` of one image.

    Of several maps it is the first's, of an encoder's the coarsest's; of tokens as the network has them, (tokens, C)
    or (H, W, C).
    What works in training alone has neither: shape () and no MACs.
    """

    name: str
    shape: tuple[int, ...]
    params: int
    macs: int


def _flop_counter() -> FlopCounterMode:
    """torch's, which knows every kernel of attention but the CPU's."""

    def forward(query: torch.Size, key: torch.Size, value: torch.Size, *_: object, **__: object) -> int:
        return sdpa_flop_count(query, key, value)

    def backward(grad: torch.Size, query: torch.Size, key: torch.Size, value: torch.Size, *_: object, **__: object):
        return sdpa_backward_flop_count(grad, query, key, value)

    aten = torch.ops.aten
    return FlopCounterMode(
        display=False,
        custom_mapping={
            aten._scaled_dot_product_flash_attention_for_cpu: forward,
            aten._scaled_dot_product_flash_attention_for_cpu_backward: backward,
        },
    )


def count_parameters(model: nn.Module) -> int:
    """All learnable values."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def count_macs(model: nn.Module, image: Tensor) -> int:
    """Multiply-accumulates of ``model(image)``: half of torch's FLOP count.

    torch.utils.flop_counter counts convolutions and matrix products; norms, activations, pooling and
    interpolation (that of ``dysample`` at moved places too) count nothing. Wrapped in `SameSize`, a valid network is
    charged for its mirrored border too.
    """
    with _flop_counter() as counter, torch.no_grad():
        model(image)
    return counter.get_total_flops() // 2


def count_training_flops(
    config: ModelConfig, shape: tuple[int, int, int, int], prepare: Callable[[nn.Module], object] = lambda network: None
) -> int:
    """Floating-point operations of one training step, forward and backward, on a batch (N, C, H, W).

    ``prepare`` is called with the network first, to freeze parts of it. Counted as in `count_macs`, two a
    multiply-accumulate; the backward pass takes about twice the forward. Nothing is allocated where the model runs on
    the meta device.
    """
    with suppress(RuntimeError, NotImplementedError):  # a model of one's own may not run on the meta device
        return _training_flops(config, shape, prepare, "meta")
    return _training_flops(config, shape, prepare, "cpu")


def _training_flops(
    config: ModelConfig, shape: tuple[int, int, int, int], prepare: Callable[[nn.Module], object], device: str
) -> int:
    with torch.device(device):
        network = config.build(weights=False)
        prepare(network)
        model = SameSize(network, config.num_classes).train()
        images = torch.zeros(shape)
    with _flop_counter() as counter:
        outputs = model(images)
        torch.stack([logits.sum() for logits in outputs]).sum().backward()
    return counter.get_total_flops()


def stages(config: ModelConfig, height: int, width: int) -> list[Stage]:
    """The network part by part in the order they run, for one (height, width) image.

    Nothing is allocated where the model runs on the meta device; one that cannot is run on the CPU.

    Parts are the levels of an encoder, the stages of a decoder, and otherwise the top-level modules.
    Raises `UnetzooError` where the network does not take that size.
    """
    with suppress(RuntimeError, NotImplementedError):  # a model of one's own may not run on the meta device
        return _stages(config, height, width, "meta")
    return _stages(config, height, width, "cpu")


def _stages(config: ModelConfig, height: int, width: int, device: str) -> list[Stage]:
    with torch.device(device):
        model = config.build(weights=False).eval()
        image = torch.zeros(1, config.in_channels, height, width)
    shapes: dict[str, tuple[int, ...]] = {}
    parts = dict(_parts(model))
    for name, part in parts.items():
        part.register_forward_hook(partial(_keep_shape, shapes, name))
    with _flop_counter() as counter, torch.no_grad():
        model(image)
    by_module = counter.get_flop_counts()
    root = type(model).__name__
    rows = []
    for name, shape in shapes.items():
        flops = sum(by_module.get(f"{root}.{name}" if name else "Global", {}).values())
        rows.append(Stage(name or root, shape, count_parameters(parts[name]), flops // 2))
    unused = {name: count_parameters(part) for name, part in parts.items() if name not in shapes}
    return rows + [Stage(f"{name} (training)", (), params, 0) for name, params in unused.items() if params]


def side_read(config: ModelConfig, side: int) -> int:
    """``side``, or for a valid network the smallest it takes that gives at least as many pixels."""
    with suppress(RuntimeError, NotImplementedError):  # a model of one's own may not be built on the meta device
        return _side_read(config, side, "meta")
    return _side_read(config, side, "cpu")


def _side_read(config: ModelConfig, side: int, device: str) -> int:
    with torch.device(device):
        sizes = getattr(config.build(weights=False), "sizes", None)
    return sizes.input(side) if isinstance(sizes, ValidSizes) else side


def _parts(model: nn.Module) -> list[tuple[str, nn.Module]]:
    found: list[tuple[str, nn.Module]] = []
    children = list(model.named_children())  # where there is one alone, it is a network in a wrapper
    for name, child in children:
        if isinstance(child, nn.ModuleList):
            found += [(f"{name}.{i}", part) for i, part in enumerate(child)]
        elif any(isinstance(inner, nn.ModuleList) or len(children) == 1 for inner in child.children()):
            found += [(f"{name}.{inner}", part) for inner, part in _parts(child)]
        else:
            found.append((name, child))
    return found or [("", model)]  # a model that is one layer


def _prefixed(name: str, module: nn.Module) -> list[tuple[str, nn.Module]]:
    return [(f"{name}.{child_name}", child) for child_name, child in module.named_children()]


def _keep_shape(
    shapes: dict[str, tuple[int, ...]], name: str, module: nn.Module, _inputs: object, output: object
) -> None:
    if isinstance(output, list | tuple) and "encoder" in name.split(".") and isinstance(output[-1], Tensor):
        output = output[-1]  # the coarsest
    shape = _shape(output)
    by_timm = getattr(module, "output_fmt", None)
    shapes[name] = (*shape[-1:], *shape[:-1]) if by_timm == "NHWC" else shape


def _shape(output: object) -> tuple[int, ...]:
    if isinstance(output, Tensor):
        return tuple(output.shape[1:])
    if isinstance(output, Mapping):
        output = tuple(output.values())
    if isinstance(output, list | tuple) and output:
        return _shape(output[0])
    raise UnetzooError(f"a part of the network returns {type(output).__name__}, which has no shape")
