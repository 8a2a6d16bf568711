"""Image sizes that an exported graph takes, and the padding that brings others to such a size."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor, nn

from unetzoo.errors import Strict, UnetzooError
from unetzoo.nn.blocks import spatial
from unetzoo.nn.sizes import ValidSizes, mirror_pad


class Sides(Strict):
    """Heights and widths that a graph takes: ``multiple * k + offset`` from ``least`` on, or one fixed size."""

    multiple: int = Field(1, ge=1, description="step between sides")
    offset: int = Field(0, ge=0, description="remainder of each side by the multiple; not 0 for valid convolutions")
    least: int = Field(1, ge=1, description="smallest side in pixels")
    padded: bool = Field(
        False,
        description="True: before the graph, images are mirrored at the bottom and the right (the border pixel not "
        "repeated) up to the next side that fits, and logits are cropped, as the network itself does",
    )
    fixed: tuple[int, int] | None = Field(None, description="the only height and width, where no other is taken")

    @classmethod
    def of(cls, model: nn.Module) -> Sides:
        """Return the sides that a network's own code asks for."""
        valid = getattr(model, "sizes", None)
        if isinstance(valid, ValidSizes):
            step, least = 2 ** (valid.depth - 1), valid.input(1)
            return cls(multiple=step, offset=least % step, least=least)
        inner = getattr(model, "encoder", None)
        multiple = int(getattr(model, "multiple", None) or getattr(inner, "multiple", 1))
        least = max(int(getattr(model, "least", 1)), multiple)
        return cls(multiple=multiple, least=least, padded=multiple > 1 or least > 1)

    @property
    def words(self) -> str:
        """The sides in words."""
        if self.fixed is not None:
            return f"{self.fixed[0]}x{self.fixed[1]} px only"
        if self.offset:
            step, first = self.multiple, self.least
            return f"sides {first}, {first + step}, {first + 2 * step}, ... ({step}k + {self.offset})"
        rule = f"multiples of {self.multiple}" if self.multiple > 1 else "any side"
        more = "; others are mirrored up to the next one before the graph" if self.padded else ""
        return f"{rule} from {self.least} px{more}"

    def next(self, side: int) -> int:
        """Return the smallest side from ``side`` on that the graph takes."""
        side = max(side, self.least)
        return side + (self.offset - side) % self.multiple

    def check(self, h: int, w: int) -> None:
        """Check that the graph takes images of ``h`` x ``w`` pixels, after padding if there is any.

        Raises:
            UnetzooError: If it does not.
        """
        wrong = (h, w) != self.fixed if self.fixed else not self.padded and (self.next(h), self.next(w)) != (h, w)
        if wrong:
            hint = "" if self.fixed else f"; next size that fits: {self.next(h)}x{self.next(w)}"
            raise UnetzooError(f"{h}x{w} px does not fit this exported model, which takes {self.words}{hint}")

    def pad(self, x: Tensor) -> Tensor:
        """Return images (N, C, H, W), mirrored up to sides that the graph takes if the network does so."""
        h, w = spatial(x)
        below, right = self.next(h) - h, self.next(w) - w
        return mirror_pad(x, 0, below, 0, right) if self.padded and (below or right) else x
