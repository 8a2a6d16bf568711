"""``unetzoo recommend``: output, JSON, collections and exit codes."""

from __future__ import annotations

import json
from pathlib import Path

from support.command import run
from support.records import folder_of, noisy


def made(path: Path) -> Path:
    return folder_of(path, *(noisy(label, s, m) for label, m in (("unet", 0.7), ("up", 0.8)) for s in range(3)))


def test_text_json_and_refusal(tmp_path: Path) -> None:
    folder = str(made(tmp_path / "f"))
    said = run("recommend", folder)
    assert said.returncode == 0
    assert said.stdout.startswith("Take up (Dice 0.8")
    found = json.loads(run("recommend", folder, "--json", "--max-params", "50M").stdout)
    assert (found["taken"], found["relation"], found["limits"]) == ("up", "best", {"params": 5e7})
    refused = run("recommend", folder, "--max-params", "1k")
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: none of 2 variants has at most 1,000 parameters; the smallest, up, has")
    assert run("recommend", folder, "--max-memory", "2").stderr.startswith("error: --max-memory '2': its unit is missi")


def test_a_collection_has_a_line_for_each_data_set(tmp_path: Path) -> None:
    for label in ("one", "two"):
        made(tmp_path / "c" / label)
    manifest = {"name": "c", "data": {"one": [], "two": []}}
    (tmp_path / "c" / "collection.json").write_text(json.dumps(manifest))
    said = run("recommend", str(tmp_path / "c"))
    assert [line.partition(":")[0] for line in said.stdout.splitlines()] == ["one", "two"]
    assert run("recommend", str(tmp_path / "c"), "--max-params", "1k").returncode == 2
