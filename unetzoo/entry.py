"""Entry: everything known of a registered name, and the words for it."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from unetzoo.errors import UnetzooError, nearest, plain
from unetzoo.papers import Paper
from unetzoo.spec import UNetSpec, diff

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
class Entry:
    """A registered name: either a ``spec`` of the grid or a factory ``(in_channels, num_classes, **options)``.

    ``source`` is the factory, or "module:name" of one that is not imported before it is needed; ``defaults`` are
    options in which this entry differs from the factory's own; with ``encoder`` and ``pretrained`` among them it takes
    weights for an encoder of timm as a spec does. ``family`` is a key of `FAMILIES`. An
    ``encoder_paper`` is that of an encoder which is not ``paper``'s; ``packages`` are the distributions whose code the
    network is made of. ``multiple_of`` and ``output`` adapt what the factory gives (`unetzoo.nn.adapt.Adapted`).
    """

    name: str
    spec: UNetSpec | None = None
    source: Callable[..., Any] | str | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    paper: Paper | None = None
    encoder_paper: Paper | None = None
    note: str = ""
    deviations: tuple[str, ...] = ()
    family: Family = "own"
    reference: Reference | None = None
    packages: tuple[str, ...] = ()
    multiple_of: int = 1
    output: str | int | None = None

    @cached_property
    def factory(self) -> Callable[..., Any] | None:
        """None for a spec of the grid. Raises `UnetzooError` where it cannot be imported."""
        if not isinstance(self.source, str):
            return self.source
        module, _, name = self.source.partition(":")
        try:
            return getattr(import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise UnetzooError(f"model {self.name!r}: {self.source!r} cannot be imported ({plain(error)})") from None

    @property
    def options(self) -> dict[str, Any]:
        """Option -> default. Of a factory: its parameters but ``in_channels`` and ``num_classes``."""
        if self.spec is not None:
            return self.spec.model_dump()
        parameters = inspect.signature(self.factory or Entry).parameters.values()
        return {
            p.name: self.defaults.get(p.name, p.default)
            for p in parameters
            if p.name not in ("in_channels", "num_classes") and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        }

    def check(self, option: str, value: object) -> None:
        """Raise `UnetzooError` where a factory has no such option, or it is a switch and the value no bool.

        What else its options may be, the factory says itself.
        """
        known = self.options
        if option not in known:
            raise UnetzooError(f"model {self.name!r}: unknown option {option!r}; {nearest(option, known)}")
        switch = inspect.signature(self.factory or Entry).parameters[option].annotation in (bool, "bool")
        if switch and not isinstance(value, bool):
            raise UnetzooError(f"model {self.name!r}: option {option} = {value!r}: must be true or false")

    @property
    def own(self) -> bool:
        """Whether the network is a user's own code, or a package's."""
        inside = isinstance(self.source, str) and self.source.startswith("unetzoo.")
        return self.spec is None and not inside

    @property
    def diff(self) -> dict[str, tuple[Any, Any]]:
        """Option -> (value in ``unet``, value here); empty for what is not of the grid."""
        return diff(self.spec, UNetSpec()) if self.spec is not None else {}

    @property
    def year(self) -> int | None:
        """When all of it was published."""
        years = [paper.year for paper in (self.paper, self.encoder_paper) if paper]
        return max(years) if years else None

    @property
    def can_be_pretrained(self) -> bool:
        """Whether weights of its encoder can be asked for: ``pretrained=True`` or a file."""
        return self.spec.encoder != "plain" if self.spec is not None else "pretrained" in self.defaults

    @property
    def adapters(self) -> dict[str, Any]:
        """``multiple_of`` and ``output`` where they are not at their defaults."""
        given: dict[str, Any] = {"multiple_of": self.multiple_of} if self.multiple_of != 1 else {}
        return given | ({"output": self.output} if self.output is not None else {})

    def fingerprint(self) -> str:
        """What a hash of the options cannot see of a factory: its source file's content, its packages' versions.

        And its adapters, where there are any; '' for a spec.
        """
        if self.factory is None:
            return ""
        adapters = f"\n{self.adapters}" if self.adapters else ""
        try:
            source = Path(inspect.getsourcefile(self.factory) or "").read_bytes()
        except (OSError, TypeError):
            return f"unknown{adapters}"
        for package in self.packages:
            source += f"\n{package}=={installed_version(package)}".encode()
        return hashlib.sha256(source + adapters.encode()).hexdigest()[:16]


def installed_version(package: str) -> str | None:
    """Of a distribution in this environment; None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
