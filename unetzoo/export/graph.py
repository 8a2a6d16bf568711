"""A network as a graph of torch.export, with as many free sizes as it allows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from unetzoo.errors import UnetzooError, one_line
from unetzoo.export.runtimes import quiet
from unetzoo.export.sides import Sides

SIZES = (
    (2, 96, 128), (1, 97, 67), (2, 61, 131),
    (1, 64, 40), (1, 65, 66), (1, 33, 102), (1, 160, 94), (1, 225, 71), (1, 51, 256),
)  # fmt: skip
EXAMPLES = 3  # image sizes on which an export is verified
MORE = len(SIZES) - EXAMPLES  # further ones, if guards of the graph fail
STRIDES = (16, 32, 64)  # tried in turn for a network that does not say which sides suit it


class Graph(NamedTuple):
    """An exported network and the images that it takes.

    Attributes:
        program: The graph, images (N, C, H, W) to logits (N, K, H', W').
        sides: The sides of its images.
        batched: True if N is free, False if it is 1.
        reason: Why sizes are not free, if they are not.
    """

    program: ExportedProgram
    sides: Sides
    batched: bool = True
    reason: str = ""


def trace(model: nn.Module, channels: int, fixed: tuple[int, int]) -> Graph:
    """Return the graph of a network, with free sizes if it allows them.

    Args:
        model: The network in eval mode, on the CPU.
        channels: Channels of its images.
        fixed: Height and width to use if sizes cannot be free.

    Raises:
        UnetzooError: If torch.export fails even at one fixed size.
    """
    reason = ""
    for sides, batched in _candidates(Sides.of(model), fixed):
        shape = (2 if batched else 1, channels, *(sides.fixed or _sample(sides)))
        images = torch.rand(shape, generator=torch.Generator().manual_seed(0))
        try:
            with quiet(), torch.no_grad():
                program = torch.export.export(model, (images,), dynamic_shapes=(_dims(sides, batched),), strict=False)
                if not sides.fixed:
                    sides = _looked_at(program, sides, model, channels)
        except UnetzooError:
            raise
        except Exception as error:  # torch.export raises many exception types
            reason = reason or one_line(error)
            continue
        return Graph(program, sides, batched, reason)
    raise UnetzooError(f"torch.export cannot trace {type(model).__name__} ({reason})")


def _candidates(own: Sides, fixed: tuple[int, int]) -> Iterator[tuple[Sides, bool]]:
    """Yield sides to try and if the batch is free, most general first."""
    yield own, True
    if own.multiple == 1:
        yield from ((Sides(multiple=stride, least=stride), True) for stride in STRIDES)
    one = own.next(fixed[0]), own.next(fixed[1])
    yield own.model_copy(update={"fixed": one}), True
    yield own.model_copy(update={"fixed": one}), False


def _sample(sides: Sides) -> tuple[int, int]:
    """Return a height and width to trace with: different, and so large that no map inside has one pixel or window."""
    first = sides.next(max(sides.least + sides.multiple, 288))
    return first, sides.next(first + 64)


def _dims(sides: Sides, batched: bool) -> dict[int, Any]:
    """Return the free dimensions for torch.export."""
    dims: dict[int, Any] = {0: Dim("batch", min=1)} if batched else {}
    if sides.fixed is not None:
        return dims
    if sides.multiple == 1:
        return dims | {2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
    first = sides.least // sides.multiple
    for axis, name in ((2, "rows"), (3, "columns")):
        side = sides.multiple * Dim(name, min=first)
        dims[axis] = side + sides.offset if sides.offset else side
    return dims


def _looked_at(program: ExportedProgram, sides: Sides, model: nn.Module, channels: int) -> Sides:
    """Return the sides with the least one that the graph allows, after a comparison with the network.

    The graph is that of the branches that the network's code took on the example. torch.export keeps the conditions of
    these branches as guards of its own module alone; many of them are about sides of 1 and do not matter. So where a
    guard fails, the graph without guards is compared on more images.

    Raises:
        ValueError: If the outputs differ, so that the graph holds for some sides only.
    """
    if sides.multiple == 1:
        sides = sides.model_copy(update={"least": max(sides.least, *_least(program))})
    guarded, free = program.module(), None
    for number in range(EXAMPLES + MORE):
        if number >= EXAMPLES and free is None:
            break
        images = sides.pad(example(sides, channels, number))
        try:
            found = guarded(images)
        except AssertionError:
            free = free or unguarded(program)
            found = free(images)
        wanted = model(images)
        if found.shape != wanted.shape or not torch.allclose(
            found, wanted, rtol=0, atol=1e-4 * float(wanted.abs().max())
        ):
            raise ValueError(f"the graph does not hold for {images.shape[-2]}x{images.shape[-1]} px")
    return sides


def unguarded(program: ExportedProgram) -> nn.Module:
    """Return the module of a graph, without a check of the guards if this torch can leave it out."""
    try:
        return program.module(check_guards=False)
    except TypeError:  # torch before 2.9
        return program.module()


def _least(program: ExportedProgram) -> Sequence[int]:
    """Return the smallest height and width that the graph's guards allow."""
    name = next(iter(program.graph_signature.user_inputs))
    value = next(node.meta["val"] for node in program.graph.nodes if node.name == name)
    found = []
    for side in value.shape[-2:]:
        symbol: Any = getattr(getattr(side, "node", None), "expr", None)
        known = program.range_constraints.get(symbol)
        found.append(int(known.lower) if known is not None else 1)
    return found


def example(sides: Sides, channels: int, number: int) -> Tensor:
    """Return the ``number``-th pair of images with which an export is verified, of sides that the model takes.

    The first is of typical sides, the others are odd where the network takes odd ones.
    """
    wanted = SIZES[number]
    n, h, w = wanted
    if sides.fixed is not None:
        h, w = sides.fixed
    elif not sides.padded:
        h, w = sides.next(h), sides.next(w)
    return torch.rand(n, channels, h, w, generator=torch.Generator().manual_seed(number))
