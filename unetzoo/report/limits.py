"""Limits on what a model may cost: their names, units and words."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from unetzoo._util.language import N_, _
from unetzoo.errors import UnetzooError
from unetzoo.report.words import listed, span

COUNT = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "B": 1e9, "T": 1e12}
MILLISECONDS = {"us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3}
BYTES = {"kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30}
SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Kind:
    """A cost that can be limited; its words are in English, for `unetzoo._util.language`.

    Attributes:
        cost: Column of the summary.
        option: Name of the limit: ``max_params``, and ``--max-params`` at the command line.
        units: Unit -> its size in the unit of the column.
        example: A limit as a user writes it.
        phrase: "{} parameters", "parameters", to be filled with an amount.
        noun: "latency".
        superlative: What the cheapest variant is said to be or have: "fewest parameters", "fastest".
        cheapest: The cheapest variant as a noun: "smallest".
    """

    cost: str
    option: str
    units: Mapping[str, float]
    example: str
    phrase: str
    noun: str
    superlative: str
    cheapest: str

    def amount(self, value: float) -> str:
        """Format a value of this cost: '7.76 M', '20.3 ms', '331 MiB', '85 s'."""
        if self.units is SECONDS:
            return span(value)
        if self.units is MILLISECONDS:
            return f"{value:.3g} ms" if value < 1000 else f"{value:,.0f} ms"
        steps = ((2**30, "GiB"), (2**20, "MiB")) if self.units is BYTES else ((1e9, "G"), (1e6, "M"))
        for size, unit in steps:
            if value >= size:
                return f"{value / size:.3g} {unit}" if value < 1000 * size else f"{value / size:,.0f} {unit}"
        return _("{n:,.0f} bytes", n=value) if self.units is BYTES else f"{value:,.0f}"

    def most(self, limit: float) -> str:
        """Return a limit in words: 'at most 5 M parameters'."""
        return _(self.phrase).format(_("at most {amount}", amount=self.amount(limit)))

    def has(self, value: float) -> str:
        """Return a cost in words: '7.76 M parameters', 'a latency of 20 ms'."""
        return _(self.phrase).format(self.amount(value))


KINDS = {
    kind.cost: kind
    for kind in (
        Kind(
            "params",
            "max_params",
            COUNT,
            "5M",
            N_("{} parameters"),
            N_("parameters"),
            N_("fewest parameters"),
            N_("smallest"),
        ),
        Kind(
            "macs",
            "max_macs",
            COUNT,
            "10G",
            N_("{} MACs"),
            N_("MACs"),
            N_("fewest MACs"),
            N_("one with the fewest MACs"),
        ),
        Kind(
            "latency_p50_ms",
            "max_latency",
            MILLISECONDS,
            "50ms",
            N_("a latency of {}"),
            N_("latency"),
            N_("fastest"),
            N_("fastest"),
        ),
        Kind(
            "peak_train_bytes",
            "max_memory",
            BYTES,
            "2GiB",
            N_("{} of training memory"),
            N_("training memory"),
            N_("least training memory"),
            N_("one with the least training memory"),
        ),
        Kind(
            "peak_infer_bytes",
            "max_inference_memory",
            BYTES,
            "500MiB",
            N_("{} of inference memory"),
            N_("inference memory"),
            N_("least inference memory"),
            N_("one with the least inference memory"),
        ),
        Kind(
            "train_seconds",
            "max_time",
            SECONDS,
            "10min",
            N_("a training time of {}"),
            N_("training time"),
            N_("shortest training"),
            N_("one with the shortest training"),
        ),
    )
}
BY_OPTION = {kind.option: kind for kind in KINDS.values()}


def asked(limits: Mapping[str, float]) -> str:
    """Return limits by column of the summary in words: 'at most 5 M parameters and a latency of at most 50 ms'."""
    return _(" and ").join(KINDS[cost].most(most) for cost, most in limits.items())


def read_limits(given: Mapping[str, str | float | None], dashes: bool = False) -> dict[str, float]:
    """Return limits by column of the summary, in its unit.

    Args:
        given: Name of a limit, such as ``max_params`` -> a text with its unit, such as "5M" or "2GiB"; a number is
            enough where no unit is needed. None is no limit.
        dashes: Name a limit in errors as the command line does.

    Raises:
        UnetzooError: If a limit is unknown, is not a number above 0, or lacks its unit.
    """
    limits = {}
    for option, text in given.items():
        if option not in BY_OPTION:
            raise UnetzooError(f"{option!r} is not a limit; there are {listed(list(BY_OPTION), len(BY_OPTION))}")
        kind = BY_OPTION[option]
        if text is not None:
            name = f"--{option.replace('_', '-')} " if dashes else f"{option} = "
            limits[kind.cost] = _amount(kind, str(text), f"{name}{text!r}")
    return limits


def _amount(kind: Kind, text: str, what: str) -> float:
    found = re.fullmatch(r"\s*(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)\s*([A-Za-zµ]*)\s*", text)
    value = float(found[1]) if found else math.nan
    if found is None or not 0 < value < math.inf:
        raise UnetzooError(f"{what}: must be a number above 0 with its unit, such as {kind.example}")
    if found[2] not in kind.units:
        units = [unit for unit in kind.units if unit]
        none = " or none" if "" in kind.units else ""
        wrong = f"{found[2]!r} is not a unit of it" if found[2] else "its unit is missing"
        raise UnetzooError(f"{what}: {wrong}; write {', '.join(units)}{none}, such as {kind.example}")
    return value * kind.units[found[2]]
