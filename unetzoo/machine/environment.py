"""Environment of a record: versions, machine, commit."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

from unetzoo._util.versions import __version__, installed_version
from unetzoo.machine.device import cpu_name

PACKAGES = (
    "torch", "torchvision", "torchmetrics", "lightning-fabric", "timm", "segmentation-models-pytorch", "numpy",
)  # fmt: skip


def environment(device: str, precision: str) -> dict[str, Any]:
    """Return versions and hardware of this process as a flat dictionary of JSON values.

    Args:
        device: 'cuda', 'mps' or 'cpu'.
        precision: 'float32', 'bfloat16' or 'float16'.
    """
    return {
        "unetzoo": __version__,
        "commit": commit(),
        "python": platform.python_version(),
        **{name: installed_version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "device": device,
        "device_name": torch.cuda.get_device_name() if device == "cuda" else cpu_name(),
        "threads": torch.get_num_threads(),
        "precision": precision,
    }


def commit() -> str | None:
    """Return the commit of unetzoo's checkout, with a '+' if the package's files differ; None outside of a checkout."""
    package = Path(__file__).resolve().parents[1]
    if not (package.parent / ".git").exists():
        return None
    try:
        head = _git(package, "rev-parse", "--short=12", "HEAD")
        return head + ("+" if _git(package, "status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def last_change(folder: Path) -> str:
    """Return the date of the last commit that changed what a folder measured, 'YYYY-MM-DD'; empty outside a repository.

    That is its records; without records all but pages in Markdown, whose words change later; and without either, all.

    Args:
        folder: The folder.
    """
    try:
        dates = (
            _git(folder, "log", "-1", "--format=%cs", "--", *paths)
            for paths in ([":(glob)**/records/**"], [".", ":(exclude,glob)**/*.md"], ["."])
        )
        return next(filter(None, dates), "")
    except (OSError, subprocess.SubprocessError):
        return ""


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]  # if it is killed, no lock stays
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603
    return done.stdout.strip()
