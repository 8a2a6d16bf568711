"""The suites of benchmarks/full are those of the claims, wider."""

from __future__ import annotations

from pathlib import Path

import pytest

from unetzoo.bench.collection import Collection
from unetzoo.bench.suite_file import read_suite
from unetzoo.claims.definition import claims_folder

FULL = Path(__file__).parents[2] / "benchmarks/full"


@pytest.mark.parametrize("path", sorted(FULL.glob("*.toml")), ids=lambda path: path.stem)
def test_they_are_valid_and_ask_the_same(path: Path) -> None:
    full, small = read_suite(path), read_suite(claims_folder() / "suites" / path.name)
    assert full.question == small.question
    members = [list(s.suites) if isinstance(s, Collection) else [s.data.name] for s in (full, small)]
    assert members[0] == members[1]
