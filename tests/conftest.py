"""Where tests run side by side (pytest-xdist), each process has one thread and a temporary folder of its own.

Timings exclude each other by locks in the temporary folder; no test looks at a time, so none has to wait.
"""

from __future__ import annotations

import os
import tempfile

if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    _folder = tempfile.TemporaryDirectory(prefix=f"unetzoo-{worker}-", ignore_cleanup_errors=True)
    os.environ["TMPDIR"] = tempfile.tempdir = _folder.name
