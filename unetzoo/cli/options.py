"""Options that several commands share, each stated once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from unetzoo._util.toml import parse_toml, tomllib
from unetzoo.errors import UnetzooError

Memory = Annotated[
    float | None,
    typer.Option(metavar="GIB", help="Memory to plan for, in GiB; default: this machine's."),
]
Time = Annotated[
    bool,
    typer.Option("--time/--no-time", help="Measure times, which runs the models; --no-time predicts memory alone."),
]
Lang = Annotated[
    str, typer.Option("--lang", metavar="LANG", help="Language of what is said: en or zh (Chinese); default: en.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def gib(memory: float | None) -> int | None:
    """Convert ``--memory`` from GiB to bytes.

    Raises:
        UnetzooError: If it is not a number above 0.
    """
    if memory is not None and not 0 < memory < 2**30:
        raise UnetzooError(f"--memory {memory:g}: must be above 0, in GiB")
    return None if memory is None else round(memory * 2**30)


ModelOptions = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="OPTION=VALUE", help="Change an option of the model; may be repeated."),
]
Imports = Annotated[
    list[str] | None,
    typer.Option(
        "--import", metavar="FILE.py", help="File or module that registers your models or data sets; may be repeated."
    ),
]


def parse_options(texts: Iterable[str]) -> dict[str, Any]:
    """Parse texts such as ``["width=16", "up=bilinear"]`` into a dictionary of options.

    Args:
        texts: Texts of the form OPTION=VALUE. A value that is not valid TOML is taken as a string.

    Raises:
        UnetzooError: If a text has no option or no equals sign, or a value is too large.
    """
    options = {}
    for text in texts:
        option, equals, value = (piece.strip() for piece in text.partition("="))
        if not equals or not option:
            raise UnetzooError(f"--set {text!r}: expected OPTION=VALUE, such as width=16")
        try:
            tomllib.loads(f"value = {value}")
        except tomllib.TOMLDecodeError:
            options[option] = value
        except (ValueError, RecursionError):  # refused below, with the reason
            pass
        if option not in options:
            options[option] = parse_toml(f"value = {value}", f"--set {option}")["value"]
    return options
