"""``unetzoo predict``: parse, call, print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unetzoo._util.plugins import import_plugins
from unetzoo.cli.console import err, out
from unetzoo.cli.options import Imports
from unetzoo.errors import UnetzooError


def predict_command(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="Folder of a trial or of an exported model, or a .safetensors file.")
    ],
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGES...", help="Files, folders or patterns ('scans/*.tif').")
    ],
    folder: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the masks.")] = Path("predictions"),
    tile: Annotated[int, typer.Option(min=1, metavar="PX", help="Side of a tile in px.")] = 512,
    overlap: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="PX",
            help="Pixels that tiles share; default: a quarter of the tile, or 0 for valid convolutions.",
        ),
    ] = None,
    tta: Annotated[
        int,
        typer.Option(
            metavar="1|7|8", help="Test-time augmentation: 1 none, 7 rotations, 8 right angles and mirror images."
        ),
    ] = 1,
    batch: Annotated[
        str, typer.Option(metavar="auto|N", help="Tiles computed at once; auto: as many as are fastest, 1 on a CPU.")
    ] = "auto",
    precision: Annotated[
        str,
        typer.Option(
            metavar="auto|float32|bfloat16|float16",
            help="auto: the fastest that the hardware has and whose probabilities are close to those of float32.",
        ),
    ] = "auto",
    backend: Annotated[
        str | None,
        typer.Option(
            metavar="torch|openvino|onnxruntime", help="Runtime, on the CPU; default: torch, or the export's."
        ),
    ] = None,
    device: Annotated[str, typer.Option(metavar="auto|cpu|cuda|mps", help="auto: a GPU if there is one.")] = "auto",
    kind: Annotated[str, typer.Option("--format", metavar="png|tif", help="Format of the masks.")] = "png",
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Also write <stem>.probabilities.tif: float32 (classes, H, W).")
    ] = False,
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Also write <stem>.overlay.png: outlines over the image, for inspection.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Predict again and replace existing files.")] = False,
    value_range: Annotated[
        str | None,
        typer.Option(
            "--range", metavar="LOW,HIGH", help="Stored values that become 0 and 1; default: those of training."
        ),
    ] = None,
    downscale: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Average blocks of N x N px first; default: as in training."),
    ] = None,
    as_trained: Annotated[
        bool,
        typer.Option(
            "--as-trained", help="Take values as those of training, whatever the image's depth; clip the rest."
        ),
    ] = False,
    imports: Imports = None,
) -> None:
    """Segment images of any size with a trained model.

    Masks store the classes as the masks of the training data do (0/255, a palette, ...).
    predictions.csv holds the share of each class in each image.
    Images are read as the training images were: values, channels, downscale.
    An image that is stored otherwise is converted if that is exact, else refused with the option that reads it.
    The last lines tell the precision used and how far probabilities are from float32's.
    Finished images are not predicted again, so the same command continues after Ctrl-C.
    Images with the same name in two folders need separate --out folders.

    Exit codes: 0 all images succeeded, 1 some failed, 2 wrong input or every image refused, 130 interrupted.

    Examples:
      [bold]unetzoo predict runs/quick/trials/unet-s0-1bee0e41c988 scans/ --out masks[/]
      [bold]unetzoo predict model.safetensors 'scans/*.tif' --tta 8 --overlay --format tif[/]
      [bold]unetzoo predict model.safetensors scans/ --range 0,4095[/]
      [bold]unetzoo predict exported/ scans/ --backend openvino[/]
    \f
    Raises:
        UnetzooError: If the model, the images or an option are not valid.
        Exit: With code 2 if every image was refused, 1 if some failed, 130 if the run was interrupted.
    """
    from unetzoo.machine import allocation

    allocation.ask_for_huge_pages()  # before torch is imported
    allocation.keep_freed_memory()
    import_plugins(imports or [])
    from unetzoo.cli.predict_progress import LiveWatcher, print_result
    from unetzoo.inference.files import predict_files
    from unetzoo.inference.session import Options

    options = Options(
        tile=tile,
        overlap=overlap,
        tta=tta,
        batch=int(batch) if batch.isdecimal() else batch,  # type: ignore[arg-type]  # checked there
        precision=precision,
        backend=backend,
        device=device,
        format=kind,
        probabilities=probabilities,
        overlay=overlay,
        overwrite=overwrite,
        range=_range(value_range),
        downscale=downscale,
        as_trained=as_trained,
    )
    try:
        with LiveWatcher(err) as watcher:
            result = predict_files(model, images, folder, options, watcher)
    except KeyboardInterrupt:
        err.print(f"interrupted; finished images are kept in {folder}, and the same command continues", soft_wrap=True)
        raise typer.Exit(130) from None
    print_result(result, folder, out, err)
    if result.failed:
        raise typer.Exit(2 if result.all_refused else 1)


def _range(text: str | None) -> tuple[float, float] | None:
    """Parse ``--range``.

    Raises:
        UnetzooError: If it is not two numbers.
    """
    if text is None:
        return None
    try:
        low, high = map(float, text.split(","))
    except ValueError:
        raise UnetzooError(f"--range {text}: must be two numbers, LOW,HIGH, such as 0,4095") from None
    return low, high
