"""``unetzoo list --encoders PATTERN``: networks that can be an encoder; imports timm and torch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from rich.markup import escape
from rich.table import Table

from unetzoo.cli.console import out
from unetzoo.errors import UnetzooError

MOST_TRIED = 100  # each is built without allocating memory, which takes a moment


def print_encoders(pattern: str, as_json: bool) -> None:
    """Print the encoders that match a shell pattern, and below the table those that cannot be used, and why.

    Args:
        pattern: The shell pattern; with a dot, it also matches the tags of weights.
        as_json: Print JSON instead of a table.

    Raises:
        UnetzooError: If no encoder matches, or so many that it would take minutes.
    """
    from unetzoo.encoders.timm_encoder import names, similar

    found = [name for name in names(tagged="." in pattern) if fnmatchcase(name, pattern)]
    if not found:
        raise UnetzooError(f"--encoders {pattern!r}: timm has no such model; {similar(pattern.strip('*?'))}")
    if len(found) > MOST_TRIED:
        raise UnetzooError(
            f"--encoders {pattern!r}: {len(found)} models match, and each takes a moment to build; choose "
            f"at most {MOST_TRIED}, such as '{found[0][:4]}*'"
        )
    rows = list(_rows(found))
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    table = Table("encoder", "parameters", "strides", "channels", "weights", box=None, header_style="bold")
    table.columns[1].justify = "right"
    for row in rows:
        if "reason" not in row:
            strides, channels = (" ".join(map(str, row[key])) for key in ("strides", "channels"))
            table.add_row(row["name"], f"{row['parameters'] / 1e6:.2f} M", strides, channels, row["weights"])
    if table.rows:
        out.print(table)
    for row in rows:
        if "reason" in row:
            out.print(f"[dim]{escape(row['reason'])}[/]", soft_wrap=True)


def _rows(found: list[str]) -> Iterator[dict[str, Any]]:
    from unetzoo.encoders.files import at_hand, has_weights
    from unetzoo.encoders.timm_encoder import usable

    for name in found:
        try:
            offered = usable(name)
        except UnetzooError as error:
            yield {"name": name, "reason": str(error)}
            continue
        yield {
            "name": name,
            "parameters": offered.params,
            "strides": offered.strides,
            "channels": offered.channels,
            "weights": "here" if at_hand(name) else "to be fetched" if has_weights(name) else "none",
        }
