"""Parsing of TOML files and of OPTION=VALUE settings on the command line."""

from __future__ import annotations

import sys
from typing import Any

from unetzoo.errors import UnetzooError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pyright: ignore[reportMissingImports]


MOST_DIGITS = 30  # of a whole number
MOST_LEVELS = 32  # of tables and lists within each other; our own files have up to 5


def parse_toml(text: str, where: str) -> dict[str, Any]:
    """Parse the text of a TOML file.

    Args:
        text: The TOML.
        where: Source of the text, such as a file name; error messages begin with it.

    Raises:
        UnetzooError: If the text is not valid TOML; the message states line and column. Also if it is nested too
            deeply, or has a whole number of over 30 digits or a NUL character.
    """
    try:
        data = tomllib.loads(text.removeprefix("\ufeff"))  # the byte-order mark that Windows editors write
        _check(data, where)
    except tomllib.TOMLDecodeError as error:
        raise UnetzooError(f"{where}: not valid TOML: {error}") from None
    except RecursionError:
        raise UnetzooError(f"{where}: is nested too deeply; at most {MOST_LEVELS} levels are read") from None
    except UnetzooError:
        raise
    except ValueError:  # of int(), which refuses more than 4300 digits
        raise UnetzooError(
            f"{where}: has a whole number of thousands of digits; at most {MOST_DIGITS} are read"
        ) from None
    return data


def _check(value: Any, where: str, level: int = 0) -> None:
    """Check what no option takes and other code would stumble over.

    Raises:
        UnetzooError: If there is such a value.
    """
    if level > MOST_LEVELS:
        raise UnetzooError(f"{where}: is nested too deeply; at most {MOST_LEVELS} levels are read")
    if isinstance(value, dict):
        for key, inner in value.items():
            _check(key, where, level)
            _check(inner, f"{where}: {key}", level + 1)
    elif isinstance(value, list):
        for inner in value:
            _check(inner, where, level + 1)
    elif isinstance(value, str) and "\0" in value:
        raise UnetzooError(f"{where}: {value!r} has a NUL character; remove it")
    elif isinstance(value, int) and abs(value) >= 10**MOST_DIGITS:
        raise UnetzooError(f"{where}: a whole number of {len(str(abs(value)))} digits; at most {MOST_DIGITS} are read")
