"""Recomputation: parts of a network whose inner maps are computed again in the backward pass instead of being kept.

The gradients are the same up to rounding. Buffers, such as the running statistics of batch norm, change once per step,
as without it, and the recomputation draws the same random numbers.

References:
    Chen et al. 2016, "Training deep nets with sublinear memory cost", arXiv 1604.06174.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves
from torch.utils.checkpoint import checkpoint

from unetzoo.errors import UnetzooError
from unetzoo.nn.decoders import NestedDecoder
from unetzoo.nn.unet import UNet

Recompute = Literal["none", "skips", "decoder", "all"]
Around = Callable[[], AbstractContextManager[Any]]


def segments(network: nn.Module, which: Recompute) -> list[nn.Module]:
    """Return the modules of a network whose inner maps are recomputed.

    Args:
        network: The network.
        which: In a network of the grid, "skips" are the encoder's levels above the bottleneck, of which only the
            skipped maps are kept, "decoder" the decoder's stages except the one that runs last, and "all" both, the
            bottleneck and the layers of the last stage. In other networks "all" are the parts with parameters that the
            network is made of.

    Raises:
        UnetzooError: If the network is not of the grid and has no skips or decoder to name.
    """
    if which == "none":
        return []
    while len(children := list(network.children())) == 1 and list(children[0].children()):
        network = children[0]  # such as one that only pads the images of another
    if isinstance(network, UNet):
        found = _of_unet(network, which)
    elif which == "all":
        found = []
        for child in children:
            found += list(child) if isinstance(child, nn.ModuleList) else [child]
    else:
        raise UnetzooError(
            f"recompute = {which!r} needs a network of the grid; {type(network).__name__} has only 'none' and 'all'"
        )
    return [module for module in found if next(module.parameters(), None) is not None]


def _of_unet(network: UNet, which: Recompute) -> list[nn.Module]:
    encoder: Any = network.encoder
    decoder: Any = network.decoder
    levels = list(encoder.levels)
    body = getattr(encoder, "body", None)  # timm's, which makes all coarser levels in one call
    if which == "skips":
        return levels[:-1] if body is None else [*levels, body]
    stages = list(decoder.stages)
    # The stage that runs last is the first that the backward pass needs: to drop all its maps would gain nothing.
    last = stages.pop(-1 if isinstance(decoder, NestedDecoder) else 0)
    if which == "decoder":
        return stages
    layers = list(last.block) if isinstance(getattr(last, "block", None), nn.Sequential) else []
    return [*levels, *([] if body is None else [body]), *stages, *layers]


@contextmanager
def recomputing(network: nn.Module, which: Recompute, around: Around = nullcontext) -> Iterator[None]:
    """Recompute the inner maps of some modules in backward passes through forward passes inside the block.

    Args:
        network: The network.
        which: The modules; see `segments`.
        around: Context of each recomputation.

    Raises:
        UnetzooError: If the network has no such modules.
    """
    with ExitStack() as undo:
        for module in segments(network, which):
            # An attribute of the instance hides the method of its class.
            module.forward = partial(_forward, module, type(module).forward.__get__(module), around)
            undo.callback(delattr, module, "forward")
        yield


def _forward(module: nn.Module, forward: Callable[..., Any], around: Around, *args: Any, **kwargs: Any) -> Any:
    if not (module.training and torch.is_grad_enabled()):
        return forward(*args, **kwargs)
    inputs = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    versions = [x._version for x in inputs]
    buffers = [(owner, name, x.clone()) for owner in module.modules() for name, x in owner.named_buffers(recurse=False)]

    def check_inputs() -> None:
        if [x._version for x in inputs] != versions:
            raise UnetzooError(
                f"recompute: {type(module).__name__} cannot be computed again, because its input is changed in place; "
                "set recompute = 'none' for this network"
            )

    @contextmanager
    def again() -> Iterator[None]:
        check_inputs()
        with around(), _replaced(buffers):
            yield

    outputs = checkpoint(forward, *args, use_reentrant=False, context_fn=lambda: (nullcontext(), again()), **kwargs)
    check_inputs()
    return outputs


@contextmanager
def _replaced(buffers: list[tuple[nn.Module, str, Tensor]]) -> Iterator[None]:
    """Give modules the buffers that they had before, which the block may change, and then their own ones again."""
    own = [(owner, name, owner._buffers[name]) for owner, name, _ in buffers]
    for owner, name, before in buffers:
        owner._buffers[name] = before
    try:
        yield
    finally:
        for owner, name, value in own:
            owner._buffers[name] = value
