"""Parsing of TOML files and of OPTION=VALUE settings on the command line."""

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
    """Parse the text of a TOML file.

    Args:
        text: The TOML.
        where: Source of the text, such as a file name; error messages begin with it.

    Raises:
        UnetzooError: If the text is not valid TOML; the message states line and column.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UnetzooError(f"{where}: not valid TOML: {error}") from None


def parse_settings(settings: Iterable[str]) -> dict[str, Any]:
    """Parse settings such as ``["width=16", "up=bilinear"]`` into a dictionary of options.

    Args:
        settings: Texts of the form OPTION=VALUE. A value that is not valid TOML is taken as a string.

    Raises:
        UnetzooError: If a setting has no option or no equals sign.
    """
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
