"""Several runs in one report: equal data judged together, costs of machines apart, what cannot be compared refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from support.command import run
from support.records import NASTY, baseline, folder_of, noisy, outputs
from unetzoo.errors import UnetzooError
from unetzoo.report.merge import gather
from unetzoo.report.merged_page import build_merged, section
from unetzoo.report.words import DASH


def trials(machine: str = "cpu A", seeds: range = range(3), digest: str = "d1", **means: float) -> list[dict[str, Any]]:
    made = [noisy(label, s, mean) for label, mean in means.items() for s in seeds]
    for one in made:
        one["environment"] |= {"device_name": machine}
        one["cost"]["latency_p50_ms"] = 20.0 if machine == "cpu A" else 7.0
        one["id"] += digest
        one["trial"]["data"]["digest"] = digest
        one["trial"]["train"]["threads"] = 1 if machine == "cpu A" else 2
    return made


def two_machines(path: Path) -> list[Path]:
    return [
        folder_of(path / "a", *trials(unet=0.7, up=0.8), baseline("otsu", 0.4)),
        folder_of(path / "b", *trials("gpu B", unet=0.7, down=0.6), baseline("otsu", 0.4)),
    ]


def test_costs_of_two_machines_are_in_two_columns(tmp_path: Path) -> None:
    parts, _ = gather(two_machines(tmp_path))
    assert len(parts) == 1
    assert list(parts[0].machines) == ["cpu A, 1 thread", "gpu B, 1 thread"]
    shown = section(parts[0])
    assert [machine for machine, _ in shown["groups"]] == ["cpu A, 1 thread", "gpu B, 1 thread"]
    rows = {row["model"]: row for row in shown["rows"]}
    at = shown["heads"].index("latency (ms)"), shown["heads"].index("latency (ms)", 1)
    assert [rows["unet"]["costs"][k] for k in at] == ["20.0", "7.0"]
    assert [rows["up"]["costs"][k] for k in at] == ["20.0", DASH]
    assert [rows["down"]["costs"][k] for k in at] == [DASH, "7.0"]
    assert rows["unet"]["runs"] == "a, b"
    assert "latency_p50_ms" not in parts[0].judgement.others
    assert "params" in parts[0].judgement.others
    assert "no variant is recommended by its latency" in shown["recommendation"][0]


def test_variants_of_two_runs_are_judged_against_each_other(tmp_path: Path) -> None:
    parts, remarks = gather(two_machines(tmp_path))
    j = parts[0].judgement
    assert {name: c.verdict for name, c in j.against.items()} == {"up": "better", "down": "worse"}
    assert j.verdict("up", "down") == "better"
    assert remarks == ["1 records are in several runs and count once."]  # the baseline


def test_seeds_of_two_runs_add_up(tmp_path: Path) -> None:
    folders = [
        folder_of(tmp_path / name, *trials(seeds=seeds, unet=0.7, up=0.8))
        for name, seeds in (("a", range(2)), ("b", range(2, 4)))
    ]
    parts, _ = gather(folders)
    assert parts[0].judgement.learnt == {"unet": 4, "up": 4}
    assert section(parts[0])["recommendation"][0].startswith("Take up")


def test_other_data_stand_apart_and_are_named(tmp_path: Path) -> None:
    folders = [folder_of(tmp_path / d, *trials(digest=d, unet=0.7, up=0.8)) for d in ("d1", "d2")]
    page = build_merged(folders, tmp_path / "out")
    text = (tmp_path / "out" / "summary.md").read_text()
    assert page.name == "index.html"
    assert "isbi is here with 2 different digests" in text
    assert "## isbi (data d1" in text
    assert "Highest mean Dice on 2 data sets: up on 2" in text
    verdicts = pd.read_csv(tmp_path / "out" / "verdicts.csv")
    assert set(verdicts["data"]) == {"isbi (data d1 ff)", "isbi (data d2 ff)"}
    assert set(pd.read_csv(tmp_path / "out" / "results.csv")["machine"]) == {"cpu A, 1 thread"}


def test_folds_are_pooled(tmp_path: Path) -> None:
    folders = []
    for fold in range(3):
        made = trials(digest=f"d{fold}", unet=0.7, up=0.8)
        for one in made:
            one["trial"]["data"] |= {"folds": 3, "fold": fold}
        folders.append(folder_of(tmp_path / f"f{fold}", *made))
    build_merged(folders, tmp_path / "out")
    text = (tmp_path / "out" / "summary.md").read_text()
    assert "isbi (3 folds)" in text
    assert "## isbi, fold 0 of 3" in text


def test_different_protocols_are_refused(tmp_path: Path) -> None:
    new = trials(unet=0.7)
    for one in new:
        one["trial"]["protocol"] = 2
    folders = [folder_of(tmp_path / "a", *trials(unet=0.7)), folder_of(tmp_path / "b", *new)]
    with pytest.raises(UnetzooError, match=r"different versions of the protocol \(1 in a; 2 in b\)"):
        gather(folders)


def test_bad_folders_are_refused_in_one_line(tmp_path: Path) -> None:
    a, b = map(str, two_machines(tmp_path))
    for arguments, message in (
        ((a, a), "was given already"),
        ((a, str(tmp_path / "none")), "no such folder"),
        ((a, b, "--out", b), "holds a run of its own"),
        ((a, b, "--brief"), "--brief is for one DIR, not 2"),
        ((a, "--out", str(tmp_path / "o")), "is for several runs"),
        ((a, b, "--margin", "-1"), "margin = -1.0 must be"),
    ):
        said = run("report", *arguments, cwd=tmp_path)
        assert said.returncode == 2
        assert message in said.stderr
        assert "Traceback" not in said.stderr
    said = run("report", a, b, "--out", tmp_path / "o")
    assert said.stdout == f"report: {tmp_path / 'o' / 'index.html'}\n"


def test_hostile_names_and_the_same_bytes(tmp_path: Path) -> None:
    made = trials(unet=0.7, up=0.8)
    for one in made:
        one["id"] += str(one["trial"]["seed"])
        one["environment"]["device_name"] = "<script>alert(1)</script>|"
        if one["trial"]["model"]["label"] == "up":
            one["trial"]["model"]["label"] = NASTY
    folders = [folder_of(tmp_path / "a", *made), folder_of(tmp_path / "b", *trials("gpu B", unet=0.7))]
    build_merged(folders, tmp_path / "out")
    first = outputs(tmp_path / "out")
    for name in ("index.html", "summary.md"):
        text = first[name].decode()
        assert "<script>alert" not in text
        assert "<b>x|y" not in text
    build_merged(folders, tmp_path / "out")
    assert outputs(tmp_path / "out") == first
    assert json.dumps(sorted(first)) == '["index.html", "results.csv", "summary.md", "verdicts.csv"]'
