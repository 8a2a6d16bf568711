"""The table of exports on the page of all entries: which equal torch in which runtime. Nothing here needs torch."""

from __future__ import annotations

from pathlib import Path

from unetzoo.gallery.measured import ExportCheck

EXPORTS = "exports.jsonl"  # one line per entry and runtime
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
