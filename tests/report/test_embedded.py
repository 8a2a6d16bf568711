"""The data inside the page: safe in a script, and complete."""

from __future__ import annotations

import json
from typing import Any

from support.records import full, load, noisy, record
from unetzoo.report.embedded import AXES, as_script, embedded
from unetzoo.report.judgement import judge_all
from unetzoo.report.limits import KINDS
from unetzoo.report.statistics import summarise


def data_of(*records: dict[str, Any]) -> dict[str, Any]:
    t = load(*records)
    return embedded(summarise(t).to_dict("records"), t, judge_all(t), {})


def test_no_text_ends_the_script() -> None:
    hostile = ["</script><script>alert(1)</script>", "<!--", "]]>", "\u2028\u2029", "\ud800", '"\\', "&amp;", "💥"]
    text = as_script({"labels": hostile})
    assert not set("<>&\u2028\u2029") & set(text)
    assert text.isascii()
    assert json.loads(text) == {"labels": hostile}


def test_verdicts_are_letters_in_both_orders() -> None:
    scores = {"unet": 0.8, "up": 0.9, "down": 0.6}
    data = data_of(*(noisy(label, seed, mean) for label, mean in scores.items() for seed in (0, 1, 2)))
    labels = [v["label"] for v in data["variants"]]
    pairs = data["pairs"]["dice"]
    assert labels == ["up", "unet", "down"]
    assert pairs == [".bb", "w.b", "ww."]
    assert data["eligible"]["dice"] == [True] * 3
    difference, low, high = data["differences"]["dice"]["0,1"]
    assert low < difference < high
    assert data["reference"] == "unet"
    assert [m["key"] for m in data["metrics"]] == ["dice", "iou"]


def test_what_failed_is_marked() -> None:
    data = data_of(full("unet", 0, 0.8), record("b", 0, status="oom"))
    failed = next(v for v in data["variants"] if v["label"] == "b")
    assert (failed["learnt"], failed["failed"], failed["scores"]["dice"]) == (0, 1, [None, None])
    assert failed["setback"] == "of 1 trials 1 failed (oom)"
    assert data["pairs"]["dice"] in ([], ["..", ".."])


def test_every_cost_that_can_be_limited_is_there() -> None:
    assert set(AXES) == set(KINDS)
    assert {c["key"] for c in data_of(full("unet", 0, 0.8))["costs"]} == set(KINDS)
