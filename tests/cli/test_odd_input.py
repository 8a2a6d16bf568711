"""Suites, names and imports that other tools write or nobody means: exit code 2 and one line, no traceback."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from support.command import run
from support.data_folders import disc, make_folder, picture, save
from unetzoo.errors import UnetzooError

SUITE = 'models = ["unet"]\nbaselines = false\n[data]\nname = "cells"\n[train]\nsteps = 1\ndevice = "cpu"\n'


def refused(*arguments: object, words: str) -> None:
    """Run a command that must end with code 2 and one line with these words."""
    done = run(*arguments)
    line = done.stderr.strip()  # after an empty line where a progress bar was
    assert (done.returncode, line.count("\n")) == (2, 0), line
    assert line.startswith("error: "), line
    assert words in line, line


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seeds = 1000000000\n", "seeds: a number of seeds must be 1 to 10000, not 1000000000"),
        ("seeds = 0\n", "seeds: a number of seeds must be 1 to 10000, not 0"),
        ("seeds = -3\n", "must be 1 to 10000, not -3"),
        (f"seeds = {'9' * 5001}\n", "thousands of digits"),
        ('name = "a\\u0000b"\n', "name: 'a\\x00b' has a NUL character"),
        ('name = "a\\u001b[1mb"\n', "characters that cannot be shown"),
        ('imports = ["~nosuchuser/a.py"]\n', "there is no user 'nosuchuser' here"),
        (f"question = {'[' * 3000}{']' * 3000}\n", "is nested too deeply"),
        ('imports = ["a\\u0000b.py"]\n', "has a NUL character"),
    ],
)
@pytest.mark.parametrize("command", ["bench", "plan"])
def test_odd_suites(tmp_path: Path, command: str, text: str, words: str) -> None:
    (path := tmp_path / "suite.toml").write_text(text + SUITE)
    refused(command, path, words=words)
    assert [path.name for path in tmp_path.iterdir()] == ["suite.toml"]


def test_a_suite_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    (path := tmp_path / "suite.toml").write_text("\ufeff" + SUITE.replace('["unet"]', '["unetx"]'))
    refused("plan", path, "--no-time", words="unknown model 'unetx'")


@pytest.mark.parametrize(
    "arguments",
    [
        ("bench", "--data", "~nosuchuser/images"),
        ("data", "check", "~nosuchuser/images"),
        ("predict", "model.safetensors", "~nosuchuser/a.png"),
        ("plan", "--import", "~nosuchuser/a.py"),
        ("bench", "--set", "pretrained=~nosuchuser/a.pth", "--set", "encoder=resnet18", "--models", "unet"),
    ],
)
def test_an_unknown_user(arguments: tuple[str, ...]) -> None:
    refused(*arguments, words="there is no user 'nosuchuser' here")


@pytest.mark.parametrize("code", ["3", "", "'stop'", "None"])
def test_an_import_that_ends_the_process(tmp_path: Path, code: str) -> None:
    (path := tmp_path / "mine.py").write_text(f"import sys\nsys.exit({code})\n")
    refused("bench", "--import", path, "--out", tmp_path / "out", words="calls sys.exit(")
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names themselves")
def test_file_names_that_are_not_utf8(tmp_path: Path) -> None:
    make_folder(tmp_path)
    for folder, pixels in (("images", picture(90, (40, 50, 3))), ("masks", disc(90, 255))):
        save(tmp_path / folder / "b.png", pixels)
        (tmp_path / folder / "b.png").rename(tmp_path / folder / os.fsdecode(b"caf\xe9.png"))
    for arguments in (("data", "check", tmp_path), ("bench", "--data", tmp_path), ("plan", "--data", tmp_path)):
        refused(*arguments, words="caf\\udce9.png': its name is not UTF-8; rename it")


def test_names_that_cannot_be_shown_are_refused_in_the_api() -> None:
    from unetzoo import Suite

    for name in ("a\0b", "a\nb"):
        with pytest.raises(UnetzooError, match="characters that cannot be shown"):
            Suite(name=name, models=["unet"])  # type: ignore[list-item]
    with pytest.raises(UnetzooError, match="must be 1 to 10000, not 10001"):
        Suite(name="a", models=["unet"], seeds=10001)  # type: ignore[list-item,arg-type]
    assert Suite(name="Zellen äöü", models=["unet"], seeds=3).seeds == list(np.arange(3))  # type: ignore[list-item,arg-type]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names themselves")
def test_an_image_to_predict_whose_name_is_not_utf8_does_not_stop_the_others(tmp_path: Path) -> None:
    from unetzoo import create_model, save_model

    model = save_model(create_model("unet", in_channels=1, width=2, depth=2), tmp_path / "model.safetensors")
    for name in ("a.png", "b.png"):
        save(tmp_path / "images" / name, picture(1))
    (tmp_path / "images" / "b.png").rename(tmp_path / "images" / os.fsdecode(b"caf\xe9.png"))
    done = run("predict", model, tmp_path / "images", "--out", tmp_path / "out")
    assert done.returncode == 1, done.stderr
    assert "its name is not UTF-8; rename it" in done.stderr + done.stdout
    assert (tmp_path / "out" / "a.png").exists(), done.stderr
