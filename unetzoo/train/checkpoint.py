"""A training that can go on where it was interrupted, and then ends bit for bit where it would have.

One file, written whole or not at all, under a hash of its content: a file that was cut short, or that the system
filled with zeros after a power loss, is not taken for a checkpoint.
"""

from __future__ import annotations

import hashlib
import io
import random
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unetzoo._util.atomic import write_atomic

SHARE = 0.02  # at most this share of the time goes into saving


class Checkpoint:
    """The latest state of one training, in ``path``; ``every`` seconds, more seldom where saving takes long.

    ``every = 0`` saves at each chance; ``final`` keeps the outcome too. A disk that is full costs the checkpoint,
    not the training.
    """

    def __init__(self, path: Path, identity: str, every: float, final: bool = False) -> None:
        self.path, self.identity, self.every, self.final = path, identity, every, final
        self._last, self._took = time.monotonic(), 0.0

    def due(self) -> bool:
        return time.monotonic() - self._last >= max(self.every, self._took / SHARE if self.every else 0.0)

    def save(self, state: dict[str, Any]) -> None:
        """Keep ``state``: tensors and plain values, nested in dicts, lists and tuples."""
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
        """The state that was kept; None where there is none, or none that is whole and of this training."""
        try:
            content = self.path.read_bytes()
            digest, payload = content[:64], memoryview(content)[64:]
            if hashlib.sha256(payload).hexdigest().encode() != digest:
                raise ValueError(f"{self.path}: damaged, the training starts anew")
            state = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
        except FileNotFoundError:
            return None
        except Exception:  # whatever a damaged file makes of itself
            traceback.print_exc()
            return None
        return state if state["identity"] == self.identity else None


def random_state() -> dict[str, Any]:
    """Every generator a training may draw from."""
    name, keys, *rest = np.random.get_state()  # noqa: NPY002 (the global one, which a model of one's own may use)
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
    torch.set_rng_state(state["torch"])
    random.setstate(state["python"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    if "cuda" in state and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
    if "mps" in state and torch.backends.mps.is_available():
        torch.mps.set_rng_state(state["mps"])
