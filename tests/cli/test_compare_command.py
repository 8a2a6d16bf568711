"""``unetzoo compare``: the table, the JSON and the exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.command import run

TIMES = [1.0, 1.01, 0.99, 1.02, 0.98]


def speed(path: Path, factor: float = 1.0, name: str = "step", **change: Any) -> Path:
    values = [factor * seconds for seconds in TIMES]
    some = [{"name": name, "group": "train", "unit": "s", "values": values}]
    made = {"kind": "unetzoo-speed", "version": 1, "environment": {"cpu": "A"}, "measurements": some}
    path.write_text(json.dumps(made | change))
    return path


def test_exit_codes_and_table(tmp_path: Path) -> None:
    before, after = speed(tmp_path / "a.json"), speed(tmp_path / "b.json", 1.2, environment={"cpu": "B"})
    done = run("compare", before, after)
    assert done.returncode == 1
    for words in ("1.200", "slower", "1 slower by more than 5 %", "cpu A and B"):
        assert words in done.stdout
    assert run("compare", before, after, "--tolerance", 0.3).returncode == 0
    assert run("compare", after, before).returncode == 0


def test_json(tmp_path: Path) -> None:
    done = run("compare", speed(tmp_path / "a.json"), speed(tmp_path / "b.json", 1.2), "--json")
    assert done.returncode == 1
    (row,) = json.loads(done.stdout)["comparisons"]
    assert (row["verdict"], row["regressed"], row["ratio"]) == ("slower", True, pytest.approx(1.2))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "other"}, "b.json: not a speed report: kind = 'other' is not a choice; allowed: unetzoo-speed"),
        ({"measurements": [{"name": "step", "values": [0.0]}]}, "should be greater than 0"),
        ({"measurements": [{"name": "step", "values": []}]}, "at least 1 item"),
        ({"measurements": [{"name": "x", "values": [1.0]}] * 2}, "two measurements have the name 'x'"),
        ({"measurements": [{"name": "x", "values": [1.0]}]}, "no measurement has the same name in both"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    done = run("compare", speed(tmp_path / "a.json"), speed(tmp_path / "b.json", **change))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert words in done.stderr


def test_no_such_file_and_a_wrong_tolerance(tmp_path: Path) -> None:
    before = speed(tmp_path / "a.json")
    done = run("compare", before, tmp_path / "no.json")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "cannot be read: No such file" in done.stderr
    done = run("compare", before, before, "--tolerance=-1")
    assert done.returncode == 2
    assert "must be a share of 0 or more" in done.stderr
