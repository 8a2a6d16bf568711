"""Options of a report that hold for all of its pages, and the time of its stages."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from unetzoo.errors import UnetzooError, nearest
from unetzoo.report.architecture import Describe
from unetzoo.report.words import span


class Clock:
    """Seconds of each stage of a report, in the order in which the stages first ran."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of a block to a stage."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begun

    def __str__(self) -> str:
        each = [f"{name} {span(seconds)}" for name, seconds in self.seconds.items()]
        return f"{', '.join(each)}; together {span(sum(self.seconds.values()))}"


@dataclass(frozen=True)
class Options:
    """Options of a report.

    Attributes:
        paper: Also write ``paper/``; see `unetzoo.report.paper`.
        formats: Formats of the files in ``plots/``; None takes PNG and SVG, or PNG alone if the report is brief.
        describe: Describes the networks on the variants' pages; None leaves the architecture out.
        clock: Takes the time of each stage.
    """

    paper: bool = False
    formats: tuple[str, ...] | None = None
    describe: Describe | None = None
    clock: Clock = field(default_factory=Clock)


def check_formats(formats: Sequence[str] | None, option: str = "formats") -> tuple[str, ...] | None:
    """Return the formats of plots in their usual order.

    Args:
        formats: What the user asks for.
        option: Name of the option in an error.

    Raises:
        UnetzooError: If one of them is not a format, or there is none.
    """
    if formats is None:
        return None
    from unetzoo.report.style import FORMATS

    if isinstance(formats, str) or not formats:
        raise UnetzooError(f"{option} = {formats!r}: must be one or more of {', '.join(FORMATS)}")
    for name in formats:
        if name not in FORMATS:
            raise UnetzooError(f"{option} {name!r} is not a format of plots; {nearest(str(name), FORMATS)}")
    return tuple(name for name in FORMATS if name in formats)
