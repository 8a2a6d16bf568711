"""Entries, suites and plans show what a reader wants to know; options that a model lacks name the way out."""

from __future__ import annotations

import pytest

import unetzoo
from unetzoo.bench.expand import expand
from unetzoo.bench.plan import plan_suite
from unetzoo.errors import UnetzooError


def small(**change: object) -> unetzoo.Suite:
    given = {"name": "s", "models": ["unet"], "data": {"name": "cells"}, "train": {"steps": 3, "crop": 32}}
    return unetzoo.Suite.from_mapping({**given, **change}, "s")


def test_an_entry() -> None:
    text = repr(unetzoo.model_info("attention_unet"))
    assert text.startswith("attention_unet (attention): attention gates")
    assert "skip = 'attention' ('concat')" in text
    assert "https://arxiv.org/abs/1804.03999" in text
    assert max(map(len, text.splitlines())) < 400
    assert "options that differ" not in repr(unetzoo.model_info("enet"))


def test_a_suite() -> None:
    text = repr(small(models=["unet", {"name": "enet", "set": {"width": 8}}], set={"width": 4}, question="Which?"))
    assert text == str(
        small(models=["unet", {"name": "enet", "set": {"width": 8}}], set={"width": 4}, question="Which?")
    )
    *lines, train = text.splitlines()
    assert train.startswith("  train: steps = 3, crop = 32")
    assert lines == [
        "Suite 's': 2 models, seeds [0] on cells",
        "  question: Which?",
        "  model unet",
        "  model enet: width = 8",
        "  set: width = 4",
    ]


def test_a_plan() -> None:
    text = repr(plan_suite(small(set={"width": 4, "depth": 2}), timed=False))
    lines = text.splitlines()
    assert lines[0].startswith("Plan of 's' on cells: ")
    assert lines[1].split() == ["model", "trials", "params", "(M)", "MACs", "(G)", "training", "(MiB)", "process",
                                "(MiB)", "fits", "minutes"]  # fmt: skip
    assert lines[2].split()[:2] == ["unet", "1"]
    assert len(lines[1]) == len(lines[2])
    assert lines[-1] == "all trials: - min, one after the other"


def test_an_option_that_one_model_lacks_names_it_and_the_way_out() -> None:
    suite = small(models=["unet", "unet_d2", "enet"], set={"depth": 3})
    with pytest.raises(
        UnetzooError,
        match=r"model 'enet': unknown option 'depth', which the suite's set gives to every model; give it to unet and"
        r" unet_d2 alone, as \{ name = 'unet', set = \{ depth = 3 \} \} in models, or leave 'enet' out",
    ):
        expand(suite, suite.data.open())
    with pytest.raises(UnetzooError, match=r"model 'unet'.*'dpth'.*did you mean depth"):
        expand(small(set={"dpth": 3}), suite.data.open())
