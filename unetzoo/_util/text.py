"""Text from outside (errors, labels, file names, logs) made fit for records, pages, tables and terminals."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator

REASON, LINE, TAIL = 1_000, 2_000, 100_000  # characters of a reason, of a line of a log, and of the end of a log

# Controls but for tab and newline, lone surrogates, separators that end a line, marks that reverse the reading
# direction, and two code points that are no characters and that XML forbids.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def visible(text: str) -> str:
    r"""Replace everything that is not sound, printable Unicode by an escape such as ``\x1b``.

    A byte of a file name that could not be decoded (a lone surrogate, see `os.fsdecode`) becomes that byte, such as
    ``\xe9``. Tabs and newlines stay.
    """
    return _UNSAFE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    code = code - 0xDC00 if 0xDC80 <= code <= 0xDCFF else code
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def shortened(text: str, limit: int) -> str:
    """Cut a text after ``limit`` characters and state how many are left out."""
    return text if len(text) <= limit else f"{text[:limit]} [... {len(text) - limit} more characters]"


def visible_values(value: Any) -> Any:
    """Apply `visible` to every string of a JSON value, keys included."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {visible(key) if isinstance(key, str) else key: visible_values(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(visible_values(inner) for inner in value)
    return value


Printable = Annotated[str, BeforeValidator(visible_values)]
"""A field of a data class whose text reaches pages, tables and terminals."""
