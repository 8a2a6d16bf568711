"""What a suite needs before its first trial, and all it needs if every trial has a record."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def test_a_suite_of_the_grid_that_has_nothing_to_run_does_without_torch() -> None:
    code = """
import sys
from unetzoo.bench.expand import expand
from unetzoo.bench.suite_file import adjust
import unetzoo.bench.run, unetzoo.cli.bench_progress, unetzoo.records.frame
suite = adjust(None, data="cells", models=["unet", "unet_bilinear", "unet_noskip", "unet_d4"], seeds=2)
assert suite.train.foreground > 0, "else foreground is not checked"
print(len(expand(suite, suite.data.open(compare=True), lambda trial: True)), "torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["13", "False"]


@pytest.mark.skipif(sys.platform != "linux", reason="trials start from a fork server on Linux alone")
def test_a_long_temporary_folder_gets_short_names_of_sockets(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    code = (
        "import tempfile; from multiprocessing import util; from unetzoo.bench import fork_server\n"
        "fork_server._keep_names_short(); print(util.get_temp_dir(), tempfile.gettempdir())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(long)}, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    sockets, usual = done.stdout.split()
    assert sockets.startswith("/tmp/pymp-")
    assert usual == str(long)
    assert not Path(sockets).exists()
