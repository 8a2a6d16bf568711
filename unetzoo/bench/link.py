"""A trial's end of the pipe to the harness: what it tells, and what it is told."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from multiprocessing.connection import Connection, wait
from typing import Any

import torch

from unetzoo.train.loop import Interrupted

STOP = "stop"
BEAT_SECONDS = 1.0


class Link:
    """Messages to the harness, and whether it wants an end; for the processes of a distributed trial too.

    Those send on the same pipe and are told by shared memory: only one process can take a message from a pipe.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stop = torch.zeros(1, dtype=torch.bool).share_memory_()
        self._beaten = 0.0

    def __getstate__(self) -> dict[str, Any]:
        return {"connection": self._connection, "stop": self._stop}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["connection"])
        self._stop = state["stop"]

    def listen(self) -> None:
        """From now on hear the harness, in a thread; when it is gone, end with all processes of this trial."""
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        parent = multiprocessing.parent_process()
        if parent is None:
            return
        waitables: list[Any] = [parent.sentinel, self._connection]
        while parent.sentinel not in wait(waitables):
            try:
                if self._connection.recv() == STOP:
                    self._stop.fill_(True)
            except (EOFError, OSError):  # closed at the other end, which lives: nothing more will come
                waitables = [parent.sentinel]
        if hasattr(os, "killpg"):
            os.killpg(os.getpgrp(), signal.SIGKILL)
        os._exit(1)

    def send(self, message: dict[str, Any]) -> None:
        self._connection.send(message)

    def beat(self) -> None:
        """A sign of life, at most one a second."""
        now = time.monotonic()
        if now - self._beaten >= BEAT_SECONDS:
            self._beaten = now
            self._connection.send({})

    def stop(self) -> bool:
        return bool(self._stop)

    def check(self) -> None:
        """Raise `Interrupted` where an end is wanted: outside training there is nothing to save."""
        if self.stop():
            raise Interrupted
        self.beat()

    def close(self) -> None:
        self._connection.close()
