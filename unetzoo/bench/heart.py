"""The heartbeats of a process's claims."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from unetzoo.bench.claims import STALE_SECONDS, Claim

MOST_BEAT_SECONDS = 10.0


class Heart:
    """A thread that beats for the claims of this process, and finds those that were lost."""

    def __init__(self) -> None:
        self.lost: set[str] = set()
        self._claims: dict[str, tuple[Claim, Mapping[str, Any]]] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._over = False

    def __enter__(self) -> Heart:
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._over = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()
        for claim, _state in list(self._claims.values()):
            self.drop(claim)

    def keep(self, claim: Claim) -> None:
        """Begin to beat for a claim."""
        with self._changed:
            self._claims[claim.holder.token] = (claim, {"phase": "start"})
            self._changed.notify()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="heartbeats", daemon=True)
            self._thread.start()

    def tell(self, claim: Claim, state: Mapping[str, Any]) -> None:
        """Set how far the trial of a claim is, for its next beat."""
        if claim.holder.token in self._claims:
            self._claims[claim.holder.token] = (claim, state)

    def drop(self, claim: Claim) -> None:
        """Let go of a claim."""
        with self._changed:
            self._claims.pop(claim.holder.token, None)
            claim.release()

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._over:
                    return
                for token, (claim, state) in self._claims.items():
                    with suppress(OSError):  # the disk does not answer: try again at the next beat
                        if claim.held():
                            claim.beat(state)
                        else:
                            self.lost.add(token)
                stale = (claim.holder.stale_seconds for claim, _ in self._claims.values())
                self._changed.wait(min(MOST_BEAT_SECONDS, min(stale, default=STALE_SECONDS) / 6))
