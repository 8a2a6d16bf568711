"""Deterministic algorithms, with a list of the operations that have none on the device in use."""

from __future__ import annotations

import sys
import warnings

import torch


class Determinism:
    """Context manager in which torch uses deterministic algorithms.

    Afterwards the attribute ``exceptions`` lists torch's warnings about operations without a deterministic algorithm.
    On a CPU with a fixed number of threads the default algorithms are deterministic already; GPUs need this.

    Args:
        wanted: If False, nothing is changed.

    References:
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
