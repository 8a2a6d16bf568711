"""The command line, run in this process."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from unittest.mock import patch

from unetzoo.cli.main import main
from unetzoo.models import registry

Done = subprocess.CompletedProcess[str]


def run(*arguments: object, cwd: Path | None = None) -> Done:
    """Run the command line in this process; remove the models it registers afterwards."""
    argv = ["unetzoo", *map(str, arguments)]
    done, here, modules = Done(argv, 0, "", ""), Path.cwd(), set(sys.modules)
    registry.entries()  # loads the built-in entries, which must stay
    with (
        redirect_stdout(StringIO()) as out,
        redirect_stderr(StringIO()) as err,
        patch.object(sys, "argv", argv),
        patch.dict(registry._REGISTRY.entries),
        patch("unetzoo.machine.allocation.keep_freed_memory"),  # it would hold for all tests of this process
        patch("unetzoo.machine.allocation.ask_for_huge_pages"),
    ):
        os.chdir(cwd or here)
        try:
            main()
        except SystemExit as end:
            done.returncode = int(end.code or 0)
        finally:
            os.chdir(here)
            for name in set(sys.modules) - modules:
                if name.startswith("unetzoo_import_"):
                    del sys.modules[name]
    done.stdout, done.stderr = out.getvalue(), err.getvalue()
    return done
