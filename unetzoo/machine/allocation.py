"""Memory of a process's tensors on a CPU: what was freed is used again, and pages are large."""

from __future__ import annotations

import ctypes
import os

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # numbers of malloc's options; see mallopt(3)


def keep_freed_memory() -> bool:
    """Make malloc reuse freed memory instead of returning it to the system.

    By default every large tensor gets fresh pages, which the system clears at their first use: in a training step that
    takes a tenth of the time, in the prediction of large tiles a quarter. The process then keeps the memory of its peak
    until it ends.

    Returns:
        False where the C library has no such options, as on macOS and Windows.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, -1))


def ask_for_huge_pages() -> None:
    """Make torch ask for huge pages for its tensors in processes that start from now on; a user's choice stands."""
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
