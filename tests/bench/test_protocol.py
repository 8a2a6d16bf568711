"""Comparability of trials: budgets, sweeps, matched widths, the order of reading, and contents of a record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import unetzoo
from support import quick_timings
from unetzoo.bench.baselines import fit
from unetzoo.bench.expand import expand
from unetzoo.bench.read_order import ReadInOrder
from unetzoo.bench.suite import Suite
from unetzoo.data.stream import EvaluationItems, Normalization
from unetzoo.errors import UnetzooError
from unetzoo.measure.counts import count_training_flops
from unetzoo.metrics.overlap import confusion, dice
from unetzoo.records.parts import Event
from unetzoo.records.record import Record, read_record

DATA = {"name": "cells", "options": {"n_train": 4, "n_val": 3, "n_test": 3, "size": 48}}
TRAIN = {"steps": 6, "batch_size": 2, "crop": 48, "validate_every": 2, "threads": 1}
VAL = ("val-000", "val-001", "val-002")
MEASURE = {"size": 48, "repeats": 5, "attempts": 1}


def suite(**changes: Any) -> Suite:
    train = {**TRAIN, **changes.pop("train", {})}
    if {"flops", "minutes", "until"} & set(train):
        del train["steps"]
    made = {
        "name": "s",
        "models": ["unet"],
        "set": {"width": 4, "depth": 3},
        "data": DATA,
        "train": train,
        "measure": MEASURE,
        "imports": [quick_timings.__file__],
    }
    return Suite.from_mapping({**made, "baselines": False, **changes}, "s.toml")


def records(out: Path) -> dict[str, Record]:
    found = [read_record(path) for path in sorted((out / "records").glob("*.json"))]
    return {f"{r.trial['model']['label']} {r.trial['seed']}": r for r in found}


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, dict[str, Record]]:
    """Run baselines, matched widths, a budget of operations, a short sweep and deterministic algorithms at once."""
    out = tmp_path_factory.mktemp("everything")
    made = suite(
        models=["unet", "unet_bilinear"],
        baselines=True,
        match="params",
        train={"flops": 4e8, "tune": {"lr": [1e-9, 1e-2], "steps": 3}, "deterministic": True},
    )
    return unetzoo.run(made, out, jobs=2), records(out)


def test_every_trial_and_baseline_has_a_row(everything: tuple[pd.DataFrame, dict[str, Record]]) -> None:
    frame, found = everything
    assert list(frame["status"]) == ["ok"] * 7
    assert frame["baseline"].sum() == 5
    assert set(found) == {
        *(f"{label} 0" for label in ("unet", "unet_bilinear")),
        *(
            f"{label} 0"
            for label in ("all background", "all foreground", "otsu", "logistic regression", "position prior")
        ),
    }


def test_reading_a_folder_gives_the_same_table(tmp_path: Path) -> None:
    ran = unetzoo.run(suite(), tmp_path)
    pd.testing.assert_frame_equal(ran, unetzoo.read_records(tmp_path))


def test_the_record_proves_that_the_test_split_came_last(everything: tuple[pd.DataFrame, dict[str, Record]]) -> None:
    for name, record in everything[1].items():
        *before, select, test = record.events
        assert {event.split for event in before} <= {"train", "val"}, name
        assert select.what == "select"
        assert test == Event(what="read", split="test", items=3)
        if not record.baseline:
            assert select.step == record.result.best_step  # type: ignore[union-attr]


def test_trivial_predictors_are_validated_before_they_are_tested(
    everything: tuple[pd.DataFrame, dict[str, Record]],
) -> None:
    data = suite().data.open()
    for name, record in everything[1].items():
        result = record.result
        assert result is not None
        assert result.best_val_dice is not None, name
        if not record.baseline:
            continue
        assert record.events[-3] == Event(what="read", split="val", items=3)
        predict = fit(record.trial["model"]["name"], data)
        matrices = [confusion(torch.from_numpy(predict(x)), torch.from_numpy(y), 2) for x, y in map(data.read, VAL)]
        assert result.best_val_dice == pytest.approx(float(dice(torch.stack(matrices))[:, 1].nanmean()), abs=1e-9)


def test_a_learning_rate_at_the_edge_of_its_sweep_is_flagged(
    everything: tuple[pd.DataFrame, dict[str, Record]],
) -> None:
    for label in ("unet 0", "unet_bilinear 0"):  # of two rates, either is at the edge
        flags = {flag.kind: flag.text for flag in everything[1][label].flags}
        assert "of 2 tried" in flags["rate-at-edge"]


SIZED = """
import torch
import unetzoo
from torch import nn

@unetzoo.register_model("of_24_pixels")
class Of24Pixels(nn.Module):
    \"\"\"Finds what is bright in images of 24 px, and what is dark in others.\"\"\"
    def __init__(self, in_channels, num_classes, width=1):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
    def forward(self, x):
        above = x * self.weight * (1 if x.shape[-1] == 24 else -1)
        return torch.cat((-above, above), dim=1)
"""


def test_a_network_that_depends_on_the_size_of_its_input_is_flagged(tmp_path: Path) -> None:
    (tmp_path / "sized.py").write_text(SIZED)
    own = suite(models=["of_24_pixels"], set={}, train={"crop": 24, "steps": 2}, imports=[str(tmp_path / "sized.py")])
    unetzoo.run(own, tmp_path / "out")
    (record,) = records(tmp_path / "out").values()
    assert record.status == "ok", record.reason
    text = {flag.kind: flag.text for flag in record.flags}["size-dependent"]
    assert text.startswith("24x24 px of 4 training images score a Dice of 0.")


def test_a_test_item_cannot_be_read_early_or_twice() -> None:
    data = ReadInOrder(unetzoo.create_dataset("cells", n_train=2, n_val=1, n_test=2, size=48))
    Normalization.of(data)
    with pytest.raises(RuntimeError, match="'test-001' was read before the weights were chosen"):
        data.read("test-001")
    data.select(7)
    assert len(dict(EvaluationItems(data, data.splits["test"], Normalization((0.0,), (1.0,))))) == 2
    with pytest.raises(RuntimeError, match="'test-000' was read twice"):
        data.read("test-000")
    assert [(e.what, e.split, e.items, e.step) for e in data.events] == [
        ("read", "train", 2, None),
        ("select", "val", 0, 7),
        ("read", "test", 2, None),
    ]


def test_the_phases_are_the_whole_of_the_wall_time(everything: tuple[pd.DataFrame, dict[str, Record]]) -> None:
    for record in everything[1].values():
        if record.baseline:
            continue
        cost = record.cost
        assert cost is not None
        assert {"import", "data", "build", "train", "validate", "test", "save"} <= set(cost.phases)
        assert sum(cost.phases.values()) == pytest.approx(cost.wall_seconds, abs=0.01)
        assert all(seconds >= 0 for seconds in cost.phases.values())


def test_timings_in_both_precisions_and_two_kinds_of_memory(
    everything: tuple[pd.DataFrame, dict[str, Record]],
) -> None:
    record = everything[1]["unet 0"]
    cost, precision = record.cost, record.environment["precision"]
    assert cost is not None
    assert [timing.precision for timing in cost.timings] == list(dict.fromkeys([precision, "float32"]))
    assert cost.latency_p50_ms == cost.timings[0].p50_ms
    for timing in cost.timings:
        assert timing.shape == (1, 1, 48, 48)
        assert timing.repeats == 5
        assert all(rate > 1e8 for rate in timing.calibration)
        assert 0 < (timing.utilisation or 0) < 1
    assert cost.tensors is not None
    assert cost.tensors.train.parameters == 4 * cost.params
    assert (cost.peak_train_bytes or 0) > 0


def test_equal_operations_are_fewer_steps_for_what_costs_more(
    everything: tuple[pd.DataFrame, dict[str, Record]],
) -> None:
    for name in ("unet 0", "unet_bilinear 0"):
        record = everything[1][name]
        made = suite(models=[name[:-2]], match=None)
        model = record.trial["model"]
        config = expand(made, made.data.open())[0].model.config.model_copy(update={"options": model["options"]})
        one = count_training_flops(config, (2, 1, 48, 48))
        assert record.result is not None
        assert record.result.steps == 4e8 // one
        assert record.cost is not None
        assert record.cost.train_flops == record.result.steps * one <= 4e8


def test_the_sweep_chooses_on_validation_and_tells_its_cost(everything: tuple[pd.DataFrame, dict[str, Record]]) -> None:
    record = everything[1]["unet 0"]
    assert [(t.lr, t.steps) for t in record.tuning] == [(1e-9, 3), (1e-2, 3)]
    chosen = [t for t in record.tuning if t.chosen]
    best = max(record.tuning, key=lambda t: (t.val_dice or 0, -t.val_loss))
    assert chosen == [best]
    assert record.cost is not None
    assert record.cost.tuning_seconds == pytest.approx(sum(t.seconds for t in record.tuning), abs=0.01)


def test_a_full_sweep_keeps_the_chosen_training_and_goes_on_after_an_interruption(tmp_path: Path) -> None:
    made = suite(train={"tune": {"lr": [1e-9, 1e-2, 3e-3]}}, limits={"checkpoint_seconds": 0.0})
    unetzoo.run(made, tmp_path)
    (record,) = records(tmp_path).values()
    chosen = next(t for t in record.tuning if t.chosen)
    assert record.result is not None
    assert chosen.val_dice == record.result.best_val_dice
    assert chosen.steps == record.result.steps == 6
    assert record.cost is not None
    others = sum(t.seconds for t in record.tuning if not t.chosen)
    assert record.cost.tuning_seconds == pytest.approx(others, abs=0.01)
    assert not list(tmp_path.glob("trials/*/checkpoint*"))
    alone = suite(train={"lr": chosen.lr})
    unetzoo.run(alone, tmp_path / "alone")
    (same,) = records(tmp_path / "alone").values()
    assert same.result == record.result


@pytest.mark.parametrize("budget", [{"until": "converged", "most_steps": 10}, {"minutes": 0.05}, {"flops": 4e8}])
def test_a_short_sweep_takes_its_own_steps_whatever_the_budget(budget: dict[str, Any], tmp_path: Path) -> None:
    unetzoo.run(suite(train={**budget, "tune": {"lr": [1e-3, 1e-2], "steps": 3}}), tmp_path)
    (record,) = records(tmp_path).values()
    assert [t.steps for t in record.tuning] == [3, 3]
    assert record.result is not None
    assert record.result.steps > 3


def test_matched_widths_meet_the_reference(everything: tuple[pd.DataFrame, dict[str, Record]]) -> None:
    matched = everything[1]["unet_bilinear 0"].model.matched
    unet, bilinear = (everything[1][f"{name} 0"] for name in ("unet", "unet_bilinear"))
    assert unet.cost is not None
    assert bilinear.cost is not None
    assert matched["reference"] == "unet"
    assert matched["target"] == unet.cost.params
    assert matched["reached"] == bilinear.cost.params
    assert abs(matched["ratio"] - 1) <= 0.02
    assert bilinear.trial["model"]["options"]["width"] > 4


def test_deterministic_runs_agree_bit_for_bit(tmp_path: Path) -> None:
    made = suite(train={"deterministic": True, "precision": "bfloat16", "augment_on": "device"})
    for folder in ("a", "b"):
        unetzoo.run(made, tmp_path / folder)
    first, second = (next((tmp_path / f).glob("trials/*/model.safetensors")).read_bytes() for f in "ab")
    assert first == second
    one, other = (next(iter(records(tmp_path / f).values())) for f in "ab")
    assert (one.result, one.curves) == (other.result, other.curves)
    assert one.environment["not_deterministic"] == []
    assert one.environment["augmentation"].startswith("on the device, as asked for, which holds ")


def test_float16_is_refused_without_a_gpu(tmp_path: Path) -> None:
    with pytest.raises(UnetzooError, match=r"^precision = 'float16' needs a device 'cuda', but this is 'cpu'"):
        unetzoo.run(suite(train={"precision": "float16", "device": "cpu"}), tmp_path)


def test_scores_reach_the_table(everything: tuple[pd.DataFrame, dict[str, Record]]) -> None:
    frame, found = everything
    row = frame.set_index("model").loc["otsu"]
    result = found["otsu 0"].result
    assert result is not None
    for metric in ("dice", "iou", "recall", "specificity", "nsd", "hd95", "assd", "boundary_iou"):
        assert row[metric] == result.foreground[metric]
    assert np.isnan(row["brier"])
    assert 0 <= frame.set_index("model").loc["unet", "ece"] <= 1


def test_a_model_may_keep_its_width_in_a_match() -> None:
    models = ["unet", {"name": "unet_bilinear"}, {"name": "unet_bilinear", "label": "kept", "match": False}]
    made = suite(models=models, match="params", baselines=False)
    unet, bilinear, kept = (trial.model for trial in expand(made, made.data.open()))
    assert bilinear.options["width"] > kept.options["width"] == unet.options["width"] == 4
    assert bilinear.matched["ratio"] == pytest.approx(1, abs=0.02)
    assert not kept.matched


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"match": "params", "reference": "unett"},
            "reference = 'unett' is not the label of a model here; did you mean unet",
        ),
        ({"reference": "unet"}, "reference = 'unet' has no effect without match; set match to params or macs"),
        ({"models": [{"name": "unet", "match": False}]}, "models: unet: match = false has no effect unless"),
        ({"match": "flops"}, "match = 'flops' is not a choice; allowed: params, macs"),
        ({"train": {"flops": -1.0}}, "flops = -1.0: input should be greater than 0"),
        ({"train": {"patience": 0}}, "patience = 0"),
        ({"train": {"tune": {"lr": [1e-3]}}}, "lr"),
        ({"train": {"tune": {"lr": [1e-3, 1e-3]}}}, "must be distinct rates above 0"),
        ({"limits": {"minutes": 0}}, "limits.minutes = 0"),
        ({"limits": {"hang_minute": 1}}, "did you mean hang_minutes"),
        ({"score": {"both_empty": "one"}}, "allowed: exclude, perfect"),
        ({"measure": {"attempts": 0}}, "measure.attempts = 0"),
        ({"baselines": True, "models": [{"name": "unet", "label": "otsu"}]}, "the label 'otsu' belongs to a baseline"),
    ],
)
def test_bad_input_is_one_line(changes: dict[str, Any], words: str) -> None:
    def expanded() -> object:
        return expand(made := suite(**changes), made.data.open())

    with pytest.raises(UnetzooError) as caught:
        expanded()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_decides_a_result_is_in_the_id_and_what_does_not_is_not() -> None:
    def ids(**changes: Any) -> list[str]:
        made = suite(**changes)
        return [trial.id for trial in expand(made, made.data.open())]

    same = ids()
    assert ids(limits={"minutes": 3.0}) == same
    assert ids(baselines=True)[-1:] == same
    for changes in (
        {"train": {"patience": 3}},
        {"train": {"flops": 1e9}},
        {"train": {"deterministic": True}},
        {"train": {"tune": {"lr": [1e-3, 1e-2]}}},
        {"score": {"tolerance": 3.0}},
    ):
        assert ids(**changes) != same, changes
    baselines = ids(baselines=True)[:-1]
    assert ids(baselines=True, train={"steps": 9})[:-1] == baselines  # baselines do not depend on training
    assert ids(baselines=True, score={"tolerance": 3.0})[:-1] != baselines
