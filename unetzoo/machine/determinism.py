"""Only deterministic algorithms, and an honest list of the operations that have none on this device."""

from __future__ import annotations

import sys
import warnings

import torch


class Determinism:
    """Inside the block, where ``wanted``, torch takes deterministic algorithms; ``exceptions`` is what it could not.

    On a CPU with the same thread count they are deterministic as they are; it is GPUs that need this.
    https://pytorch.org/docs/stable/notes/randomness.html
    """

    def __init__(self, wanted: bool) -> None:
        self.wanted = wanted
        self.exceptions: list[str] = []

    def __enter__(self) -> Determinism:
        if self.wanted:
            torch.backends.cudnn.benchmark = False
            torch.use_deterministic_algorithms(True, warn_only=True)
            self._catcher = warnings.catch_warnings(record=True)
            self._caught = self._catcher.__enter__()
            warnings.filterwarnings("always", message=".*determinis")
        return self

    def __exit__(self, *error: object) -> None:
        if self.wanted:
            self._catcher.__exit__(*error)  # type: ignore[arg-type]
            torch.use_deterministic_algorithms(False)
            found = set()
            for warning in self._caught:
                text = str(warning.message)
                print(f"{warning.category.__name__}: {text}", file=sys.stderr)
                if "determinis" in text:
                    found.add(text.partition("\n")[0])
            self.exceptions = sorted(found)
