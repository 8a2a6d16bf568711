"""Checkpoints, from which an interrupted training resumes and ends bit for bit as it would have without interruption.

A checkpoint is one file, written atomically, which begins with a hash of its content. So a file that was truncated, or
that the system filled with zeros after a power loss, is not mistaken for a checkpoint.
"""

from __future__ import annotations

import hashlib
import io
import random
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unetzoo._util.atomic import write_atomic

SHARE = 0.02  # largest share of the time to spend on saving


class Checkpoint:
    """The file with the latest state of one training run.

    If a state cannot be written, because the disk is full, say, the training goes on without it.

    Args:
        path: The file.
        identity: Identifies the training; the state of another one is not loaded.
        every: Seconds between two states, or more if saving takes long; 0 saves at every opportunity.
        final: Whether the outcome of the finished training is saved, too.
    """

    def __init__(self, path: Path, identity: str, every: float, final: bool = False) -> None:
        self.path, self.identity, self.every, self.final = path, identity, every, final
        self._last, self._took = time.monotonic(), 0.0

    def due(self) -> bool:
        """Return True if it is time to save a state."""
        return time.monotonic() - self._last >= max(self.every, self._took / SHARE if self.every else 0.0)

    def save(self, state: dict[str, Any]) -> None:
        """Save a state and replace the one before.

        Args:
            state: Tensors and plain values, nested in dicts, lists and tuples.
        """
        begun = time.monotonic()
        buffer = io.BytesIO()
        torch.save({"identity": self.identity, **state}, buffer)
        content = buffer.getbuffer()
        try:
            write_atomic(self.path, hashlib.sha256(content).hexdigest().encode(), content)
        except OSError:
            traceback.print_exc()
        self._last = time.monotonic()
        self._took = self._last - begun

    def load(self) -> dict[str, Any] | None:
        """Return the saved state, or None if there is none, it is damaged, or it is of another training."""
        try:
            content = self.path.read_bytes()
            digest, payload = content[:64], memoryview(content)[64:]
            if hashlib.sha256(payload).hexdigest().encode() != digest:
                print(f"{self.path}: damaged; the training starts from the beginning", file=sys.stderr)
                return None
            state = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
        except FileNotFoundError:
            return None
        except Exception:  # torch raises many exception types on damaged files
            traceback.print_exc()
            return None
        return state if state["identity"] == self.identity else None


def random_state() -> dict[str, Any]:
    """Return the states of all random generators that a training may draw from."""
    name, keys, *rest = np.random.get_state()  # noqa: NPY002 (the global generator, which a user's model may use)
    state: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    if torch.backends.mps.is_available():
        state["mps"] = torch.mps.get_rng_state()
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """Restore the states of all random generators.

    Args:
        state: A result of `random_state`. States of GPUs are skipped if this machine has another number of them.
    """
    torch.set_rng_state(state["torch"])
    random.setstate(state["python"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    if "cuda" in state and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
    if "mps" in state and torch.backends.mps.is_available():
        torch.mps.set_rng_state(state["mps"])
