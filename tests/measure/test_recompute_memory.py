"""Peak memory of training with recomputation: predicted as measured, and less than without."""

from __future__ import annotations

import pytest

import unetzoo
from support.entries import narrow_config
from unetzoo.measure.rehearsal import tensor_memory
from unetzoo.nn.recompute import Recompute
from unetzoo.records.measured import Breakdown

SHAPE = (4, 1, 96, 96)
CONFIGS = {"unet": narrow_config("unet", depth=3), "linknet": narrow_config("linknet")}


def training(name: str, recompute: Recompute, *, fake: bool = True, precision: str = "bfloat16") -> Breakdown:
    how = {"precision": precision, "fake": fake, "recompute": recompute}
    memory = tensor_memory(CONFIGS[name], 2, SHAPE, (1, 1, 32, 32), **how)  # type: ignore[arg-type]
    assert memory is not None
    return memory.train


@pytest.mark.parametrize("which", ["skips", "decoder", "all"])
def test_prediction_is_what_real_tensors_take(which: Recompute) -> None:
    predicted, measured = (training("unet", which, fake=fake) for fake in (True, False))
    assert predicted.total == pytest.approx(measured.total, rel=0.02)
    assert predicted.activations == pytest.approx(measured.activations, rel=0.02)
    assert predicted.skips == measured.skips


def test_it_is_known_of_other_networks_too() -> None:
    predicted, measured = (training("linknet", "all", fake=fake, precision="float32") for fake in (True, False))
    assert predicted.total == pytest.approx(measured.total, rel=0.02)
    assert measured.total < 0.9 * training("linknet", "none", precision="float32").total


def test_the_more_is_recomputed_the_less_is_held() -> None:
    none, decoder, skips, every = (training("unet", which).total for which in ("none", "decoder", "skips", "all"))
    assert every < skips < decoder < none
    assert every < 0.5 * none


def test_a_plan_knows_of_it() -> None:
    from unetzoo.bench.need import predict
    from unetzoo.train.recipe import Recipe

    peaks = []
    for which in ("none", "all"):
        recipe = Recipe(recompute=which)  # type: ignore[arg-type]
        need = predict(CONFIGS["unet"], SHAPE, (1, 1, 32, 32), None, recipe, "cpu", "bfloat16", None)
        assert need.memory is not None
        peaks.append(need.memory.train.total)
    assert peaks[1] < 0.5 * peaks[0]


def test_a_suite_refuses_what_a_model_has_not() -> None:
    from unetzoo.bench.expand import expand
    from unetzoo.bench.suite import Suite

    suite = Suite.from_mapping(
        {
            "name": "s",
            "data": {"name": "cells", "options": {"n_train": 2, "n_val": 1, "n_test": 1, "size": 64}},
            "models": ["unet", "linknet"],
            "train": {"recompute": "skips", "crop": 64},
        },
        "suite",
    )
    with pytest.raises(unetzoo.UnetzooError, match=r"^model .linknet.: recompute = .skips. needs a network of"):
        expand(suite, suite.data.open())
