"""The network as `predict` computes it: as it is, or a copy made for speed, and how far that is from float32.

`Values` is the seam between tiles and whatever computes them: a function from images to logits.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from unetzoo.errors import UnetzooError, one_line
from unetzoo.inference.fold import Follows, fold_norms, watched
from unetzoo.inference.packed import pack_convolutions
from unetzoo.machine.device import resolve_precision
from unetzoo.nn.sizes import SameSize

Precision: TypeAlias = Literal["auto", "float32", "bfloat16", "float16"]
Values: TypeAlias = Callable[[Tensor], Tensor]  # images (N, C, H, W) to logits (N, K, H', W') in float32
Probe: TypeAlias = Callable[[], Tensor]  # gives an image (1, C, H, W) to measure with

LIMIT = 0.1  # largest difference of a probability from float32's with which a precision is used
ROUNDING = 1e-3  # the same for a copy that computes in float32 too
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Computed:
    """The way `predict` computes a model, and the distance of its probabilities from those of float32.

    Attributes:
        precision: "float32", "bfloat16" or "float16".
        method: "as it is", "copy" (all of it in that precision), "autocast", or "by" another runtime.
        folded: Batch norms that were folded into convolutions.
        largest: Largest difference of a probability from float32's where it was measured; None if it was not.
        mean: Mean difference there.
        sides: Height and width in px of the part of the first image where it was measured.
        refused: A faster precision that was tried and not used, and why; '' if there was none.
    """

    precision: str
    method: str = "as it is"
    folded: int = 0
    largest: float | None = None
    mean: float | None = None
    sides: tuple[int, int] | None = None
    refused: str = ""

    def __str__(self) -> str:
        by = "by autocast" if self.method == "autocast" else self.method if self.method.startswith("by ") else ""
        parts = [f"{self.precision} {by}".rstrip()]
        if self.folded:
            parts.append(f"{self.folded} batch norm{'s' * (self.folded > 1)} folded")
        if self.largest is not None and self.precision != "float32" and self.sides:
            where = f"{self.sides[0]}x{self.sides[1]} px of the first image"
            parts.append(
                f"probabilities within {self.largest:.2g} of float32's, {self.mean:.1g} on average (in {where})"
            )
        return "; ".join([", ".join(parts), *([self.refused] if self.refused else [])])


@dataclass(frozen=True)
class _Choice:
    """A way to compute a network; ``copy`` is None if the network itself computes."""

    computed: Computed
    copy: nn.Module | None = None

    @property
    def largest(self) -> float:
        """Largest difference from float32's probabilities."""
        return self.computed.largest or 0.0


_CHOSEN: WeakKeyDictionary[nn.Module, tuple[Any, _Choice]] = WeakKeyDictionary()  # and the state it was chosen for
_LAST: WeakKeyDictionary[nn.Module, Computed] = WeakKeyDictionary()


def computed(model: nn.Module) -> Computed | None:
    """Return how `unetzoo.predict` computed a model when it was last called; None if it was not.

    Args:
        model: The network that was given to `unetzoo.predict`.
    """
    return _LAST.get(_inner(model))


def resolved(precision: str, device: torch.device | str) -> str:
    """Return the precision that is tried first.

    Args:
        precision: The precision asked for; "auto" becomes the fastest that the hardware computes with natively.
        device: Device of the model.

    Raises:
        UnetzooError: If the device has no such precision.
    """
    return resolve_precision(precision, torch.device(device).type)


def torch_values(
    model: nn.Module, device: torch.device, precision: str, channels_last: bool, probes: Sequence[Probe]
) -> Values:
    """Return the function that computes a network in eval mode, as fast as ``precision`` permits.

    The choice and the copy are kept as long as the model lives and does not change.

    Args:
        model: The network; it is not changed.
        device: Device of its parameters.
        precision: As for `unetzoo.predict`.
        channels_last: Memory layout of the network's input.
        probes: Images to measure differences with; the first that the network takes is used.

    Raises:
        UnetzooError: If the device or the network cannot compute in that precision.
    """
    network, wanted = _inner(model), resolved(precision, device)
    choice = _Choice(Computed("float32"))
    if precision != "float32" and any(p.is_floating_point() for p in network.parameters()):
        state = (precision, wanted, channels_last, _state(network))
        known = _CHOSEN.get(network)
        if known is None or known[0] != state:
            _CHOSEN.pop(network, None)  # before another copy is made
            known = state, _choose(network, device, precision, wanted, channels_last, probes)
            _CHOSEN[network] = known
        choice = known[1]
    _LAST[network] = choice.computed
    return _values(choice.copy or network, device, choice.computed, channels_last)


def _inner(model: nn.Module) -> nn.Module:
    return model.network if isinstance(model, SameSize) else model


def _choose(
    network: nn.Module, device: torch.device, precision: str, wanted: str, channels_last: bool, probes: Sequence[Probe]
) -> _Choice:
    """Try the ways to compute a network from fast to slow, and return the first that is close to float32.

    Raises:
        UnetzooError: If a precision that the user asked for fails.
    """
    exact = _Choice(Computed("float32"))
    trial = _Trial(network, device, wanted, channels_last)
    if (wanted == "float32" and not trial.copyable) or not trial.measure_float32(probes):
        return exact  # where no probe can be computed, the first tile raises the error again
    best, failed = exact, ""
    for attempt in trial.attempts():
        try:
            choice = trial.measured(attempt())
        except Exception as error:  # operators may lack a precision, and modules may refuse to be copied
            failed = one_line(error)
            continue
        if choice.largest <= (ROUNDING if wanted == "float32" else LIMIT):
            return choice
        best = choice if best is exact or choice.largest < best.largest else best
    if wanted == "float32":
        return exact
    why = (
        f"{wanted} fails ({failed})" if best is exact else f"{wanted} changes probabilities by up to {best.largest:.2g}"
    )
    if precision == "auto":
        return _Choice(Computed("float32", refused=why))
    if best is exact:
        raise UnetzooError(f"precision = {precision!r}: {type(network).__name__}: {why}; use 'float32' or 'auto'")
    warnings.warn(f"precision = {precision!r}: {why}; 'float32' is exact", stacklevel=4)
    return best


class _Trial:
    """The ways to compute a network in a precision, and their differences from float32.

    Args:
        network: The network, in eval mode.
        device: Device of its parameters.
        wanted: "float32", "bfloat16" or "float16".
        channels_last: Memory layout of the network's input.
    """

    def __init__(self, network: nn.Module, device: torch.device, wanted: str, channels_last: bool) -> None:
        self.network, self.device, self.wanted, self.channels_last = network, device, wanted, channels_last
        self.copyable = _copyable(network)
        self.pairs: list[tuple[str, str]] = []  # names of modules that follow one another

    def measure_float32(self, probes: Sequence[Probe]) -> bool:
        """Compute the first probe that the network takes, in float32; return False if it takes none."""
        values = _values(self.network, self.device, Computed("float32"), self.channels_last)
        names = {module: name for name, module in self.network.named_modules()}
        for probe in probes:
            try:
                self.probe = probe()
                with watched(self.network) if self.copyable else nullcontext([]) as pairs:
                    self.exact = probabilities(values(self.probe))
            except Exception:  # noqa: S112  # too small for the network, for instance
                continue
            self.pairs = [(names[pair.first], names[pair.then]) for pair in pairs]
            return True
        return False

    def attempts(self) -> Iterator[Callable[[], _Choice]]:
        """Yield functions that build the ways to compute, from fast to slow."""
        if self.copyable:
            if self.device.type == "cpu" and self.channels_last and torch.backends.mkldnn.is_available():
                yield lambda: self._copied(packed=True)
            yield lambda: self._copied(packed=False)
        if self.wanted != "float32":
            yield lambda: _Choice(Computed(self.wanted, "autocast"))

    def measured(self, choice: _Choice) -> _Choice:
        """Return ``choice`` with its difference from float32."""
        values = _values(choice.copy or self.network, self.device, choice.computed, self.channels_last)
        differences = (probabilities(values(self.probe)) - self.exact).abs().nan_to_num(torch.inf)
        found = replace(
            choice.computed,
            largest=float(differences.max()),
            mean=float(differences.mean()),
            sides=(self.exact.shape[-2], self.exact.shape[-1]),
        )
        return _Choice(found, choice.copy)

    def _copied(self, *, packed: bool) -> _Choice:
        """Return a copy with folded batch norms and weights in the precision; tensors that stay as they are, shared."""
        shared: dict[int, Any] = {id(t): t for t in (*self.network.parameters(), *self.network.buffers())}
        network = copy.deepcopy(self.network, shared)
        pairs = [Follows(network.get_submodule(first), network.get_submodule(then)) for first, then in self.pairs]
        folded, pairs = fold_norms(network, pairs)
        _cast(network, DTYPES[self.wanted], self.channels_last)
        if packed:
            pack_convolutions(network, pairs)
        return _Choice(Computed(self.wanted, "copy", folded), network)


def _copyable(network: nn.Module) -> bool:
    """Return False for a network with hooks, which belong to itself alone, or with compiled parts."""
    for module in network.modules():
        hooks = (module._forward_hooks, module._forward_pre_hooks)
        if any(hooks) or isinstance(module, torch.jit.ScriptModule) or hasattr(module, "_orig_mod"):
            return False
    return True


def _cast(network: nn.Module, dtype: torch.dtype, channels_last: bool) -> None:
    """Give the modules of a copy parameters and buffers in ``dtype``, without writing to those it shares."""
    done: dict[int, Tensor] = {}

    def cast(tensor: Tensor) -> Tensor:
        if id(tensor) not in done:
            planes = tensor.ndim == 4 and channels_last
            layout = torch.channels_last if planes else torch.preserve_format
            kept = not tensor.is_floating_point()
            done[id(tensor)] = tensor if kept else tensor.detach().to(dtype, memory_format=layout)
        return done[id(tensor)]

    for module in network.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                module._parameters[name] = nn.Parameter(cast(parameter), requires_grad=False)
        for name, buffer in module._buffers.items():
            module._buffers[name] = None if buffer is None else cast(buffer)


def _values(network: nn.Module, device: torch.device, how: Computed, channels_last: bool) -> Values:
    """Wrap ``network`` with a precision and memory format."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    by_autocast = how.method == "autocast"
    given = DTYPES[how.precision] if how.method == "copy" else torch.float32

    def logits(x: Tensor) -> Tensor:
        # A copy: .contiguous() leaves the strides of a single channel unchanged, and the strides decide the format.
        x = torch.empty_like(x, dtype=given, memory_format=layout).copy_(x)
        # Without the cache, so that a surrounding training does not find weights that were cast here.
        with torch.autocast(device.type, DTYPES[how.precision], by_autocast, cache_enabled=False):
            found = network(x)
        if not isinstance(found, Tensor) or found.ndim != 4 or len(found) != len(x):
            raise UnetzooError(f"{type(network).__name__} must return logits (N, K, H, W) of images (N, C, H, W)")
        return found.float()

    return logits


def probabilities(logits: Tensor) -> Tensor:
    """Return the softmax over the classes of logits (N, K, H, W), or the sigmoid if K = 1."""
    return logits.softmax(dim=1) if logits.shape[1] > 1 else logits.sigmoid()


def _state(network: nn.Module) -> Any:
    """Return what a pass through a network depends on: its modules' plain attributes, and sums over its tensors.

    The sums notice weights that were changed behind autograd's back, by ``.data``.
    """
    plain = (bool, int, float, str)
    modules = [
        (type(module), [(k, v) for k, v in vars(module).items() if isinstance(v, plain) and k != "training"])
        for module in network.modules()
    ]
    tensors = [*network.parameters(), *network.buffers()]
    places = [(t.data_ptr(), 0 if t.is_inference() else t._version) for t in tensors]
    sums = torch.stack([t.detach().sum(dtype=torch.float32) for t in tensors]).tolist() if tensors else []
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in network.modules()]
    return modules, places, sums, hooks
