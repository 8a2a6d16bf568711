"""Formatting of numbers and names for readers; nothing here depends on records or tables."""

from __future__ import annotations

import json
import re
from typing import Any

import pandas as pd
from markupsafe import Markup

from unetzoo._util.language import N_, _

DASH = "\u2013"
MIB = 2**20
STATUSES = {
    "ok": N_("ok"),
    "crashed": N_("crashed"),
    "killed": N_("killed"),
    "oom": N_("oom"),
    "nan": N_("nan"),
    "timeout": N_("timeout"),
    "hung": N_("hung"),
}


def escape_markdown(value: Any) -> Any:
    """Return one line of plain text, escaped so that it cannot end a table cell or start markup; Markup is kept."""
    if isinstance(value, Markup):
        return value
    text = re.sub(r"[\\`*\[\]|~#]|(?<!\w)_|_(?!\w)", r"\\\g<0>", " ".join(str(value).split()))
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def missing(value: Any) -> bool:
    """Return True for None, NaN and pandas' NA."""
    return value is None or bool(pd.isna(value))


def number(value: Any, digits: int = 3, unit: float = 1.0) -> str:
    """Format ``value / unit``: '0.790', '1,234'; a dash if it is missing."""
    return DASH if missing(value) else f"{value / unit:,.{digits}f}"


def percent(value: Any, digits: int = 0) -> str:
    """Format a share: '79 %'; a dash if it is missing."""
    return DASH if missing(value) else f"{100 * value:.{digits}f} %"


def signed(value: float | None, digits: int = 3) -> str:
    """Format with a sign: '+0.012', with a true minus sign; a dash if it is missing."""
    return DASH if missing(value) else f"{value:+.{digits}f}".replace("-", "\u2212")


def p_text(p: float) -> str:
    """Format a p value: '= 0.034', '< 0.001'."""
    return f"= {p:.3f}" if p >= 0.001 else "< 0.001"


def between(low: float | None, high: float | None, digits: int = 3) -> str:
    """Format an interval: '+0.002 to +0.011'; a bound of exactly 0 is open: 'above 0 to +0.011'."""
    return _(
        "{low} to {high}",
        low=_("above 0") if low == 0 != high else signed(low, digits),
        high=_("below 0") if high == 0 != low else signed(high, digits),
    )


def span(seconds: Any) -> str:
    """Format a duration: '85 s', '12.3 min', '4.1 h'."""
    if missing(seconds):
        return DASH
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min")):
        if seconds < limit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds / 3600:,.1f} h"


def compute(flops: Any) -> str:
    """Format a number of floating-point operations: '2.5 PFLOP'."""
    if missing(flops):
        return DASH
    for unit, name in ((1e18, "E"), (1e15, "P"), (1e12, "T")):
        if flops >= unit:
            return f"{flops / unit:.3g} {name}FLOP"
    return f"{flops / 1e9:.3g} GFLOP"


def status_text(status: str) -> str:
    """Return how a trial ended, in words."""
    return _(STATUSES.get(status, status))


def link(key: str, value: Any) -> str | None:
    """Return the address behind a citation's field: of a DOI, an arXiv number or a URL; else None."""
    text = str(value)
    if key == "doi" and re.fullmatch(r"10\.\S+", text):
        return f"https://doi.org/{text}"
    if key == "arxiv" and re.fullmatch(r"[\w./-]+", text):
        return f"https://arxiv.org/abs/{text}"
    return text if re.fullmatch(r"https?://\S+", text) else None


def words(value: Any) -> str:
    """Format a JSON value for readers: text in one line, lists with commas, short floats, the rest as JSON."""
    if isinstance(value, str):
        return " ".join(value.split())
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, dict) and value:
        return f"({fields(value) or ''})"
    if isinstance(value, (list, tuple)) and all(isinstance(v, (str, int, float)) for v in value):
        return ", ".join(map(words, value))
    return json.dumps(value, ensure_ascii=False, default=str)


def fields(tree: Any) -> str | None:
    """Format a dict in one line: 'steps 240, lr 0.002'; fields that are None are left out, and None if none is left."""
    keys = tree if isinstance(tree, dict) else {}
    return ", ".join(f"{k} {words(v)}" for k, v in keys.items() if v is not None) or None


def listed(names: list[str], most: int = 6) -> str:
    """Join names: 'a', 'a and b', 'a, b and c', or with more than ``most`` of them '... and 4 more'.

    If one of them has a comma in it, as "unet, attention" has, semicolons stand between them.
    """
    if len(names) > most:
        names = [*names[:most], _("{n} more", n=len(names) - most)]
    if len(names) == 1:
        return names[0]
    separator = _("; ") if any(", " in name for name in names) else _(", ")
    return _("{names} and {last}", names=separator.join(names[:-1]), last=names[-1])


def short(text: str, n: int = 26) -> str:
    """Return one printable line of at most n characters; the middle is cut out, since names often differ at the end."""
    line = " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", " ", text).split())
    return line if len(line) <= n else f"{line[: n - n // 2 - 1]}…{line[len(line) - n // 2 :]}"
