"""``unetzoo list`` and ``profile``: parse, call, print; ``list`` does not import torch."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from unetzoo._util.plugins import import_plugins
from unetzoo.cli.console import err, out
from unetzoo.cli.options import AsJson, Imports, Memory, ModelOptions, Time, gib, parse_options
from unetzoo.errors import UnetzooError, nearest
from unetzoo.grid.spec import BLOCKS
from unetzoo.models.entry import FAMILIES, Entry
from unetzoo.models.factory import ModelConfig, resolve_model
from unetzoo.models.parameters import parameters
from unetzoo.models.registry import entries, list_models

SCALES = {"": 1, "k": 10**3, "m": 10**6}


def list_command(
    pattern: Annotated[str, typer.Argument(help="Shell pattern for names, such as '*skip'.")] = "*",
    family: Annotated[str | None, typer.Option(help=f"Models of this family: {', '.join(FAMILIES)}.")] = None,
    year: Annotated[
        str | None, typer.Option(metavar="Y|Y-Z|Y-|-Z", help="Models published then, such as 2018, 2018-2020 or 2020-.")
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            "--parameters", metavar="MIN-MAX", help="Models with so many parameters, such as 1M-10M, -500k or 30M-."
        ),
    ] = None,
    block: Annotated[str | None, typer.Option(help=f"Models of the grid with this block: {', '.join(BLOCKS)}.")] = None,
    pretrained: Annotated[
        bool, typer.Option("--pretrained", help="Models whose encoder has pretrained weights.")
    ] = False,
    encoders: Annotated[
        str | None,
        typer.Option(
            metavar="PATTERN", help="List encoders for encoder=... instead of models, such as 'resnet*'; imports timm."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    imports: Imports = None,
) -> None:
    """List the registered models.

    Parameters are counted for 3 input channels and 1 class.
    '=' marks a model whose outputs were compared with those of its reference implementation.

    Examples:
      [bold]unetzoo list[/]
      [bold]unetzoo list 'unet_d*' --json[/]
      [bold]unetzoo list --family nested --year 2018-2020 --parameters -10M[/]
      [bold]unetzoo list --pretrained[/]
      [bold]unetzoo list --encoders 'convnext*'[/]
    \f
    Raises:
        UnetzooError: If an option is not valid, or no model or encoder matches.
    """
    if encoders is not None:
        filters = {"--family": family, "--year": year, "--parameters": size, "--block": block}
        given = [name for name, value in {**filters, "--pretrained": pretrained, "--import": imports}.items() if value]
        given += [repr(pattern)] * (pattern != "*")
        if given:
            raise UnetzooError(
                f"--encoders {encoders!r} lists timm's networks; leave out {', '.join(given)}, for models"
            )
        from unetzoo.cli.encoders import print_encoders

        print_encoders(encoders, as_json)
        return
    import_plugins(imports or [])
    known = entries()
    rows = [known[name] for name in list_models(pattern)]
    if not rows:
        raise UnetzooError(f"no model matches {pattern!r}; 'unetzoo list' lists all {len(known)}")
    for option, value, words in (("--family", family, FAMILIES), ("--block", block, BLOCKS)):
        if value is not None and value not in words:
            raise UnetzooError(f"{option} {value!r} is not known; {nearest(value, words)}")
    years, sizes = _between("--year", year), _between("--parameters", size)
    rows = [
        entry
        for entry in rows
        if (family is None or entry.family == family)
        and (not pretrained or entry.can_be_pretrained)
        and (block is None or entry.block == block)
        and _inside(entry.year, years)
        and _inside(parameters(entry.name), sizes)
    ]
    if not rows:
        raise UnetzooError(f"no model matches {pattern!r} and these filters together; leave out a filter")
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
    """Parse '2018', '2018-2020', '1M-' or '-500k' to (lowest, highest).

    Raises:
        UnetzooError: If the text is none of these.
    """
    if text is None:
        return None
    number = r"(\d+(?:\.\d+)?)([kM]?)"
    if single := re.fullmatch(number, text):
        return (_number(single), _number(single))
    low, dash, high = text.partition("-")
    found = [re.fullmatch(number, part) if part else None for part in (low, high)]
    if not dash or not (low or high) or any(part and not match for part, match in zip((low, high), found, strict=True)):
        raise UnetzooError(
            f"{option} {text!r} is not a range; give a number, MIN-MAX, MIN- or -MAX (k is thousand, M is million)"
        )
    lowest, highest = (_number(found[0]) if found[0] else 0.0, _number(found[1]) if found[1] else float("inf"))
    if lowest > highest:
        raise UnetzooError(f"{option} {text!r}: the first number is above the second; give MIN-MAX")
    return lowest, highest


def _number(match: re.Match[str]) -> float:
    return float(match[1]) * SCALES[match[2].lower()]


def _inside(value: float | None, limits: tuple[float, float] | None) -> bool:
    return limits is None or (value is not None and limits[0] <= value <= limits[1])


def print_weights_source(config: ModelConfig) -> None:
    """Tell the user where the pretrained weights are, since this command does not load them."""
    if config.pretrained is None or config.pretrained[1] is not True:
        return
    from unetzoo.encoders.files import at_hand

    file = at_hand(config.pretrained[0])
    where = str(file) if file else "not on this machine, to be downloaded when the network is built"
    text = f"weights of {config.pretrained[0]}: {where}; not needed for this command"
    err.print(text, highlight=False, markup=False, soft_wrap=True)


def profile_command(
    name: Annotated[str, typer.Argument(help="A registered model.")],
    size: Annotated[int, typer.Option(min=1, help="Side of the images in px; valid convolutions read more.")] = 256,
    batch: Annotated[int, typer.Option(min=1, help="Images at once, in training and in inference.")] = 1,
    precision: Annotated[
        str,
        typer.Option(
            metavar="auto|float32|bfloat16|float16", help="Precision; auto is the fastest that the hardware supports."
        ),
    ] = "auto",
    in_channels: Annotated[int, typer.Option(min=1, help="Channels of the images.")] = 3,
    num_classes: Annotated[int, typer.Option(min=1, help="Classes, including the background.")] = 2,
    options: ModelOptions = None,
    imports: Imports = None,
    memory: Memory = None,
    time: Time = True,
    as_json: AsJson = False,
) -> None:
    """Show parameters, MACs, memory in training and inference, latency and the largest batch of one model.

    Memory is predicted without allocating any; latency is measured.

    Examples:
      [bold]unetzoo profile unet[/]
      [bold]unetzoo profile unet --size 512 --batch 4 --precision float32[/]
      [bold]unetzoo profile unet_d6 --set width=32 --memory 8 --no-time[/]
    """
    limit = gib(memory)
    import_plugins(imports or [])
    config = resolve_model(name, in_channels=in_channels, num_classes=num_classes, options=parse_options(options or []))
    from unetzoo.bench.profile import profile_model
    from unetzoo.cli.plan_tables import print_profile

    print_weights_source(config)
    found = profile_model(config, size=size, batch=batch, precision=precision, limit=limit, timed=time)
    if as_json:
        print(json.dumps(found.model_dump(mode="json"), indent=1))
    else:
        print_profile(found, out)
