"""Images that a pattern or a folder names, and the lines about the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from unetzoo import UnetzooError
from unetzoo.inference.images import find_images


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    images = ("set [2024]/a.png", "set [2024]/deep [1]/b.png", "set 2/c.png", "x[1] d.png", "x1 e.png", "y[1] f.png")
    for name in (*images, "set [2024]/v.xyz"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("set [2024]/*.png", ["a.png"]),
        ("set [2024]/**/*.png", ["a.png", "b.png"]),
        ("set [2024]/deep [1]/?.png", ["b.png"]),
        ("s* [2024]/*.png", ["c.png"]),  # the brackets are a pattern here: no folder has that name
        ("*/deep [1]/*.png", ["b.png"]),
        ("set [0-9]/*.png", ["c.png"]),
        ("x[1]*.png", ["x1 e.png"]),  # a pattern that matches stays one
        ("x[1] *.png", ["x1 e.png"]),
        ("y[1]*.png", ["y[1] f.png"]),  # one that matches nothing is taken at its word
        ("x[1] d.png", ["x[1] d.png"]),
    ],
)
def test_brackets(root: Path, pattern: str, names: list[str]) -> None:
    for base in ("", f"{root}/"):
        found = find_images([base + pattern])
        assert [item.path.name for item in found] == names


def test_what_a_folder_holds_that_is_not_read_is_told(root: Path) -> None:
    told: list[str] = []
    assert [item.path.name for item in find_images(["set [2024]"], told.append)] == ["a.png"]
    assert told == ["set [2024]: 1 file not read: v.xyz; 1 folder not searched: deep [1] ('set [2024]/**/*.png' would)"]
    Path("none").mkdir()
    Path("none/v.xyz").write_bytes(b"x")
    with pytest.raises(UnetzooError, match=r"none: no images \(.*\); 1 file not read: v.xyz"):
        find_images(["none"])
