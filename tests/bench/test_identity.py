"""Every committed record is one that today's code would write: its id, its file name and the identity of its model."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import unetzoo
from unetzoo._util.versions import installed_version
from unetzoo.bench import baselines
from unetzoo.bench.trials import Trial, TrialModel
from unetzoo.grid.spec import UNetSpec
from unetzoo.models.entry import Entry
from unetzoo.models.factory_entry import FactoryEntry
from unetzoo.models.grid_entry import GridEntry

REPORTS = Path(__file__).resolve().parents[2] / "reports"
FOLDERS = sorted({file.parent for file in REPORTS.rglob("records/*.json")})
"""Folders of committed records."""


def records(folder: Path) -> Iterator[tuple[Path, str, Trial]]:
    for file in sorted(folder.glob("*.json")):
        record = json.loads(file.read_text(encoding="utf-8"))
        yield file, record["id"], Trial(**record["trial"])


def source_today(model: TrialModel) -> str:
    return f"baseline v{baselines.VERSION}" if model.baseline else unetzoo.model_info(model.name).fingerprint()


def without_versions(source: str) -> str:
    """Strip the versions of packages, which are those of the environment that made the record."""
    return re.sub(r"==\S+", "", source)


def test_records_are_found() -> None:
    assert sum(1 for folder in FOLDERS for _ in folder.glob("*.json")) > 400


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.parent.relative_to(REPORTS)))
def test_a_record_belongs_to_the_present_code(folder: Path) -> None:
    for file, identity, trial in records(folder):
        assert without_versions(trial.model.source) == without_versions(source_today(trial.model)), file
        assert identity == trial.id, file
        assert file.stem == trial.stem, file


def trial_of(entry: Entry, **options: object) -> Trial:
    trial = next(trial for _, _, trial in records(REPORTS / "zoo-cells/records") if trial.model.name == "unet")
    defaults = entry.options if isinstance(entry, GridEntry) else {}
    changes = {"name": entry.name, "source": entry.fingerprint(), "options": {**defaults, **options}}
    return trial.model_copy(update={"model": trial.model.model_copy(update=changes)})


def test_version_of_a_grid_entry_counts_where_it_is_not_1() -> None:
    """And its options at their default count in no version."""
    first, second, third = (GridEntry("mine", UNetSpec(), version=version) for version in (1, 2, 3))
    assert (first.fingerprint(), second.fingerprint()) == ("", "grid v2")
    assert len({trial_of(entry).id for entry in (first, second, third)}) == 3
    for entry in (first, second):
        trial = trial_of(entry)
        bare = trial.model.model_copy(update={"options": {}})
        assert trial.id == trial.model_copy(update={"model": bare}).id


def test_version_of_ours_is_the_whole_of_its_identity() -> None:
    """Not the bytes of its file; versions of packages it is made of count beside it."""
    source = "unetzoo.standalone.linknet:LinkNet"
    assert FactoryEntry("mine", source=source).fingerprint() == "v1"
    assert FactoryEntry("mine", source=source, version=2).fingerprint() == "v2"
    peer = FactoryEntry("mine", source=source, packages=("pydantic", "no-such-package"))
    assert peer.fingerprint() == f"v1 pydantic=={installed_version('pydantic')} no-such-package==None"


def test_version_of_a_users_own_counts_beside_the_hash_of_its_file() -> None:
    first, second = (FactoryEntry("mine", source=trial_of, version=version).fingerprint() for version in (1, 2))
    assert re.fullmatch("[0-9a-f]{16}", first)
    assert second == f"v2 {first}"
    assert not trial_of(FactoryEntry("mine", source=trial_of, version=2)).model.of_grid


@pytest.mark.parametrize("version", [0, 1.5, True])
def test_version_is_a_whole_number(version: object) -> None:
    with pytest.raises(unetzoo.UnetzooError, match=rf"^model 'mine': version = {version} must be a whole number"):
        unetzoo.register_model("mine", UNetSpec(), version=version)  # type: ignore[call-overload]
    assert "mine" not in unetzoo.list_models()
