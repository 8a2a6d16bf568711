"""Definitions of claims: the committed ones, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from unetzoo.bench.collection import Collection
from unetzoo.bench.suite_file import read_suite
from unetzoo.claims.definition import TRIVIAL, claims_folder, read_claims
from unetzoo.claims.measurements import MEASUREMENTS
from unetzoo.claims.run import suite_of
from unetzoo.errors import UnetzooError

GOOD = """
order = 1
title = "T"
zh = "句"
en = "S"
measurement = "architecture"
[[parts]]
name = "p"
question = "q?"
quantity = "x"
at_least = 1.0
"""


def test_the_committed_claims_are_sound() -> None:
    claims = read_claims(claims_folder())
    assert len(claims) == 12
    for claim in claims:
        assert claim.measurement is None or claim.measurement in MEASUREMENTS
        if claim.suite is None:
            continue
        suite = read_suite(claims_folder() / claim.suite)
        members = suite.suites if isinstance(suite, Collection) else {"": suite}
        for part in claim.parts:
            if part.model is None:
                continue
            labels = {m.label or m.name for m in members[part.data or ""].models} | {TRIVIAL}
            assert {part.model, part.against} <= labels, (claim.name, part.name)
            assert part.against_data is None or part.against_data in members


def test_every_sentence_is_there_in_both_languages() -> None:
    for claim in read_claims(claims_folder()):
        assert claim.zh.strip()
        assert claim.en.isascii()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("at_least = 1.0", ""), "a quantity needs one of at_least and at_most"),
        (('quantity = "x"\nat_least = 1.0', ""), "needs a quantity with a bound, or model and against"),
        (('measurement = "architecture"', ""), "a part has a quantity, which needs a measurement"),
        (("order = 1", "order = 1\ncolour = 2"), "unknown option 'colour'"),
        (("[[parts]]", GOOD[GOOD.index("[[parts]]") :] + "[[parts]]"), "the name 'p' occurs twice"),
        (('quantity = "x"\nat_least = 1.0', 'model = "a"\nagainst = "b"'), "which needs a suite"),
    ],
)
def test_wrong_definitions_are_refused_with_the_file(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    (tmp_path / "one.toml").write_text(GOOD.replace(*change), encoding="utf-8")
    with pytest.raises(UnetzooError, match=r"one\.toml") as raised:
        read_claims(tmp_path)
    assert words in str(raised.value)


def test_unknown_names_and_empty_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnetzooError, match="has no claims"):
        read_claims(tmp_path)
    with pytest.raises(UnetzooError, match="did you mean memory"):
        read_claims(claims_folder(), "memry")


def test_the_users_data_takes_the_place_of_the_first_data_set(tmp_path: Path) -> None:
    by_name = {claim.name: claim for claim in read_claims(claims_folder())}
    curves = suite_of(by_name["few-samples"], claims_folder(), "cells")
    assert isinstance(curves, Collection)
    found = {label: (suite.data.name, suite.data.n_train) for label, suite in curves.suites.items()}
    assert found == {
        "own-2": ("cells", 2), "own-8": ("cells", 8), "own-32": ("cells", 32), "own-all": ("cells", None)
    }  # fmt: skip
    skips = suite_of(by_name["skips"], claims_folder(), "cells")
    assert isinstance(skips, Collection)
    assert list(skips.suites) == ["own"]
