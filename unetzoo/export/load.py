"""Exported models on disk as models for `predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unetzoo._util.paths import user_path
from unetzoo.data.expected import Expected
from unetzoo.data.stream import Normalization
from unetzoo.export.module import Exported
from unetzoo.export.runtimes import FORMATS
from unetzoo.export.sidecar import FILE_NAME, SideCar, read_sidecar
from unetzoo.models.factory import ModelConfig
from unetzoo.nn.sizes import ValidSizes


def exported_folder(path: Path | str) -> Path | None:
    """Return the folder of an exported model that a path stands for; None if it stands for something else.

    Args:
        path: The folder, its side-car, or the file that a runtime opens.
    """
    path = Path(path)
    if path.name in (FILE_NAME, *(each.file for each in FORMATS.values())):
        return path.parent
    return path if (path / FILE_NAME).exists() else None


def load_exported(path: Path | str, *, backend: str | None = None) -> Exported:
    """Load an exported model for `predict`; its code and weights are in the exported file.

    Args:
        path: The folder of an export.
        backend: Runtime to use; default: ONNX Runtime, OpenVINO or torch, by the format.

    Returns:
        A module without parameters, images (N, C, H, W) to logits (N, K, H, W), on the CPU in float32.

    Raises:
        UnetzooError: If a file is missing or was changed, or the runtime is not installed.
    """
    folder = user_path(path, "load_exported: path")
    folder = exported_folder(folder) or folder
    found = read_sidecar(folder)
    return opened(folder, found).use(backend, "float32")


def opened(folder: Path, found: SideCar) -> Exported:
    """Return the module of an export whose side-car was read; its runtime is opened when it is first used."""
    header = found.header
    valid = found.valid
    model = Exported(
        folder / FORMATS[found.to].file,
        found.to,
        found.sides,
        batched=found.batched,
        sizes=ValidSizes(valid.depth, valid.loss) if valid else None,
        border=valid.border if valid else 0,
    )
    attributes: dict[str, Any] = {
        "unetzoo_config": ModelConfig.from_mapping(header["model"], str(folder / FILE_NAME)),
        "unetzoo_expected": Expected.from_header(header, str(folder / FILE_NAME)),
    }
    if found.normalization is not None:
        attributes["unetzoo_normalization"] = Normalization(found.normalization["mean"], found.normalization["std"])
    for name, value in attributes.items():
        object.__setattr__(model, name, value)  # plain data, which nn.Module need not register
    return model.eval()
