"""``unetzoo show``: one model with its papers, options and stages, or two side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from unetzoo._util.plugins import import_plugins
from unetzoo.cli.console import out
from unetzoo.cli.export import print_exported
from unetzoo.cli.models import print_weights_source
from unetzoo.cli.options import Imports, ModelOptions, parse_options
from unetzoo.errors import UnetzooError, one_line
from unetzoo.models.entry import Entry
from unetzoo.models.factory import ModelConfig, resolve_model
from unetzoo.models.registry import model_info

if TYPE_CHECKING:
    from unetzoo.measure.counts import Stage


def show_command(
    name: Annotated[str, typer.Argument(help="A registered model, or the folder of an exported one.")],
    other: Annotated[
        str | None, typer.Argument(help="Another registered model, to see both side by side.", show_default=False)
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(min=1, help="Side of the input image in px; default: 256, more for valid convolutions."),
    ] = None,
    in_channels: Annotated[int, typer.Option(min=1, help="Channels of the image.")] = 3,
    num_classes: Annotated[int, typer.Option(min=1, help="Channels of the output.")] = 1,
    options: ModelOptions = None,
    imports: Imports = None,
) -> None:
    """Show a model: its paper, options and stages; or two models side by side.

    Options are compared with those of unet. Also says which reference implementation the model equals, if any, and how
    that was checked. Of two models it says what differs; size, channels and --set then count for both.

    Examples:
      [bold]unetzoo show unet_paper --size 572 --in-channels 1 --num-classes 2[/]
      [bold]unetzoo show unet --set up=bilinear[/]
      [bold]unetzoo show vm_unet swin_unet[/]
      [bold]unetzoo show exported/[/]
    \f
    Raises:
        UnetzooError: If the name or an option is not valid, or the network does not run on the image.
    """
    if other is None and (Path(name) / "export.json").exists():
        print_exported(Path(name))
        return
    import_plugins(imports or [])
    given = parse_options(options or [])
    config = resolve_model(name, in_channels=in_channels, num_classes=num_classes, options=given)
    if other is not None:
        second = resolve_model(other, in_channels=in_channels, num_classes=num_classes, options=given)
        _print_pair(config, second, size)
        return
    _print_one(config, size)


def _stages(config: ModelConfig, size: int | None) -> tuple[int, list[Stage]]:
    """Return the side of the image and the stages of a network.

    Raises:
        UnetzooError: If the network cannot be built or does not run on the image.
    """
    from unetzoo.measure.counts import side_read, stages

    config.check(fetch=False)
    try:
        side = size or side_read(config, 256)
        return side, stages(config, side, side)
    except UnetzooError:
        raise
    except Exception as error:  # a user's model may raise anything
        raise UnetzooError(f"model {config.name!r} with {config.options}: {one_line(error)}") from None


def _print_one(config: ModelConfig, size: int | None) -> None:
    """Print papers, reference, options and stages of one model."""
    side, rows = _stages(config, size)
    name, entry = config.name, model_info(config.name)
    _print_about(name, entry, config)
    _print_options(entry, config)
    _print_stages(rows, config.in_channels, side)


def _print_about(name: str, entry: Entry, config: ModelConfig) -> None:
    out.print(f"[bold]{escape(name)}[/]  {escape(entry.note)}")
    out.print(f"paper: {escape(str(entry.paper or 'none given'))}", soft_wrap=True)
    if entry.encoder_paper:
        out.print(f"encoder: {escape(str(entry.encoder_paper))}", soft_wrap=True)
    for paper in (entry.paper, entry.encoder_paper):
        if paper and paper.code:
            licence = paper.code_licence or "licence not stated"
            out.print(f"code: {escape(paper.code)} ({escape(licence)})", soft_wrap=True)
    own = {
        option: list(v) if isinstance(v, tuple) else v for option, v in entry.options.items()
    }  # lists, as in the config
    changed = [option for option, value in config.options.items() if own.get(option) != value]
    if entry.reference:
        where = f"with its registered {', '.join(changed)} " if changed else ""
        out.print(f"{where}the same function as {escape(str(entry.reference))}", soft_wrap=True)
    for deviation in entry.deviations:
        out.print(f"deviation: {escape(deviation)}", soft_wrap=True)
    for line in entry.adaptations:
        out.print(f"adapted: {escape(line)}", soft_wrap=True)


def _print_options(entry: Entry, config: ModelConfig) -> None:
    print_weights_source(config)
    heading, base = entry.compared_with
    table = Table("option", "value", heading, box=None, header_style="bold")
    for option, value in config.options.items():
        differs = base.get(option) != value
        table.add_row(
            option,
            escape(repr(value)),
            escape(repr(base.get(option))) if differs else "",
            style="yellow" if differs else None,
        )
    out.print(table)


def _print_stages(rows: Sequence[Stage], in_channels: int, side: int) -> None:
    table = Table("stage", "output", "parameters", "MACs", box=None, header_style="bold")
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows:
        table.add_row(row.name, "x".join(map(str, row.shape)), f"{row.params:,}", f"{row.macs:,}")
    table.add_row("total", "", f"{sum(r.params for r in rows):,}", f"{sum(r.macs for r in rows):,}", style="bold")
    out.print(
        f"input: {in_channels}x{side}x{side}; output: CxHxW, the coarsest of an encoder's maps, channels last for "
        "tokens; MACs: convolutions and matrix products of one image",
        soft_wrap=True,
    )
    out.print(table)


def _print_pair(first: ModelConfig, second: ModelConfig, size: int | None) -> None:
    """Print two models side by side: what each is, what each costs, their options and their stages.

    Raises:
        UnetzooError: If both are the same model, or one does not run on the image.
    """
    configs = (first, second)
    names = [config.name for config in configs]
    if names[0] == names[1]:
        raise UnetzooError(f"{names[0]!r} is given twice; name two models, or one alone")
    sides, rows = zip(*(_stages(config, size) for config in configs), strict=True)
    entries = [model_info(name) for name in names]
    heads = [escape(name) for name in names]
    table = Table("", *heads, box=None, header_style="bold")
    about = {title: [tell(entry) for entry in entries] for title, tell in ABOUT.items()}
    about["parameters"] = [f"{sum(stage.params for stage in parts):,}" for parts in rows]
    about["MACs"] = [f"{sum(stage.macs for stage in parts):,}" for parts in rows]
    about["input"] = [f"{config.in_channels}x{side}x{side}" for config, side in zip(configs, sides, strict=True)]
    _add_rows(table, about)
    out.print(table)

    options = [config.options for config in configs]
    both = [option for option in options[0] if option in options[1]]
    same = [option for option in both if options[0][option] == options[1][option]]
    every = dict.fromkeys([*options[0], *options[1]])
    table = Table("option", *heads, box=None, header_style="bold")
    _add_rows(
        table,
        {o: [repr(own[o]) if o in own else NONE for own in options] for o in every if o not in same},
    )
    if table.row_count:
        out.print(table)
    if same:
        alike = ", ".join(f"{option} = {options[0][option]!r}" for option in same)
        out.print(f"options that both share: {escape(alike)}", soft_wrap=True)

    table = Table("stage", *heads, box=None, header_style="bold")
    for number, pair in enumerate(zip_longest(*rows), 1):
        table.add_row(str(number), *(escape(_stage(stage)) for stage in pair))
    out.print(table)
    out.print(
        "stage: name, output CxHxW, parameters, MACs; in the order in which each network computes", soft_wrap=True
    )


def _add_rows(table: Table, values: Mapping[str, Sequence[str]]) -> None:
    """Add a row for each title; those whose values differ are yellow."""
    for title, pair in values.items():
        table.add_row(title, *map(escape, pair), style="yellow" if pair[0] != pair[1] else None)


def _stage(stage: Stage | None) -> str:
    if stage is None:
        return NONE
    shape = "x".join(map(str, stage.shape)) or NONE
    return f"{stage.name}  {shape}  {stage.params / 1e6:.3f} M  {stage.macs / 1e9:.3f} G"


def _licence(entry: Entry) -> str:
    if entry.paper is None or entry.paper.code is None:
        return NONE
    return entry.paper.code_licence or "licence not stated"


NONE = "-"
ABOUT: dict[str, Callable[[Entry], str]] = {
    "what it is": lambda entry: entry.note,
    "family": lambda entry: entry.family,
    "paper": lambda entry: str(entry.paper or NONE),
    "encoder": lambda entry: str(entry.encoder_paper or NONE),
    "licence of its code": _licence,
    "same function as": lambda entry: f"{entry.reference.code} ({entry.reference.proof})" if entry.reference else NONE,
    "deviations": lambda entry: " ".join(entry.deviations) or NONE,
}
