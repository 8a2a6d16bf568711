"""Parsing of TOML files and of OPTION=VALUE settings on the command line."""

from __future__ import annotations

import sys
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
