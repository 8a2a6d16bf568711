"""The index of reports is made from their own files."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from support.command import run
from support.records import record
from unetzoo.errors import UnetzooError
from unetzoo.machine.environment import last_change
from unetzoo.report.index import write_index


def reports(tmp_path: Path) -> Path:
    folder = tmp_path / "reports"
    (folder / "mine/records").mkdir(parents=True)
    (folder / "mine/summary.md").write_text("# mine\n\nWhich \\| one?\n\nThe first. With 3 seeds.\n\n| a | b |\n")
    for seed in (0, 1):
        made = record("unet", seed)
        made["cost"]["wall_seconds"] = 1800.0
        (folder / "mine/records" / f"{made['id']}.json").write_text(json.dumps(made))
    (folder / "by-hand").mkdir()
    (folder / "by-hand/README.md").write_text(
        "# T\n\nIs it so? Yes, <b>it</b> is. More.\n\n`python benchmarks/x.py --y`\n"
    )
    (folder / "empty").mkdir()
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks/mine.toml").write_text("")
    return folder


def test_rows_have_question_answer_conditions_hours_and_command(tmp_path: Path) -> None:
    folder = reports(tmp_path)
    text = write_index(folder, lambda report: f"day of {report.name}").read_text()
    assert (
        "| [mine](mine/summary.md) | Which \\| one? | The first. | 1 variant, 2 seeds, isbi, 10 steps | day of mine "
        "| 1.0 | `unetzoo bench benchmarks/mine.toml --out reports/mine` |" in text
    )
    assert "| Is it so? | Yes, &lt;b&gt;it&lt;/b&gt; is. |" in text
    assert "`python benchmarks/x.py --y`" in text
    assert "empty" not in text


def test_after_the_highest_means_comes_what_they_prove(tmp_path: Path) -> None:
    folder = reports(tmp_path)
    (folder / "mine/summary.md").write_text("# mine\n\nWhich?\n\nHighest mean Dice on 1 set: a. It is open. More.\n")
    assert "| Highest mean Dice on 1 set: a. It is open. |" in write_index(folder).read_text()


def test_fewer_seeds_of_a_variant_and_a_command_by_itself_are_seen(tmp_path: Path) -> None:
    folder = reports(tmp_path)
    made = record("unet_d3", 0)
    (folder / "mine/records" / f"{made['id']}.json").write_text(json.dumps(made))
    (folder / "by-hand/README.md").write_text("# T\n\nIs it so? Yes.\n\n    python benchmarks/x.py --y\n")
    text = write_index(folder).read_text()
    assert "2 variants, 1 to 2 seeds, isbi" in text
    assert "`python benchmarks/x.py --y`" in text


def test_a_training_that_did_not_converge_is_not_said_to_have(tmp_path: Path) -> None:
    folder = reports(tmp_path)
    for seed, ended in enumerate(("converged", "most_steps")):
        made = record("unet", seed)
        made["trial"]["train"] = {"until": "converged", "most_steps": 1200}
        made["result"]["ended"] = ended
        (folder / "mine/records" / f"{made['id']}.json").write_text(json.dumps(made))
    failed = record("unet", 2, status="nan")
    failed["trial"]["train"] = {"until": "converged", "most_steps": 1200}
    (folder / "mine/records" / f"{failed['id']}.json").write_text(json.dumps(failed))
    assert "3 seeds, isbi, cap of 1200 steps or converged |" in write_index(folder).read_text()


def test_words_that_change_later_do_not_make_a_report_younger(tmp_path: Path) -> None:
    def commit(day: str) -> None:
        when = {f"GIT_{who}_DATE": f"{day}T12:00:00" for who in ("AUTHOR", "COMMITTER")}
        for command in (["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", day]):
            subprocess.run(["git", *command], cwd=tmp_path, check=True, env=os.environ | when)

    folder = reports(tmp_path)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    commit("2020-01-01")
    for name in ("mine/summary.md", "mine/verdicts.csv", "by-hand/README.md"):
        (folder / name).write_text("# T\n\nIs it so? No.\n")
    commit("2021-01-01")
    assert last_change(folder / "mine") == "2020-01-01"
    assert last_change(folder / "by-hand") == "2021-01-01"  # it has nothing but words


def test_a_folder_without_reports_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnetzooError, match="has no reports"):
        write_index(tmp_path)


def test_the_command(tmp_path: Path) -> None:
    folder = reports(tmp_path)
    done = run("report", folder, "--index")
    assert done.returncode == 0, done.stderr
    assert (folder / "README.md").exists()
    for arguments in ((folder, "--index", "--brief"), (tmp_path / "no", "--index")):
        done = run("report", *arguments)
        assert (done.returncode, done.stderr.strip().count("\n")) == (2, 0)
