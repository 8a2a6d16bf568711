"""The registry of models: built-in ones, a user's, and those of packages with an entry point.

A package registers its models by an entry point of the group ``unetzoo.models`` that names a module; importing the
module calls `register_model`. This module imports no torch.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from importlib.metadata import entry_points
from typing import Any, TypeVar, overload

from unetzoo._util.cells import typed_digest, was_typed
from unetzoo.errors import UnetzooError, check_argument, nearest, shown
from unetzoo.grid.spec import UNetSpec
from unetzoo.models.entries import ENTRIES
from unetzoo.models.entry import FAMILIES, Entry, Family, Reference
from unetzoo.models.factory_entry import FactoryEntry
from unetzoo.models.grid_entry import GridEntry
from unetzoo.models.papers import Paper

ENTRY_POINTS = "unetzoo.models"
F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class _Registry:
    entries: dict[str, Entry] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)  # name -> file that registered it; not of built-in models
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
    version: int = 1,
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
    version: int = 1,
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
    version: int = 1,
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
    version: int = 1,
    multiple_of: int = 1,
    output: str | int | None = None,
) -> Any:
    """Register a model: a spec, or as a decorator a ``nn.Module`` class or a function that returns one.

    The class or function takes ``in_channels`` and ``num_classes`` by keyword; its other parameters become the model's
    options. The model maps images (N, in_channels, H, W) to logits (N, num_classes, H, W).
    `unetzoo.testing.check_model` checks this and names the adapter that would help.

    Args:
        name: The new name; a bare ``@register_model`` uses the name of the class or function.
        spec: A `UNetSpec`; or "package.module:name" of a class or function, imported when it is first built.
        defaults: Options whose defaults differ from those of the class or function that ``spec`` names.
        paper: The paper that introduced the network.
        encoder_paper: The paper of its encoder, if it is a different one.
        note: One-line description; default: the first line of the docstring.
        deviations: Differences from the paper or from the reference code, one sentence each.
        family: A key of `FAMILIES`.
        reference: The public code that computes the same function.
        packages: Distributions whose code it consists of; their versions enter the trial id.
        version: Version of its function, which enters the trial id; raise it when the function changes. For a class or
            function outside unetzoo a hash of its source file enters the id as well.
        multiple_of: Mirror images at the bottom and the right to sides that are multiples of this; crop the logits.
        output: Key or index of the logits, if the network returns a dict, tuple or list.

    Returns:
        The ``spec`` as given; without one, a decorator that returns the class or function unchanged.

    Raises:
        UnetzooError: If the name is taken (a notebook cell may register its model anew), the family is unknown, the
            version is not a whole number from 1, an adapter is not valid, or the callable lacks ``in_channels`` or
            ``num_classes``.

    Examples:
        >>> from torch import nn
        >>> @register_model("one_layer", note="a single convolution")
        ... def one_layer(in_channels, num_classes, kernel_size=3):
        ...     return nn.Conv2d(in_channels, num_classes, kernel_size, padding=kernel_size // 2)
        >>> model_info("one_layer").options
        {'kernel_size': 3}
    """
    if not isinstance(name, str):
        if not (inspect.isclass(name) or inspect.isroutine(name)):
            raise UnetzooError(f"register_model: name = {shown(name)}: must be a name (a str), a class or a function")
        return register_model(name.__name__)(name)
    if not name or not name.isprintable():
        raise UnetzooError(f"register_model: name = {name!r}: must have characters, all of which can be shown")
    _check_about(name, {"paper": (paper, Paper), "encoder_paper": (encoder_paper, Paper)}, None)
    _check_about(name, {"reference": (reference, Reference), "defaults": (defaults, Mapping)}, None)
    _check_about(name, {"note": (note, str), "family": (family, str)})
    _check_about(name, {"deviations": (deviations, tuple), "packages": (packages, tuple)})
    about: dict[str, Any] = {"paper": paper, "encoder_paper": encoder_paper}
    about |= {"deviations": deviations, "family": family, "reference": reference, "version": version}
    adapters = _adapters(name, multiple_of, output)
    if isinstance(spec, str):
        _add(FactoryEntry(name, spec, defaults=defaults or {}, note=note, packages=packages, **about, **adapters))
        return spec
    if spec is not None:
        if not isinstance(spec, UNetSpec):
            raise UnetzooError(
                f"register_model({name!r}, ...): spec = {shown(spec)}: must be a UNetSpec or 'module:name'; "
                "use it as a decorator for a class or function"
            )
        if (multiple_of, output) != (1, None):
            raise UnetzooError(f"model {name!r}: multiple_of and output adapt a class or function, not a UNetSpec")
        _add(GridEntry(name, spec, note=note, **about))
        return spec

    def decorate(factory: F) -> F:
        check_argument(f"register_model({name!r})", "factory", factory, Callable, "a class or a function")  # type: ignore[arg-type]
        try:
            parameters = inspect.signature(factory).parameters
        except (TypeError, ValueError):
            raise UnetzooError(f"model {name!r}: {shown(factory)} has no parameters that can be looked up") from None
        takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        for needed in ("in_channels", "num_classes"):
            if needed not in parameters and not takes_any:
                raise UnetzooError(f"model {name!r}: {factory.__name__} takes no parameter {needed!r}; add it")
        doc = note or inspect.cleandoc(factory.__doc__ or "").partition("\n")[0]  # not inherited from a base class
        _add(FactoryEntry(name, factory, note=doc, **about, **adapters))
        return factory

    return decorate


_MISSING = object()


def _check_about(name: str, given: Mapping[str, tuple[object, type]], default: object = _MISSING) -> None:
    """Check the types of arguments of `register_model`; ``default`` is right, too.

    Raises:
        UnetzooError: If one is not right; a tuple must hold strings.
    """
    for argument, (value, kind) in given.items():
        if value is not default:
            or_none = " or None" if default is None else ""
            words = "a tuple of strings" if kind is tuple else f"a {kind.__name__}{or_none}"
            check_argument(f"model {name!r}", argument, value, kind, words)
            if isinstance(value, tuple) and not all(isinstance(part, str) for part in value):
                raise UnetzooError(f"model {name!r}: {argument} = {shown(value)}: must be {words}")


def _adapters(name: str, multiple_of: object, output: object) -> dict[str, Any]:
    """Check ``multiple_of`` and ``output`` and return them as keywords of `FactoryEntry`.

    Raises:
        UnetzooError: If one of them is not valid.
    """
    if isinstance(multiple_of, bool) or not isinstance(multiple_of, int) or multiple_of < 1:
        raise UnetzooError(
            f"model {name!r}: multiple_of = {shown(multiple_of)} must be a whole number of pixels from 1 up"
        )
    if isinstance(output, bool) or not isinstance(output, str | int | None):
        raise UnetzooError(f"model {name!r}: output = {shown(output)} must be a key (a str) or an index (an int)")
    return {"multiple_of": multiple_of, "output": output}


def _add(entry: Entry) -> None:
    _load()  # built-in models first, so that a clash is reported here, whatever was imported first
    here = _caller()
    if entry.name in _REGISTRY.entries and not (typed_entry(entry.name) and was_typed(here)):
        there = _REGISTRY.origins.get(entry.name, "unetzoo itself")
        raise UnetzooError(
            f"model {entry.name!r}: {here} registers a name that {there} has registered; choose another name"
        )
    if entry.family not in FAMILIES:
        raise UnetzooError(f"model {entry.name!r}: family = {entry.family!r}; {nearest(entry.family, FAMILIES)}")
    if type(entry.version) is not int or entry.version < 1:
        raise UnetzooError(f"model {entry.name!r}: version = {shown(entry.version)} must be a whole number from 1 up")
    if isinstance(entry, FactoryEntry) and not isinstance(entry.source, str) and was_typed(here):
        entry = replace(entry, cell=typed_digest(here))
    _REGISTRY.entries[entry.name] = entry
    _REGISTRY.origins[entry.name] = here


def typed_entry(name: str) -> Entry | None:
    """Return a model that was registered in a notebook cell or at a prompt; None for any other."""
    here = _REGISTRY.origins.get(name)
    return _REGISTRY.entries.get(name) if here is not None and was_typed(here) else None


def restore(entry: Entry) -> None:
    """Register a model that another process registered in a notebook cell."""
    _load()
    _REGISTRY.entries[entry.name] = entry
    _REGISTRY.origins[entry.name] = "a notebook cell"


def _caller() -> str:
    """Return the file whose code called this module."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    return frame.f_code.co_filename if frame is not None else "unknown code"


def _load() -> None:
    """Register the built-in models, then those of every installed package, once."""
    if _REGISTRY.loaded:
        return
    _REGISTRY.loaded = True
    _REGISTRY.entries.update({entry.name: entry for entry in ENTRIES})

    for point in entry_points(group=ENTRY_POINTS):
        try:
            point.load()
        except (Exception, SystemExit) as error:  # a broken plug-in must not take the other models with it
            warnings.warn(f"models of entry point {point.name!r} ({point.value}) not loaded: {error}", stacklevel=2)


def entries() -> Mapping[str, Entry]:
    """Return all registered models by name, sorted."""
    _load()
    return dict(sorted(_REGISTRY.entries.items()))


def list_models(pattern: str = "*") -> list[str]:
    """Return the registered names that match a shell pattern, sorted.

    Args:
        pattern: Shell pattern such as ``"*attention*"``; case matters.

    Raises:
        UnetzooError: If the pattern is not a string.

    Examples:
        >>> list_models("unetpp*")
        ['unetpp', 'unetpp_ds', 'unetpp_resnet34']
    """
    check_argument("list_models", "pattern", pattern, str, "a shell pattern, such as '*attention*'")
    return [name for name in entries() if fnmatchcase(name, pattern)]


def model_info(name: str) -> Entry:
    """Return the entry of a model: paper, options, note, deviations, and ``diff`` from ``unet``.

    Args:
        name: Registered name.

    Raises:
        UnetzooError: If the name is unknown; the message suggests similar ones.

    Examples:
        >>> entry = model_info("unet_bilinear")
        >>> entry.family, entry.year
        ('ablation', 2015)
        >>> entry.diff
        {'up': ('transposed', 'bilinear')}
    """
    check_argument("model", "name", name, str, "the name of a registered model, such as 'unet'")
    known = entries()
    if name not in known:
        raise UnetzooError(f"unknown model {name!r}; {nearest(name, known)} (or --import the file that registers it)")
    return known[name]
