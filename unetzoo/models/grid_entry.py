"""Entries of the grid: a name for a `UNetSpec`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unetzoo.errors import UnetzooError
from unetzoo.grid.spec import UNetSpec, diff, replace
from unetzoo.models.entry import Entry

if TYPE_CHECKING:
    from torch import nn

GRID = "grid v"  # prefix of a spec's fingerprint if its version is not 1


@dataclass(frozen=True, repr=False)
class GridEntry(Entry):
    """A network of the grid.

    Attributes:
        spec: Its options.
    """

    spec: UNetSpec

    @property
    def options(self) -> dict[str, Any]:
        return self.spec.model_dump()

    @property
    def own(self) -> bool:
        return False

    @property
    def block(self) -> str | None:
        return self.spec.block

    @property
    def fractional_width(self) -> bool:
        return True

    @property
    def can_be_pretrained(self) -> bool:
        return self.spec.encoder != "plain"

    @property
    def compared_with(self) -> tuple[str, dict[str, Any]]:
        return "in unet", UNetSpec().model_dump()

    def diff_of(self, options: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
        return diff(UNetSpec(**options), UNetSpec())

    def encoder(self, options: Mapping[str, Any]) -> str | None:
        return None if options["encoder"] == "plain" else options["encoder"]

    def resolve(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """See `Entry.resolve`.

        Raises:
            UnetzooError: If an option is unknown, its value is not allowed, or options do not go together.
        """
        try:
            return replace(self.spec, **options).model_dump()
        except UnetzooError as error:
            raise UnetzooError(f"model {self.name!r}: {error}") from None

    def build(
        self, in_channels: int, num_classes: int, options: Mapping[str, Any], *, weights: bool = True
    ) -> nn.Module:
        from unetzoo.grid import assembly  # imports torch

        return assembly.build(UNetSpec(**options), in_channels, num_classes, weights=weights)

    def fingerprint(self) -> str:
        return "" if self.version == 1 else f"{GRID}{self.version}"
