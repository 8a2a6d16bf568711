"""The side-car of an exported model: JSON that tells all that is needed to run it, and checksums."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from unetzoo._util.atomic import write_atomic
from unetzoo.errors import Strict, UnetzooError
from unetzoo.export.runtimes import FORMATS
from unetzoo.export.sides import Sides
from unetzoo.export.verify import Verification
from unetzoo.models.papers import Paper

FILE_NAME, CARD = "export.json", "README.md"
NO_CHECKSUM = "0" * 64


class Tensor(Strict):
    """An input or output of the graph."""

    name: str
    dtype: Literal["float32"] = "float32"
    shape: tuple[int | str, ...] = Field(description="numbers, and names of what is free")


class Class(Strict):
    """A class of the output, and how masks of the training data store it."""

    name: str
    value: int | None = None
    colour: str | None = None


class Valid(Strict):
    """Sizes of a network of valid convolutions, whose output is smaller than its input."""

    depth: int
    loss: int
    border: int = Field(0, description="pixels at the output's border that depend on where the input was cut")


class SideCar(Strict):
    """Everything about an exported model.

    Pixels become numbers in [0, 1] by ``range``, then ``normalization`` per channel if there is one; the output holds
    logits: softmax over the classes gives probabilities, or the sigmoid if there is one channel.
    """

    version: Literal[1] = 1
    checksum: str = Field(NO_CHECKSUM, description="SHA-256 of this file with zeros in this place")
    to: Literal["onnx", "openvino", "pt2"]
    files: dict[str, str] = Field(description="SHA-256 of each exported file")
    input: Tensor
    output: Tensor
    sides: Sides
    batched: bool = Field(description="True if the number of images is free, False if it is 1")
    not_free: str = Field("", description="why sizes are not free, if they are not")
    valid: Valid | None = None
    range: tuple[float, float] | None = Field(
        None, description="stored values that became 0 and 1 in training; None: the full range of the type"
    )
    normalization: dict[str, tuple[float, ...]] | None = Field(None, description="mean and std of each channel")
    tile: int = Field(description="side of a tile in px that `predict` takes by default")
    overlap: int = Field(description="pixels that neighbouring tiles share by default")
    classes: tuple[Class, ...] = ()
    papers: tuple[Paper, ...] = ()
    trained: bool = Field(description="False if the weights are those of a network that was just built")
    weights: dict[str, str] | None = Field(None, description="name and SHA-256 of the file of weights")
    header: dict[str, Any] = Field(description="the header of the weights: model and options, data, expected, trial")
    verification: tuple[Verification, ...]
    versions: dict[str, Any]

    @model_validator(mode="after")
    def _sound(self) -> SideCar:
        if FORMATS[self.to].file not in self.files:
            raise ValueError(f"files: {FORMATS[self.to].file} is missing")
        return self


def write_sidecar(folder: Path, found: SideCar) -> Path:
    """Write a side-car with its checksum."""
    text = json.dumps(found.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"
    checksum = hashlib.sha256(text.encode()).hexdigest()
    write_atomic(folder / FILE_NAME, text.replace(NO_CHECKSUM, checksum, 1))
    return folder / FILE_NAME


def read_sidecar(folder: Path) -> SideCar:
    """Read a side-car and compare it and the exported files with their checksums.

    Args:
        folder: Folder of an exported model.

    Raises:
        UnetzooError: If a file is missing, was changed, or was written by a later version.
    """
    path = folder / FILE_NAME
    try:
        text = path.read_text(encoding="utf-8")
        raw = json.loads(text)
        if not isinstance(raw, dict):
            raise ValueError("not an object")
    except (OSError, ValueError) as error:
        raise UnetzooError(f"{path}: cannot be read ({type(error).__name__}); export the model again") from None
    if raw.get("version") != 1:
        raise UnetzooError(f"{path}: version = {raw.get('version')!r} is not known (known: 1); update unetzoo")
    stated = str(raw.get("checksum"))
    if hashlib.sha256(text.replace(stated, NO_CHECKSUM, 1).encode()).hexdigest() != stated:
        raise UnetzooError(f"{path}: was changed, its content does not match its checksum; export the model again")
    found = SideCar.from_json(text, str(path))
    for name, checksum in found.files.items():
        file = folder / name
        if not file.is_file():
            raise UnetzooError(f"{file}: is missing, but {FILE_NAME} lists it; copy it or export the model again")
        if sha256(file) != checksum:
            raise UnetzooError(f"{file}: was changed, its content does not match its checksum in {FILE_NAME}")
    return found


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()
