"""The two streams that commands print to."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.segment import Segment

from unetzoo._util.text import visible


class SafeConsole(Console):
    """A console on which text from outside cannot move the cursor, ring the bell or fail to be encoded."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible(segment.text))


# Without a terminal rich would assume 80 columns and break lines that scripts want to grep.
out = SafeConsole(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160)
err = SafeConsole(stderr=True)


@contextmanager
def telling() -> Iterator[Callable[[str], None]]:
    """Yield a function that tells what is done next: a terminal shows it while it is done, a pipe gets a line."""
    if not err.is_terminal:
        yield lambda line: err.print(line, markup=False, highlight=False, soft_wrap=True)
        return
    with err.status("") as status:
        yield lambda line: status.update(escape(line))
