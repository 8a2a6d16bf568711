"""Exit codes of ``unetzoo predict``: 2 if every image is refused, 1 if only some are or a disk is full."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import unetzoo
from unetzoo.cli.main import app


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model of grey images, two images in colour, and a grey one."""
    monkeypatch.chdir(tmp_path)
    options: dict[str, Any] = {"in_channels": 1, "num_classes": 2, "width": 4, "depth": 2}
    unetzoo.save_model(unetzoo.create_model("unet", **options), "m.safetensors")
    rng = np.random.default_rng(0)
    for name, shape in {"a": (50, 40, 3), "b": (50, 40, 3), "c": (50, 40)}.items():
        Image.fromarray(rng.integers(0, 255, shape, dtype=np.uint8)).save(f"{name}.png")
    return tmp_path


def predict(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["predict", "m.safetensors", *arguments])


def test_every_image_refused_is_wrong_input(folder: Path) -> None:
    done = predict("a.png", "b.png")
    assert done.exit_code == 2
    for name in "ab":
        line = f"{name}.png: 3 channels, but the model takes 1"
        assert sum(text.startswith(line) for text in done.output.splitlines()) == 1


def test_some_refused_is_a_failure_of_some(folder: Path) -> None:
    assert predict("a.png", "c.png").exit_code == 1
    assert predict("a.png", "c.png").exit_code == 1  # c.png is done already
    assert predict("c.png").exit_code == 0


def test_a_full_disk_is_not_wrong_input(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("unetzoo.inference.session.save_image", full)
    done = predict("a.png", "c.png")
    assert done.exit_code == 1
    assert "disk full" in done.output
