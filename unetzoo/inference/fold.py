"""Batch norms folded into the convolutions before them, found by watching one pass through the network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple, cast

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)
MADE_BY = "_unetzoo_made_by"  # attribute of a tensor while a pass is watched: the module that returned it


class Follows(NamedTuple):
    """A module that is given the output of another one, which nothing else reads."""

    first: nn.Module
    then: nn.Module


class _Readers(TorchFunctionMode):
    """Counts the functions of torch that read the output of each module and return tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.count: Counter[nn.Module] = Counter()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if any(isinstance(leaf, Tensor) for leaf in tree_leaves(found)):  # not x.shape or x.dim()
            for leaf in tree_leaves((args, kwargs)):
                if isinstance(leaf, Tensor) and (module := getattr(leaf, MADE_BY, None)) is not None:
                    self.count[module] += 1
        return found


@contextmanager
def watched(network: nn.Module) -> Iterator[list[Follows]]:
    """Watch a pass through ``network`` in this block, by hooks that are removed at its end.

    The list that is yielded is filled at the end of the block: each pair of layers of which both were called once, the
    second with the very tensor that the first returned, which no other function read.
    """
    calls: Counter[nn.Module] = Counter()
    met: list[Follows] = []
    pairs: list[Follows] = []
    readers = _Readers()

    def before(module: nn.Module, given: tuple[Any, ...]) -> None:
        first = getattr(given[0], MADE_BY, None) if len(given) == 1 else None
        if first is not None:
            met.append(Follows(first, module))

    def after(module: nn.Module, given: Any, found: Any) -> None:
        calls[module] += 1
        if not isinstance(found, Tensor):
            return
        maker = getattr(found, MADE_BY, None)
        if maker is not None and len(given) == 1 and found is given[0] and not readers.count[maker]:
            met.remove(Follows(maker, module))  # it passed its input on, as dropout may do in eval mode
            return
        setattr(found, MADE_BY, module)

    with ExitStack() as hooks, readers:
        for module in [m for m in network.modules() if _without_norm(m) or not list(m.children())]:
            hooks.callback(module.register_forward_pre_hook(before).remove)
            hooks.callback(module.register_forward_hook(after).remove)
        yield pairs
    pairs += [pair for pair in met if all(calls[m] == 1 for m in pair) and readers.count[pair.first] == 1]


def fold_norms(network: nn.Module, pairs: Iterable[Follows]) -> tuple[int, list[Follows]]:
    """Fold each batch norm in eval mode into the convolution before it, in place.

    Args:
        network: The network, whose convolutions of ``pairs`` get new weights; the old ones are not written to.
        pairs: Modules of it that follow one another, as `watched` finds them.

    Returns:
        The number of norms that were folded, and the pairs that remain: activations now follow the convolutions.
    """
    then = {pair.first: pair.then for pair in pairs}
    swapped: dict[nn.Module, nn.Module] = {}
    for conv, norm in list(then.items()):
        rest = _without_norm(norm) if type(conv) in CONVOLUTIONS else None
        if rest is None:
            continue
        assert isinstance(conv, CONVOLUTIONS)
        n: Any = norm
        conv.weight, conv.bias = fuse_conv_bn_weights(  # type: ignore[assignment]  # the stubs know no bias
            conv.weight,
            conv.bias,
            n.running_mean,
            n.running_var,
            n.eps,
            n.weight,
            n.bias,
            transpose=isinstance(conv, nn.ConvTranspose2d),
        )
        swapped[norm] = rest
        del then[conv]
        follows = then.pop(norm, None) if isinstance(rest, nn.Identity) else rest
        if follows is not None:
            then[conv] = follows
    replace(network, swapped)
    return len(swapped), [Follows(*pair) for pair in then.items()]


def _without_norm(norm: nn.Module) -> nn.Module | None:
    """Return the remains of a batch norm that is folded away, such as timm's activation; None for other modules."""
    if getattr(norm, "running_mean", None) is None or norm.training:
        return None
    if type(norm) is nn.BatchNorm2d:
        return nn.Identity()
    if type(norm).__name__ == "BatchNormAct2d" and isinstance(getattr(norm, "drop", None), nn.Identity):
        return cast(nn.Module, norm.act)  # timm's batch norm with an activation
    return None


def replace(network: nn.Module, swapped: dict[nn.Module, nn.Module]) -> None:
    """Replace modules inside ``network``, wherever they are used.

    Args:
        network: The network.
        swapped: Modules to replace, and what takes their place.
    """
    for module in list(network.modules()):
        for name, child in module.named_children():
            if child in swapped:
                setattr(module, name, swapped[child])
