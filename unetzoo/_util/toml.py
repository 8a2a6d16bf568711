"""TOML in: a file's text, and the OPTION=VALUE of a command line."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from unetzoo.errors import UnetzooError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pyright: ignore[reportMissingImports]


def parse_toml(text: str, where: str) -> dict[str, Any]:
    """Raises `UnetzooError` with line and column where the text is not TOML."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UnetzooError(f"{where}: not valid TOML: {error}") from None


def parse_settings(settings: Iterable[str]) -> dict[str, Any]:
    """``["width=16", "up=bilinear"]`` to options: a TOML value where it is one, else a plain string."""
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
