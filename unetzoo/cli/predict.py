"""``unetzoo predict``: parse, call, print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unetzoo._util.plugins import import_plugins
from unetzoo.cli.console import err, out
from unetzoo.cli.options import Imports


def predict_command(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A trial's folder or a .safetensors file.")],
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGES...", help="Files, folders or patterns ('scans/*.tif').")
    ],
    folder: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where masks go.")] = Path("predictions"),
    tile: Annotated[int, typer.Option(min=1, metavar="PX", help="Side of a tile.")] = 512,
    overlap: Annotated[
        int | None,
        typer.Option(min=0, metavar="PX", help="What tiles share; default a quarter, or 0 of valid convolutions."),
    ] = None,
    tta: Annotated[
        int, typer.Option(metavar="1|7|8", help="Average over 7 rotations, or 8 rotations and mirrors.")
    ] = 1,
    batch: Annotated[int, typer.Option(min=1, help="Tiles at once.")] = 1,
    precision: Annotated[str, typer.Option(metavar="float32|bfloat16|auto")] = "float32",
    device: Annotated[str, typer.Option(metavar="auto|cpu|cuda|mps")] = "auto",
    kind: Annotated[str, typer.Option("--format", metavar="png|tif", help="Of the masks.")] = "png",
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Also <stem>.probabilities.tif: float32 (classes, H, W).")
    ] = False,
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Also <stem>.overlay.png: outlines over the image, for looking.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Predict again and replace what is there.")] = False,
    imports: Imports = None,
) -> None:
    """Segment images of any size with a trained model.

    Masks store classes as the training data's masks do (0/255, a palette, ...); predictions.csv has the share of each
    class. Images that are done are not done again, so that the same command goes on after Ctrl-C. Images of one name
    from two folders are refused. Exit codes: 0 all well, 1 some images failed, 2 wrong input, 130 interrupted.

    Examples: [bold]unetzoo predict runs/quick/trials/unet-s0-1bee0e41c988 scans/ --out masks[/]
    [bold]unetzoo predict model.safetensors 'scans/*.tif' --tta 8 --probabilities --overlay --format tif[/]
    """
    import_plugins(imports or [])
    from unetzoo.cli.predict_progress import LiveWatcher, print_result
    from unetzoo.inference.files import Options, predict_files

    options = Options(
        tile=tile,
        overlap=overlap,
        tta=tta,
        batch=batch,
        precision=precision,
        device=device,
        format=kind,
        probabilities=probabilities,
        overlay=overlay,
        overwrite=overwrite,
    )
    try:
        with LiveWatcher(err) as watcher:
            result = predict_files(model, images, folder, options, watcher)
    except KeyboardInterrupt:
        err.print(f"interrupted; what is finished is kept in {folder}, and the same command goes on", soft_wrap=True)
        raise typer.Exit(130) from None
    print_result(result, folder, out, err)
    if result.failed:
        raise typer.Exit(1)
