"""Code that was typed rather than saved: notebook cells and prompts."""

from __future__ import annotations

import hashlib
import linecache
import sys
from pathlib import Path


def was_typed(filename: str) -> bool:
    """Return True if code with this file name is in no file, as that of a notebook cell is."""
    return not Path(filename).is_file()


def typed_digest(filename: str) -> str:
    """Return a hash of a cell's text, by the file name of its code; '' if the text is not known."""
    text = "".join(linecache.getlines(filename))
    return hashlib.sha256(text.encode()).hexdigest()[:16] if text else ""


def main_is_typed() -> bool:
    """Return True if the main module is a notebook or a prompt, which another process cannot import."""
    return not hasattr(sys.modules.get("__main__"), "__file__")
