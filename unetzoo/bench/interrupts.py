"""From signals to a request to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from unetzoo.bench.jobs import StopRequest
from unetzoo.bench.watcher import Watcher


@contextmanager
def interruptible(watcher: Watcher, also: tuple[signal.Signals, ...] = ()) -> Iterator[StopRequest]:
    """Turn the first Ctrl-C or SIGTERM into a request to stop, and the next into an immediate `KeyboardInterrupt`.

    Args:
        watcher: Told of the request.
        also: Signals that ask for a stop, however often they come.
    """
    stop_request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield stop_request
        return

    def interrupt(number: int, frame: object) -> None:
        if stop_request.stop and number not in also:
            raise KeyboardInterrupt
        if not stop_request.stop:
            stop_request.stop = True
            watcher.stopping()

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM, *also)}
    try:
        yield stop_request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
