"""Synthetic folders of collections, and their pages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

from support.records import folder_of, noisy
from unetzoo.records.manifest import MANIFEST
from unetzoo.report import write_report


def made(folder: Path, parts: dict[str, list[dict[str, Any]]], **more: list[dict[str, Any]]) -> Path:
    """Write a collection's folder of synthetic records; the trials in ``more`` are planned but have no record."""
    asked: dict[str, list[dict[str, Any]]] = {}
    for label, records in parts.items():
        if records:
            folder_of(folder / label, *records)
        asked[label] = [
            {
                "id": r["id"],
                "model": r["trial"]["model"]["label"],
                "seed": r["trial"]["seed"],
                "baseline": r.get("baseline", False),
            }
            for r in [*records, *more.get(label, [])]
        ]
    manifest = {"version": 1, "name": "apps", "question": "Which?", "data": asked}
    folder.mkdir(exist_ok=True)
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return folder


def scores(**means: float) -> list[dict[str, Any]]:
    return [noisy(label, seed, mean) for label, mean in means.items() for seed in (0, 1, 2)]


def page_of(folder: Path) -> str:
    """Return the summary over the data sets; their own pages, tested elsewhere, are not drawn."""
    with patch("unetzoo.report.page.build", return_value=folder / "index.html"):
        write_report(folder)
    return (folder / "summary.md").read_text()
