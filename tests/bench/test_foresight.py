"""What is said before training: that comparisons would mix precisions."""

from __future__ import annotations

from pathlib import Path

import pytest

from unetzoo.bench.preparation import make_jobs, open_member
from unetzoo.bench.suite import Suite
from unetzoo.bench.watcher import Watcher
from unetzoo.machine.device import resolve_device, resolve_precision


class Notes(Watcher):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, line: str) -> None:
        self.lines.append(line)


HERE = resolve_precision("auto", resolve_device("auto"))
THERE = "float32" if HERE != "float32" else "bfloat16"


@pytest.mark.parametrize(
    ("train", "there", "mixed"),
    [
        ({}, HERE, False),
        ({}, THERE, True),
        ({}, None, False),
        ({}, [THERE], False),
        ({"precision": THERE}, THERE, False),
        ({"precision": HERE}, THERE, False),  # asked for, whatever the machine
        ({"compute": "auto"}, THERE, False),  # timings decide
    ],
)
def test_the_rest_of_a_suite_in_another_precision_is_said(
    train: dict[str, str], there: object, mixed: bool, tmp_path: Path
) -> None:
    asked = {"name": "s", "models": ["unet"], "seeds": 2, "baselines": False, "train": train}
    suite, notes = Suite.from_mapping(asked, "test"), Notes()
    first, second = make_jobs(open_member(suite, None, tmp_path, False, notes), False, notes)
    assert notes.lines == []
    done = first.blank.model_copy(update={"status": "ok", "environment": {"precision": there} if there else {}})
    path = first.folders.record(first.trial)
    path.parent.mkdir(parents=True)
    path.write_text(done.to_json())
    (rest,) = make_jobs(open_member(suite, None, tmp_path, False, notes), False, notes)
    assert rest.trial == second.trial
    assert len(notes.lines) == mixed
    if mixed:
        assert f"trained in {THERE}, and this machine trains the others in {HERE}" in notes.lines[0]
        make_jobs(open_member(suite, None, tmp_path, False, notes), False, notes, here=False)
        assert len(notes.lines) == 1
