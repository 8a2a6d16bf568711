"""The two streams that commands print to."""

from __future__ import annotations

import os
import sys

from rich.console import Console

# Off a terminal there is no width to fit; rich would take 80 and break lines that others want to grep.
out = Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160)
err = Console(stderr=True)
