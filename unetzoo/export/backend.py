"""Backends of `predict`: a network of torch, converted in memory and computed by another runtime."""

from __future__ import annotations

import copy
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

from unetzoo.errors import UnetzooError
from unetzoo.export.module import Exported
from unetzoo.export.runtimes import BACKENDS, FORMATS, TARGET_OF, check_choice, need, write
from unetzoo.export.verify import compare, refuse
from unetzoo.nn.sizes import SameSize, ValidSizes, border_effect

ATTRIBUTES = ("unetzoo_config", "unetzoo_normalization", "unetzoo_expected", "unetzoo_told")
FIXED = (512, 512)  # sides of a graph whose sizes cannot be free: those of a tile

_CONVERTED: WeakKeyDictionary[nn.Module, dict[str, tuple[Any, Exported]]] = WeakKeyDictionary()


def on_backend(model: nn.Module, backend: str | None, precision: str) -> nn.Module:
    """Return the module that computes a model on a backend.

    A conversion is kept as long as the model lives and its weights stay as they are.

    Args:
        model: A network, or an exported one.
        backend: One of `BACKENDS`; None for torch, or for an exported model the usual runtime of its format.
        precision: "float32" or "auto", which is float32 in other runtimes than torch; with OpenVINO also "bfloat16".

    Raises:
        UnetzooError: If the backend is not installed, the model cannot be converted, or its logits differ.
    """
    if backend is not None:
        check_choice("backend", backend, BACKENDS)
    if isinstance(model, Exported):
        return model.use(backend, precision)
    if backend in (None, "torch"):
        return model
    assert backend is not None
    state = _state(model)
    kept = _CONVERTED.setdefault(model, {})
    if backend not in kept or kept[backend][0] != state:
        kept[backend] = state, converted(model, backend)
    return kept[backend][1].use(backend, precision)


def converted(model: nn.Module, backend: str) -> Exported:
    """Convert a network for a runtime, in a temporary folder, and compare their logits.

    Args:
        model: The network.
        backend: "onnxruntime" or "openvino".

    Raises:
        UnetzooError: If the runtime is not installed, the model cannot be converted, or its logits differ.
    """
    from unetzoo.export.graph import trace

    need(f"backend = {backend!r}", backend, "onnx", "onnxscript")
    network = plain(model)
    to, channels = TARGET_OF[backend], channels_of(network)
    graph = trace(network, channels, FIXED)
    valid, border = valid_of(network)
    folder = Path(tempfile.mkdtemp(prefix="unetzoo-"))
    file = folder / FORMATS[to].file
    found = Exported(file, to, graph.sides, batched=graph.batched, sizes=valid, border=border)
    weakref.finalize(found, shutil.rmtree, folder, ignore_errors=True)
    write(graph.program, to, folder)
    for name in ATTRIBUTES:
        if (value := getattr(model, name, getattr(network, name, None))) is not None:
            object.__setattr__(found, name, value)
    refuse(compare(network, found, channels, backend))
    return found


def plain(model: nn.Module) -> nn.Module:
    """Return a copy of a network on the CPU, in float32, in eval mode and in the usual memory layout."""
    network = model.network if isinstance(model, SameSize) else model
    copied = copy.deepcopy(network).to("cpu", torch.float32).eval()
    return copied.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]


def channels_of(model: nn.Module) -> int:
    """Return the channels of the images that a network takes.

    Raises:
        UnetzooError: If nothing tells.
    """
    config = getattr(model, "unetzoo_config", None)
    if config is not None:
        return config.in_channels
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            return module.in_channels
    raise UnetzooError(f"{type(model).__name__} was not made by create_model, and nothing tells the channels it takes")


def valid_of(model: nn.Module) -> tuple[ValidSizes | None, int]:
    """Return the sizes of a network of valid convolutions and the border that depends on tiles; None for others."""
    sizes = getattr(model, "sizes", None)
    return (sizes, border_effect(model, sizes)) if isinstance(sizes, ValidSizes) else (None, 0)


def _state(model: nn.Module) -> Any:
    """Return what the conversion of a network depends on: the places and versions of its tensors, and their sums."""
    tensors = [*model.parameters(), *model.buffers()]
    with torch.inference_mode():
        sums = torch.stack([t.detach().sum(dtype=torch.float64).cpu() for t in tensors]).tolist() if tensors else []
    return [(id(t), t.data_ptr()) for t in tensors], sums
