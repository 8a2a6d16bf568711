"""A plug-in that takes one of our names is refused, whichever of the two is imported first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PLUGIN = """
import unetzoo

@unetzoo.register_model("{name}")
def mine(in_channels, num_classes): ...
"""
OURS_FIRST = "import unetzoo; unetzoo.list_models(); import zoo_plugin"
PLUGIN_FIRST = "import zoo_plugin"
BY_DECORATOR_ALONE = "from unetzoo.models.registry import register_model; import zoo_plugin"


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run ``code`` in a fresh process that finds modules in ``folder``."""
    code = f"import sys; sys.path.insert(0, {str(folder)!r})\n{code}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def distribution(folder: Path) -> None:
    """Make ``folder`` look like an installed distribution with an entry point for the plug-in."""
    info = folder / "zoo_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: zoo-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[unetzoo.models]\nmine = zoo_plugin\n")


@pytest.mark.parametrize("code", [OURS_FIRST, PLUGIN_FIRST, BY_DECORATOR_ALONE])
def test_our_name_by_decorator(code: str, tmp_path: Path) -> None:
    (tmp_path / "zoo_plugin.py").write_text(PLUGIN.format(name="unet"))
    done = run(code, tmp_path)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("unetzoo.errors.UnetzooError: model 'unet': ")
    assert "zoo_plugin.py registers a name that unetzoo itself has registered" in last


@pytest.mark.parametrize("first", ["", "import unetzoo; unetzoo.create_model('unet', width=2)\n"])
def test_our_name_by_entry_point(first: str, tmp_path: Path) -> None:
    """The plug-in is left out with one line; ours stays what it is."""
    (tmp_path / "zoo_plugin.py").write_text(PLUGIN.format(name="unet"))
    distribution(tmp_path)
    done = run(f"{first}import unetzoo; print(type(unetzoo.model_info('unet')).__name__)", tmp_path)
    assert done.stdout == "GridEntry\n"
    (line,) = [line for line in done.stderr.splitlines() if "Warning" in line]
    assert "'mine' (zoo_plugin) not loaded: model 'unet': " in line
    assert "zoo_plugin.py registers a name that unetzoo itself has registered" in line


def test_two_plugins_with_one_name(tmp_path: Path) -> None:
    for name in ("zoo_plugin", "other"):
        (tmp_path / f"{name}.py").write_text(PLUGIN.format(name="theirs"))
    last = run("import other, zoo_plugin", tmp_path).stderr.strip().splitlines()[-1]
    assert "zoo_plugin.py registers a name that " in last
    assert "other.py has registered; choose another name" in last
