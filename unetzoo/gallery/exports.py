"""The table of exports on the page of all entries: which equal torch in which runtime. Nothing here needs torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from unetzoo.gallery.measured import ExportCheck
from unetzoo.report.words import DASH

EXPORTS = "exports.jsonl"  # one line per entry and runtime
RUNTIMES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
TOLERANCE = 1e-4  # of the largest logit, in float32


def read_checks(folder: Path) -> dict[tuple[str, str], ExportCheck]:
    """Read the checks of exports by entry and runtime, the last of each; empty if there is no file yet.

    Args:
        folder: Folder of the page.

    Raises:
        UnetzooError: If a line of the file is broken.
    """
    path = folder / EXPORTS
    lines = path.read_text(encoding="utf-8").split("\n") if path.exists() else []
    found = [ExportCheck.from_json(line, f"{path}: line {i}") for i, line in enumerate(lines, 1) if line]
    return {(check.name, check.backend): check for check in found}


def equal(check: ExportCheck) -> bool:
    """Return True if the runtime's logits equal those of torch within the tolerance."""
    return check.relative is not None and check.relative <= TOLERANCE


def exported(checks: Mapping[tuple[str, str], ExportCheck], name: str) -> str:
    """Return "yes" if every runtime equals torch for a network, "no" if one that was checked does not, or "unchecked".

    Args:
        checks: Checks by entry and runtime.
        name: The entry.
    """
    found = [check for runtime in RUNTIMES if (check := checks.get((name, runtime)))]
    if not all(map(equal, found)):
        return "no"
    return "yes" if len(found) == len(RUNTIMES) else "unchecked"


def export_table(checks: Mapping[tuple[str, str], ExportCheck], names: Iterable[str]) -> dict[str, Any] | None:
    """Return what the page tells about exports; None if none was checked.

    Args:
        checks: Checks by entry and runtime.
        names: Entries of the page, in order.

    Returns:
        A sentence on all of them, the names of the runtimes, their versions, and rows with the name, the sides that the
        graph takes, and for each runtime the largest difference or why there is none.
    """
    rows = []
    for name in names:
        found = [checks.get((name, runtime)) for runtime in RUNTIMES]
        if not any(found):
            continue
        sides = next((check.sides for check in found if check and check.sides), DASH)
        rows.append({"name": name, "sides": sides, "cells": [_cell(check) for check in found]})
    if not rows:
        return None
    good = [row for row in rows if all(cell["equal"] for cell in row["cells"])]
    unequal = f"; {len(rows) - len(good)} do not, for the reason in their row" if len(good) < len(rows) else ""
    versions = sorted({f"{k} {v}" for (name, _), check in checks.items() for k, v in check.versions.items() if v})
    counted = f"{len(good)} of {len(rows)} networks"
    return {
        "sentence": f"{counted}, exported to ONNX, give torch's logits in both runtimes{unequal}.",
        "runtimes": list(RUNTIMES.values()),
        "versions": ", ".join(versions),
        "tolerance": f"{TOLERANCE:g}",
        "rows": rows,
    }


def _cell(check: ExportCheck | None) -> dict[str, Any]:
    if check is None:
        return {"equal": False, "text": DASH}
    if check.failed or check.relative is None:
        return {"equal": False, "text": f"no: {check.failed}"}
    return {"equal": equal(check), "text": f"{check.relative:.0e}"}
