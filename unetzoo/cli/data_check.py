"""The command ``unetzoo data check``: parse, call, print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from unetzoo.cli.console import err, out
from unetzoo.cli.options import AsJson
from unetzoo.errors import UnetzooError

if TYPE_CHECKING:
    from unetzoo.data.folders.check import Check, Source
    from unetzoo.data.folders.reading import Reading

COLOURS = {"error": "red", "warning": "yellow", "note": "dim"}
MANY = 40  # least number of pairs for which progress is shown


def check_command(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A folder, a CSV of pairs, a COCO JSON file, or a dataset.toml.")
    ],
    folder: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", help="Folder for dataset.toml and contact_sheet.png; default: beside the data."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Propose a new reading and overwrite dataset.toml.")] = False,
    as_json: AsJson = False,
) -> None:
    """Inspect every image and mask, report what was found, and propose how to read them.

    Layouts: images/ and masks/ (or labels/, annotations/, gt/) with equal stems or a suffix such as _mask; images and
    masks side by side (a.jpg, a_mask.png; a.bmp, a.png); either below train/, val/, test/; trainannot/ beside train/;
    two multi-page stacks; a CSV with columns image, mask and optionally split, group; COCO or labelme JSON.
    Lists such as train.txt or suggested_test.txt fix the splits, classes.txt names the classes. Formats: PNG, JPEG,
    BMP, TIFF, GIF, PPM, NumPy.

    Writes dataset.toml, which states the reading and can be edited, and contact_sheet.png, which shows a few images
    with their classes overlaid. An existing dataset.toml is used as the reading and checked. Exit codes: 0 the data can
    be used, 1 they cannot because of an error, 2 wrong input.

    Examples: [bold]unetzoo data check ./my-images[/]   [bold]unetzoo data check pairs.csv --out checked[/]
    \f
    Raises:
        UnetzooError: If there are no data at the path, or dataset.toml must not be overwritten.
        Exit: With code 1 if the data cannot be used.
    """
    from unetzoo.data.folders.check import check, find_source
    from unetzoo.data.folders.reading_file import NAME

    path = path.expanduser()
    source = find_source(path, propose_anew=force)
    where = folder or source.root
    if not force and where != source.root and source.file is None and (where / NAME).is_file():
        raise UnetzooError(f"{where / NAME}: already exists; check it by its own path, or overwrite it with --force")
    with Progress(console=err, transient=True) as progress:
        task = progress.add_task("reading", visible=False)
        checked = check(
            source,
            start=lambda count: progress.update(task, total=count, visible=count >= MANY),
            on_pair=lambda key: progress.advance(task),
        )
    written, problem = _write(checked, where)
    if as_json:
        print(json.dumps({**_facts(checked), "written": [str(p) for p in written]}, indent=1))
    else:
        _print(checked)
        for file in written:
            out.print(f"written: {escape(str(file))}", soft_wrap=True, highlight=False)
    if problem:
        err.print(escape(problem), soft_wrap=True, highlight=False)
    if checked.errors:
        raise typer.Exit(1)


def _write(checked: Check, folder: Path) -> tuple[list[Path], str]:
    """Write the files and return their paths, and the reason if some could not be written."""
    from unetzoo._util.atomic import write_atomic
    from unetzoo.data.folders.reading_file import NAME, to_toml
    from unetzoo.data.folders.sheet import NAME as SHEET
    from unetzoo.data.folders.sheet import contact_sheet

    files: dict[str, bytes] = {}
    if checked.reading is not None and checked.source.file is None:
        reading = checked.reading if folder == checked.source.root else elsewhere(checked.reading, checked.source)
        remarks = [f"{f.severity}: {f.text}" for f in checked.findings if f.kind not in ("not read", "unreadable")]
        files[NAME] = to_toml(reading, remarks).encode()
    if sheet := contact_sheet(checked):
        files[SHEET] = sheet
    written: list[Path] = []
    hint = f"--out DIR puts {' and '.join(files)} elsewhere"
    if files and folder.is_dir() and not folder.stat().st_mode & 0o222:  # root could write there all the same
        return written, f"{folder}: is read-only; {hint}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            write_atomic(folder / name, content)
            written.append(folder / name)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        return written, f"{folder}: cannot be written ({reason}); {hint}"
    return written, ""


def elsewhere(reading: Reading, source: Source) -> Reading:
    """Return the reading with absolute paths, for a file outside the folder of the data.

    Args:
        reading: The reading.
        source: Place of the data.
    """
    root = source.root.resolve()
    changes: dict[str, Any] = {"pairs": str(root / reading.pairs)} if reading.pairs else {}
    if not reading.pairs:
        changes = {"images": str(root / reading.images), "masks": str(root / reading.masks)}
    if reading.annotations is not None:
        changes["annotations"] = str(root / reading.annotations)
    if not reading.by_folder:
        changes["splits"] = {split: str(root / name) for split, name in reading.splits.items()}
    return reading.model_copy(update=changes)


def _facts(checked: Check) -> dict[str, Any]:
    layout, reading, shares = checked.layout, checked.reading, checked.shares
    summary: dict[str, Any] = {
        "root": str(checked.source.root),
        "reading_from": str(checked.source.file) if checked.source.file else "proposed",
        "pairs": len(layout.pairing.pairs),
        "unmatched": [str(path) for _, path in layout.pairing.unmatched],
        "splits": {split: len(keys) for split, keys in layout.splits.items()},
        "splits_from": layout.fixed,
        "images": _images(checked),
        "masks": checked.kind,
        "reading": reading.model_dump(mode="json") if reading else None,
        "findings": [vars(finding) for finding in checked.findings],
    }
    if reading is not None and shares is not None:
        names = [c.name for c in reading.classes] + ["void"]
        summary["pixels"] = {s: dict(zip(names, n.tolist(), strict=True)) for s, n in shares.pixels.items()}
        summary["empty"] = shares.empty
    return summary


def _images(checked: Check) -> str:
    """Describe the images, as in '8-bit PNG; 3 channels; 360x480 px; values 0 to 255'."""
    images = [item.image for item in checked.survey.items]
    if not images:
        return "none could be read"
    kinds = ", ".join(sorted({image.kind for image in images}))
    channels = "/".join(map(str, sorted({image.channels for image in images})))
    low, high = min(image.low for image in images), max(image.high for image in images)
    heights, widths = ([image.size[axis] for image in images] for axis in (0, 1))
    size = f"{_span(heights)}x{_span(widths)}"
    return f"{kinds}; {channels} channel{'s' * (channels != '1')}; {size} px; values {low:g} to {high:g}"


def _span(numbers: list[int]) -> str:
    return str(numbers[0]) if min(numbers) == max(numbers) else f"{min(numbers)}-{max(numbers)}"


def _print(checked: Check) -> None:
    layout, reading = checked.layout, checked.reading
    sizes = ", ".join(f"{len(keys)} {split}" for split, keys in layout.splits.items())
    fixed = layout.fixed or "no list fixes the split: drawn by a hash of the names"
    mask_kinds = ", ".join(sorted({item.mask.kind for item in checked.survey.items}))
    rows = [
        ("pairs", f"{len(layout.pairing.pairs)}: {sizes} ({fixed})"),
        ("images", _images(checked)),
        ("masks", "; ".join(part for part in (mask_kinds, checked.kind) if part)),
        ("reading", str(checked.source.file or "proposed")),
    ]
    out.print(f"[bold]{escape(reading.name if reading else checked.source.root.name)}[/]")
    for name, text in rows:
        out.print(f"{name:8} {escape(text)}", soft_wrap=True, highlight=False)
    if reading is not None and checked.shares is not None:
        out.print(_classes(checked, reading))
    for finding in checked.findings:
        line = f"[{COLOURS[finding.severity]}]{finding.severity}:[/] {escape(finding.text)}"
        out.print(line, soft_wrap=True, highlight=False)
    if checked.errors:
        out.print("[red]not usable as it is[/]", highlight=False)


def _classes(checked: Check, reading: Reading) -> Table:
    """Return the table of classes: their values, shares of each split's pixels, and the masks that hold them."""
    from unetzoo.data.folders.reading_file import shown_values

    shares = checked.shares
    assert shares is not None
    table = Table("class", "values", *shares.pixels, "masks", "headline", box=None, header_style="bold", pad_edge=False)
    for column in table.columns[2:-1]:
        column.justify = "right"
    rows = [(c.name, shown_values(c.values), "yes" if c.foreground else "") for c in reading.classes]
    if reading.ignore:
        rows.append(("(void)", shown_values(reading.ignore), ""))
    for i, (name, values, headline) in enumerate(rows):
        per_split = [f"{n[i] / max(1, n.sum()):.2%}" for n in shares.pixels.values()]
        table.add_row(escape(name), values, *per_split, str(sum(n[i] for n in shares.masks.values())), headline)
    return table
