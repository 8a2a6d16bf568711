"""Entries of other networks: a name for a class or function that returns one."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unetzoo._util.versions import installed_version
from unetzoo.errors import UnetzooError, nearest, one_line
from unetzoo.models.entry import Entry, listed

if TYPE_CHECKING:
    from torch import nn


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
        return "default", {option: listed(value) for option, value in self.options.items()}

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
        return {option: listed(value) for option, value in {**simple, **options}.items()}

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
