"""Text that spreadsheets would compute, and numbers, in the tables that are written."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pytest

from unetzoo._util.spreadsheet import safe_cell, stored_cell
from unetzoo.inference.images import Item
from unetzoo.inference.table import Table
from unetzoo.records.frame import csv_text

FORMULAS = [
    "=cmd|' /C calc'!A0",
    "+2+5",
    "@SUM(A1)",
    "-2+3",
    "-A1",
    "\t=1",
    "\r=1",
    "\n=1",
    " =1",
    "\uff1d1+1",
    "=",
    "--1",
]
HARMLESS = ["unet", "", "a=b", "-0.5", "+1", "-1e-3", "1", "nan", "-inf", "'quoted'", "unet(up=bilinear)", "\u22125"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_becomes_text_and_comes_back(text: str) -> None:
    assert safe_cell(text) == f"'{text}"
    assert stored_cell(safe_cell(text)) == text
    assert stored_cell(safe_cell(f"'{text}")) == f"'{text}"


@pytest.mark.parametrize("text", HARMLESS)
def test_other_text_stays(text: str) -> None:
    assert safe_cell(text) == text == stored_cell(text)


def test_a_table_keeps_its_numbers() -> None:
    table = pd.DataFrame(
        {
            "model": ["=1+1", "unet"],
            "dice": [-0.5, float("nan")],
            "@class": pd.array([None, "-A1"], dtype="string"),
            "steps": pd.array([-3, None], dtype="Int64"),
        }
    )
    assert csv_text(table) == "model,dice,'@class,steps\n'=1+1,-0.5,,-3\nunet,,'-A1,\n"
    assert list(table.columns) == ["model", "dice", "@class", "steps"], "the table itself stays as it was"


def test_predictions_of_odd_names_are_safe_and_found_again(tmp_path: Path) -> None:
    classes, item = ["=background", "'=cell"], Item(tmp_path / "=1+1.png", None)
    description = {"model": {"name": "unet", "digest": "0"}, "options": {}, "classes": []}
    Table(tmp_path / "out", description, classes, anew=False).add("=1+1.png", item, (2, 2), 0.1, [3, 1])
    with (tmp_path / "out" / "predictions.csv").open(newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert "'=1+1.png" in cells
    assert not any(cell.startswith("=") for cell in cells)
    again = Table(tmp_path / "out", description, classes, anew=False)
    assert again.has("=1+1.png", item)
    again.write()
    assert Table(tmp_path / "out", description, classes, anew=False).rows == again.rows
