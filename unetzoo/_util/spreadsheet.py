"""Cells of CSV files that no spreadsheet takes for a formula."""

from __future__ import annotations

import re
from typing import Any

# OWASP, "CSV injection": cells that begin so are computed by spreadsheets, and may even start programs.
_FORMULA = re.compile(r"'*\s*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|nan)")


def safe_cell(value: Any) -> Any:
    """Return text that a spreadsheet would compute with an apostrophe before it; all else as it is.

    Args:
        value: Value of a cell. Numbers stay as they are, also those that are given as text.

    Examples:
        >>> safe_cell("=1+1"), safe_cell("-0.5"), safe_cell("unet")
        ("'=1+1", '-0.5', 'unet')
    """
    if isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def stored_cell(text: str) -> str:
    """Return the text that `safe_cell` was given, from what it returned."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text[1:]) else text
