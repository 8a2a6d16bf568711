"""Crops augmented by the loader or on the device, trainings on them, and gradients scaled for float16."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.precision import MixedPrecision
from torch import Tensor

import unetzoo
from unetzoo import UnetzooError
from unetzoo.data.device_crops import held_bytes
from unetzoo.data.stream import EvaluationItems, Normalization, TrainingCrops
from unetzoo.machine.device import resolve_precision
from unetzoo.train.batches import augments_on, batches
from unetzoo.train.checkpoint import Checkpoint
from unetzoo.train.history import History
from unetzoo.train.hooks import TrainingHooks
from unetzoo.train.loop import Interrupted, train, training_crops
from unetzoo.train.recipe import Recipe

DATA = unetzoo.create_dataset("cells", n_train=3, n_val=1, n_test=1, size=64)
STATISTICS = Normalization.of(DATA)


def recipe(**options: Any) -> Recipe:
    return Recipe.from_mapping({"steps": 4, "batch_size": 3, "crop": 48, "validate_every": 2, **options}, "test")


def crops(made: Recipe) -> TrainingCrops:
    return training_crops(DATA, STATISTICS, made, seed=3, length=10**9)


def test_device_is_chosen_where_the_images_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    auto = recipe()
    held = held_bytes(crops(auto))
    for free, expected in ((4 * held, "device"), (4 * held - 1, "loader")):
        monkeypatch.setattr("unetzoo.train.batches.memory_limit", lambda device, free=free: (free, "free"))
        place, words = augments_on(auto, crops(auto), "cuda")
        assert place == expected
        assert words.startswith("on the device" if expected == "device" else "in the loader, as 0.0 MiB")
        assert augments_on(auto, crops(auto), "cpu") == ("loader", "in the loader")
        assert augments_on(recipe(augment_on="loader"), crops(auto), "cuda")[0] == "loader"
        assert augments_on(recipe(augment_on="device"), crops(auto), "cpu")[0] == "device"


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_of_the_device_are_the_loaders(workers: int) -> None:
    network = torch.nn.Identity()
    fabric = Fabric(accelerator="cpu", devices=1)
    found = [
        batches(fabric, network, crops(made), made, 5)
        for made in (recipe(augment_on="device", workers=workers), recipe(augment_on="loader"))
    ]
    for _ in range(3):
        ours, theirs = (next(x) for x in found)
        assert len(ours) == len(theirs) == 2
        torch.testing.assert_close(ours[0], theirs[0], rtol=0, atol=1e-4)
        assert torch.equal(ours[1], theirs[1])


def trained(
    folder: Path, half: bool, stop_after: int | None = None, **options: Any
) -> tuple[History, dict[str, Tensor], dict[str, Any]]:
    """Train on crops of the device, resuming once if interrupted; return history, weights and gradient scaler."""
    made = recipe(augment_on="device", **options)
    validation = dict(EvaluationItems(DATA, DATA.splits["val"], STATISTICS))
    for stop in (stop_after, None):
        torch.manual_seed(5)
        network = unetzoo.create_model("unet", in_channels=1, num_classes=2, width=4, depth=2)
        seen = [0]
        hooks = TrainingHooks(
            progress=lambda message, seen=seen: seen.append(message["step"]),
            stop=lambda seen=seen, stop=stop: seen[-1] == stop,
            checkpoint=Checkpoint(folder / "checkpoint.pt", "trial", 1e9),
        )
        plugins = MixedPrecision("16-mixed", "cpu") if half else None  # Fabric itself refuses it on a CPU
        fabric = Fabric(accelerator="cpu", devices=1, plugins=plugins)
        try:
            done = train(fabric, network, crops(made), validation, DATA.info, made, hooks)
        except Interrupted:
            continue
        return done, network.state_dict(), fabric.strategy.precision.state_dict()
    raise AssertionError


@pytest.mark.parametrize("half", [False, True])
def test_resumed_trainings_on_crops_of_the_device_end_the_same(tmp_path: Path, half: bool) -> None:
    """In float16 with the scale of the gradients, too."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole, weights, scaler = trained(tmp_path / "a", half, augment="strong")
    parts, same, scaler_again = trained(tmp_path / "b", half, stop_after=2, augment="strong")
    assert parts.resumed == [2]
    assert scaler == scaler_again
    assert bool(scaler) == half
    assert whole.train_curve == parts.train_curve
    assert all(torch.equal(value, same[name]) for name, value in weights.items())


@pytest.mark.parametrize(
    ("native", "capability", "expected"),
    [(True, (8, 0), "bfloat16"), (False, (7, 5), "float16"), (False, (6, 1), "float32")],
)
def test_gpus_without_bfloat16_have_float16(
    monkeypatch: pytest.MonkeyPatch, native: bool, capability: tuple[int, int], expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or native)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert resolve_precision("auto", "cuda") == expected
    assert resolve_precision("float16", "cuda") == "float16"


def test_float16_needs_a_gpu() -> None:
    with pytest.raises(UnetzooError, match=r"^precision = 'float16' needs a device 'cuda', but this is 'cpu'"):
        resolve_precision("float16", "cpu")
