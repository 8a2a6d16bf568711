"""Work on many items by helper processes, with the results in order.

A helper is a new interpreter that is given its work through pipes: it neither imports the user's script again, as
`multiprocessing` would, nor inherits locks that threads hold.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from unetzoo._util.batch_job import cores

T = TypeVar("T")
R = TypeVar("R")

LEAST = 1000  # items from which helpers are started
CHUNK = 32  # items that a helper is given at a time
MOST = 8  # helpers
START = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); from unetzoo._util.helpers import serve; serve()"
)


def spread(work: Callable[[T], R], items: Sequence[T], *, alone: bool = False) -> Iterator[R]:
    """Yield ``work`` of each item, in order; many items are worked on by one process per core.

    Args:
        work: A function of a module, or a `functools.partial` of one.
        items: The items, which like the results are pickled.
        alone: Start no helpers, however many items there are.
    """
    count = min(cores(), MOST) if len(items) >= LEAST and not alone else 1
    helpers = _start(work, count) if count > 1 else deque()
    try:
        chunks = (list(items[start : start + CHUNK]) for start in range(0, len(items), CHUNK))
        busy: deque[tuple[_Helper | None, list[T]]] = deque()
        for helper in helpers:
            busy.append((helper, next(chunks, [])))
            helper.send(busy[-1][1])
        while True:
            helper, chunk = busy.popleft() if busy else (None, next(chunks, []))
            if not chunk:
                return
            results = helper.receive() if helper is not None else None
            if helper is not None and results is not None:
                busy.append((helper, next(chunks, [])))
                helper.send(busy[-1][1])
            yield from results if results is not None else map(work, chunk)  # if the helper has died, do it here
    finally:
        for helper in helpers:
            helper.end()


def _start(work: Callable[[Any], Any], count: int) -> deque[_Helper]:
    try:
        return deque(_Helper(work) for _ in range(count))
    except OSError:  # no more processes
        return deque()


class _Helper:
    """A process that works on chunks of items.

    Args:
        work: The function of an item.
    """

    def __init__(self, work: Callable[[Any], Any]) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", START],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        self._write(sys.path)
        self._write(work)

    def _write(self, value: Any) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):  # it has died, which `receive` will notice
            pickle.dump(value, self._process.stdin, protocol=pickle.HIGHEST_PROTOCOL)
            self._process.stdin.flush()

    def send(self, chunk: list[Any]) -> None:
        """Give it a chunk; it must have answered the one before."""
        self._write(chunk)

    def receive(self) -> list[Any] | None:
        """Return the results of the chunk, or None if the process has died."""
        assert self._process.stdout is not None
        try:
            return pickle.load(self._process.stdout)  # noqa: S301  # of our own process
        except (EOFError, OSError, pickle.UnpicklingError):
            return None

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        self._process.wait()


def serve() -> None:
    """Work on the chunks that come through standard input, until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends its helpers
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # so that nothing else is written among the answers
    work = pickle.load(sys.stdin.buffer)  # noqa: S301  # of our own process
    while True:
        try:
            chunk = pickle.load(sys.stdin.buffer)  # noqa: S301
        except EOFError:
            return
        pickle.dump([work(item) for item in chunk], answers, protocol=pickle.HIGHEST_PROTOCOL)
        answers.flush()
