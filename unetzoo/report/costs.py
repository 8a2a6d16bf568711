"""Tables of costs: timings, memory and training; each is empty if no trial measured it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from unetzoo._util.language import _, _n
from unetzoo.records.fields import chosen_rate, headline, label_of
from unetzoo.records.record import Record
from unetzoo.report.naming import by_label, distinct
from unetzoo.report.words import DASH, MIB, compute, listed, missing, number, percent, signed, span

Rows = list[dict[str, Any]]
CORE = ("train", "load", "val", "test")  # prefixes of the phases that are the work itself


def timings(rows: Rows, records: list[Record]) -> list[dict[str, str]]:
    """Return the timings of the forward pass by variant; medians over seeds."""
    precisions = {label_of(r): timing.precision for r in records if (timing := headline(r))}
    return [
        {
            "variant": r["model"],
            "precision": precisions.get(r["model"], ""),
            "p50": number(r["latency_p50_ms"], 1),
            "spread": percent(r["latency_spread"]),
            "rate": number(r["images_per_second_infer"], 1),
            "utilisation": percent(r["utilisation"]),
            "float32": ("~" if r["noisy_float32"] else "") + number(r["latency_float32_ms"], 1),
            "noisy": _("{n} of {all}", n=r["noisy"], all=r["timed"]),
        }
        for r in rows
        if r["timed"]
    ]


def noise(rows: Rows) -> str | None:
    """Explain the mark ``~`` beside a latency; None if no timing was noisy."""
    noisy, timed = (sum(r[k] for r in rows) for k in ("noisy", "timed"))
    if not noisy:
        return None
    return _(
        "~: the timing was noisy in {n} of {all} trials: its repetitions, or a fixed matrix product timed before and"
        " after it, varied by more than the bound in every attempt. Such a latency is rough.",
        n=noisy,
        all=timed,
    )


def memory(rows: Rows) -> list[dict[str, str]]:
    """Return predicted and measured tensor memory beside the process's or allocator's peak; MiB, medians over seeds."""

    def side(row: dict[str, Any], when: str) -> dict[str, str]:
        predicted, measured, peak = (row[f"{kind}_{when}_bytes"] for kind in ("predicted", "tensor", "peak"))
        known = not missing(predicted) and not missing(measured) and measured
        return {
            f"predicted_{when}": number(predicted, 1, MIB),
            f"tensor_{when}": number(measured, 1, MIB),
            f"error_{when}": f"{signed(100 * (predicted / measured - 1), 1)} %" if known else DASH,
            f"peak_{when}": number(peak, 0, MIB),
        }

    keys = [f"{kind}_{when}_bytes" for kind in ("predicted", "tensor") for when in ("train", "infer")]
    return [
        {"variant": r["model"], **side(r, "train"), **side(r, "infer")}
        for r in rows
        if not all(missing(r[key]) for key in keys)
    ]


def training(rows: Rows, records: list[Record]) -> list[dict[str, str]]:
    """Return steps, time, throughput, compute and learning rate by variant; medians over seeds."""
    if not any(not missing(r["steps"]) or not missing(r["train_flops"]) for r in rows) and not _sweeps(records):
        return []
    finished = by_label(r for r in records if r.status == "ok")
    return [
        {
            "variant": r["model"],
            "steps": _between(r),
            "seconds": span(r["train_seconds"]),
            "predicted": span(r["predicted_train_seconds"]),
            "rate": number(r["images_per_second"], 1),
            "compute": compute(r["train_flops"]),
            "lr": _rates(finished.get(r["model"], [])),
            "sweep": span(r["tuning_seconds"]),
        }
        for r in rows
        if r["seeds"]
    ]


def _sweeps(records: list[Record]) -> list[Record]:
    return [r for r in records if r.tuning and r.status == "ok"]


def _between(row: dict[str, Any]) -> str:
    """Format the steps: '240', or '180 (170 to 191)' if the seeds differ."""
    steps = number(row["steps"], 0)
    ends = number(row["steps_low"], 0), number(row["steps_high"], 0)
    return steps if ends[0] == ends[1] else _("{steps} ({low} to {high})", steps=steps, low=ends[0], high=ends[1])


def _rates(records: list[Record]) -> str:
    """Format the rates: '0.002', or '0.002 (2 seeds) and 0.004 (1 seed)' if the sweeps chose differently."""
    chosen = Counter(rate for r in records if (rate := chosen_rate(r)) is not None)
    if len(chosen) < 2:
        return "".join(f"{rate:g}" for rate in chosen) or DASH
    return listed(
        [_n("{rate:g} ({n} seed)", "{rate:g} ({n} seeds)", n, rate=rate) for rate, n in sorted(chosen.items())]
    )


def sweep(records: list[Record]) -> str | None:
    """Describe the sweep of learning rates: rates tried, choice and cost; None without a sweep."""
    if not (swept := _sweeps(records)):
        return None
    rates = distinct(swept, lambda r: ", ".join(f"{t.lr:g}" for t in sorted(r.tuning, key=lambda t: t.lr)))
    spent = sum(r.cost.tuning_seconds or 0.0 for r in swept if r.cost)
    return _n(
        "Learning rates tried: {rates}; each trial keeps the one with the best validation Dice. On top of training the"
        " sweep took {time} in all, over {n} trial; the training times do not include it.",
        "Learning rates tried: {rates}; each trial keeps the one with the best validation Dice. On top of training the"
        " sweep took {time} in all, over {n} trials; the training times do not include it.",
        len(swept),
        rates=_("; or ").join(rates),
        time=span(spent),
    )


def is_core(phase: str) -> bool:
    """Return True for training (with its loading), validation and test; other phases prepare or measure."""
    return phase.startswith(CORE)


def core_share(row: dict[str, Any], phases: dict[str, str]) -> float | None:
    """Return the share of a trial's time that is training, validation and test; None without phases."""
    known = {phase: row[column] for phase, column in phases.items() if not missing(row[column])}
    total = sum(known.values())
    return sum(s for phase, s in known.items() if is_core(phase)) / total if total else None
