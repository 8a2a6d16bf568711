"""Progress of long work on many files or models, told to whoever listens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[str, int, int], None]  # called with what is done, the number done, and their total

_LISTENER: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Have a function called for each file or model that is worked on within this context.

    Args:
        listener: Called with what is done, in a few words, the number done, and their total.
    """
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def tell(what: str, done: int, total: int) -> None:
    """Tell the listener, if there is one, of the progress.

    Args:
        what: What is done, in a few words.
        done: Number of files or models done.
        total: Their total.
    """
    if (listener := _LISTENER.get()) is not None:
        listener(what, done, total)
