"""Parameters and multiply-accumulates (MACs) of a whole model and of its parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from unetzoo.errors import UnetzooError
from unetzoo.models.factory import ModelConfig
from unetzoo.nn.sizes import SameSize, ValidSizes


@dataclass(frozen=True)
class Stage:
    """A part of a network; one that is active only in training has shape () and no MACs.

    Attributes:
        name: Name of the module.
        shape: Shape of its output without the batch: (C, H, W), or (tokens, C) or (H, W, C) if the network returns
            tokens. Of several outputs it is the first, or the coarsest if the part is an encoder.
        params: Trainable parameters.
        macs: Multiply-accumulates for one image.
    """

    name: str
    shape: tuple[int, ...]
    params: int
    macs: int


def _flop_counter() -> FlopCounterMode:
    """Return torch's FLOP counter, extended by the CPU's attention kernel, the only one that it lacks."""

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
    """Return the number of trainable parameters of a model.

    Args:
        model: The model.
    """
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def count_macs(model: nn.Module, image: Tensor) -> int:
    """Return the multiply-accumulates of ``model(image)``, which are half of torch's FLOP count.

    Only convolutions and matrix products count; norms, activations, pooling and interpolation (including the sampling
    of ``dysample``) do not. If a network of unpadded convolutions is wrapped in `SameSize`, its mirrored border counts,
    too.

    Args:
        model: The model.
        image: A batch of images, (N, C, H, W).

    References:
        ``torch.utils.flop_counter``.
    """
    with _flop_counter() as counter, torch.no_grad():
        model(image)
    return counter.get_total_flops() // 2


def count_training_flops(
    config: ModelConfig, shape: tuple[int, int, int, int], prepare: Callable[[nn.Module], object] = lambda network: None
) -> int:
    """Return the floating-point operations of one training step, forward and backward.

    They are counted as in `count_macs`, two per multiply-accumulate; the backward pass costs about twice the forward
    pass. Nothing is allocated if the model runs on the meta device; otherwise it is run on the CPU.

    Args:
        config: The model.
        shape: Shape of a batch, (N, C, H, W).
        prepare: Called with the network first, to freeze parts of it.
    """
    with suppress(RuntimeError, NotImplementedError):  # a user's model may not run on the meta device
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
    """Return the parts of a network in the order in which they run on one image.

    Parts are the levels of an encoder, the stages of a decoder, and otherwise the top-level modules. Nothing is
    allocated if the model runs on the meta device; otherwise it is run on the CPU.

    Args:
        config: The model.
        height: Height of the image.
        width: Width of the image.

    Raises:
        UnetzooError: If the network does not take images of that size.
    """
    with suppress(RuntimeError, NotImplementedError):  # a user's model may not run on the meta device
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
    """Return the side of the image that a network needs for an output of at least ``side`` pixels.

    It is ``side`` itself, or the smallest side that fits if the network has unpadded convolutions.

    Args:
        config: The model.
        side: Side of the output.
    """
    with suppress(RuntimeError, NotImplementedError):  # a user's model may not be built on the meta device
        return _side_read(config, side, "meta")
    return _side_read(config, side, "cpu")


def _side_read(config: ModelConfig, side: int, device: str) -> int:
    with torch.device(device):
        sizes = getattr(config.build(weights=False), "sizes", None)
    return sizes.input(side) if isinstance(sizes, ValidSizes) else side


def _parts(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the names and modules of the parts as in `stages`."""
    found: list[tuple[str, nn.Module]] = []
    children = list(model.named_children())  # an only child is a network in a wrapper
    for name, child in children:
        if isinstance(child, nn.ModuleList | nn.ModuleDict):
            found += [(f"{name}.{inner}", part) for inner, part in child.named_children()]
        elif any(isinstance(inner, nn.ModuleList) or len(children) == 1 for inner in child.children()):
            found += [(f"{name}.{inner}", part) for inner, part in _parts(child)]
        else:
            found.append((name, child))
    return found or [("", model)]  # a model that is a single layer


def _keep_shape(
    shapes: dict[str, tuple[int, ...]], name: str, module: nn.Module, _inputs: object, output: object
) -> None:
    if isinstance(output, list | tuple) and "encoder" in name.split(".") and isinstance(output[-1], Tensor):
        output = output[-1]  # the coarsest map
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
