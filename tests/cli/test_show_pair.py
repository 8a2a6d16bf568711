"""``unetzoo show A B``: two models side by side."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest
from typer.testing import CliRunner

from unetzoo.cli import console
from unetzoo.cli.main import app
from unetzoo.errors import UnetzooError


def shown(*arguments: str) -> Any:
    with patch.object(console.out, "_width", 300):  # its width is decided when it is imported
        return CliRunner().invoke(app, ["show", *arguments])


def test_two_of_the_grid_differ_in_few_options() -> None:
    done = shown("unet", "unet_noskip", "--size", "32", "--set", "width=4")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert any(line.split()[:3] == ["skip", "'concat'", "'none'"] for line in lines)
    (same,) = (line for line in lines if line.startswith("options that both share:"))
    assert "width = 4" in same
    assert "skip" not in same
    parameters = next(line.split()[1:] for line in lines if line.split()[:1] == ["parameters"])
    assert int(parameters[0].replace(",", "")) > int(parameters[1].replace(",", ""))
    assert any("encoder.levels.0" in line for line in lines)


def test_two_outside_the_grid_have_options_and_stages_of_their_own() -> None:
    done = shown("mk_unet", "egeunet", "--size", "64")
    assert done.exit_code == 0, done.output
    assert any(line.split()[0] == "expansion" and line.split()[-1] == "-" for line in done.stdout.splitlines() if line)
    for word in ("2509.18493", "BSD-3-Clause", "MK_UNet(1, 3) (transcribed)", "3x64x64"):
        assert word in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("unet", "unet"), "'unet' is given twice; name two models, or one alone"),
        (("unet", "u2nett"), "unknown model 'u2nett'; did you mean"),
        (("unet", "u2net", "--set", "up=bilinear"), "model 'u2net': unknown option 'up'"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(arguments: tuple[str, ...], words: str) -> None:
    error = shown(*arguments).exception
    assert isinstance(error, UnetzooError)
    assert words in str(error)
    assert "\n" not in str(error)
