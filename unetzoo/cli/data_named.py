"""The commands ``unetzoo data list``, ``info`` and ``get``: parse, call, print. None imports torch by itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table

from unetzoo._util.plugins import import_plugins
from unetzoo.cli.console import err, out
from unetzoo.cli.options import AsJson, Imports
from unetzoo.errors import UnetzooError, nearest

if TYPE_CHECKING:
    from unetzoo.data.named.entry import NamedSet

NOT_KNOWN = "no published checksum is known, and the address has not been tested"
Name = Annotated[str, typer.Argument(help="Name of a data set; see 'unetzoo data list'.")]


def list_command(as_json: AsJson = False, imports: Imports = None) -> None:
    """List the data sets, both generated ones and those with files.

    Examples: [bold]unetzoo data list[/]   [bold]unetzoo data list --json[/]
    """
    import_plugins(imports or [])
    from unetzoo.data.registry import list_datasets

    rows = [_row(name) for name in list_datasets()]
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    table = Table("data set", "here", "images", "classes", "what it is", "terms", box=None, header_style="bold")
    for row in rows:
        table.add_row(*(escape("-" if value is None else str(value)) for value in row.values()))
    out.print(table)
    out.print("here: its folder below UNETZOO_DATA exists; `unetzoo data info NAME` looks into it", highlight=False)


def info_command(
    name: Name,
    root: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of its files.")] = None,
    as_json: AsJson = False,
    imports: Imports = None,
) -> None:
    """Describe a data set: classes, masks, split, layout, terms, citation, and whether its files are here.

    Examples: [bold]unetzoo data info chase_db1[/]   [bold]unetzoo data info drive --root ~/DRIVE[/]
    """
    import_plugins(imports or [])
    description = _describe(name, root)
    if as_json:
        print(json.dumps(description, indent=1))
        return
    for key, value in description.items():
        lines = value if isinstance(value, list) else [value]
        for line in lines:
            out.print(f"[bold]{key}[/]: {escape(str(line))}", soft_wrap=True, highlight=False)


def get_command(
    name: Name,
    folder: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Target folder; default: its folder below UNETZOO_DATA.")
    ] = None,
) -> None:
    """Download a data set from its official address, where its terms allow it, check it and unpack it.

    After Ctrl-C the same command continues the download. For data that cannot be downloaded, prints how to obtain it.

    Examples: [bold]unetzoo data get wbc[/]   [bold]unetzoo data get voc2012 --out /data/voc[/]
    """
    from unetzoo.data.base import SPLITS
    from unetzoo.data.named.named import entry, get

    named = entry(name)
    err.print(
        f"terms: {named.reading.terms}\ncite: {named.reading.citation}", soft_wrap=True, highlight=False, markup=False
    )
    with _bars() as progress:
        place = get(
            name,
            folder,
            progress=progress,
            on_message=lambda line: err.print(line, soft_wrap=True, highlight=False, markup=False),
        )
    sizes = ", ".join(f"{len(place.splits.get(split, ()))} {split}" for split in SPLITS)
    out.print(f"{name}: {sizes} images in {place.root}", soft_wrap=True, highlight=False, markup=False)


def _row(name: str) -> dict[str, Any]:
    """Return the cells of a data set's row, in the order of the columns."""
    from unetzoo.data.named.catalogue import CATALOGUE
    from unetzoo.data.named.named import default_root
    from unetzoo.data.registry import create_dataset
    from unetzoo.data.worlds.generated import GeneratedDataset

    row: dict[str, Any] = {"name": name, "here": "-", "images": None, "classes": None, "what": "", "terms": ""}
    if named := CATALOGUE.get(name):
        root = default_root(named)
        here = "yes" if root is not None and root.is_dir() else "no"
        reading = named.reading
        description = {"images": named.images, "classes": len(reading.classes), "what": reading.description}
        return row | description | {"here": here, "terms": reading.terms}
    if name == "folder":
        return row | {"what": "your own images and masks; root = their folder"}
    try:
        dataset = create_dataset(name)
    except UnetzooError:  # a plug-in that needs an option
        return row | {"what": "from a plug-in"}
    generated = isinstance(dataset, GeneratedDataset)
    description = {"images": sum(map(len, dataset.splits.values())), "classes": dataset.info.classes}
    return row | description | {"here": "generated" if generated else "-", "what": dataset.info.description}


def _describe(name: str, root: Path | None) -> dict[str, Any]:
    from unetzoo.data.base import SPLITS
    from unetzoo.data.named.catalogue import CATALOGUE
    from unetzoo.data.registry import create_dataset, list_datasets

    if name not in list_datasets():
        raise UnetzooError(f"unknown data set {name!r}; {nearest(name, list_datasets())}")
    if named := CATALOGUE.get(name):
        return _named_facts(named, root)
    if name == "folder" and root is None:
        return {"name": name, "what": "your own images and masks; root = their folder; see `unetzoo data check`"}
    dataset = create_dataset(name, root)
    info = dataset.info
    return {
        "name": name,
        "what": info.description,
        "channels": info.channels,
        "classes": [f"{i} {c}{_headline(i in info.foreground)}" for i, c in enumerate(info.class_names)],
        "images": [f"{len(dataset.splits[split])} {split}" for split in SPLITS],
        **({"citation": info.citation} if info.citation else {}),
    }


def _named_facts(named: NamedSet, root: Path | None) -> dict[str, Any]:
    from unetzoo.data.base import SPLITS
    from unetzoo.data.named.named import default_root, locate

    reading = named.reading
    looked = root or default_root(named)
    description: dict[str, Any] = {
        "name": named.name,
        "what": reading.description,
        "images": named.images,
        "channels": reading.channels,
        "classes": [
            f"{i} {c.name}{_headline(c.foreground)}: mask value {', '.join(map(str, c.values))}"
            for i, c in enumerate(reading.classes)
        ],
        "masks": named.masks,
        "split": named.split,
        "k-fold": "each fold is a validation set; the test set stays"
        if named.test_is_fixed
        else "each fold is a test set",
        "layout": [layout.words for layout in named.layouts],
        "notes": named.notes,
        "terms": reading.terms,
        "citation": reading.citation,
        "home": named.home,
        "get": named.by_hand.format(target=looked or f"$UNETZOO_DATA/{named.folder}")
        or [f"{remote.url} ({remote.checksum or NOT_KNOWN})" for remote in named.remotes],
        "looked in": str(looked) if looked else f"nowhere, as UNETZOO_DATA is not set ($UNETZOO_DATA/{named.folder})",
    }
    try:
        place = locate(named, root)
        description["found"] = [f"{place.root}: {place.layout.words}"]
        description["here"] = [f"{len(place.splits.get(split, ()))} {split}" for split in SPLITS]
    except UnetzooError as error:
        description["found"] = f"no: {error}"
    return {key: value for key, value in description.items() if value != ""}


def _headline(counts: bool) -> str:
    return "" if counts else " (not in the headline score)"


@contextmanager
def _bars() -> Iterator[Callable[[str], Callable[[int, int | None], None]]]:
    """Show one progress bar per file, on a terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, disable=not err.is_terminal) as bars:

        def bar(file: str) -> Callable[[int, int | None], None]:
            task = bars.add_task(file, total=None)
            return lambda done, size: bars.update(task, completed=done, total=size)

        yield bar
