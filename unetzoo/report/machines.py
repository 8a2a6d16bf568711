"""Costs of a run whose trials ran on several kinds of machine: a table for each kind, and ratios to the reference."""

# pandas ships no types: what it returns is guessed from its source, and guessed too wide.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

from typing import Any

from unetzoo._util.language import N_, _
from unetzoo.records.frame import Tables, tables
from unetzoo.records.parts import Cost
from unetzoo.records.record import Record
from unetzoo.report.statistics import summarise
from unetzoo.report.words import DASH, MIB, listed, missing, number, span, words

COSTS = {  # column -> title, format
    "latency_p50_ms": (N_("latency (ms)"), lambda v: number(v, 1)),
    "peak_train_bytes": (N_("training (MiB)"), lambda v: number(v, 0, MIB)),
    "peak_infer_bytes": (N_("inference (MiB)"), lambda v: number(v, 0, MIB)),
    "train_seconds": (N_("training time"), span),
}
ALIKE = ("params", "macs", "shape", "train_shape", "memory_method", "latency_method", "train_flops")  # on all machines
COST_PLOTS = ("dice_vs_latency", "dice_vs_memory", "memory_split", "phases")


def kind_of(record: Record) -> str:
    """Return the kind of machine of a record: its GPU or its processor."""
    env = record.environment
    return words(env.get("device_name") or env.get("cpu") or env.get("device") or _("machine not named"))


def kinds(t: Tables) -> list[str]:
    """Return the kinds of machine on which costs of a variant were measured."""
    return sorted({kind_of(record) for record in t.models if record.cost})


def apart(t: Tables) -> Tables:
    """Return tables without measured costs if they are of several kinds of machine; otherwise the same tables.

    Args:
        t: Tables of a run.
    """
    if len(kinds(t)) < 2:
        return t
    return tables([r.model_copy(update={"cost": r.cost and _counted(r.cost)}) for r in t.records], t.unreadable)


def _counted(cost: Cost) -> Cost:
    kept = {name: getattr(cost, name) for name in ALIKE}
    return Cost(**kept, latency_p50_ms=None, latency_p90_ms=None, latency_repeats=0)


def by_machine(t: Tables, reference: str | None) -> dict[str, Any]:
    """Return the tables of costs by machine, and the ratios to the reference; empty for a single kind of machine.

    Args:
        t: Tables of a run, with its measured costs.
        reference: Label of the reference, if there is one.
    """
    found = kinds(t)
    if len(found) < 2:
        return {}
    rows = {kind: _summary(t, kind) for kind in found}
    shown = {k: [c for c in COSTS if any(not missing(row[c]) for row in some.values())] for k, some in rows.items()}
    models = [] if reference is None else dict.fromkeys(model for some in rows.values() for model in some)
    ratios = [(kind, cost) for cost in COSTS for kind in found if cost in shown[kind]]
    return {
        "note": _(
            "Costs were measured on {n} kinds of machine ({machines}) and stand in a table for each. Those of different"
            " machines cannot be compared, so no plot shows them and nothing is recommended by them.",
            n=len(found),
            machines=listed(found),
        ),
        "tables": [_table(kind, some, shown[kind]) for kind, some in rows.items() if shown[kind]],
        "heads": [(_(COSTS[cost][0]).partition(" (")[0].partition("（")[0], kind) for kind, cost in ratios],
        "ratios": [
            {"model": model, "cells": [_ratio(rows[kind], model, reference, cost) for kind, cost in ratios]}
            for model in models
            if model != reference
        ],
    }


def _summary(t: Tables, kind: str) -> dict[str, dict[str, Any]]:
    own = tables([record for record in t.records if kind_of(record) == kind], [])
    return {row["model"]: row for row in summarise(own).to_dict("records")}


def _table(kind: str, rows: dict[str, dict[str, Any]], costs: list[str]) -> dict[str, Any]:
    return {
        "machine": kind,
        "heads": [_("trials"), *(_(COSTS[cost][0]) for cost in costs)],
        "rows": [
            {"model": model, "cells": [str(row["seeds"]), *(cell(row, cost) for cost in costs)]}
            for model, row in rows.items()
            if row["seeds"]
        ],
    }


def cell(row: dict[str, Any], cost: str) -> str:
    """Return a cost of a summary's row as text; ``~`` marks a noisy timing."""
    return ("~" if cost == "latency_p50_ms" and row["noisy"] else "") + COSTS[cost][1](row[cost])


def _ratio(rows: dict[str, dict[str, Any]], model: str, reference: str | None, cost: str) -> str:
    one, other = (rows.get(str(name), {}).get(cost) for name in (model, reference))
    return DASH if missing(one) or missing(other) or not other else f"{one / other:.2f}"
