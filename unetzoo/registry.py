"""One dict: name -> Entry. Ours, a user's own, and those of packages with an entry point.

A package registers its models by an entry point of the group ``unetzoo.models`` that names a module;
importing the module calls `register_model`. Nothing in here imports torch until a model is built.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

from pydantic import Field

from unetzoo.entry import FAMILIES, Entry, Family, Reference
from unetzoo.errors import Strict, UnetzooError, nearest, plain
from unetzoo.papers import Paper
from unetzoo.spec import UNetSpec, replace

if TYPE_CHECKING:
    from torch import nn

    from unetzoo.data.stream import Normalization

ENTRY_POINTS = "unetzoo.models"
F = TypeVar("F", bound=Callable[..., Any])


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

    def check(self, *, fetch: bool = True) -> None:
        """Raise `UnetzooError` where the network cannot be built, or pretrained weights cannot be had or do not fit it.

        No network is allocated, and a class or function of a user's own is not called: what it may do is for its trial.
        Without ``fetch`` only a file of weights that is named is looked at.
        """
        if _entry(self.name).own:
            return
        import torch

        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that nothing is copied to the meta device
            try:
                self.build(weights=fetch or self.pretrained is None or self.pretrained[1] is not True)
            except UnetzooError:
                raise
            except Exception as error:  # an option's value that nobody thought of
                raise UnetzooError(
                    f"model {self.name!r} with {self.options} cannot be built ({plain(error)})"
                ) from None

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
            if entry.adapters:
                from unetzoo.nn.adapt import Adapted

                model = Adapted(model, entry.multiple_of, entry.output)
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
    multiple_of: int = 1,
    output: str | int | None = None,
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
    multiple_of: int = 1,
    output: str | int | None = None,
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
    multiple_of: int = 1,
    output: str | int | None = None,
) -> Any:
    """Give a model a name: a spec, or as a decorator a ``nn.Module`` class or a function that returns one.

    "package.module:name" instead of a spec names such a class or function that is imported when it is first built;
    ``defaults`` are the options in which the entry differs from it. ``family`` is a key of `FAMILIES`,
    ``reference`` the public code it is the same function as. ``packages`` are the distributions whose code it is made
    of: a trial with another version of one is another trial.

    The class or function takes ``in_channels`` and ``num_classes`` by keyword; its other parameters become
    the model's options. The model maps images (N, in_channels, H, W) to logits (N, num_classes, H, W).

    What does not is adapted: with ``multiple_of`` images are mirrored at the bottom and the right to sides that are
    multiples of it, and logits cropped back; ``output`` is the key or index of the logits where it returns a dict,
    tuple or list. Both are part of what a trial is. `unetzoo.testing.check_model` says which a model needs.

    >>> @register_model("my_unet")
    ... def my_unet(in_channels, num_classes, width=16): ...

    Raises `UnetzooError` where the name is taken, the family unknown, the callable lacks one of the two parameters, or
    an adapter is none.
    """
    if not isinstance(name, str):
        return register_model(name.__name__)(name)
    about: dict[str, Any] = {"paper": paper, "encoder_paper": encoder_paper}
    about |= {"deviations": deviations, "family": family, "reference": reference}
    about |= {"multiple_of": multiple_of, "output": output}
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
        doc = note or inspect.cleandoc(factory.__doc__ or "").partition("\n")[0]  # not a base class's
        _add(Entry(name, source=factory, note=doc, **about))
        return factory

    return decorate


def _add(entry: Entry) -> None:
    _load()  # ours come first: a name of one's own that is one of ours is refused here, not later
    if entry.name in _REGISTRY.entries:
        raise UnetzooError(f"model {entry.name!r} is registered already; choose another name")
    if entry.family not in FAMILIES:
        raise UnetzooError(f"model {entry.name!r}: family = {entry.family!r}; {nearest(entry.family, FAMILIES)}")
    _check_adapters(entry)
    _REGISTRY.entries[entry.name] = entry


def _check_adapters(entry: Entry) -> None:
    sides, output, model = entry.multiple_of, entry.output, f"model {entry.name!r}"
    if isinstance(sides, bool) or not isinstance(sides, int) or sides < 1:
        raise UnetzooError(f"{model}: multiple_of = {sides!r} must be a whole number of pixels from 1 up")
    if isinstance(output, bool) or not isinstance(output, str | int | None):
        raise UnetzooError(f"{model}: output = {output!r} must be a key (a str) or an index (an int)")
    if entry.spec is not None and entry.adapters:
        raise UnetzooError(f"{model}: {' and '.join(entry.adapters)} adapt a class or function, not a UNetSpec")


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
        raise UnetzooError(f"unknown model {name!r}; {nearest(name, known)} (or --import the file that registers it)")
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
        for option, value in changes.items():
            entry.check(option, value)
        missing = [k for k, v in known.items() if v is inspect.Parameter.empty and k not in changes]
        if missing:
            raise UnetzooError(f"model {name!r}: option {missing[0]!r} has no default and must be given")
        simple = {k: v for k, v in known.items() if v is None or isinstance(v, bool | int | float | str | list | tuple)}
        # JSON knows no tuples, and a saved config must equal the one that was built.
        options = {k: list(v) if isinstance(v, tuple) else v for k, v in {**simple, **changes}.items()}
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
