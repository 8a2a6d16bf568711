"""In a real kernel: a model registered in a cell trains, anew when its cell changes, and the report shows itself."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
pytest.importorskip("cloudpickle")

SETUP = """
import unetzoo
from torch import nn
SUITE = unetzoo.Suite(
    name="cells in a cell", models=["unet"], set={}, seeds=1, baselines=False,
    data={"name": "cells", "options": {"size": 64}, "n_train": 2},
    train={"steps": 2, "batch_size": 2, "crop": 32, "validate_every": 1, "device": "cpu"},
    measure={"size": 32, "repeats": 5, "seconds": 0.1, "attempts": 1},
)
class Block(nn.Sequential):  # in another cell than the model that uses it
    def __init__(self, a, b):
        super().__init__(nn.Conv2d(a, b, 3, padding=1), nn.ReLU())
"""
MODEL = """
@unetzoo.register_model("cell_net", note="a network of this notebook")
class CellNet(nn.Module):
    def __init__(self, in_channels, num_classes, width=4):
        super().__init__()
        self.net = nn.Sequential(Block(in_channels, width), nn.Conv2d(width, num_classes, 1))
    def forward(self, x):
        return self.net(x)
"""
RUN = """
done = unetzoo.run(SUITE, "out", models=["cell_net"], steps=2, jobs=1)
print("STATUS", *done["status"], "ID", *done["id"])
"""


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> list[list[Any]]:
    """Run the notebook; return the outputs of its cells."""
    import nbformat
    from nbclient import NotebookClient

    cells = [SETUP, MODEL, RUN, MODEL.replace("width=4", "width=5"), RUN, "unetzoo.read_report('out')", "SUITE"]
    cells += ["unetzoo.model_info('cell_net')", "unetzoo.read_report('out').plot('front', 'params')"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    folder = tmp_path_factory.mktemp("notebook")
    client = NotebookClient(notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    client.execute()
    return [cell["outputs"] for cell in notebook.cells]


def text_of(outputs: list[Any]) -> str:
    return "".join(o.get("text", "") for o in outputs if o["output_type"] == "stream")


def shown(outputs: list[Any], kind: str = "text/plain") -> str:
    return next(o["data"][kind] for o in outputs if o["output_type"] == "execute_result")


@pytest.mark.skipif(sys.platform == "win32", reason="the kernel's event loop has no subprocesses there")
def test_a_model_of_a_cell_trains_and_shows_progress(outputs: list[list[Any]]) -> None:
    first, second = text_of(outputs[2]), text_of(outputs[4])
    assert "STATUS ok ID" in first
    assert "trials: 100%" in first
    assert "STATUS ok ID" in second
    assert first.split()[-1] != second.split()[-1]  # the cell changed, and with it the trial


def test_the_objects_show_themselves(outputs: list[list[Any]]) -> None:
    html = shown(outputs[5], "text/html")
    assert "<table" in html
    assert "cell_net" in html
    assert shown(outputs[6]).startswith("Suite 'cells in a cell': 1 models, seeds [0] on cells")
    assert shown(outputs[7]).startswith("cell_net (own): a network of this notebook")
    assert "Figure" in shown(outputs[8])


def test_without_cloudpickle_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from unetzoo.bench import cells
    from unetzoo.errors import UnetzooError
    from unetzoo.models import registry

    monkeypatch.setattr(registry, "typed_entry", lambda name: object())
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    with pytest.raises(UnetzooError, match=r"model 'm' is registered in a notebook cell.*'unetzoo\[notebook\]'"):
        cells.pack("m", "cells")


def test_what_is_in_a_file_does_not_travel() -> None:
    from unetzoo.bench import cells

    assert cells.pack("unet", "cells") == b""


def test_run_without_a_suite_file(tmp_path: Path) -> None:
    import unetzoo

    for arguments, message in (
        ({}, "suite = None: must be a Suite.*or give models or data"),
        ({"models": "unet"}, "models = 'unet': must be a list of names"),
        ({"models": [3]}, "models must be names, or mappings"),
        ({"models": ["unet"], "steps": "3"}, "steps = '3': must be a number of steps"),
        ({"models": ["unet"], "data": "nowhere"}, "'nowhere' is neither a folder"),
        ({"models": ["unet"], "progress": 1}, "progress = 1: must be True, False or None"),
    ):
        with pytest.raises(unetzoo.UnetzooError, match=message):
            unetzoo.run(out=tmp_path, **arguments)
