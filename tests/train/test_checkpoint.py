"""Interrupted and resumed training gives bit for bit the result of uninterrupted training."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning_fabric import Fabric
from torch import Tensor, nn

import unetzoo
from unetzoo.data.registry import create_dataset
from unetzoo.data.stream import EvaluationItems, Normalization, TrainingCrops
from unetzoo.train import checkpoint
from unetzoo.train.checkpoint import Checkpoint
from unetzoo.train.history import History
from unetzoo.train.hooks import TrainingHooks
from unetzoo.train.loop import Interrupted, train
from unetzoo.train.recipe import Recipe

STEPS = 7
DATA = create_dataset("cells", n_train=3, n_val=1, n_test=1, size=48)


def training(folder: Path, stop_after: list[int], model: str = "unet_paper", every: float = 1e9, **more: object):
    """Train to the end, resuming after each interruption; return the history, the weights and the checkpoint's path."""
    recipe = Recipe.from_mapping({"steps": STEPS, "batch_size": 2, "crop": 48, "validate_every": 3, **more}, "test")
    normalization = Normalization.of(DATA)
    crops = TrainingCrops(DATA, normalization, crop=48, seed=5, length=2 * STEPS)
    validation = dict(EvaluationItems(DATA, DATA.splits["val"], normalization))
    path = folder / "checkpoint.pt"
    stops = iter([*stop_after, STEPS + 1])
    while True:
        torch.manual_seed(5)
        network = unetzoo.create_model(model, in_channels=1, num_classes=2, width=4)  # unet_paper has dropout
        seen, stop_at = [], next(stops)
        hooks = TrainingHooks(
            progress=lambda message, seen=seen: seen.append(message["step"]),
            stop=lambda seen=seen, stop_at=stop_at: seen[-1] >= stop_at,
            checkpoint=Checkpoint(path, "trial", every),
        )
        fabric = Fabric(accelerator="cpu", devices=1)
        torch.manual_seed(random.randrange(2**31))  # earlier work of the process must not matter
        if not path.exists():
            torch.manual_seed(5)
        try:
            return train(fabric, network, crops, validation, DATA.info, recipe, hooks), network.state_dict()
        except Interrupted:
            continue


def lasting(history: History) -> dict[str, object]:
    return {k: v for k, v in vars(history).items() if k not in ("seconds", "resumed")}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[History, dict[str, Tensor]]:
    return training(tmp_path_factory.mktemp("whole"), [])


@settings(max_examples=8, deadline=None)
@given(stops=st.lists(st.integers(1, STEPS - 1), min_size=1, max_size=3, unique=True).map(sorted))
def test_interrupted_anywhere_it_ends_the_same(
    uninterrupted: tuple[History, dict[str, Tensor]],
    tmp_path_factory: pytest.TempPathFactory,
    stops: list[int],
) -> None:
    history, weights = training(tmp_path_factory.mktemp("parts"), stops)
    assert history.resumed == stops
    assert lasting(history) == lasting(uninterrupted[0])
    assert weights.keys() == uninterrupted[1].keys()
    for name, value in weights.items():
        assert torch.equal(value, uninterrupted[1][name]), name


def test_batch_norm_and_its_statistics_too(tmp_path: Path) -> None:
    whole = training(tmp_path / "a", [], model="unet")
    parts = training(tmp_path / "b", [2, 5], model="unet", every=0)
    assert lasting(whole[0]) == lasting(parts[0])
    assert all(torch.equal(value, parts[1][name]) for name, value in whole[1].items())


def test_early_stopping_counts_over_an_interruption(tmp_path: Path) -> None:
    recipe = {"patience": 1, "validate_every": 1, "lr": 1e-9}  # nothing improves
    whole, _ = training(tmp_path / "a", [], **recipe)
    parts, _ = training(tmp_path / "b", [1], **recipe)
    assert whole.step < STEPS
    assert lasting(whole) == lasting(parts)


def test_a_finished_training_is_not_trained_again(tmp_path: Path) -> None:
    done, weights = training(tmp_path, [], every=0)
    again, same = training(tmp_path, [], every=0)
    assert again.resumed == [done.step]  # the second process has seen that nothing was left to do
    again.resumed.clear()
    assert again == done
    assert all(torch.equal(value, same[name]) for name, value in weights.items())


@settings(max_examples=40, deadline=None)
@given(share=st.floats(0, 0.999), how=st.sampled_from(["cut", "zeros", "flip"]))
def test_a_damaged_checkpoint_is_none(tmp_path_factory: pytest.TempPathFactory, share: float, how: str) -> None:
    path = tmp_path_factory.mktemp("damaged") / "checkpoint.pt"
    kept = Checkpoint(path, "trial", 0)
    kept.save({"weights": torch.arange(1000.0), "step": 3})
    assert kept.load()["step"] == 3  # type: ignore[index]
    content = path.read_bytes()
    at = int(share * len(content))
    tails = {"cut": b"", "zeros": bytes(len(content) - at), "flip": bytes([content[at] ^ 1]) + content[at + 1 :]}
    path.write_bytes(content[:at] + tails[how])
    if path.read_bytes() != content:
        assert kept.load() is None


def test_a_checkpoint_of_another_trial_is_none(tmp_path: Path) -> None:
    Checkpoint(tmp_path / "c.pt", "one", 0).save({"step": 3})
    assert Checkpoint(tmp_path / "c.pt", "two", 0).load() is None
    assert Checkpoint(tmp_path / "none.pt", "one", 0).load() is None


def test_a_full_disk_costs_the_checkpoint_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "write_atomic", full)
    history, _ = training(tmp_path, [], every=0)
    assert history.step == STEPS
    assert not (tmp_path / "checkpoint.pt").exists()


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    kept = Checkpoint(tmp_path / "c.pt", "trial", 0)
    kept.save({"step": nn.ReLU()})
    assert kept.load() is None


def test_averaged_weights_go_on_too(tmp_path: Path) -> None:
    whole = training(tmp_path / "a", [], ema=0.9)
    parts = training(tmp_path / "b", [2, 5], ema=0.9)
    assert lasting(whole[0]) == lasting(parts[0])
    assert all(torch.equal(value, parts[1][name]) for name, value in whole[1].items())


def test_so_is_one_that_goes_on_until_it_has_converged(tmp_path: Path) -> None:
    recipe = {"until": "converged", "patience": 1, "validate_every": 1, "lr": 1e-9, "most_steps": 10, "steps": None}
    whole, weights = training(tmp_path / "a", [], **recipe)
    parts, same = training(tmp_path / "b", [1, 3], **recipe)
    assert whole.ended == "converged"
    assert lasting(whole) == lasting(parts)
    assert all(torch.equal(value, same[name]) for name, value in weights.items())
