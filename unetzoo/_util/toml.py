"""TOML in: a file's text, and the OPTION=VALUE of a command line."""

from __future__ import annotations

import sys
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
