"""Parameter counts of our own entries, in ``parameters.json`` so that they can be told without torch.

``benchmarks/zoo.py`` writes the file; a test holds it against the networks.
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
    """Trainable values with 3 channels in, 1 class and default options; None for a model that is not ours."""
    return _counts().get(name)
