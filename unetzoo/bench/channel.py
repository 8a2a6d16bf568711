"""The trial's end of the pipe to the harness: messages out, the request to stop in."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from multiprocessing.connection import Connection, wait
from typing import Any

import torch

from unetzoo.bench.claims import Claim
from unetzoo.machine.processes import kill_descendants
from unetzoo.train.loop import Interrupted

STOP = "stop"
BEAT_SECONDS = 1.0


class Channel:
    """The connection of a trial, or of each process of a distributed one, to the harness.

    All processes send on the same pipe. The request to stop reaches them through shared memory, because only one
    process can take a message from a pipe.

    Args:
        connection: The trial's end of the pipe.
        claim: The harness's claim on the trial; None for a measurement.
    """

    def __init__(self, connection: Connection, claim: Claim | None = None) -> None:
        self._connection = connection
        self._claim = claim
        self._stop = torch.zeros(1, dtype=torch.bool).share_memory_()
        self._beaten = 0.0

    def __getstate__(self) -> dict[str, Any]:
        return {"connection": self._connection, "claim": self._claim, "stop": self._stop}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["connection"], state["claim"])
        self._stop = state["stop"]

    def listen(self) -> None:
        """Start a thread that listens to the harness and, once that is gone, kills all processes of this trial."""
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
            except (EOFError, OSError):  # the harness lives and has closed its end: nothing more will come
                waitables = [parent.sentinel]
        kill_descendants(os.getpid())  # a child may have left the group
        if hasattr(os, "killpg"):
            os.killpg(os.getpgrp(), signal.SIGKILL)
        os._exit(1)

    def send(self, message: dict[str, Any]) -> None:
        """Send a message to the harness."""
        self._connection.send(message)

    def beat(self) -> None:
        """Send a sign of life, at most one per second."""
        now = time.monotonic()
        if now - self._beaten >= BEAT_SECONDS:
            self._beaten = now
            self._connection.send({})

    def note(self, line: str) -> None:
        """Send a line that the user should read."""
        self._connection.send({"note": line})

    def stop(self) -> bool:
        """Return True if the harness has asked the trial to stop."""
        return bool(self._stop)

    def check(self) -> None:
        """Send a sign of life, or end the trial at once if it is to stop: outside training there is nothing to save.

        Raises:
            Interrupted: If the harness has asked the trial to stop.
        """
        if self.stop():
            raise Interrupted
        self.beat()

    def renew_claim(self) -> None:
        """Prove that this trial is still the harness's, before a file is written that others read.

        Raises:
            ClaimLostError: If another process has taken the trial over.
        """
        if self._claim is not None:
            self._claim.renew()

    def close(self) -> None:
        """Close the pipe."""
        self._connection.close()
