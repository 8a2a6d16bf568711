"""``unetzoo export``, and ``unetzoo show`` of an exported model: parse, call, print."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unetzoo._util.plugins import import_plugins
from unetzoo.cli.console import out
from unetzoo.cli.options import Imports, ModelOptions, parse_options
from unetzoo.errors import UnetzooError

if TYPE_CHECKING:
    from unetzoo.export.sidecar import SideCar


def export_command(
    model: Annotated[
        str,
        typer.Argument(metavar="RUN_OR_MODEL", help="Folder of a trial, a .safetensors file, or a registered model."),
    ],
    to: Annotated[str, typer.Option(metavar="onnx|openvino|pt2", help="Format; pt2 is that of torch.export.")] = "onnx",
    folder: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the files.")] = Path("exported"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier export in the folder.")] = False,
    in_channels: Annotated[
        int | None, typer.Option(min=1, help="Channels of the images of a registered model; default: 3.")
    ] = None,
    num_classes: Annotated[
        int | None, typer.Option(min=1, help="Channels of the output of a registered model; default: 1.")
    ] = None,
    options: ModelOptions = None,
    imports: Imports = None,
) -> None:
    """Export a model for other runtimes: ONNX, OpenVINO or torch.export.

    The folder gets the model, export.json (sizes, normalisation, classes, checksums, versions) and a README.md.
    The exported model is compared with torch's in float32 at three image sizes and refused if it differs.
    'unetzoo predict' and 'unetzoo show' read the folder.
    A registered model has the weights with which it is built: of chance, or of a pretrained encoder.

    Examples:
      [bold]unetzoo export runs/quick/trials/unet-s0-1bee0e41c988 --to onnx[/]
      [bold]unetzoo export model.safetensors --to openvino --out exported/unet[/]
      [bold]unetzoo export unet_resnet34 --set pretrained=true --num-classes 2 --to pt2[/]
    \f
    Raises:
        UnetzooError: If the model, a runtime or an option is not valid, or the exported model differs from torch's.
    """
    import_plugins(imports or [])
    from unetzoo.models.factory import create_model
    from unetzoo.models.registry import model_info

    path = Path(model)
    changes = {"--in-channels": in_channels, "--num-classes": num_classes, "--set": options}
    given = [name for name, value in changes.items() if value]
    if path.exists() or path.suffix == ".safetensors" or len(path.parts) > 1:
        if given:
            raise UnetzooError(f"{model}: its weights tell its channels and options; leave out {', '.join(given)}")
        source = path
    else:
        model_info(model)
        source = create_model(
            model,
            in_channels=in_channels or 3,
            num_classes=num_classes or 1,
            **parse_options(options or []),
        )
    from unetzoo.export.save import export_model

    found = export_model(source, folder, to=to, overwrite=overwrite)
    out.print(f"{folder}: {', '.join(found.files)}", soft_wrap=True, highlight=False, markup=False)
    _print_lines([*_sizes(found), *(each.words for each in found.verification)])


def print_exported(path: Path) -> None:
    """Print what the side-car of an exported model tells, after a comparison of all checksums.

    Args:
        path: Its folder.

    Raises:
        UnetzooError: If a file is missing or was changed.
    """
    from unetzoo.export.runtimes import FORMATS
    from unetzoo.export.sidecar import read_sidecar

    found = read_sidecar(path)
    model = found.header["model"]
    data = found.header.get("data") or {}
    trained = f"trained on {data['name']}" if data.get("name") else "trained" if found.trained else "not trained"
    lines = [f"{model['name']}, exported to {FORMATS[found.to].words}; {trained}"]
    lines += [f"paper: {paper}" for paper in found.papers]
    lines += [f"options: {', '.join(f'{option} = {value!r}' for option, value in model['options'].items())}"]
    lines += [f"{each.name}: {each.dtype}, {' x '.join(map(str, each.shape))}" for each in (found.input, found.output)]
    lines += _sizes(found)
    low, high = found.range or (0, 1)
    known = (
        f"stored values {low:g} to {high:g} become 0 to 1" if found.range else "the type's full range becomes 0 to 1"
    )
    lines.append(f"values: {known}")
    if found.normalization is not None:
        lines.append("normalization: " + ", ".join(f"{key} {list(v)}" for key, v in found.normalization.items()))
    if found.classes:
        lines.append(f"classes: {', '.join(each.name for each in found.classes)}")
    lines.append(f"predict: tiles of {found.tile} px, {found.overlap} px shared")
    lines += [f"checked: {each.words}" for each in found.verification]
    lines.append("versions: " + ", ".join(f"{name} {version}" for name, version in found.versions.items()))
    _print_lines(lines)


def _sizes(found: SideCar) -> list[str]:
    count = "any number of images" if found.batched else "one image at a time"
    why = f" ({found.not_free})" if found.not_free else ""
    return [f"sizes: {count}, {found.sides.words}{why}"]


def _print_lines(lines: list[str]) -> None:
    for line in lines:
        out.print(line, soft_wrap=True, highlight=False, markup=False)
