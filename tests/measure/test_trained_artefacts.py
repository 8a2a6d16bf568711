"""The script of ``reports/upsampling/artefacts.md``: energies are compared as logarithms, against one way up."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from support.records import folder_of, record

ROOT = Path(__file__).parents[2]
ENERGIES = {"bilinear": 1e-4, "nearest": 1e-4, "pixelshuffle": 0.0, "transposed": 2e-2}  # a way up and its energy


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("trained_artefacts", ROOT / "benchmarks/trained_artefacts.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_says_which_way_up_leaves_more(script: ModuleType, tmp_path: Path) -> None:
    folder_of(tmp_path / "nuclei", *(record(way, seed) for way in ENERGIES for seed in range(3)))
    rows = ["id,model,seed," + ",".join(f"slice_{k}" for k in range(6))]
    rows += [
        f"{way}{seed},{way},{seed}," + ",".join(f"{energy * (1.1 + 0.04 * sign * (-1) ** seed):.4g}" for _ in range(6))
        for (way, energy), sign in zip(ENERGIES.items(), (1, -1, 1, -1), strict=True)
        for seed in range(3)
    ]
    (tmp_path / "nuclei/checkerboard.csv").write_text("\n".join(rows) + "\n")
    script.page(tmp_path, ["nuclei", "vessels"])
    text = (tmp_path / "artefacts.md").read_text()
    cells = {line.split(" | ")[0].strip("| "): line.split(" | ") for line in text.splitlines() if " | " in line}
    verdicts = {way: cells[way][3] for way in ENERGIES}
    assert verdicts == {
        "bilinear": "reference",
        "nearest": "within a factor of 2",
        "pixelshuffle": "less",
        "transposed": "more",
    }
    assert cells["transposed"][1].endswith("(0.021 to 0.023)")
    assert 1 < float(cells["transposed"][2].split("(")[1].split(" to ")[0]) < 200
    assert "3 seeds, 6 test images." in text
    assert "vessels" not in text
    assert (tmp_path / "plots/artefacts-nuclei.png").stat().st_size > 10_000


def test_without_weights_nothing_is_claimed(script: ModuleType, tmp_path: Path) -> None:
    data = tmp_path / "nuclei"
    folder_of(data, record("bilinear", 0))
    script.measure(data, tmp_path / "out", None)
    assert not (tmp_path / "out").exists()
