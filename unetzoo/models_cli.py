"""``unetzoo list`` and ``unetzoo show``: parse, call, print. ``list`` does not import torch."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from unetzoo.console import err, out
from unetzoo.entry import FAMILIES, Entry
from unetzoo.errors import UnetzooError, nearest, plain
from unetzoo.parameters import parameters
from unetzoo.plugins import import_plugins
from unetzoo.registry import ModelConfig, entries, list_models, model_info, resolve_model
from unetzoo.spec import BLOCKS
from unetzoo.toml import parse_settings

Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="OPTION=VALUE", help="Change a model option; may be given again."),
]
Imports = Annotated[
    list[str] | None,
    typer.Option(
        "--import", metavar="FILE.py", help="A file or module that registers your models; may be given again."
    ),
]
SCALES = {"": 1, "k": 10**3, "m": 10**6}


def list_command(
    pattern: Annotated[str, typer.Argument(help="Shell pattern, such as '*skip'.")] = "*",
    family: Annotated[str | None, typer.Option(help=f"Of this family: {', '.join(FAMILIES)}.")] = None,
    year: Annotated[str | None, typer.Option(metavar="Y|Y-Z|Y-|-Z", help="Published then.")] = None,
    size: Annotated[
        str | None,
        typer.Option("--parameters", metavar="MIN-MAX", help="Between these, such as 1M-10M, -500k or 30M-."),
    ] = None,
    block: Annotated[str | None, typer.Option(help=f"Of the grid, with this block: {', '.join(BLOCKS)}.")] = None,
    pretrained: Annotated[
        bool, typer.Option("--pretrained", help="With an encoder that pretrained weights can be had for.")
    ] = False,
    encoders: Annotated[
        str | None,
        typer.Option(metavar="PATTERN", help="List what encoder=... can be instead, such as 'resnet*'; imports timm."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
    imports: Imports = None,
) -> None:
    """List the registered models.

    Parameters are those with 3 channels in and 1 class; '=' says that the outputs were held against the reference's.

    Examples: [bold]unetzoo list[/]   [bold]unetzoo list 'unet_d*' --json[/]
    [bold]unetzoo list --family nested --year 2018-2020 --parameters -10M[/]
    [bold]unetzoo list --pretrained[/]   [bold]unetzoo list --encoders 'convnext*'[/]
    """
    if encoders is not None:
        filters = {"--family": family, "--year": year, "--parameters": size, "--block": block}
        given = [name for name, value in {**filters, "--pretrained": pretrained, "--import": imports}.items() if value]
        given += [repr(pattern)] * (pattern != "*")
        if given:
            raise UnetzooError(f"--encoders {encoders!r} lists timm's networks: leave out {', '.join(given)}, of ours")
        from unetzoo.encoders_cli import print_encoders

        print_encoders(encoders, as_json)
        return
    import_plugins(imports or [])
    known = entries()
    rows = [known[name] for name in list_models(pattern)]
    if not rows:
        raise UnetzooError(f"no model matches {pattern!r}; 'unetzoo list' names all {len(known)}")
    for option, value, words in (("--family", family, FAMILIES), ("--block", block, BLOCKS)):
        if value is not None and value not in words:
            raise UnetzooError(f"{option} {value!r} is not known; {nearest(value, words)}")
    years, sizes = _between("--year", year), _between("--parameters", size)
    rows = [
        entry
        for entry in rows
        if (family is None or entry.family == family)
        and (not pretrained or entry.can_be_pretrained)
        and (block is None or (entry.spec is not None and entry.spec.block == block))
        and _inside(entry.year, years)
        and _inside(parameters(entry.name), sizes)
    ]
    if not rows:
        raise UnetzooError(f"no model matches {pattern!r} and these filters together; leave one out")
    if as_json:
        print(json.dumps([_facts(entry) for entry in rows], indent=1))
        return
    table = Table("model", "year", "parameters", "=", "what it is", box=None, header_style="bold", pad_edge=False)
    table.columns[2].justify = "right"
    for entry in rows:
        count = parameters(entry.name)
        table.add_row(
            entry.name,
            str(entry.year or "-"),
            f"{count / 1e6:.2f} M" if count else "-",
            "=" if entry.reference and entry.reference.proof != "counted" else "",
            escape(entry.note),
        )
    out.print(table)


def _facts(entry: Entry) -> dict[str, Any]:
    reference = entry.reference
    return {
        "name": entry.name,
        "note": entry.note,
        "family": entry.family,
        "parameters": parameters(entry.name),
        "paper": entry.paper.model_dump() if entry.paper else None,
        "encoder_paper": entry.encoder_paper.model_dump() if entry.encoder_paper else None,
        "reference": {"code": reference.code, "proof": reference.proof} if reference else None,
        "diff": entry.diff,
    }


def _between(option: str, text: str | None) -> tuple[float, float] | None:
    """'2018', '2018-2020', '1M-' or '-500k' as (lowest, highest)."""
    if text is None:
        return None
    number = r"(\d+(?:\.\d+)?)([kM]?)"
    if single := re.fullmatch(number, text):
        return (_number(single), _number(single))
    low, dash, high = text.partition("-")
    found = [re.fullmatch(number, part) if part else None for part in (low, high)]
    if not dash or not (low or high) or any(part and not match for part, match in zip((low, high), found, strict=True)):
        raise UnetzooError(
            f"{option} {text!r}: give one number, MIN-MAX, MIN- or -MAX (k and M are thousands, millions)"
        )
    lowest, highest = (_number(found[0]) if found[0] else 0.0, _number(found[1]) if found[1] else float("inf"))
    if lowest > highest:
        raise UnetzooError(f"{option} {text!r}: the first number is above the second")
    return lowest, highest


def _number(match: re.Match[str]) -> float:
    return float(match[1]) * SCALES[match[2].lower()]


def _inside(value: float | None, limits: tuple[float, float] | None) -> bool:
    return limits is None or (value is not None and limits[0] <= value <= limits[1])


def say_weights(config: ModelConfig) -> None:
    """That pretrained weights which are asked for by True are not looked at, and where they are."""
    if config.pretrained is None or config.pretrained[1] is not True:
        return
    from unetzoo.pretrained import at_hand

    file = at_hand(config.pretrained[0])
    where = str(file) if file else "not on this machine, to be fetched when the network is built"
    said = f"weights of {config.pretrained[0]}: {where}; not needed here"
    err.print(said, highlight=False, markup=False, soft_wrap=True)


def show_command(
    name: Annotated[str, typer.Argument(help="A registered model.")],
    size: Annotated[int | None, typer.Option(min=1, help="Side of the input image in px.")] = None,
    in_channels: Annotated[int, typer.Option(min=1)] = 3,
    num_classes: Annotated[int, typer.Option(min=1)] = 1,
    settings: Settings = None,
    imports: Imports = None,
) -> None:
    """Show a model: paper, what it equals and how that is known, options, its difference from unet, and its stages.

    Examples: [bold]unetzoo show unet_paper --size 572 --in-channels 1 --num-classes 2[/]
    [bold]unetzoo show unet --set up=bilinear[/]
    """
    import_plugins(imports or [])
    entry = model_info(name)
    config = resolve_model(
        name, in_channels=in_channels, num_classes=num_classes, changes=parse_settings(settings or [])
    )
    from unetzoo.measure.counts import side_read, stages

    config.check(fetch=False)
    try:
        side = size or side_read(config, 256)
        rows = stages(config, side, side)
    except UnetzooError:
        raise
    except Exception as error:  # a model of one's own may raise anything
        raise UnetzooError(f"model {name!r} with {config.options}: {plain(error)}") from None
    out.print(f"[bold]{escape(name)}[/]  {escape(entry.note)}")
    out.print(f"paper: {escape(str(entry.paper or 'none given'))}", soft_wrap=True)
    if entry.encoder_paper:
        out.print(f"encoder: {escape(str(entry.encoder_paper))}", soft_wrap=True)
    for paper in (entry.paper, entry.encoder_paper):
        if paper and paper.code:
            licence = paper.code_licence or "licence not stated"
            out.print(f"code: {escape(paper.code)} ({escape(licence)})", soft_wrap=True)
    own = {option: list(v) if isinstance(v, tuple) else v for option, v in entry.options.items()}  # as config has them
    changed = [option for option, value in config.options.items() if own.get(option) != value]
    if entry.reference:
        where = f"with its own {', '.join(changed)} " if changed else ""
        out.print(f"{where}the same function as {escape(str(entry.reference))}", soft_wrap=True)
    for deviation in entry.deviations:
        out.print(f"deviation: {escape(deviation)}", soft_wrap=True)
    if entry.multiple_of > 1:
        out.print(f"adapted: images are mirrored to sides that are multiples of {entry.multiple_of}", soft_wrap=True)
    if entry.output is not None:
        out.print(f"adapted: its logits are output {escape(repr(entry.output))} of the network", soft_wrap=True)

    say_weights(config)
    base = model_info("unet").options if entry.spec is not None else own
    options = Table("option", "value", "in unet" if entry.spec else "default", box=None, header_style="bold")
    for option, value in config.options.items():
        differs = base.get(option) != value
        options.add_row(
            option,
            escape(repr(value)),
            escape(repr(base.get(option))) if differs else "",
            style="yellow" if differs else None,
        )
    out.print(options)

    table = Table("stage", "output", "parameters", "MACs", box=None, header_style="bold")
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows:
        table.add_row(row.name, "x".join(map(str, row.shape)), f"{row.params:,}", f"{row.macs:,}")
    table.add_row("total", "", f"{sum(r.params for r in rows):,}", f"{sum(r.macs for r in rows):,}", style="bold")
    out.print(
        f"at {in_channels}x{side}x{side}; output: CxHxW, of an encoder's maps the coarsest, of tokens channels last; "
        "MACs of convolutions and matrix products, one image",
        soft_wrap=True,
    )
    out.print(table)
