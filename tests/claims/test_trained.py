"""Scores of the predictions of trained networks, after a real training of a few steps."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from unetzoo.bench.run import run
from unetzoo.bench.suite import Suite
from unetzoo.claims.trained import score_predictions
from unetzoo.errors import UnetzooError


def test_predictions_are_scored_from_the_saved_weights(tmp_path: Path) -> None:
    suite = Suite.from_mapping(
        {
            "name": "tiny",
            "models": [{"name": "unet", "set": {"width": 2, "depth": 2}}],
            "data": {"name": "vessels", "options": {"n_train": 2, "n_val": 1, "n_test": 2, "size": 64}},
            "train": {"recipe": "modern", "steps": 2, "batch_size": 2, "crop": 32, "threads": 1},
            "measure": {"size": 32, "attempts": 1, "seconds": 0.1},
            "baselines": False,
        },
        "suite",
    )
    frame = run(suite, tmp_path, jobs=1)
    assert list(frame["status"]) == ["ok"]
    table = pd.read_csv(score_predictions(tmp_path, suite))
    assert set(table["image"]) <= set(suite.data.open().splits["test"])
    wanted = {"checkerboard", "dice_at_0.5", "dice_at_1", "dice_at_2", "dice_holes", "dice_threshold", "cldice"}
    assert wanted <= set(table.columns)
    mine = table["dice_at_1"].mean()
    assert mine == pytest.approx(float(frame["dice"].iloc[0]), abs=0.02)  # float32 here, bfloat16 perhaps there
    weights = next((tmp_path / "trials").glob("*/model.safetensors"))
    before = (tmp_path / "predictions.csv").read_bytes()
    weights.unlink()
    lines: list[str] = []
    score_predictions(tmp_path, suite, lines.append)  # rows from a machine whose weights are not here are kept
    assert (tmp_path / "predictions.csv").read_bytes() == before
    assert lines == []
    (tmp_path / "predictions.csv").write_text("colour\nblue\n")
    with pytest.raises(UnetzooError, match=r"predictions.csv: is not a table of predictions"):
        score_predictions(tmp_path, suite)
    (tmp_path / "predictions.csv").unlink()
    with pytest.raises(UnetzooError, match="the weights of all trials are missing"):
        score_predictions(tmp_path, suite, lines.append)
    assert lines == [f"not scored: unet(width=2, depth=2), seed 0, whose weights are not in {tmp_path / 'trials'}"]


def test_a_folder_without_finished_trials_is_refused(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    with pytest.raises(UnetzooError):
        score_predictions(tmp_path, Suite.from_mapping({"name": "x", "models": ["unet"]}, "suite"))
