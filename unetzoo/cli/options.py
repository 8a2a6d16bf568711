"""Options that several commands share, each stated once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from unetzoo._util.toml import tomllib
from unetzoo.errors import UnetzooError

Memory = Annotated[
    float | None,
    typer.Option(metavar="GIB", help="Plan for a machine with this much memory, instead of this one."),
]
Time = Annotated[bool, typer.Option("--time/--no-time", help="Whether to measure how long it takes.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def gib(memory: float | None) -> int | None:
    if memory is not None and not 0 < memory < 2**30:
        raise UnetzooError(f"--memory {memory:g}: must be above 0, in GiB")
    return None if memory is None else round(memory * 2**30)


Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="OPTION=VALUE", help="Change a model option; may be repeated."),
]
Imports = Annotated[
    list[str] | None,
    typer.Option(
        "--import",
        metavar="FILE.py",
        help="A file or module that registers your models or data sets; may be repeated.",
    ),
]


def parse_settings(settings: Iterable[str]) -> dict[str, Any]:
    """Turn ``["width=16", "up=bilinear"]`` to options: a TOML value where it is one, else a plain string."""
    changes = {}
    for setting in settings:
        key, equals, value = (part.strip() for part in setting.partition("="))
        if not equals or not key:
            raise UnetzooError(f"--set {setting!r}: expected OPTION=VALUE, such as width=16")
        try:
            changes[key] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            changes[key] = value
    return changes
