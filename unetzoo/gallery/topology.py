"""What feeds what inside a network: its parts as they run, and the data flow between them.

Each operator's result inherits where its operands came from, and a part's output comes from that part. So a skip
connection shows itself, whether the decoder concatenates it, adds it, multiplies by it or takes only its pooling
indices, which autograd's graph would not know of. No network needs to be told about.
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

from unetzoo.gallery.facts import Box, Topology
from unetzoo.measure.counts import _parts, side_read
from unetzoo.models.factory import ModelConfig

MOST = 60  # boxes a drawing can show
HIDDEN = 3  # levels inside a part, other than those it takes and gives, from which it is a network of its own
DEEPER = 2  # the same within a part that was opened: U-Nets that are built one level inside the other


def topology(config: ModelConfig) -> Topology:
    """The data flow between a network's parts on an image of 256 px or what `side_read` says, in eval mode.

    Parts are those of `unetzoo.measure.counts.stages`; one with a pyramid of its own is opened while there
    are at most `MOST`, and where there are more to begin with, those in a row at one level are merged. A part that runs
    twice is two boxes. Nothing is allocated where the model runs on the meta device; one that cannot is run on the CPU.
    """
    side = side_read(config, 256)
    with suppress(RuntimeError, NotImplementedError):  # a model of one's own may not run on the meta device
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
    """While this is on, every storage knows the calls its values come from."""

    def __init__(self) -> None:
        super().__init__()
        self.known: Any = WeakIdKeyDictionary()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = self.sources((args, kwargs))
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if not name.startswith("new_") and not name.endswith("_like"):  # these take a shape from their operand
            for tensor in _tensors(result):
                self.file(tensor, found | self.sources(tensor))
        return result

    def file(self, tensor: Tensor, sources: frozenset[int]) -> None:
        self.known[tensor.untyped_storage()] = sources

    def sources(self, tree: Any) -> frozenset[int]:
        none: frozenset[int] = frozenset()
        return none.union(*(self.known.get(tensor.untyped_storage(), none) for tensor in _tensors(tree)))


@dataclass
class _Call:
    """One run of a part: the calls its output comes from, its level and channels, and all levels it takes and gives.

    ``given`` are those of its outputs, ``inside`` are the levels of maps within it.
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
        """Levels inside that are coarser than all it takes and gives."""
        return sorted(level for level in self.inside if level > max(self.outside, default=0))


class _Run:
    """One forward pass of ``image`` (1, C, H, W) with ``parts`` watched; call 0 is the image, the last the logits."""

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
        call.sources = self.flow.sources(output)  # of what it was given, some may not count: a skip that is dropped
        if not call.sources:  # a position embedding, say: it does not depend on the image
            return output
        call.level, call.channels = self._size(output)
        call.given |= self._levels(output)
        call.outside |= call.given
        self.calls.append(call)
        # Copied, so that what a part hands through (an identity) is told from what it was given.
        copy = tree_map_only(Tensor, torch.clone, output)
        for tensor in _tensors(copy):
            self.flow.file(tensor, frozenset([len(self.calls) - 1]))
        return copy

    def _inside(self, module: nn.Module, _args: Any, output: Any) -> None:
        self.ran.add(module)
        for call in self.running:
            call.inside |= self._levels([tensor for tensor in _tensors(output) if self.flow.sources(tensor)])

    def _levels(self, tree: Any) -> set[int]:
        """How often each map was halved; vectors, such as those of channel attention, have no level."""
        sizes = (self._size(tensor)[0] for tensor in _tensors(tree))
        return {round(level) for level in sizes if level is not None}

    def _size(self, output: Any) -> tuple[float | None, int]:
        """(level, channels) of the first tensor: a map (N, C, H, W) or (N, H, W, C), or tokens (N, L, C).

        The image is square, so its maps are. The level is None where there is only one position.
        """
        shape = next((tuple(tensor.shape) for tensor in _tensors(output)), ())
        last = len(shape) == 4 and shape[1] == shape[2] != shape[3]
        channels = 1 if len(shape) < 2 else shape[1] if len(shape) == 4 and not last else shape[-1]
        positions = prod(shape) // max(1, channels)
        return log2(self.pixels / positions) / 2 if positions > 1 else None, channels


def _finer(run: _Run, own: Container[str]) -> dict[str, nn.Module]:
    """Its parts, those opened that hide or give a pyramid, or whose own parts were called from outside."""
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
    """Calls in a row of one parent, at one level, as one box."""
    group: list[int] = []
    for i, call in enumerate(calls):
        alike = i and _place(call) == _place(calls[i - 1])
        group.append(group[-1] + (not alike) if i else 0)
    return _told(calls, group)


def _place(call: _Call) -> tuple[str, int | None]:
    return call.name.rpartition(".")[0] or call.name, None if call.level is None else round(2 * call.level)


def _told(calls: Sequence[_Call], group: Sequence[int]) -> Topology:
    """``group`` says of each call which box it is in, in order."""
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
