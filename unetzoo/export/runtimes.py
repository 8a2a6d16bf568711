"""Runtimes that compute exported files, and the conversion of a graph to their files."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor

from unetzoo._util.versions import installed_version
from unetzoo.errors import UnetzooError, nearest, one_line, shown

if TYPE_CHECKING:
    from torch.export import ExportedProgram  # which takes a second to import

Target: TypeAlias = Literal["onnx", "openvino", "pt2"]
Backend: TypeAlias = Literal["torch", "openvino", "onnxruntime"]
Run: TypeAlias = Callable[[Tensor], Tensor]

TARGETS: tuple[str, ...] = get_args(Target)
BACKENDS: tuple[str, ...] = get_args(Backend)
INPUT, OUTPUT, OPSET = "images", "logits", 20
INLINE = 2**30  # bytes of weights up to which an ONNX file holds them; protobuf ends at 2 GiB


@dataclass(frozen=True)
class Format:
    """A kind of exported files.

    Attributes:
        file: Name of the file that a runtime opens.
        backends: Runtimes that compute it, the usual one first.
        words: Name in a sentence.
    """

    file: str
    backends: tuple[str, ...]
    words: str


FORMATS = {
    "onnx": Format("model.onnx", ("onnxruntime", "openvino"), "ONNX"),
    "openvino": Format("model.xml", ("openvino",), "OpenVINO"),
    "pt2": Format("model.pt2", ("torch",), "torch.export"),
}
TARGET_OF = {"onnxruntime": "onnx", "openvino": "openvino"}


def check_choice(option: str, value: object, known: tuple[str, ...]) -> str:
    """Return a value of an option if it is one of the known ones.

    Raises:
        UnetzooError: If it is not.
    """
    if not isinstance(value, str) or value not in known:
        raise UnetzooError(f"{option} = {shown(value)} is not a choice; {nearest(value, known)}")
    return value


def need(what: str, *packages: str) -> Any:
    """Import packages and return the last.

    Args:
        what: What needs them; the message begins with it.
        packages: Names of packages of the extra ``unetzoo[export]``.

    Raises:
        UnetzooError: If one is not installed, or cannot be imported.
    """
    found = None
    for package in packages:
        try:
            with quiet():
                found = import_module(package)
        except ImportError as error:
            missing = isinstance(error, ModuleNotFoundError) and error.name == package
            why = "is not installed" if missing else f"cannot be imported ({one_line(error)})"
            raise UnetzooError(
                f"{what} needs the package {package}, which {why}: pip install 'unetzoo[export]'"
            ) from None
    return found


def write(program: ExportedProgram, to: str, folder: Path) -> list[str]:
    """Write a graph as the files of a target.

    Args:
        program: The graph.
        to: One of `TARGETS`.
        folder: An existing folder.

    Returns:
        Names of the files.

    Raises:
        UnetzooError: If a package is missing, or the converter fails.
    """
    file = folder / FORMATS[to].file
    try:
        if to == "pt2":
            torch.export.save(program, file)
        elif to == "onnx":
            _write_onnx(program, file)
        else:
            _write_openvino(program, file)
    except UnetzooError:
        raise
    except Exception as error:  # the converters raise many exception types
        raise UnetzooError(f"conversion to {FORMATS[to].words} failed ({one_line(_first(error))})") from error
    return sorted(path.name for path in folder.iterdir() if path.stem == file.stem or path.name.startswith(file.name))


def _first(error: BaseException) -> BaseException:
    """Return the error that the others wrap; torch's converter wraps it in advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _write_onnx(program: ExportedProgram, file: Path) -> None:
    need("an export to ONNX", "onnx", "onnxscript")
    with quiet(), _silent():
        found = torch.onnx.export(
            program, dynamo=True, verbose=False, opset_version=OPSET, input_names=[INPUT], output_names=[OUTPUT]
        )
        if found is None:
            raise RuntimeError("torch.onnx.export returned nothing")
        held = sum(t.numel() * t.element_size() for t in (*program.state_dict.values(), *program.constants.values())
                   if isinstance(t, Tensor))  # fmt: skip
        found.save(file, external_data=held > INLINE)


def _write_openvino(program: ExportedProgram, file: Path) -> None:
    """Convert through ONNX, which keeps free sizes and names."""
    openvino = need("an export to OpenVINO", "openvino")
    middle = file.with_name("middle.onnx")
    try:
        _write_onnx(program, middle)
        model = openvino.Core().read_model(middle)
        openvino.save_model(model, file, compress_to_fp16=False)
    finally:
        for path in file.parent.glob("middle.onnx*"):
            path.unlink()


def open_run(file: Path, backend: str, precision: str = "float32") -> Run:
    """Open an exported file in a runtime on the CPU.

    Args:
        file: The file that `FORMATS` names.
        backend: One of `BACKENDS`.
        precision: "float32" or "auto", which is float32 here; with OpenVINO also "bfloat16".

    Returns:
        A function of images (N, C, H, W) float32 that returns logits (N, K, H', W') float32.

    Raises:
        UnetzooError: If the runtime is not installed, does not read the file, or does not compute in the precision.
    """
    openers = {"torch": _open_torch, "onnxruntime": _open_onnxruntime, "openvino": _open_openvino}
    if precision not in ("auto", "float32", *(("bfloat16",) if backend == "openvino" else ())):
        name = "an exported pt2 file" if backend == "torch" else f"backend = {backend!r}"
        known = "float32 and bfloat16" if backend == "openvino" else "float32 only"
        raise UnetzooError(f"precision = {precision!r}: {name} computes in {known}; give float32 or auto")
    try:
        return openers[backend](file, precision)
    except UnetzooError:
        raise
    except Exception as error:  # the runtimes raise many exception types
        raise UnetzooError(f"{file}: {backend} cannot open it ({one_line(error)})") from error


def _open_torch(file: Path, precision: str) -> Run:
    from unetzoo.export.graph import unguarded

    with quiet():
        module = unguarded(torch.export.load(file))

    def run(x: Tensor) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            return module(x)

    return run


def _open_onnxruntime(file: Path, precision: str) -> Run:
    onnxruntime = need("backend = 'onnxruntime'", "onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors; warnings are about initialisers that it drops
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])

    def run(x: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {INPUT: x.numpy()})[0])

    return run


def _open_openvino(file: Path, precision: str) -> Run:
    openvino = need("backend = 'openvino'", "openvino")
    core = openvino.Core()
    hint = "bf16" if precision == "bfloat16" else "f32"  # OpenVINO would choose bfloat16 where the CPU has it
    model = core.read_model(file)
    compiled = core.compile_model(
        model,
        "CPU",
        {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": torch.get_num_threads(), "ENABLE_MMAP": False},
    )

    def run(x: Tensor) -> Tensor:
        return torch.from_numpy(compiled(x.numpy())[0].copy())  # the runtime reuses its memory

    return run


def versions(to: str) -> dict[str, Any]:
    """Return the versions on which an exported file depends."""
    packages = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "openvino": ("openvino", "onnxscript"), "pt2": ()}[to]
    found: dict[str, Any] = {name: installed_version(name) for name in ("unetzoo", "torch", *packages)}
    return found | ({"opset": OPSET} if to != "pt2" else {})


@contextmanager
def _silent() -> Iterator[None]:
    """Keep the log of torch's exporter off the terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)


@contextmanager
def quiet() -> Iterator[None]:
    """Hide torch's warnings about its own interfaces."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
