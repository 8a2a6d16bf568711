"""One trial of a prepared run for a program that follows it by JSON lines on standard output.

``python -m unetzoo.bench.followed_trial RUN_DIR ID`` does what ``unetzoo trial`` does. Its last line holds the outcome.
If the program that started it ends, the trial saves itself and ends.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from unetzoo.bench.jobs import Job
from unetzoo.bench.one_trial import check_data, run_prepared
from unetzoo.bench.ray_worker import ELSEWHERE
from unetzoo.bench.watcher import Watcher
from unetzoo.errors import UnetzooError
from unetzoo.machine.processes import end_with_parent


class _Speaker(Watcher):
    def note(self, line: str) -> None:
        say({"note": line})

    def change(self, job: Job) -> None:
        say({"message": job.last})


def say(line: dict[str, Any]) -> None:
    """Write a line; if nobody listens any more, the trial goes on until it is told to end."""
    with suppress(OSError):
        os.write(1, (json.dumps(line, default=str) + "\n").encode())


def main(arguments: list[str]) -> None:
    """Run a trial, or without an id only check the data of a copied run."""
    elsewhere = ELSEWHERE in arguments
    out, trial = (word for word in arguments if word != ELSEWHERE)
    end_with_parent(signal.SIGTERM)
    try:
        if trial:
            outcome, line = run_prepared(Path(out), trial, _Speaker(), elsewhere=elsewhere)
        else:
            check_data(Path(out))
            outcome, line = "ok", "the data are those of the run"
    except UnetzooError as error:
        outcome, line = "refused", str(error)
    say({"outcome": outcome, "line": line})


if __name__ == "__main__":
    main(sys.argv[1:])
