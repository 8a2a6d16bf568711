"""Bytes of the tensors that operators return, by purpose, and their peak.

It counts the results of torch's operators, but neither the workspace of a kernel nor memory that the allocator keeps;
see ``reports/memory-prediction``.

`torch.distributed._tools.mem_tracker.MemTracker` does much of this. But it is private, is missing from some builds of
torch, and does not tell temporary gradients and skip connections from the rest.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from unetzoo.records.measured import Breakdown

Purpose = Literal["parameters", "gradients", "optimizer", "activations", "skips", "other"]


@dataclass
class Trace:
    """Changes of the bytes held, in their order; the first ones are what was held before.

    Attributes:
        purposes: Purpose of each change.
        sizes: Bytes of each change, negative where they were freed.
        begun: Index of the last change before the peak counts.
    """

    purposes: list[Purpose] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    begun: int = 0


class MemoryTracker(TorchDispatchMode):
    """Dispatch mode that counts the bytes of all storages that operators return, by purpose, and their peak.

    A storage counts once, however many views it has, from its first tensor until the last one is gone. Its purpose is
    the one that was set with `during` when it was made, until `file` changes it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.purpose: Purpose = "other"
        self.held: dict[int, tuple[weakref.ref[Any], int, Purpose]] = {}
        self.now = Counter[Purpose]()
        self.peak = Counter[Purpose]()
        self.trace: Trace | None = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._see(leaf)
        return result

    def _see(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self.held:
            return
        size = storage.nbytes()
        # The Python object of a storage lives as long as the storage does, whoever holds it.
        self.held[key] = weakref.ref(storage, lambda _: self._forget(key)), size, self.purpose
        self._change(self.purpose, size)
        if self.now.total() > self.peak.total():
            self.peak = self.now.copy()

    def _forget(self, key: int) -> None:
        _, size, purpose = self.held.pop(key)
        self._change(purpose, -size)

    def _change(self, purpose: Purpose, size: int) -> None:
        self.now[purpose] += size
        if self.trace is not None:
            self.trace.purposes.append(purpose)
            self.trace.sizes.append(size)

    def file(self, tensors: Iterable[Tensor], purpose: Purpose) -> None:
        """Change the purpose of storages from now on.

        Args:
            tensors: Tensors whose storages change.
            purpose: The new purpose.
        """
        for tensor in tensors:
            self._see(tensor)
            key = tensor.untyped_storage()._cdata
            reference, size, before = self.held[key]
            self.held[key] = reference, size, purpose
            self._change(before, -size)
            self._change(purpose, size)

    @contextmanager
    def during(self, purpose: Purpose) -> Iterator[None]:
        """Count storages that are made inside the block under a purpose.

        Args:
            purpose: The purpose.
        """
        before, self.purpose = self.purpose, purpose
        try:
            yield
        finally:
            self.purpose = before

    def restart(self) -> None:
        """Forget the peak so far."""
        self.peak = self.now.copy()
        if self.trace is not None:
            self.trace.begun = len(self.trace.sizes) - 1

    @contextmanager
    def tracing(self) -> Iterator[Trace]:
        """Note all changes inside the block, after what is held before it."""
        held = [(purpose, self.now[purpose]) for purpose in get_args(Purpose) if self.now[purpose]]
        self.trace = Trace([purpose for purpose, _ in held], [size for _, size in held])
        try:
            yield self.trace
        finally:
            self.trace = None


def breakdown(peak: Counter[Purpose], *, has_skips: bool) -> Breakdown:
    """Return a peak as it is recorded.

    Args:
        peak: Bytes by purpose.
        has_skips: Whether the network has skips; otherwise their bytes are None.
    """
    return Breakdown(
        total=peak.total(),
        parameters=peak["parameters"],
        gradients=peak["gradients"],
        optimizer=peak["optimizer"],
        activations=peak["activations"] + peak["skips"],
        other=peak["other"],
        skips=peak["skips"] if has_skips else None,
    )
