"""Export of a model to a folder: its graph, a side-car and a card, verified against torch."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn

from unetzoo._util.atomic import write_atomic
from unetzoo._util.paths import user_path
from unetzoo.data.expected import Expected
from unetzoo.data.stream import Normalization
from unetzoo.errors import UnetzooError, check_argument
from unetzoo.export.backend import FIXED, channels_of, plain, valid_of
from unetzoo.export.card import card
from unetzoo.export.module import Exported
from unetzoo.export.runtimes import FORMATS, INPUT, OUTPUT, TARGETS, check_choice, need, versions, write
from unetzoo.export.sidecar import CARD, FILE_NAME, Class, SideCar, Tensor, Valid, sha256, write_sidecar
from unetzoo.export.verify import compare, refuse
from unetzoo.models.factory import ModelConfig
from unetzoo.models.registry import entries
from unetzoo.train.weights import load_model, read_header, weights_file

NEEDED = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "openvino": ("onnx", "onnxscript", "openvino"), "pt2": ()}
TILE = 512  # that `predict` takes by default


def export_model(
    model: nn.Module | Path | str, path: Path | str, *, to: str = "onnx", overwrite: bool = False
) -> SideCar:
    """Export a model to a folder that other runtimes, `load_exported` and ``unetzoo predict`` read.

    The graph's logits are compared with torch's in float32 on images of three sizes, and the export is refused if they
    differ by more than 1e-4 of the largest logit. The number of images and their sides are free if the network allows.

    Args:
        model: Folder of a trial, a ``.safetensors`` file, or a network of `create_model` or `load_model`. A file also
            tells the names of classes.
        path: Folder for the files; it is created if it is missing.
        to: "onnx", "openvino" or "pt2" (torch.export).
        overwrite: Replace an earlier export in the folder.

    Returns:
        What the side-car holds: sides, differences from torch, checksums and versions.

    Raises:
        UnetzooError: If a package of the extra ``unetzoo[export]`` is missing, the network cannot be exported, its
            exported logits differ from torch's, or the folder is in use.
    """
    check_argument("export_model", "model", model, (nn.Module, Path, str), "a network, or the folder of a trial")
    folder = user_path(path, "export_model: path")
    check_argument("export_model", "overwrite", overwrite, bool, "True or False")
    check_choice("to", to, TARGETS)
    need(f"an export to {FORMATS[to].words}", *NEEDED[to])
    _check_folder(folder, overwrite)
    if isinstance(model, nn.Module):
        header, weights = _header(model), None
    else:
        file = weights_file(user_path(model, "export_model: model"))
        header = read_header(file)
        model, weights = load_model(file), {"file": file.name, "sha256": sha256(file)}
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
            found = _export(model, header, weights, to, Path(temporary))
            _move(Path(temporary), folder)
    except OSError as error:
        raise UnetzooError(f"{folder}: cannot be written: {error.strerror or error}") from None
    return found


def _export(
    model: nn.Module, header: Mapping[str, Any], weights: dict[str, str] | None, to: str, folder: Path
) -> SideCar:
    """Write the files of an export to an empty folder.

    Raises:
        UnetzooError: If the network cannot be exported, or its exported logits differ from torch's.
    """
    from unetzoo.export.graph import trace

    network, config = plain(model), header["model"]
    channels = channels_of(network)
    graph = trace(network, channels, FIXED)
    names = write(graph.program, to, folder)
    sizes, border = valid_of(network)
    exported = Exported(folder / FORMATS[to].file, to, graph.sides, batched=graph.batched, sizes=sizes, border=border)
    verification = compare(network, exported, channels)
    refuse(verification)
    sides = graph.sides.fixed or ("height", "width")
    count = "images" if graph.batched else 1
    out = ("height", "width") if sizes is None else ("output height", "output width")
    normalization = getattr(model, "unetzoo_normalization", None)
    entry = entries().get(config.name)
    expected = Expected.from_header(dict(header), "header")
    found = SideCar(
        to=to,  # type: ignore[arg-type]  # checked
        files={name: sha256(folder / name) for name in names},
        input=Tensor(name=INPUT, shape=(count, channels, *sides)),
        output=Tensor(name=OUTPUT, shape=(count, config.num_classes, *(graph.sides.fixed or out))),
        sides=graph.sides,
        batched=graph.batched,
        not_free=graph.reason if graph.sides.fixed or not graph.batched else "",
        valid=Valid(depth=sizes.depth, loss=sizes.loss, border=border) if sizes else None,
        range=expected.range,
        normalization=asdict(normalization) if isinstance(normalization, Normalization) else None,
        tile=TILE,
        overlap=0 if sizes else TILE // 4,
        classes=_classes(header.get("data"), config.num_classes),
        papers=tuple(paper for paper in (entry.paper, entry.encoder_paper) if paper) if entry else (),
        trained=weights is not None or isinstance(getattr(model, "unetzoo_expected", None), Expected),
        weights=weights,
        header={**header, "model": config.model_dump(mode="json")},
        verification=(verification,),
        versions=versions(to),
    )
    write_sidecar(folder, found)
    write_atomic(folder / CARD, card(found))
    return found


def _header(model: nn.Module) -> dict[str, Any]:
    """Return the header that the weights of a network would have.

    Raises:
        UnetzooError: If the network was not made by `create_model`.
    """
    config = getattr(model, "unetzoo_config", None)
    if not isinstance(config, ModelConfig):
        raise UnetzooError(
            f"{type(model).__name__} was not made by create_model, so its side-car could not tell what it is"
        )
    header: dict[str, Any] = {"model": config}
    normalization = getattr(model, "unetzoo_normalization", None)
    if isinstance(normalization, Normalization):
        header["normalization"] = asdict(normalization)
    expected = getattr(model, "unetzoo_expected", None)
    if isinstance(expected, Expected) and expected.known:
        header["expected"] = expected.model_dump(mode="json")
    return header


def _classes(data: Any, count: int) -> tuple[Class, ...]:
    """Return the classes that the header of the weights tells."""
    data = data if isinstance(data, dict) else {}
    names = data.get("class_names")
    if not isinstance(names, list) or len(names) != max(2, count):
        return ()
    values, palette = (data.get(key) or [None] * len(names) for key in ("values", "palette"))
    return tuple(
        Class(name=name, value=value, colour=colour) for name, value, colour in zip(names, values, palette, strict=True)
    )


def _check_folder(folder: Path, overwrite: bool) -> None:
    """Check that the folder may be written to.

    Raises:
        UnetzooError: If it is a file, holds something else, or an export that may not be replaced.
    """
    if folder.exists() and not folder.is_dir():
        raise UnetzooError(f"{folder}: is a file; choose another folder")
    held = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    if held and FILE_NAME not in held:
        raise UnetzooError(f"{folder}: holds {held[0]}, which is not of an exported model; choose another folder")
    if held and not overwrite:
        raise UnetzooError(f"{folder}: holds an exported model; --overwrite (overwrite=True) replaces it")


def _move(source: Path, folder: Path) -> None:
    """Move finished files to the folder, the side-car last, after removing an earlier export's."""
    folder.mkdir(exist_ok=True)
    known = {CARD, FILE_NAME, *(each.file for each in FORMATS.values())}
    for path in folder.iterdir():
        if path.name in known or any(path.name.startswith(Path(name).stem + ".") for name in known):
            path.unlink()
    for path in sorted(source.iterdir(), key=lambda each: each.name == FILE_NAME):
        shutil.move(path, folder / path.name)
