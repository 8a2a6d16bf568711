"""What a suite needs before its first trial, and all it needs if every trial has a record."""

from __future__ import annotations

import subprocess
import sys


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
