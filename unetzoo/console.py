"""The rich consoles for standard output and standard error that all commands print to."""

from __future__ import annotations

import os
import sys

from rich.console import Console

# In a pipe or a file rich would assume 80 columns and break lines that people want to grep.
out = Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160)
err = Console(stderr=True)
