"""The progress of `unetzoo predict` on stderr: two bars on a terminal, one line per image elsewhere."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from unetzoo.inference.files import Result, Watcher
from unetzoo.inference.images import Item


class LiveWatcher(Watcher):
    """Shows the progress of images, and of the tiles (times versions) of the current one.

    Args:
        console: Where to print; bars are drawn only if it is a terminal.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> LiveWatcher:
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    def start(self, items: int) -> None:
        self.images = self.bars.add_task("images", total=items)
        self.parts = self.bars.add_task("tiles", total=None)

    def tiles(self, done: int, total: int) -> None:
        if done == 1:
            self.bars.reset(self.parts, total=total)
        self.bars.update(self.parts, completed=done)

    def end(self, item: Item, what: str) -> None:
        self.bars.advance(self.images)
        if what:
            self.console.print(what, markup=False, highlight=False, soft_wrap=True)


def print_result(result: Result, folder: Path, out: Console, err: Console) -> None:
    """Print the number of masks to ``out``, and to ``err`` the precision and what was converted, failed or left out."""
    kept = f", {result.kept} already done" if result.kept else ""
    out.print(f"{folder}: {result.predicted} predicted{kept}", soft_wrap=True, highlight=False, markup=False)
    lines = [f"computed in {result.computed}"] if result.computed else []
    lines += [f"note: {line}" for line in result.unread]
    if result.unknown:
        lines.append(f"note: {result.unknown}")
    if count := len(result.reduced):
        lines.append(f"one channel was read of {count} grey images stored as RGB: {_names(result.reduced)}")
    for note, items in result.converted.items():
        lines.append(f"{len(items)} converted: {note}: {_names(items)}")
    if count := len(result.far):
        lines.append(f"warning: {count} with {result.far_words}: {_names(result.far)}")
    if count := len(result.failed):
        lines.append(f"{count} failed: {_names(list(result.failed))}")
    for line in lines:
        err.print(line, soft_wrap=True, highlight=False, markup=False)


def _names(items: list[Item], most: int = 20) -> str:
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(map(str, items[:most])) + more
