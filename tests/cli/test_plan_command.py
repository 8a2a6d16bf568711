"""`unetzoo plan` and `unetzoo profile`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import unetzoo
from support.command import run
from unetzoo.measure.counts import count_parameters


def test_plan_and_profile_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.py").write_text(
        "import unetzoo\nfrom torch import nn\n"
        "@unetzoo.register_model('odd[red]')\n"
        "def odd(in_channels, num_classes): return nn.Conv2d(in_channels, num_classes, 3)\n"
    )
    line = ["plan", "--models", "unet_d2,odd[red]", "--import", "own.py", "--no-time", "--memory", 4, "--seeds", 3]
    with monkeypatch.context() as patch:
        patch.setattr("unetzoo.bench.need.largest_batch", lambda *_: 1)  # the search takes seconds
        done = run(*line, cwd=tmp_path)
        facts = json.loads(run(*line, "--json", cwd=tmp_path).stdout)
    assert done.returncode == 0, done.stderr
    for words in (
        "2 models, 6 trials of 150 steps",
        "training: a step on 4x1x96x96",
        "4.00 GiB (as given)",
        "odd[red]: Conv2d must return logits",
    ):
        assert words in done.stdout
    row = next(line.split() for line in done.stdout.splitlines() if line.startswith("unet_d2"))
    params = count_parameters(unetzoo.create_model("unet_d2", in_channels=1, num_classes=2))
    assert row[1:4] == ["3", f"{params / 1e3:.4g}", "k"]
    assert facts["rows"][0]["need"]["params"] == params
    assert facts["limit_bytes"] == 4 * 2**30

    line = ["profile", "unet", "--set", "width=4", "--size", 32, "--batch", 2, "--precision", "float32"]
    done = run(*line)
    assert done.returncode == 0, done.stderr
    for words in ("unet at 2x3x32x32", "latency", "largest training batch", "of these"):
        assert words in done.stdout
    monkeypatch.setattr("unetzoo.bench.need.largest_batch", lambda *_: 1)
    facts = json.loads(run(*line, "--no-time", "--json").stdout)
    assert facts["latency_p50_ms"] is None
    assert facts["need"]["memory"]["train"]["total"] > facts["need"]["memory"]["infer"]["total"]


@pytest.mark.parametrize("command", ["plan", "profile"])
def test_help_has_an_example(command: str) -> None:
    done = run(command, "--help")
    assert done.returncode == 0
    assert "Example" in done.stdout
    assert f"unetzoo {command}" in " ".join(done.stdout.split())


WRONG = {
    "plan none.toml": "none.toml: cannot be read",
    "plan --models unett --no-time": "unknown model 'unett'",
    "plan --memory 0": "--memory 0: must be above 0",
    "profile unett": "did you mean unet",
    "profile unet --set widht=3": "did you mean width",
    "profile unet --precision float8": "precision = 'float8' is not a choice",
}


@pytest.mark.parametrize("line", WRONG)
def test_wrong_input_is_one_line_and_exit_code_2(line: str, tmp_path: Path) -> None:
    done = run(*line.split(), cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stderr.startswith("error: ")
    assert WRONG[line] in done.stderr
