"""The two streams that commands print to."""

from __future__ import annotations

import os
import sys

from rich.console import Console

# Without a terminal rich would assume 80 columns and break lines that scripts want to grep.
out = Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160)
err = Console(stderr=True)
