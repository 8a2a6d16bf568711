"""Peak memory of a piece of work in bytes: the allocator's on CUDA, the process's on a CPU."""

from __future__ import annotations

import ctypes
import gc
import sys
from contextlib import suppress
from pathlib import Path

import torch

METHODS = {
    "cuda": "torch.cuda.max_memory_allocated",
    "mps": "torch.mps.driver_allocated_memory after the work, above before",
    "cpu": "peak RSS of the trial's process (VmHWM) above its RSS before the model was built",
    "other": "peak RSS of the trial's process (ru_maxrss) above its peak before the model was built",
}


class PeakMemory:
    """Peak memory above a baseline, which is measured when the object is made.

    Args:
        device: 'cuda', 'mps' or 'cpu'.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self.resettable = device == "cpu" and _reset_peak()
        self.method = METHODS["cpu" if self.resettable else "other" if device == "cpu" else device]
        self.restart()  # before the baseline, which must not hold what was freed and will be used again
        self.baseline = self._now()

    def _now(self) -> int:
        if self.device == "cuda":
            return torch.cuda.memory_allocated()
        if self.device == "mps":
            return torch.mps.driver_allocated_memory()
        return _status("VmRSS") if self.resettable else _max_rss()

    def restart(self) -> None:
        """Forget the peak so far but keep the baseline; on Linux free memory first goes back to the system."""
        if self.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        elif self.resettable:
            _trim()
            _reset_peak()

    def peak(self) -> int:
        """Return the peak since the baseline or the last `restart`, in bytes above the baseline."""
        if self.device == "cuda":
            return torch.cuda.max_memory_allocated() - self.baseline
        if self.device == "mps":
            return torch.mps.driver_allocated_memory() - self.baseline
        return (_status("VmHWM") if self.resettable else _max_rss()) - self.baseline


def _reset_peak() -> bool:
    """Reset the process's VmHWM to its present RSS and return True if the system can (Linux; proc(5), clear_refs)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _trim() -> None:
    """Return free memory, which glibc keeps, to the system; does nothing without malloc_trim."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _status(field: str) -> int:
    """Return a field of ``/proc/self/status`` in bytes.

    Raises:
        RuntimeError: If there is no such field.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return 1024 * int(line.split()[1])
    raise RuntimeError(f"/proc/self/status has no {field}")


def _max_rss() -> int:
    """Return the peak RSS of the process in bytes."""
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
