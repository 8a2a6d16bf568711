"""Other splits on request: fewer training images, folds, another seed."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.miniatures import (
    chase,
    isbi,
    wbc,
)
from unetzoo.bench.expand import expand
from unetzoo.bench.suite import DataRequest
from unetzoo.bench.suite_file import read_suite
from unetzoo.bench.trials import Trial
from unetzoo.data.registry import create_dataset
from unetzoo.errors import UnetzooError


@pytest.fixture
def eyes(tmp_path: Path) -> Path:
    chase(tmp_path)
    return tmp_path


def test_fewer_training_images_are_among_more(eyes: Path) -> None:
    whole = create_dataset("chase_db1", eyes)
    few, more = (create_dataset("chase_db1", eyes, n_train=n) for n in (2, 4))
    assert set(few.splits["train"]) < set(more.splits["train"]) < set(whole.splits["train"])
    assert few.splits["test"] == whole.splits["test"]
    assert "n_train = 2" in few.info.description
    assert few.digest() != more.digest() != whole.digest()
    with pytest.raises(UnetzooError, match="data set 'chase_db1': n_train = 7 must be 1 to 6"):
        create_dataset("chase_db1", eyes, n_train=7)


def test_a_generated_world_draws_so_many() -> None:
    assert create_dataset("cells", n_train=5).splits["train"] == create_dataset("cells").splits["train"][:5]
    assert len(create_dataset("cells", n_train=5, folds=4, fold=0).splits["train"]) == 5


def test_an_official_test_set_stays_and_the_folds_validate(eyes: Path) -> None:
    parts = [create_dataset("chase_db1", eyes, folds=4, fold=fold).splits for fold in range(4)]
    test = create_dataset("chase_db1", eyes).splits["test"]
    assert all(part["test"] == test for part in parts)
    assert sorted(key for part in parts for key in part["val"]) == sorted(parts[0]["train"] + parts[0]["val"])


def test_without_one_a_fold_is_the_test_set(tmp_path: Path) -> None:
    wbc(tmp_path)
    parts = [create_dataset("wbc", tmp_path, folds=5, fold=fold).splits for fold in range(5)]
    assert sorted(key for part in parts for key in part["test"]) == [f"{n:03d}" for n in range(1, 11)]
    assert all(len(part["val"]) == 1 for part in parts)


def test_folds_of_a_stack_are_runs_of_slices(tmp_path: Path) -> None:
    isbi(tmp_path)
    last = create_dataset("isbi2012", tmp_path, folds=5, fold=4)
    assert last.splits == create_dataset("isbi2012", tmp_path).splits
    first = create_dataset("isbi2012", tmp_path, folds=5, fold=0)
    assert first.splits["test"] == ("00", "01", "02", "03", "04", "05")
    assert first.splits["val"] == ("26", "27", "28", "29")


def test_another_seed_draws_another_validation_set(tmp_path: Path) -> None:
    wbc(tmp_path)
    default = create_dataset("wbc", tmp_path)
    others = [create_dataset("wbc", tmp_path, split_seed=seed) for seed in range(6)]
    assert others[0].splits == default.splits
    assert len({other.splits["val"] for other in others}) > 1
    assert all(other.splits["test"] == default.splits["test"] for other in others)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 5}, "folds and fold belong together"),
        ({"fold": 1}, "folds and fold belong together"),
        ({"folds": 5, "fold": 5}, "fold = 5 must be 0 to 4"),
        ({"n_train": "3", "folds": 2, "fold": 0}, "n_train = '3' must be a whole number"),
        ({"split_seed": 1}, "split_seed would change nothing: the split is fixed"),
    ],
)
def test_a_split_that_cannot_be_is_said(options: dict, message: str) -> None:
    with pytest.raises(UnetzooError, match=f"^data set 'cells': {message}"):
        create_dataset("cells", **options)


def test_a_suite_asks_for_a_split_and_its_trials_tell(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(
        'models = ["unet"]\nset = { width = 4 }\n[data]\nname = "cells"\nfolds = 4\nfold = 1\nsplit_seed = 3\n'
    )
    suite = read_suite(tmp_path / "s.toml")
    trial = expand(suite, suite.data.open())[-1]
    assert (trial.data.folds, trial.data.fold, trial.data.split_seed, trial.data.n_train) == (4, 1, 3, None)
    plain = trial.model_copy(update={"data": trial.data.model_copy(update={"folds": None, "fold": None})})
    assert isinstance(plain, Trial)
    assert plain.id != trial.id
    with pytest.raises(UnetzooError, match=r"n_train is given in data and in data\.options"):
        DataRequest(n_train=3, options={"n_train": 4})
    (tmp_path / "s.toml").write_text('models = ["unet"]\n[data]\nname = "cells"\nfolds = 1\n')
    with pytest.raises(UnetzooError, match=r"s\.toml: data\.folds = 1"):
        read_suite(tmp_path / "s.toml")
