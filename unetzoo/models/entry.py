"""Entries: all information on the registered models.

A `unetzoo.models.grid_entry.GridEntry` wraps a `UNetSpec`, a `unetzoo.models.factory_entry.FactoryEntry` a class or
function that returns the network. Both have the interface of `Entry`, so that other code need not tell them apart.
"""

from __future__ import annotations

import textwrap
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, Literal

from unetzoo.models.papers import Paper

if TYPE_CHECKING:
    from torch import nn

Family = Literal[
    "paper", "ablation", "block", "attention", "recurrent", "nested", "residual", "dense", "context", "light",
    "transformer", "state-space", "pretrained", "framework", "peer", "own",
]  # fmt: skip
FAMILIES: dict[Family, str] = {
    "paper": "the 2015 network, and those that well-known repositories call U-Net",
    "ablation": "unet with one option changed",
    "block": "unet with a published block at each level",
    "attention": "attention gates, channel or spatial attention",
    "recurrent": "recurrent layers",
    "nested": "dense, full-scale or nested skips",
    "residual": "residual blocks in a network of their own",
    "dense": "dense blocks",
    "context": "several receptive fields side by side, or several networks in one",
    "light": "few parameters or operations",
    "transformer": "self-attention over patches",
    "state-space": "selective state spaces (Mamba) over the pixels",
    "pretrained": "an encoder that can start from ImageNet weights",
    "framework": "networks as MONAI, nnU-Net and MedNeXt build them",
    "peer": "networks that segmentation_models_pytorch builds, for comparison",
    "own": "registered by a user or by another package",
}
Proof = Literal["golden", "live", "transcribed", "counted"]
PROOFS: dict[Proof, str] = {
    "golden": "outputs equal those that the reference gave with the same parameters (golden file)",
    "live": "outputs equal those of the installed reference with the same parameters",
    "transcribed": "outputs equal those of our transcription of the reference's code",
    "counted": "the parameter count equals the reference's; outputs were not compared",
}


@dataclass(frozen=True)
class Reference:
    """Public code that computes the same function as an entry, and the evidence for it.

    Attributes:
        code: Repository, file and call.
        proof: A key of `PROOFS`.
    """

    code: str
    proof: Proof

    def __str__(self) -> str:
        return f"{self.code}: {PROOFS[self.proof]}"


@dataclass(frozen=True)
class Entry(ABC):
    """Base class of entries: a registered model, however its network is built.

    Attributes:
        name: The registered name.
        paper: The paper that introduced the network.
        encoder_paper: The paper of its encoder, if it is a different one.
        note: One-line description.
        deviations: Differences from the paper or from the reference code, one sentence each.
        family: A key of `FAMILIES`.
        reference: The public code that computes the same function.
        version: Raised when the network's function, its initial weights or its training changes; it enters the
            trial id.
    """

    name: str
    _: KW_ONLY
    paper: Paper | None = None
    encoder_paper: Paper | None = None
    note: str = ""
    deviations: tuple[str, ...] = ()
    family: Family = "own"
    reference: Reference | None = None
    version: int = 1

    def __repr__(self) -> str:
        """Return what `unetzoo show` says first: note, papers, options, deviations, a line each."""
        papers = {"paper": self.paper, "encoder": self.encoder_paper}
        lines = [f"{self.name} ({self.family}): {self.note}".rstrip(": ")]
        lines += [f"  {title}: {paper}" for title, paper in papers.items() if paper is not None]
        heading, base = self.compared_with
        options = {name: listed(value) for name, value in self.options.items()}
        changed = [f"{k} = {v!r} ({base[k]!r})" for k, v in options.items() if k in base and base[k] != v]
        if changed:
            lines.append(f"  options that differ ({heading} in brackets): {', '.join(changed)}")
        same = [f"{k} = {v!r}" for k, v in options.items() if k not in base or base[k] == v]
        if same:
            lines += textwrap.wrap(f"options: {', '.join(same)}", 110, initial_indent="  ", subsequent_indent="    ")
        if self.reference is not None:
            lines.append(f"  reference: {self.reference}")
        return "\n".join([*lines, *(f"  deviation: {text}" for text in self.deviations)])

    @property
    def year(self) -> int | None:
        """Year of the latest of its papers."""
        years = [paper.year for paper in (self.paper, self.encoder_paper) if paper]
        return max(years) if years else None

    @property
    @abstractmethod
    def options(self) -> dict[str, Any]:
        """Options and their defaults."""

    @property
    @abstractmethod
    def own(self) -> bool:
        """True if the network's code is a user's or another package's."""

    @property
    @abstractmethod
    def block(self) -> str | None:
        """Value of the option ``block`` of the grid; None outside the grid."""

    @property
    @abstractmethod
    def fractional_width(self) -> bool:
        """True if ``width`` may be a fraction, which matching of sizes requires."""

    @property
    @abstractmethod
    def can_be_pretrained(self) -> bool:
        """True if it has the option ``pretrained``, which takes True or a file with weights of its encoder."""

    @property
    @abstractmethod
    def compared_with(self) -> tuple[str, dict[str, Any]]:
        """Heading and option -> value, with which `unetzoo show` compares its options."""

    @property
    def diff(self) -> dict[str, tuple[Any, Any]]:
        """Option -> (value in ``unet``, value here); empty outside the grid."""
        return self.diff_of(self.options)

    @abstractmethod
    def diff_of(self, options: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
        """Return option -> (value in ``unet``, value in ``options``) where they differ; empty outside the grid."""

    @abstractmethod
    def encoder(self, options: Mapping[str, Any]) -> str | None:
        """Return timm's name of the encoder whose weights can be loaded; None if there is none."""

    @abstractmethod
    def resolve(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return all options with ``options`` in place, as values that JSON can represent.

        Raises:
            UnetzooError: If an option is unknown or missing, or its value is not allowed.
        """

    @abstractmethod
    def build(
        self, in_channels: int, num_classes: int, options: Mapping[str, Any], *, weights: bool = True
    ) -> nn.Module:
        """Build the network: images (N, in_channels, H, W) to logits (N, num_classes, H, W).

        Args:
            in_channels: Channels of the images.
            num_classes: Channels of the logits.
            options: All options, as returned by `resolve`.
            weights: Load pretrained weights if the options ask for them.

        Raises:
            UnetzooError: If the options are incompatible, or weights cannot be obtained.
        """

    @property
    def adaptations(self) -> list[str]:
        """Sentences on how images and outputs are adapted to a network from elsewhere; empty if they are not."""
        return []

    @abstractmethod
    def fingerprint(self) -> str:
        """Return the part of the network's identity that the options do not contain.

        For a spec of the grid it is '' at version 1, otherwise 'grid v' and the version. For a built-in factory it is
        its version and those of its packages: 'v1', or 'v1 timm==1.0.31'. For a user's factory it is a hash of its
        source file (or notebook cell) and its packages' versions, preceded by the version if that is not 1.
        """


def listed(value: Any) -> Any:
    """Return a tuple as a list: JSON has no tuples, and a saved config must equal the one that was built."""
    return list(value) if isinstance(value, tuple) else value
