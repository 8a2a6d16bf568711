"""Entries: all information on the registered models.

A `GridEntry` wraps a `UNetSpec`, a `FactoryEntry` a class or function that returns the network. Both have the same
interface, so that other code need not tell them apart.
"""

from __future__ import annotations

import hashlib
import inspect
import textwrap
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from unetzoo._util.versions import installed_version
from unetzoo.errors import UnetzooError, nearest, one_line
from unetzoo.grid.spec import UNetSpec, diff, replace
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
GRID = "grid v"  # prefix of a spec's fingerprint if its version is not 1
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
        options = {name: _listed(value) for name, value in self.options.items()}
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

        For a spec of the grid it is '' at version 1, otherwise `GRID` and the version. For a built-in factory it is its
        version and those of its packages: 'v1', or 'v1 timm==1.0.31'. For a user's factory it is a hash of its source
        file (or notebook cell) and its packages' versions, preceded by the version if that is not 1.
        """


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


@dataclass(frozen=True, repr=False)
class FactoryEntry(Entry):
    """A network built by a class or function ``(in_channels, num_classes, **options)``.

    Attributes:
        source: The class or function; or "module:name", which is imported when it is first needed.
        defaults: Options whose defaults differ from those of the factory. If they include ``encoder`` and
            ``pretrained``, the entry accepts weights for a timm encoder, as a spec does.
        packages: Distributions whose code the network consists of; their versions enter the trial id.
        multiple_of: Images are padded to sides that are multiples of this (`unetzoo.nn.adapt.Adapted`).
        output: Key or index of the logits, if the network returns a dict, tuple or list.
        cell: Hash of the notebook cell that registered it; '' if it was a file.
    """

    source: Callable[..., Any] | str
    _: KW_ONLY
    defaults: Mapping[str, Any] = field(default_factory=dict)
    packages: tuple[str, ...] = ()
    multiple_of: int = 1
    output: str | int | None = None
    cell: str = ""

    @cached_property
    def factory(self) -> Callable[..., Any]:
        """The class or function.

        Raises:
            UnetzooError: If it cannot be imported.
        """
        if not isinstance(self.source, str):
            return self.source
        module, _, name = self.source.partition(":")
        try:
            return getattr(import_module(module), name)
        except (Exception, SystemExit) as error:  # a user's module may raise anything
            raise UnetzooError(f"model {self.name!r}: {self.source!r} cannot be imported ({one_line(error)})") from None

    @property
    def options(self) -> dict[str, Any]:
        return {
            p.name: self.defaults.get(p.name, p.default)
            for p in inspect.signature(self.factory).parameters.values()
            if p.name not in ("in_channels", "num_classes") and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        }

    @property
    def own(self) -> bool:
        return not (isinstance(self.source, str) and self.source.startswith("unetzoo."))

    @property
    def block(self) -> str | None:
        return None

    @property
    def fractional_width(self) -> bool:
        return False

    @property
    def can_be_pretrained(self) -> bool:
        return "pretrained" in self.defaults

    @property
    def compared_with(self) -> tuple[str, dict[str, Any]]:
        return "default", {option: _listed(value) for option, value in self.options.items()}

    def diff_of(self, options: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
        return {}

    def encoder(self, options: Mapping[str, Any]) -> str | None:
        name = options.get("encoder", "plain") if self.can_be_pretrained else "plain"
        return None if name == "plain" else name

    def resolve(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """See `Entry.resolve`.

        Raises:
            UnetzooError: If an option is unknown, or one without a default is missing.
        """
        known = self.options
        for option, value in options.items():
            self._check(option, value)
        missing = [k for k, v in known.items() if v is inspect.Parameter.empty and k not in options]
        if missing:
            raise UnetzooError(f"model {self.name!r}: option {missing[0]!r} has no default and must be given")
        simple = {k: v for k, v in known.items() if v is None or isinstance(v, bool | int | float | str | list | tuple)}
        return {option: _listed(value) for option, value in {**simple, **options}.items()}

    def _check(self, option: str, value: object) -> None:
        """Check that an option exists, and that a switch is a bool; the factory itself checks other values.

        Raises:
            UnetzooError: If the option is unknown, or a switch has another value.
        """
        if option not in self.options:
            raise UnetzooError(f"model {self.name!r}: unknown option {option!r}; {nearest(option, self.options)}")
        switch = inspect.signature(self.factory).parameters[option].annotation in (bool, "bool")
        if switch and not isinstance(value, bool):
            raise UnetzooError(f"model {self.name!r}: option {option} = {value!r}: must be true or false")

    def build(
        self, in_channels: int, num_classes: int, options: Mapping[str, Any], *, weights: bool = True
    ) -> nn.Module:
        """See `Entry.build`.

        Raises:
            UnetzooError: If the factory does not return an `nn.Module`.
        """
        if not weights and self.can_be_pretrained:
            options = {**options, "pretrained": False}
        model = self.factory(in_channels=in_channels, num_classes=num_classes, **options)
        if not hasattr(model, "forward"):
            raise UnetzooError(f"model {self.name!r}: {self.factory.__name__} gave {model!r}, not a nn.Module")
        if self.adapters:
            from unetzoo.nn.adapt import Adapted

            model = Adapted(model, self.multiple_of, self.output)
        return model

    @property
    def adapters(self) -> dict[str, Any]:
        """Those of ``multiple_of`` and ``output`` that are not at their defaults."""
        given: dict[str, Any] = {"multiple_of": self.multiple_of} if self.multiple_of != 1 else {}
        return given | ({"output": self.output} if self.output is not None else {})

    @property
    def adaptations(self) -> list[str]:
        lines = []
        if self.multiple_of > 1:
            lines.append(f"images are mirrored to sides that are multiples of {self.multiple_of}")
        if self.output is not None:
            lines.append(f"its logits are output {self.output!r} of the network")
        return lines

    def fingerprint(self) -> str:
        packages = [f"{package}=={installed_version(package)}" for package in self.packages]
        adapters = [str(self.adapters)] if self.adapters else []
        if not self.own:
            return " ".join([f"v{self.version}", *packages, *adapters])
        try:
            source = self.cell.encode() or Path(inspect.getsourcefile(self.factory) or "").read_bytes()
        except (OSError, TypeError):
            return " ".join(["unknown", *adapters])
        digest = hashlib.sha256(b"\n".join([source, *(line.encode() for line in (*packages, *adapters))])).hexdigest()[
            :16
        ]
        return digest if self.version == 1 else f"v{self.version} {digest}"


def _listed(value: Any) -> Any:
    """Return a tuple as a list: JSON has no tuples, and a saved config must equal the one that was built."""
    return list(value) if isinstance(value, tuple) else value
