"""One dict: name -> Entry. Ours, a user's own, and those of packages with an entry point.

A package registers its models by an entry point of the group ``unetzoo.models`` that names a module;
importing the module calls `register_model`. Nothing in here imports torch until a model is built.
"""

from __future__ import annotations

import hashlib
import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from importlib import import_module
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from pydantic import Field

from unetzoo.errors import Strict, UnetzooError, nearest
from unetzoo.papers import Paper
from unetzoo.spec import UNetSpec, diff, replace

if TYPE_CHECKING:
    from torch import nn

    from unetzoo.data.stream import Normalization

ENTRY_POINTS = "unetzoo.models"
F = TypeVar("F", bound=Callable[..., Any])
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
    network is made of.
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

    @cached_property
    def factory(self) -> Callable[..., Any] | None:
        """None for a spec of the grid."""
        if not isinstance(self.source, str):
            return self.source
        module, _, name = self.source.partition(":")
        return getattr(import_module(module), name)

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

    def fingerprint(self) -> str:
        """What a hash of the options cannot see of a factory: its source file's content, its packages' versions.

        '' for a spec.
        """
        if self.factory is None:
            return ""
        try:
            source = Path(inspect.getsourcefile(self.factory) or "").read_bytes()
        except (OSError, TypeError):
            return "unknown"
        for package in self.packages:
            source += f"\n{package}=={installed_version(package)}".encode()
        return hashlib.sha256(source).hexdigest()[:16]


def installed_version(package: str) -> str | None:
    """Of a distribution in this environment; None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


class ModelConfig(Strict):
    """A model resolved to the last option: the same config builds the same network."""

    name: str
    in_channels: int = Field(3, ge=1)
    num_classes: int = Field(1, ge=1)
    options: dict[str, Any] = {}

    @property
    def encoder(self) -> str | None:
        """Its encoder by timm's name, where it has one that weights can be loaded into."""
        entry = _entry(self.name)
        known = entry.spec is not None or entry.can_be_pretrained
        name = self.options.get("encoder", "plain") if known else "plain"
        return None if name == "plain" else name

    @property
    def pretrained(self) -> tuple[str, bool | str] | None:
        """Encoder and ``pretrained`` where that asks for weights."""
        weights = self.options.get("pretrained", False)
        return (self.encoder, weights) if self.encoder is not None and weights not in (None, False) else None

    def check_weights(self, *, fetch: bool = True) -> None:
        """Raise `UnetzooError` where pretrained weights are asked for that cannot be had, or do not fit the network.

        Without ``fetch`` only a file that is named is looked at: for what does without any weights.
        """
        if self.pretrained is None or (self.pretrained[1] is True and not fetch):
            return
        import torch

        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that nothing is copied to the meta device
            self.build()

    def build(self, *, weights: bool = True) -> nn.Module:
        """The network, which remembers this as ``model.unetzoo_config``. Raises `UnetzooError` on a bad one.

        Pretrained weights bring ``model.unetzoo_normalization``. Without ``weights`` they are not loaded: for what
        others will replace, or what is only counted.
        """
        entry = _entry(self.name)
        if entry.spec is not None:
            spec = UNetSpec(**self.options)
            model: nn.Module = spec.build(self.in_channels, self.num_classes, weights=weights)
        else:
            assert entry.factory is not None
            options = self.options if weights or self.pretrained is None else {**self.options, "pretrained": False}
            model = entry.factory(in_channels=self.in_channels, num_classes=self.num_classes, **options)
            if not hasattr(model, "forward"):
                raise UnetzooError(f"model {self.name!r}: {entry.factory.__name__} gave {model!r}, not a nn.Module")
        from unetzoo.nn.dilated import mend_dilated

        mend_dilated(model)
        object.__setattr__(model, "unetzoo_config", self)  # plain data: nn.Module need not look at it
        if weights and (normalization := self.normalization()) is not None:
            object.__setattr__(model, "unetzoo_normalization", normalization)
        return model

    def normalization(self) -> Normalization | None:
        """Mean and std of images in [0, 1] that the pretrained encoder expects; None without one."""
        if self.pretrained is None:
            return None
        from unetzoo.data.stream import Normalization
        from unetzoo.pretrained import statistics

        return Normalization(*statistics(self.pretrained[0], self.in_channels))


@dataclass
class _Registry:
    entries: dict[str, Entry] = field(default_factory=dict)
    loaded: bool = False


_REGISTRY = _Registry()


@overload
def register_model(name: F) -> F: ...
@overload
def register_model(
    name: str,
    spec: UNetSpec,
    *,
    paper: Paper | None = None,
    encoder_paper: Paper | None = None,
    note: str = "",
    deviations: tuple[str, ...] = (),
    family: Family = "own",
    reference: Reference | None = None,
) -> UNetSpec: ...
@overload
def register_model(
    name: str,
    spec: None = None,
    *,
    paper: Paper | None = None,
    encoder_paper: Paper | None = None,
    note: str = "",
    deviations: tuple[str, ...] = (),
    family: Family = "own",
    reference: Reference | None = None,
) -> Callable[[F], F]: ...
@overload
def register_model(
    name: str,
    spec: str,
    *,
    defaults: Mapping[str, Any] | None = None,
    paper: Paper | None = None,
    encoder_paper: Paper | None = None,
    note: str = "",
    deviations: tuple[str, ...] = (),
    family: Family = "own",
    reference: Reference | None = None,
    packages: tuple[str, ...] = (),
) -> str: ...


def register_model(
    name: Any,
    spec: UNetSpec | str | None = None,
    *,
    defaults: Mapping[str, Any] | None = None,
    paper: Paper | None = None,
    encoder_paper: Paper | None = None,
    note: str = "",
    deviations: tuple[str, ...] = (),
    family: Family = "own",
    reference: Reference | None = None,
    packages: tuple[str, ...] = (),
) -> Any:
    """Give a model a name: a spec, or as a decorator a ``nn.Module`` class or a function that returns one.

    "package.module:name" instead of a spec names such a class or function that is imported when it is first built;
    ``defaults`` are the options in which the entry differs from it. ``family`` is a key of `FAMILIES`,
    ``reference`` the public code it is the same function as. ``packages`` are the distributions whose code it is made
    of: a trial with another version of one is another trial.

    The class or function takes ``in_channels`` and ``num_classes`` by keyword; its other parameters become
    the model's options. The model maps images (N, in_channels, H, W) to logits (N, num_classes, H, W).

    >>> @register_model("my_unet")
    ... def my_unet(in_channels, num_classes, width=16): ...

    Raises `UnetzooError` where the name is taken, the family unknown or the callable lacks one of the two parameters.
    """
    if not isinstance(name, str):
        return register_model(name.__name__)(name)
    about: dict[str, Any] = {"paper": paper, "encoder_paper": encoder_paper}
    about |= {"deviations": deviations, "family": family, "reference": reference}
    if isinstance(spec, str):
        _add(Entry(name, source=spec, defaults=defaults or {}, note=note, packages=packages, **about))
        return spec
    if spec is not None:
        if not isinstance(spec, UNetSpec):
            raise UnetzooError(
                f"register_model({name!r}, ...) takes a UNetSpec; use it as a decorator for a class or function"
            )
        _add(Entry(name, spec=spec, note=note, **about))
        return spec

    def decorate(factory: F) -> F:
        parameters = inspect.signature(factory).parameters
        takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        for needed in ("in_channels", "num_classes"):
            if needed not in parameters and not takes_any:
                raise UnetzooError(f"model {name!r}: {factory.__name__} takes no parameter {needed!r}, and must")
        doc = note or (inspect.getdoc(factory) or "").partition("\n")[0]
        _add(Entry(name, source=factory, note=doc, **about))
        return factory

    return decorate


def _add(entry: Entry) -> None:
    _load()  # ours come first: a name of one's own that is one of ours is refused here, not later
    if entry.name in _REGISTRY.entries:
        raise UnetzooError(f"model {entry.name!r} is registered already; choose another name")
    if entry.family not in FAMILIES:
        raise UnetzooError(f"model {entry.name!r}: family = {entry.family!r}; {nearest(entry.family, FAMILIES)}")
    _REGISTRY.entries[entry.name] = entry


def _load() -> None:
    """Register our own recipes and every installed package's, once."""
    if _REGISTRY.loaded:
        return
    _REGISTRY.loaded = True
    import unetzoo.recipes  # noqa: F401

    for point in entry_points(group=ENTRY_POINTS):
        try:
            point.load()
        except Exception as error:  # a broken plug-in must not take the other models with it
            warnings.warn(f"models of entry point {point.name!r} ({point.value}) not loaded: {error}", stacklevel=2)


def entries() -> Mapping[str, Entry]:
    """All registered models by name, sorted."""
    _load()
    return dict(sorted(_REGISTRY.entries.items()))


def _entry(name: str) -> Entry:
    known = entries()
    if name not in known:
        raise UnetzooError(f"unknown model {name!r}; {nearest(name, known)}")
    return known[name]


def list_models(pattern: str = "*") -> list[str]:
    """Names that match a shell pattern such as ``"*attention*"``, sorted."""
    return [name for name in entries() if fnmatchcase(name, pattern)]


def model_info(name: str) -> Entry:
    """Everything known of a name: spec, paper, note, deviations, and ``diff`` from ``unet``."""
    return _entry(name)


def resolve_model(
    name: str, *, in_channels: int = 3, num_classes: int = 1, changes: Mapping[str, Any] | None = None
) -> ModelConfig:
    """Check a model and its changed options without building it. Raises `UnetzooError`."""
    entry, changes = _entry(name), dict(changes or {})
    if entry.spec is not None:
        try:
            options = replace(entry.spec, **changes).model_dump()
        except UnetzooError as error:
            raise UnetzooError(f"model {name!r}: {error}") from None
    else:
        known = entry.options
        for option in changes:
            if option not in known:
                raise UnetzooError(f"model {name!r}: unknown option {option!r}; {nearest(option, known)}")
        missing = [k for k, v in known.items() if v is inspect.Parameter.empty and k not in changes]
        if missing:
            raise UnetzooError(f"model {name!r}: option {missing[0]!r} has no default and must be given")
        plain = {k: v for k, v in known.items() if v is None or isinstance(v, bool | int | float | str | list | tuple)}
        # JSON knows no tuples, and a saved config must equal the one that was built.
        options = {k: list(v) if isinstance(v, tuple) else v for k, v in {**plain, **changes}.items()}
    return ModelConfig(name=name, in_channels=in_channels, num_classes=num_classes, options=options)


def create_model(
    name: str,
    *,
    in_channels: int = 3,
    num_classes: int = 1,
    pretrained: bool | str | Path | None = None,
    **changes: Any,
) -> nn.Module:
    """Build a model by name: images (N, in_channels, H, W) to logits (N, num_classes, H, W).

    ``changes`` are options of the entry, for instance ``up="bilinear", width=32`` or ``encoder="resnet34"``.
    ``pretrained`` are weights for such an encoder: True for those timm knows, which it fetches if they are not at
    hand, or a .safetensors or .pth file. Raises `UnetzooError` on an unknown name, option or value, and where weights
    are asked for and cannot be had.
    """
    if pretrained not in (None, False) and "pretrained" not in _entry(name).options:
        raise UnetzooError(f"model {name!r} has no pretrained weights; use pretrained=False")
    if pretrained is not None and "pretrained" in _entry(name).options:
        changes["pretrained"] = str(pretrained) if isinstance(pretrained, Path) else pretrained
    return resolve_model(name, in_channels=in_channels, num_classes=num_classes, changes=changes).build()
