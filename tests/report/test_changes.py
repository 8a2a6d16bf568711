"""``unetzoo compare`` of two runs: what got worse, what is noise, what cannot be compared."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.command import run
from support.records import folder_of, full, noisy, record
from unetzoo.errors import UnetzooError
from unetzoo.report.changes import Changes, compare_runs

Edit = Callable[[dict[str, Any]], None]


def made(shift: float = 0.0, edit: Edit = lambda one: None, seeds: int = 3) -> list[dict[str, Any]]:
    records = [full(label, s, 0.7 + shift * (label == "up"), unit=2) for label in ("unet", "up") for s in range(seeds)]
    for one in records:
        one["model"]["matched"] = {}
        edit(one)
    return records


def compared(path: Path, old: list[dict[str, Any]], new: list[dict[str, Any]], **options: Any) -> Changes:
    return compare_runs(folder_of(path / "a", *old), folder_of(path / "b", *new), **options)


def test_the_same_run_twice_has_nothing_worse(tmp_path: Path) -> None:
    found = compared(tmp_path, made(), made())
    assert found.worse == []
    assert {c.verdict for c in found.scores if c.what == "dice"} == {"equivalent"}
    assert all("same to the last digit" in c.note for c in found.scores)
    assert (found.environment, found.settings, found.remarks) == ({}, {}, [])


def test_a_lower_score_got_worse_and_a_higher_one_did_not(tmp_path: Path) -> None:
    found = compared(tmp_path, made(0.05), made())
    worse = [c for c in found.worse if c.what == "dice"]
    assert [(c.model, c.verdict) for c in worse] == [("up", "worse")]
    assert worse[0].high is not None
    assert worse[0].high <= 0 < worse[0].before - worse[0].after
    again = compared(tmp_path / "other", made(), made(0.05))
    assert not [c for c in again.worse if c.what == "dice"]


def test_one_seed_gives_no_verdict(tmp_path: Path) -> None:
    found = compared(tmp_path, made(0.05, seeds=1), made(seeds=1))
    assert found.worse == []
    dice = [c for c in found.scores if c.what == "dice"]
    assert {c.verdict for c in dice} == {"not enough data"}
    assert all(c.low is None for c in dice)


def slow(factor: float) -> Edit:
    def edit(one: dict[str, Any]) -> None:
        jitter = 1 + 0.001 * one["trial"]["seed"]
        one["cost"]["latency_p50_ms"] = 20.0 * factor * jitter

    return edit


@pytest.mark.parametrize(("factor", "tolerance", "worse"), [(1.5, 0.05, True), (1.02, 0.05, False), (1.5, 1.0, False)])
def test_a_cost_beyond_noise_and_tolerance_got_worse(
    tmp_path: Path, factor: float, tolerance: float, worse: bool
) -> None:
    def jittered(one: dict[str, Any]) -> None:
        slow(factor)(one)
        one["cost"]["latency_p50_ms"] *= 1 + 0.0007 * (one["trial"]["seed"] == 1)

    found = compared(tmp_path, made(edit=slow(1.0)), made(edit=jittered), tolerance=tolerance)
    assert {c.what for c in found.worse} == ({"latency_p50_ms"} if worse else set())


def test_a_noisy_timing_gives_no_verdict(tmp_path: Path) -> None:
    new = [full(label, s, 0.7, noise=True, unit=9) for label in ("unet", "up") for s in range(3)]
    for one in new:
        one["model"]["matched"] = {}
    found = compared(tmp_path, made(), new)
    latency = [c for c in found.costs if c.what == "latency_p50_ms"]
    assert {(c.verdict, c.note, c.got_worse) for c in latency} == {("not enough data", "a timing was noisy", False)}


def test_costs_of_two_machines_are_not_compared(tmp_path: Path) -> None:
    def elsewhere(one: dict[str, Any]) -> None:
        slow(5.0)(one)
        one["environment"] |= {"device_name": "another", "torch": "3.0"}

    found = compared(tmp_path, made(), made(edit=elsewhere))
    assert {c.what for c in found.costs} == {"params", "macs"}
    assert found.worse == []
    assert found.environment["torch"] == ("2.9", "3.0")
    assert any("not of one machine: cpu, 1 thread and another, 1 thread" in line for line in found.remarks)


def test_more_failures_got_worse(tmp_path: Path) -> None:
    new = made()
    new[-1] = record("up", 2, status="nan", id=new[-1]["id"])
    found = compared(tmp_path, made(), new)
    assert [(c.model, c.what, c.before, c.after) for c in found.worse] == [("up", "setbacks", 0, 1)]
    assert "of 3 trials 1 failed (nan)" in found.worse[0].note


def test_settings_that_differ(tmp_path: Path) -> None:
    def longer(one: dict[str, Any]) -> None:
        one["trial"]["train"]["steps"] = 20
        if one["trial"]["model"]["label"] == "up":
            one["trial"]["model"]["options"] = {"width": 16}

    found = compared(tmp_path, made(), made(edit=longer))
    assert found.settings["all variants"] == {"train.steps": ("10", "20")}
    assert found.settings["up"]["model.options.width"] == ("not set", "16")


def test_nothing_in_common_is_refused(tmp_path: Path) -> None:
    def other(one: dict[str, Any]) -> None:
        one["trial"]["data"]["digest"] = "d2"

    with pytest.raises(UnetzooError, match="have no data set in common, by its digest: isbi in"):
        compared(tmp_path / "data", made(), made(edit=other))
    with pytest.raises(UnetzooError, match="have no variant in common: unet and down"):
        compared(tmp_path / "models", [noisy("unet", 0, 0.7)], [noisy("down", 0, 0.7)])


def test_the_command(tmp_path: Path) -> None:
    a, b = folder_of(tmp_path / "a", *made(0.05)), folder_of(tmp_path / "b", *made())
    said = run("compare", a, b)
    assert said.returncode == 1
    assert said.stdout.rstrip().splitlines()[-1].startswith("got worse: up on isbi: dice")
    assert run("compare", a, a).stdout.rstrip().endswith("nothing got worse")
    found = json.loads(run("compare", a, b, "--json").stdout)
    assert [c["model"] for c in found["scores"] if c["got_worse"] and c["what"] == "dice"] == ["up"]
    file = tmp_path / "x.json"
    file.write_text("{}")
    for arguments, message in (
        ((a, file), "is a folder and"),
        ((a, tmp_path / "none"), "no such folder"),
        ((file, file, "--margin", "0.1"), "--margin 0.1 is for two runs"),
        ((a, b, "--tolerance", "-1"), "--tolerance -1"),
    ):
        said = run("compare", *arguments)
        assert (said.returncode, "Traceback" in said.stderr) == (2, False)
        assert message in said.stderr
