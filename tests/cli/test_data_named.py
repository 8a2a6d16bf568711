"""`unetzoo data list`, `info` and `get`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import unetzoo
from support.command import run as command
from support.miniatures import (
    drive,
)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return command("data", *arguments)


def test_list_names_all_and_imports_no_torch() -> None:
    done = run("list", "--json")
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert set(rows) == set(unetzoo.list_datasets())
    assert rows["voc2012"]["classes"] == 21
    assert rows["cells"]["here"] == "generated"
    code = "import sys; from unetzoo.cli.main import main; sys.argv = ['unetzoo', 'data', 'list']\n"
    code += "try: main()\nexcept SystemExit: pass\nprint('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.endswith("False\n")


def test_info_tells_all(tmp_path: Path) -> None:
    drive(tmp_path)
    done = run("info", "drive", "--root", str(tmp_path))
    assert done.returncode == 0
    for text in ("classes: 1 vessel", "10.1109/TMI.2004.825627", "no redistribution", "here: 5 train", "here: 4 test"):
        assert text in done.stdout
    missing = run("info", "drive", "--root", str(tmp_path / "nowhere"))
    assert missing.returncode == 0
    assert "found: no: " in missing.stdout
    assert run("info", "drivee").stderr.startswith("error: unknown data set 'drivee'; did you mean drive?")


def test_get_refuses_in_one_line(tmp_path: Path) -> None:
    done = run("get", "drive", "--out", str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: drive cannot be downloaded")
