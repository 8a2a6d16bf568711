"""`unetzoo.plan`: the plan of models, of a suite or of a collection, readable in a terminal and in a notebook."""

from __future__ import annotations

import unetzoo
from unetzoo.bench.plan import Plan
from unetzoo.bench.planned import CollectionPlan

SMALL = {"width": 2, "depth": 2}


def test_a_plan_of_models_reads_as_a_table() -> None:
    plan = unetzoo.plan(models=["unet"], data="cells", options=SMALL, seeds=2, steps=4, timed=False)
    assert isinstance(plan, Plan)
    (row,) = plan.rows
    assert (row.label, row.trials, row.trial_seconds) == ("unet", 2, None)
    first, heads, cells, last = repr(plan).splitlines()
    assert first.endswith("threads")
    assert heads.split()[:2] == ["model", "trials"]
    assert cells.split()[:2] == ["unet", "2"]
    assert last == "all trials: - min, one after the other"
    shown = plan._repr_html_()
    assert shown.count("<tr>") == 2
    hostile = plan.model_copy(update={"suite": "<script>"})
    assert "<script>" not in hostile._repr_html_()
    both = CollectionPlan(name="two", data={"<b>": plan, "b": plan})
    assert both.seconds is None
    assert repr(both).endswith("all 2 data sets of 'two', one after the other: \u2013")
    assert "<b><" not in both._repr_html_().replace("<p><b>", "")
    assert "&lt;b&gt;" in both._repr_html_()
