"""Topology of a network: its parts as they run, and the data flow between them.

The result of each operator inherits the sources of its operands, and the output of a part has that part as its source.
So skip connections are found whether the decoder concatenates them, adds them, multiplies by them or takes only their
pooling indices, which autograd's graph would miss. No knowledge of the particular network is needed.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from math import log2, prod
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.weak import WeakIdKeyDictionary

from unetzoo.gallery.measured import Box, Topology
from unetzoo.measure.counts import _parts, side_read
from unetzoo.models.factory import ModelConfig

MOST = 60  # largest number of boxes in a drawing
HIDDEN = 3  # a part with at least so many levels inside, besides those of its inputs and outputs, is opened
DEEPER = 2  # the same for parts of an opened part: U-Nets that are built one level inside the other


def topology(config: ModelConfig) -> Topology:
    """Return the data flow between the parts of a network in eval mode.

    The image has a side of 256 pixels, or what the network needs for that (`side_read`). Parts are those of
    `unetzoo.measure.counts.stages`. A part with a pyramid of its own is replaced by its own parts as long as there are
    at most `MOST` in all; if there are more to begin with, consecutive parts at one level are merged. A part that runs
    twice has two boxes. Nothing is allocated if the model runs on the meta device; otherwise it is run on the CPU.

    Args:
        config: The model.
    """
    side = side_read(config, 256)
    with suppress(RuntimeError, NotImplementedError):  # a user's model may not run on the meta device
        return _topology(config, side, "meta")
    return _topology(config, side, "cpu")


def _topology(config: ModelConfig, side: int, device: str) -> Topology:
    with torch.device(device):
        model = config.build(weights=False).eval()
        image = torch.zeros(1, config.in_channels, side, side)
    run = _Run(model, own := dict(_parts(model)), image)
    while (parts := _finer(run, own)) != run.parts and len(finer := _Run(model, parts, image)) <= MOST:
        run = finer
    return _merged(run.calls) if len(run) > MOST else _told(run.calls, range(len(run.calls)))


class DataFlow(TorchDispatchMode):
    """Dispatch mode that records for every storage the calls from which its values come."""

    def __init__(self) -> None:
        super().__init__()
        self.known: Any = WeakIdKeyDictionary()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = self.sources((args, kwargs))
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if not name.startswith("new_") and not name.endswith("_like"):  # these use only the shape of their operand
            for tensor in _tensors(result):
                self.file(tensor, found | self.sources(tensor))
        return result

    def file(self, tensor: Tensor, sources: frozenset[int]) -> None:
        """Record the sources of a tensor.

        Args:
            tensor: The tensor.
            sources: Indices of the calls from which its values come.
        """
        self.known[tensor.untyped_storage()] = sources

    def sources(self, tree: Any) -> frozenset[int]:
        """Return the calls from which the values of all tensors in a nested structure come.

        Args:
            tree: A tensor, or tensors in lists, tuples and dictionaries.
        """
        none: frozenset[int] = frozenset()
        return none.union(*(self.known.get(tensor.untyped_storage(), none) for tensor in _tensors(tree)))


@dataclass
class _Call:
    """One run of a part.

    Attributes:
        name: Name of the module.
        sources: Indices of the calls from which its output comes.
        level: Level of its output; None for a vector.
        channels: Channels of its output.
        outside: Levels of its inputs and outputs.
        given: Levels of its outputs.
        inside: Levels of the maps inside it.
    """

    name: str
    sources: frozenset[int] = frozenset()
    level: float | None = None
    channels: int = 0
    outside: set[int] = field(default_factory=set)
    given: set[int] = field(default_factory=set)
    inside: set[int] = field(default_factory=set)

    @property
    def deeper(self) -> list[int]:
        """Levels inside that are coarser than all inputs and outputs."""
        return sorted(level for level in self.inside if level > max(self.outside, default=0))


class _Run:
    """One forward pass on an image (1, C, H, W) with hooks on the parts; call 0 is the image, the last the logits."""

    def __init__(self, model: nn.Module, parts: dict[str, nn.Module], image: Tensor) -> None:
        self.parts, self.pixels, self.flow = parts, prod(image.shape[2:]), DataFlow()
        self.calls = [_Call("image", level=0.0, channels=image.shape[1])]
        self.running: list[_Call] = []
        self.ran: set[nn.Module] = set()
        hooks = [module.register_forward_hook(self._inside) for module in model.modules()]
        for name, part in parts.items():
            hooks.append(part.register_forward_pre_hook(partial(self._enter, name), with_kwargs=True))
            hooks.append(part.register_forward_hook(self._leave))
        with torch.no_grad(), self.flow:
            self.flow.file(image, frozenset([0]))
            logits = model(image)
        for hook in hooks:
            hook.remove()
        self.calls.append(_Call("logits", self.flow.sources(logits), *self._size(logits)))

    def __len__(self) -> int:
        return len(self.calls) - 2

    def _enter(self, name: str, _part: nn.Module, args: Any, kwargs: Any) -> None:
        self.running.append(_Call(name, outside=self._levels((args, kwargs))))

    def _leave(self, _part: nn.Module, _args: Any, output: Any) -> Any:
        call = self.running.pop()
        call.sources = self.flow.sources(output)  # not the inputs': a part may ignore some, such as a dropped skip
        if not call.sources:  # does not depend on the image, such as a position embedding
            return output
        call.level, call.channels = self._size(output)
        call.given |= self._levels(output)
        call.outside |= call.given
        self.calls.append(call)
        # Copied, so that the output of an identity is not the same storage as its input.
        copy = tree_map_only(Tensor, torch.clone, output)
        for tensor in _tensors(copy):
            self.flow.file(tensor, frozenset([len(self.calls) - 1]))
        return copy

    def _inside(self, module: nn.Module, _args: Any, output: Any) -> None:
        self.ran.add(module)
        for call in self.running:
            call.inside |= self._levels([tensor for tensor in _tensors(output) if self.flow.sources(tensor)])

    def _levels(self, tree: Any) -> set[int]:
        """Return the levels of all maps, that is how often each was halved; vectors have none."""
        sizes = (self._size(tensor)[0] for tensor in _tensors(tree))
        return {round(level) for level in sizes if level is not None}

    def _size(self, output: Any) -> tuple[float | None, int]:
        """Return (level, channels) of the first tensor: a map (N, C, H, W) or (N, H, W, C), or tokens (N, L, C).

        The image is square, and so are its maps. The level is None if there is only one position.
        """
        shape = next((tuple(tensor.shape) for tensor in _tensors(output)), ())
        last = len(shape) == 4 and shape[1] == shape[2] != shape[3]
        channels = 1 if len(shape) < 2 else shape[1] if len(shape) == 4 and not last else shape[-1]
        positions = prod(shape) // max(1, channels)
        return log2(self.pixels / positions) / 2 if positions > 1 else None, channels


def _finer(run: _Run, own: Container[str]) -> dict[str, nn.Module]:
    """Return the parts, after opening those that hide or return a pyramid, or whose own parts were called directly."""
    called = {call.name for call in run.calls}
    hiding = {
        call.name
        for call in run.calls
        if len(call.given) > 1 or len(call.inside - call.outside) >= (HIDDEN if call.name in own else DEEPER)
    }
    parts: dict[str, nn.Module] = {}
    for name, part in run.parts.items():
        passed_by = name not in called and any(inner in run.ran for inner in part.modules())
        if any(part.children()) and (name in hiding or passed_by):
            parts |= {f"{name}.{inner}": module for inner, module in _parts(part)}
        else:
            parts[name] = part
    return parts


def _merged(calls: list[_Call]) -> Topology:
    """Return the topology with consecutive calls of one parent at one level merged into one box."""
    group: list[int] = []
    for i, call in enumerate(calls):
        alike = i and _place(call) == _place(calls[i - 1])
        group.append(group[-1] + (not alike) if i else 0)
    return _told(calls, group)


def _place(call: _Call) -> tuple[str, int | None]:
    return call.name.rpartition(".")[0] or call.name, None if call.level is None else round(2 * call.level)


def _told(calls: Sequence[_Call], group: Sequence[int]) -> Topology:
    """Return the topology; ``group`` has the index of each call's box."""
    boxes: list[Box] = []
    for _, members in groupby(zip(group, calls, strict=True), key=itemgetter(0)):
        row = [call for _, call in members]
        first, last = row[0], row[-1]
        name = first.name if first is last else f"{first.name} to {last.name}"
        level = None if last.level is None else round(last.level, 3)
        boxes.append(Box(name=name, channels=last.channels, level=level, inside=last.deeper))
    edges = {(group[source], group[i]) for i, call in enumerate(calls) for source in call.sources}
    return Topology(boxes=boxes, edges=sorted((a, b) for a, b in edges if a != b))


def _tensors(tree: Any) -> Iterator[Tensor]:
    return (leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor))
