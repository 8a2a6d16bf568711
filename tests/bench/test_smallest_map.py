"""Crops so small that a norm would see one value per channel are refused before training, with what would do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.command import run
from unetzoo import UnetzooError
from unetzoo.bench.smallest_map import check_smallest_map
from unetzoo.models.factory import resolve_model
from unetzoo.train.recipe import Recipe


def check(name: str = "unet", batch: int = 1, crop: int = 16, devices: int = 1, **options: Any) -> None:
    options = {"width": 2, **options} if name == "unet" else options
    config = resolve_model(name, in_channels=1, num_classes=2, options=options)
    check_smallest_map(Recipe(batch_size=batch, crop=crop, devices=devices), config, name)


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ({}, "batch_size = 1 and crop = 16 leave .*; crop = 32 or batch_size = 2 would do"),
        ({"depth": 8, "crop": 128}, "batch_size = 1 and crop = 128 leave .*; crop = 256 or batch_size = 2 would do"),
        ({"batch": 2, "devices": 2}, "batch_size = 2 and crop = 16 leave .*; crop = 32 or batch_size = 4 would do"),
        ({"encoder": "resnet18", "depth": 6, "crop": 32}, "crop = 64 or batch_size = 2 would do"),
    ],
)
def test_one_value_per_channel_is_refused(case: dict[str, Any], words: str) -> None:
    with pytest.raises(UnetzooError, match=f"^model 'unet': train: .*{words}"):
        check(**case)


@pytest.mark.parametrize(
    "case",
    [
        {"crop": 32},
        {"batch": 2},
        {"depth": 4},
        {"norm": "group"},
        {"norm": "none"},
        {"norm": "instance"},
        {"batch": 2, "crop": 8},
        {"padding": "valid", "crop": 16},
        {"crop": 256, "depth": 8},
    ],
)
def test_what_can_be_trained_passes(case: dict[str, Any]) -> None:
    check(**case)


@pytest.mark.parametrize("command", [("plan", "--no-time"), ("bench",)])
def test_bench_and_plan_say_so_before_anything_runs(tmp_path: Path, command: tuple[str, ...]) -> None:
    (suite := tmp_path / "suite.toml").write_text(
        'models = ["unet"]\n[set]\nwidth = 2\n[data]\nname = "cells"\n[data.options]\nsize = 48\nn_train = 2\n'
        'n_val = 1\nn_test = 1\n[train]\nsteps = 1\nbatch_size = 1\ncrop = 16\ndevice = "cpu"\n'
    )
    out = ("--out", tmp_path / "out") if command[0] == "bench" else ()
    done = run(command[0], suite, *command[1:], *out)
    assert done.returncode == 2
    assert "crop = 32 or batch_size = 2 would do" in done.stderr.strip()
    assert "\n" not in done.stderr.strip()
    assert not (tmp_path / "out" / "records").exists()
