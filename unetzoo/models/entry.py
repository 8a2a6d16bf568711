"""Entries: everything known of a registered name.

A `GridEntry` is a `UNetSpec`, a `FactoryEntry` a class or function that returns the network. Both answer the same
questions, so that nobody else asks which of the two an entry is.
"""

from __future__ import annotations

import hashlib
import inspect
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
    "transformer", "pretrained", "framework", "peer", "own",
]  # fmt: skip
FAMILIES: dict[Family, str] = {
    "paper": "the 2015 network, and what is called U-Net in well-known repositories",
    "ablation": "unet with one option changed",
    "block": "unet with a published block in each level",
    "attention": "attention gates, channel or spatial attention",
    "recurrent": "recurrent layers",
    "nested": "dense, full-scale or nested skips",
    "residual": "residual blocks in a network of their own",
    "dense": "dense blocks",
    "context": "several receptive fields side by side, or several networks in one",
    "light": "few parameters or operations",
    "transformer": "self-attention over patches",
    "pretrained": "an encoder that can start from ImageNet weights",
    "framework": "what MONAI, nnU-Net and MedNeXt build",
    "peer": "what segmentation_models_pytorch builds, to compare with",
    "own": "a user's own, or a package's",
}
GRID = "grid v"  # begins the fingerprint of a spec of another version than 1
Proof = Literal["golden", "live", "transcribed", "counted"]
PROOFS: dict[Proof, str] = {
    "golden": "outputs equal those the reference gave with the same parameters (golden file)",
    "live": "outputs equal those of the reference, installed beside it, with the same parameters",
    "transcribed": "outputs equal those of an own transcription of the reference's code",
    "counted": "its parameter count is the reference's; outputs were not compared",
}


@dataclass(frozen=True)
class Reference:
    """The public code an entry is the same function as, and how that is known: a key of `PROOFS`."""

    code: str
    proof: Proof

    def __str__(self) -> str:
        return f"{self.code}: {PROOFS[self.proof]}"


@dataclass(frozen=True)
class Entry(ABC):
    """What is known of a registered name, whichever way its network is built.

    Attributes:
        name: The registered name.
        paper: The paper that introduced the network.
        encoder_paper: The paper of its encoder, where that is another one.
        note: One line on what it is.
        deviations: Differences from the paper or from the reference's code, a sentence each.
        family: A key of `FAMILIES`.
        reference: The public code that computes the same function.
        version: Raised when the network's function, its initial weights or its training changes: trials of another
            version are other trials.
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
        """True for the code of a user or of another package."""

    @property
    @abstractmethod
    def block(self) -> str | None:
        """The grid's name for what each level computes; None outside the grid."""

    @property
    @abstractmethod
    def fractional_width(self) -> bool:
        """True if any ``width`` may be a fraction, as matching sizes needs."""

    @property
    @abstractmethod
    def can_be_pretrained(self) -> bool:
        """True if it takes ``pretrained``: True, or a file with weights of its encoder."""

    @property
    @abstractmethod
    def compared_with(self) -> tuple[str, dict[str, Any]]:
        """What `unetzoo show` holds its options against: a heading, and option -> value."""

    @property
    def diff(self) -> dict[str, tuple[Any, Any]]:
        """Option -> (value in ``unet``, value here); empty outside the grid."""
        return self.diff_of(self.options)

    @abstractmethod
    def diff_of(self, options: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
        """Return option -> (value in ``unet``, value in ``options``); empty outside the grid."""

    @abstractmethod
    def encoder(self, options: Mapping[str, Any]) -> str | None:
        """Return timm's name of the encoder whose weights can be loaded; None without one."""

    @abstractmethod
    def resolve(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return all options of the entry with the given ones in place, as JSON can hold them.

        Raises:
            UnetzooError: If an option is unknown, missing or has a value that is not allowed.
        """

    @abstractmethod
    def build(
        self, in_channels: int, num_classes: int, options: Mapping[str, Any], *, weights: bool = True
    ) -> nn.Module:
        """Build the network: images (N, in_channels, H, W) to logits (N, num_classes, H, W).

        Args:
            in_channels: Channels of the images.
            num_classes: Channels of the logits.
            options: All options, as `resolve` gives them.
            weights: Load pretrained weights where the options ask for them.

        Raises:
            UnetzooError: If the options do not go together, or weights cannot be had.
        """

    @property
    def adaptations(self) -> list[str]:
        """Sentences on what is done to the images or outputs of a network that is not a U-Net of ours."""
        return []

    @abstractmethod
    def fingerprint(self) -> str:
        """Return the identity of the network's code, which the options do not show.

        A spec of the grid gives '' at version 1, else `GRID` and the version. A factory of ours gives its version and
        those of its packages: 'v1', or 'v1 timm==1.0.31'. A user's own gives a hash of its source file and its
        packages' versions, after the version where that is not 1.
        """


@dataclass(frozen=True)
class GridEntry(Entry):
    """A network that the options of ``spec`` describe."""

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


@dataclass(frozen=True)
class FactoryEntry(Entry):
    """A network that a class or function ``(in_channels, num_classes, **options)`` builds.

    Attributes:
        source: The class or function, or "module:name" of one that is imported when it is first needed.
        defaults: Options in which this entry differs from the factory's own. With ``encoder`` and ``pretrained``
            among them it takes weights for an encoder of timm, as a spec does.
        packages: Distributions whose code the network is made of; another version of one makes another trial.
        multiple_of: Images are padded to sides that are multiples of it (`unetzoo.nn.adapt.Adapted`).
        output: Key or index of the logits, where the network returns a dict, tuple or list.
    """

    source: Callable[..., Any] | str
    _: KW_ONLY
    defaults: Mapping[str, Any] = field(default_factory=dict)
    packages: tuple[str, ...] = ()
    multiple_of: int = 1
    output: str | int | None = None

    @cached_property
    def factory(self) -> Callable[..., Any]:
        """The class or function itself. Raises `UnetzooError` if it cannot be imported."""
        if not isinstance(self.source, str):
            return self.source
        module, _, name = self.source.partition(":")
        try:
            return getattr(import_module(module), name)
        except (ImportError, AttributeError) as error:
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
        known = self.options
        for option, value in options.items():
            self._check(option, value)
        missing = [k for k, v in known.items() if v is inspect.Parameter.empty and k not in options]
        if missing:
            raise UnetzooError(f"model {self.name!r}: option {missing[0]!r} has no default and must be given")
        simple = {k: v for k, v in known.items() if v is None or isinstance(v, bool | int | float | str | list | tuple)}
        return {option: _listed(value) for option, value in {**simple, **options}.items()}

    def _check(self, option: str, value: object) -> None:
        """Refuse an unknown option, and any value but a bool of a switch; the factory itself checks the rest."""
        if option not in self.options:
            raise UnetzooError(f"model {self.name!r}: unknown option {option!r}; {nearest(option, self.options)}")
        switch = inspect.signature(self.factory).parameters[option].annotation in (bool, "bool")
        if switch and not isinstance(value, bool):
            raise UnetzooError(f"model {self.name!r}: option {option} = {value!r}: must be true or false")

    def build(
        self, in_channels: int, num_classes: int, options: Mapping[str, Any], *, weights: bool = True
    ) -> nn.Module:
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
        """``multiple_of`` and ``output`` where they are not at their defaults."""
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
            source = Path(inspect.getsourcefile(self.factory) or "").read_bytes()
        except (OSError, TypeError):
            return " ".join(["unknown", *adapters])
        digest = hashlib.sha256(b"\n".join([source, *(line.encode() for line in (*packages, *adapters))])).hexdigest()[
            :16
        ]
        return digest if self.version == 1 else f"v{self.version} {digest}"


def _listed(value: Any) -> Any:
    """Turn a tuple into a list: JSON has no tuples, and a saved config must equal the one that was built."""
    return list(value) if isinstance(value, tuple) else value
