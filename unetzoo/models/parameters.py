"""Parameter counts of the built-in models, read from ``parameters.json`` so that listing them does not import torch.

``benchmarks/zoo.py`` writes the file; a test compares it with the networks.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("parameters.json")


@cache
def _counts() -> dict[str, int]:
    return json.loads(FILE.read_text())


def parameters(name: str) -> int | None:
    """Return the number of trainable parameters of a built-in model, or None for any other.

    Args:
        name: Registered name of the model. The count is for 3 input channels, 1 class and default options.
    """
    return _counts().get(name)
