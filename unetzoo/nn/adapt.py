"""Networks of other projects, made to take images of any size and to return logits alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.errors import UnetzooError, nearest
from unetzoo.nn.blocks import spatial
from unetzoo.nn.sizes import ValidSizes, mirror_pad


class Adapted(nn.Module):
    """A network that is given sides it can take, and of whose output one tensor is taken.

    Images (N, C, H, W) are mirrored at the bottom and the right, the border pixel not repeated, to the next multiple of
    ``multiple``; logits are cropped back to H, W. Mirroring goes on where an image is smaller than its padding.
    Images that fit are left as they are.

    State dicts have the network's own names, without a prefix: weights load into it with and without this wrapper.

    Args:
        network: Maps images (N, C, H, W) to logits (N, K, H, W), or to a mapping or sequence that contains them.
        multiple: The sides that the network takes are multiples of this.
        output: Key or index of the logits. A network that returns a tensor, as many do in eval mode alone, is not
            affected; None takes whatever it returns.

    Raises:
        UnetzooError: If ``multiple`` is given for a network of valid convolutions, whose sizes it says itself.
    """

    def __init__(self, network: nn.Module, multiple: int = 1, output: str | int | None = None) -> None:
        super().__init__()
        self.network, self.multiple, self.output = network, multiple, output
        self.sizes = getattr(network, "sizes", None)
        if multiple > 1 and isinstance(self.sizes, ValidSizes):
            raise UnetzooError(f"multiple_of = {multiple}: {type(network).__name__} has sizes of its own; leave it out")
        self.register_load_state_dict_pre_hook(_add_prefix)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, K, H, W)."""
        padded = self._padded(x)
        logits = pick(self.network(padded), self.output, type(self.network).__name__)
        return self._cropped(logits, x, padded)

    @property
    def forward_all(self) -> Callable[[Tensor], list[Tensor]]:
        """The network's own ``forward_all``, padded and cropped; an AttributeError where it has none."""
        scales: Callable[[Tensor], list[Tensor]] = self.network.forward_all  # type: ignore[assignment]

        def adapted(x: Tensor) -> list[Tensor]:
            padded = self._padded(x)
            finest, *coarse = scales(padded)
            if padded is not x:  # a coarse map cannot be cropped to a fraction of a pixel
                coarse = [F.interpolate(y, spatial(padded), mode="bilinear", align_corners=False) for y in coarse]
            return [self._cropped(y, x, padded) for y in (finest, *coarse)]

        return adapted

    def _padded(self, x: Tensor) -> Tensor:
        below, right = (-side % self.multiple for side in spatial(x))
        return mirror_pad(x, 0, below, 0, right) if below or right else x

    @staticmethod
    def _cropped(logits: Tensor, x: Tensor, padded: Tensor) -> Tensor:
        """Cut ``logits`` to the image, unless they have another size than promised: then others will say so."""
        if padded is x or not isinstance(logits, Tensor) or logits.shape[-2:] != padded.shape[-2:]:
            return logits
        h, w = spatial(x)
        return logits[..., :h, :w]

    def state_dict(self, *args: Any, **options: Any) -> Any:
        """The network's, under its own names."""
        return self.network.state_dict(*args, **options)

    def load_state_dict(self, *args: Any, **options: Any) -> Any:
        """Load the network's own, so that missing tensors too are told by their own names."""
        return self.network.load_state_dict(*args, **options)


def _add_prefix(_module: nn.Module, state: dict[str, Any], prefix: str, *_: object) -> None:
    """Let a state dict of what contains an `Adapted` find the network's tensors."""
    for name in [name for name in state if name.startswith(prefix)]:
        state[f"{prefix}network.{name.removeprefix(prefix)}"] = state.pop(name)


def pick(returned: Any, output: str | int | None, name: str) -> Any:
    """Return the logits among what the network ``name`` returned.

    Raises:
        UnetzooError: If it returned a mapping or sequence without the key or index ``output``.
    """
    if output is None or isinstance(returned, Tensor):
        return returned
    if isinstance(returned, Mapping) and isinstance(output, str):
        if output in returned:
            return returned[output]
        raise UnetzooError(f"{name} returns {described(returned)}: output = {output!r}; {nearest(output, returned)}")
    if isinstance(returned, tuple | list) and isinstance(output, int):
        if -len(returned) <= output < len(returned):
            return returned[output]
        choices = "nothing to choose" if not returned else f"indices are 0 to {len(returned) - 1}"
        raise UnetzooError(f"{name} returns {described(returned)}: output = {output}; {choices}")
    wanted = "a key" if isinstance(returned, Mapping) else "an index"
    raise UnetzooError(f"{name} returns {described(returned)}: output = {output!r} must be {wanted}")


def described(returned: Any) -> str:
    """Name what a network returned, in the words of a message: "a dict with keys out, aux"."""
    if isinstance(returned, Tensor):
        return str(tuple(returned.shape))
    if isinstance(returned, Mapping):
        return f"a dict with keys {', '.join(map(str, returned))}"
    if isinstance(returned, tuple | list):
        return f"a {'list' if isinstance(returned, list) else 'tuple'} of {len(returned)}"
    return f"a {type(returned).__name__}" if returned is not None else "None"
