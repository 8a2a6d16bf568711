"""MkDocs hook: let the code write the parts of the reference that it knows best.

In a page, `<!-- generate: commands -->` becomes the help of every command, and `<!-- generate: fields NAME -->` the
options of a pydantic class of the public face with all that it holds.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from unittest.mock import patch

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typer.testing import CliRunner

import unetzoo
from unetzoo.cli.main import app

DIRECTIVE = re.compile(r"^<!-- generate: (\w+) ?(\w*) -->$", re.MULTILINE)
HELP_WIDTH = "80"  # columns that a code block shows without scrolling


def on_page_markdown(markdown: str, **_: object) -> str:
    """Fill a page's directives; MkDocs calls this for every page.

    Raises:
        KeyError: If a directive is not known.
    """
    makers = {"commands": lambda _: commands(), "fields": lambda name: fields(getattr(unetzoo, name))}
    return DIRECTIVE.sub(lambda match: makers[match[1]](match[2]), markdown)


def commands() -> str:
    """Return the `--help` of every command, each below a heading of its own."""
    return "\n\n".join(f"## {' '.join(path)}\n\n```text\n{help_of(path)}\n```" for path in command_paths())


def command_paths() -> Iterator[tuple[str, ...]]:
    """Yield ('unetzoo',), ('unetzoo', 'list') and so on, in the order in which the commands are listed."""

    def below(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        yield path
        for name, child in getattr(command, "commands", {}).items():
            yield from below(child, (*path, name))

    yield from below(typer.main.get_command(app), ("unetzoo",))


def help_of(path: tuple[str, ...]) -> str:
    """Return what `--help` prints for a command, without colour.

    Raises:
        RuntimeError: If the command fails.
    """
    with patch.dict(os.environ, {"COLUMNS": HELP_WIDTH, "NO_COLOR": "1", "TERM": "dumb"}):
        done = CliRunner().invoke(app, [*path[1:], "--help"], prog_name=path[0])
    if done.exit_code:
        raise RuntimeError(f"{' '.join(path)} --help: {done.output}")
    return "\n".join(line.rstrip() for line in done.output.strip().splitlines())


def fields(model: type[BaseModel], key: str = "", *, many: bool = False) -> str:
    """Return a table of a class's fields, then one for each class that a field holds.

    Args:
        model: The class.
        key: Its table in a TOML file, such as `train.tune`; empty for the file's top.
        many: The key holds a list of such tables.
    """
    rows, below = [], []
    for name, field in model.model_fields.items():
        inner = held(field.annotation)
        where = f"{key}.{name}".lstrip(".")
        if inner is not None:
            below.append(fields(inner, where, many=get_origin(field.annotation) is list))
        default = "required" if field.is_required() else "" if inner else f"`{value(field.get_default())}`"
        rows.append(f"| `{name}` | {kind(field)} | {default} | {escaped(field.description or '')} |")
    brackets = f"[[{key}]]" if many else f"[{key}]"
    heading = f"## `{brackets}`" if key else f"## `{model.__name__}`"
    table = "\n".join(["| option | values | default | meaning |", "|:--|:--|:--|:--|", *rows])
    return "\n\n".join([heading, summary(model), table, *below])


def summary(model: type[BaseModel]) -> str:
    """Return the first paragraph of a class's docstring, with single backticks."""
    return re.sub(r"\s+", " ", (model.__doc__ or "").strip().split("\n\n")[0]).replace("``", "`")


def held(annotation: Any) -> type[BaseModel] | None:
    """Return the pydantic class that an annotation names, alone, in a list or beside None."""
    for part in (annotation, *get_args(annotation)):
        if isinstance(part, type) and issubclass(part, BaseModel):
            return part
    return None


def kind(field: FieldInfo) -> str:
    """Return the values that a field takes, in words and with its bounds."""
    if held(field.annotation) is not None:
        return "a list of tables" if get_origin(field.annotation) is list else "a table"
    words = [text for part in alternatives(field.annotation) if (text := one(part))]
    bounds = [
        f"{sign} {getattr(rule, attribute):g}"
        for rule in field.metadata
        for sign, attribute in (("≥", "ge"), (">", "gt"), ("≤", "le"), ("<", "lt"))
        if getattr(rule, attribute, None) is not None
    ]
    return ", ".join([" or ".join(words), *bounds])


def alternatives(annotation: Any) -> tuple[Any, ...]:
    """Return the members of a union, or the annotation alone."""
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def one(annotation: Any) -> str:
    """Return one type in a TOML author's words; nothing for None, which a file leaves out."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value(choice)}`" for choice in get_args(annotation))
    plain = {bool: "true, false", int: "whole number", float: "number", str: "text"}
    if annotation in plain:
        return plain[annotation]
    if get_origin(annotation) in (list, tuple):
        inner = [a for a in get_args(annotation) if a is not Ellipsis]
        return f"list of {one(inner[0])}s".replace("texts", "text")
    return "table" if get_origin(annotation) is dict else ""


def value(default: Any) -> str:
    """Return a value as TOML writes it; "none" for None, which TOML lacks."""
    if default is None:
        return "none"
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, str):
        return f'"{default}"'
    if isinstance(default, (list, tuple)):
        return f"[{', '.join(map(value, default))}]"
    return str(default)


def escaped(text: str) -> str:
    """Return text for a cell of a Markdown table."""
    return text.replace("|", "\\|")
