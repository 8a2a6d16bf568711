"""Asking claims from end to end: page, refusals, results of suites, scores of predictions, the command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from support.command import run
from support.records import NASTY, record
from unetzoo.bench.collection import Collection
from unetzoo.claims.definition import Evidence, Part, claims_folder, read_claims
from unetzoo.claims.evidence import PREDICTIONS, judge_part, quote
from unetzoo.claims.measured import Measured, Plot, Table, exact, read_measured, write_measured
from unetzoo.claims.page import Section, write_page
from unetzoo.claims.requirements import check_data, thin_share
from unetzoo.claims.run import Asking, ask, named, parts_of_own, suite_of
from unetzoo.claims.verdict import judge_quantity
from unetzoo.data.registry import create_dataset
from unetzoo.errors import UnetzooError

CLAIM = """
order = 1
title = "Sizes"
zh = "任意大小"
en = "Any size"
measurement = "any_size"
[[parts]]
name = "padded"
question = "Do they?"
condition = "padded"
quantity = "padded_entries"
at_least = 1.0
[[parts]]
name = "paper"
question = "Does it?"
quantity = "paper_sides"
at_least = 1.0
"""
SMALL = {"any_size": {"models": ["unet_d2"], "sizes": [(1, 1), (9, 4)], "sides": 200}}


def written(folder: Path, *records: dict[str, Any]) -> Path:
    (folder / "records").mkdir(parents=True)
    for each in records:
        (folder / "records" / f"{each['id']}.json").write_text(json.dumps(each))
    return folder


def two(high: float, low: float, seeds: int = 3) -> list[dict[str, Any]]:
    return [
        record(label, seed, [dice + 0.01 * k + 0.001 * seed * (k % 3) for k in range(12)])
        for label, dice in (("unet", high), ("unet_noskip", low))
        for seed in range(seeds)
    ]


def test_a_claim_is_measured_judged_and_shown_once(tmp_path: Path) -> None:
    claims, out = tmp_path / "claims", tmp_path / "out"
    claims.mkdir()
    (claims / "sizes.toml").write_text(CLAIM, encoding="utf-8")
    page = ask(Asking(out=out, folder=claims, options=SMALL))
    text = page.read_text(encoding="utf-8")
    assert "**Verdict: holds only if.** Padded (does not hold: paper)." in text
    assert "任意大小" in text
    assert (out / "plots/sizes.png").exists()
    assert "sizes,paper,,does not hold,0.005,,holds only if" in (out / "verdicts.csv").read_text()
    before = (out / "measured/sizes.json").read_bytes()
    ask(Asking(out=out, folder=claims, options={"any_size": {"colour": 1}}))  # is not measured again
    assert (out / "measured/sizes.json").read_bytes() == before
    assert page.read_text(encoding="utf-8") == text


def test_hostile_texts_do_not_reach_the_page(tmp_path: Path) -> None:
    claim = read_claims(claims_folder(), "architecture")[0]
    found = Measured(
        quantities={"x": exact(1.0)},
        tables=[Table(title=NASTY, columns=["a"], rows=[[NASTY]])],
        plot=Plot(table=0, kind="bars", x="a", y="a", caption=NASTY),
        method=NASTY,
        environment={"cpu": NASTY},
    )
    found = found.model_copy(update={"plot": None})
    part = claim.parts[0].model_copy(update={"question": NASTY, "name": "=1+1"})
    section = Section(claim, [judge_quantity(part, exact(0.5))], found, [])
    text = write_page(tmp_path, [section], data=NASTY).read_text(encoding="utf-8")
    assert "<b>" not in text
    assert "'=1+1" in (tmp_path / "verdicts.csv").read_text()


def test_results_of_a_suite_are_judged_by_the_margin(tmp_path: Path) -> None:
    part = Part(name="p", question="?", data="isbi", model="unet", against="unet_noskip", margin=0.01)
    assert judge_part(part, tmp_path).word == "not run yet"
    written(tmp_path / "isbi", *two(0.8, 0.6))
    verdict = judge_part(part, tmp_path)
    assert (verdict.word, verdict.numbers is not None) == ("holds", True)
    assert (
        judge_part(part.model_copy(update={"model": "unet_noskip", "against": "unet"}), tmp_path).word
        == "does not hold"
    )


def test_results_may_lie_in_another_folder_than_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("claims").mkdir()
    part = 'parts = [{ name = "skips", question = "?", data = "isbi", model = "unet", against = "unet_noskip" }]'
    text = f'order = 1\ntitle = "Skips"\nzh = "跳"\nen = "Skips help."\nsuite = "suites/two.toml"\n{part}\n'
    Path("claims/skips.toml").write_text(text, encoding="utf-8")
    written(tmp_path / "reports/two/isbi", *two(0.8, 0.6))
    asking = Asking(out=Path("reports/claims"), folder=Path("claims"))
    assert "**Verdict: not run yet.**" in ask(asking).read_text(encoding="utf-8")
    page = ask(replace(asking, results=Path("reports"))).read_text(encoding="utf-8")
    assert "**Verdict: holds.**" in page
    assert "`unetzoo claims --out reports/claims --results reports`" in page
    with pytest.raises(UnetzooError, match="--results repots: is not a folder"):
        ask(replace(asking, results=Path("repots")))
    quoted = ask(replace(asking, out=Path("my claims"))).read_text(encoding="utf-8")
    assert "Made by `unetzoo claims`;" in quoted


def test_variants_that_a_claim_does_not_compare_widen_no_interval(tmp_path: Path) -> None:
    others = [record(label, seed, [0.7 + 0.01 * k + 0.002 * seed * (k % 3 + n) for k in range(12)])
              for n, label in enumerate(("unet_d2", "unet_d3", "unet_d4")) for seed in range(3)]  # fmt: skip
    written(tmp_path / "isbi", *two(0.8, 0.6), *others)
    part = Part(name="p", question="?", data="isbi", model="unet", against="unet_noskip", margin=0.01)
    alone, among = judge_part(part, tmp_path, [part]), judge_part(part, tmp_path)
    assert alone.numbers is not None
    assert among.numbers is not None
    assert alone.numbers[2] - alone.numbers[1] < among.numbers[2] - among.numbers[1]


def test_two_seeds_give_no_verdict(tmp_path: Path) -> None:
    written(tmp_path / "isbi", *two(0.8, 0.6, seeds=2))
    part = Part(name="p", question="?", data="isbi", model="unet", against="unet_noskip")
    verdict = judge_part(part, tmp_path)
    assert verdict.word == "undecided"
    assert "not enough data" in verdict.found


def test_trials_that_did_not_learn_leave_a_part_undecided(tmp_path: Path) -> None:
    trivial = record("otsu", 0, [0.9] * 12, baseline=True)
    trivial["result"]["best_val_dice"] = 0.95  # above every network
    written(tmp_path, *two(0.8, 0.6), trivial)
    verdict = judge_part(Part(name="p", question="?", model="unet", against="unet_noskip"), tmp_path)
    assert (verdict.word, verdict.needed) == ("undecided", "longer trainings")
    first, second = verdict.found.split("; ")
    assert first.startswith("unet takes no part: of 3 trials 3 did not learn (seed 0: validation Dice ")
    assert first.endswith("is not above the 0.950 of 'otsu')")
    assert second.startswith("unet_noskip takes no part: ")
    asked = Part(name="p", question="?", model="unet", against="best trivial predictor")
    assert judge_part(asked, tmp_path).word == "does not hold"  # to leave it out would beg the question


def test_another_number_of_training_images_is_compared_on_the_same_test_images(tmp_path: Path) -> None:
    written(tmp_path / "few", *two(0.5, 0.4))
    written(tmp_path / "all", *two(0.8, 0.6))
    part = Part(name="p", question="?", data="few", model="unet", against="unet", against_data="all",
                expect="not lower", margin=0.02)  # fmt: skip
    assert judge_part(part, tmp_path).word == "does not hold"


def test_scores_of_predictions_are_compared_within_a_network(tmp_path: Path) -> None:
    records = two(0.8, 0.6)
    folder = written(tmp_path / "isbi", *records)
    rows = [
        {"id": r["id"], "model": "unet", "seed": r["trial"]["seed"], "image": f"slice_{k}", "class": 1}
        | {score: value + 0.01 * k + 0.001 * (k % 3) * r["trial"]["seed"]
           for score, value in (("dice_at_1", 0.7), ("dice_holes", 0.75))}
        for r in records if r["trial"]["model"]["label"] == "unet" for k in range(12)
    ]  # fmt: skip
    part = Part(name="p", question="?", data="isbi", model="unet", against="unet", score="dice_at_1",
                against_score="dice_holes", expect="not lower", margin=0.005)  # fmt: skip
    assert judge_part(part, tmp_path).word == "not run yet"
    pd.DataFrame(rows).to_csv(folder / PREDICTIONS, index=False)
    assert judge_part(part, tmp_path).word == "does not hold"


def test_the_best_trivial_predictor_is_a_rival(tmp_path: Path) -> None:
    trivial = record("otsu", 0, [0.5 + 0.01 * k for k in range(12)], baseline=True)
    trivial["result"]["best_val_dice"] = 0.1
    written(tmp_path, *two(0.8, 0.6), trivial)
    part = Part(name="p", question="?", model="unet", against="best trivial predictor", margin=0.05)
    assert judge_part(part, tmp_path).word == "holds"


def test_a_quoted_report_is_never_judged_above_what_it_says(tmp_path: Path) -> None:
    written(tmp_path / "reports/r", *two(0.8, 0.6, seeds=2))
    found = quote(Evidence(report="reports/r", model="unet", against="unet_noskip"), tmp_path)
    assert found.verdict.startswith("not enough data")
    with pytest.raises(UnetzooError, match="has no variant 'unett'; did you mean unet"):
        quote(Evidence(report="reports/r", model="unett", against="unet_noskip"), tmp_path)


def test_data_that_a_claim_cannot_be_asked_of_is_refused_with_what_is_needed() -> None:
    by_name = {claim.name: claim for claim in read_claims(claims_folder())}
    few = create_dataset("cells", n_train=3, n_test=6, n_val=1)
    with pytest.raises(UnetzooError, match="it has 3 training images, and 40 are needed"):
        check_data(by_name["few-samples"], few)
    with pytest.raises(UnetzooError, match="% of its foreground is at most 5 px wide, and 10 % are needed"):
        check_data(by_name["fine-structure"], create_dataset("cells", n_train=8, n_test=6, n_val=1))
    with pytest.raises(UnetzooError, match="about networks, not about data"):
        check_data(by_name["memory"], few)
    with pytest.raises(UnetzooError, match="2 independent images or groups of them, and 5 are needed"):
        check_data(by_name["skips"], create_dataset("cells", n_train=8, n_test=2, n_val=1))
    vessels = create_dataset("vessels", n_train=8, n_test=6, n_val=1)
    check_data(by_name["fine-structure"], vessels)
    assert thin_share(vessels, 5.0) > 0.3


def test_a_claim_trains_the_variants_that_it_names_and_the_one_they_are_matched_to() -> None:
    by_name = {claim.name: claim for claim in read_claims(claims_folder())}

    def trained(name: str, data: str | None = None) -> dict[str, list[str | None]]:
        suite = suite_of(by_name[name], claims_folder(), data)
        assert isinstance(suite, Collection)
        parts = by_name[name].parts if data is None else parts_of_own(by_name[name])
        return {label: [m.label for m in named(member, parts, label).models] for label, member in suite.suites.items()}

    skips = ["unet", "unet_noskip", "unet_addskip", "unet, attention"]
    assert trained("skips") == {"nuclei": skips, "vessels": skips}
    assert trained("skips", "vessels") == {"own": skips}
    assert trained("any-size", "cells") == {"own": ["unet"]}
    ways_up = ["unet", "unet_bilinear", "unet_pixelshuffle", "unet_nearest"]
    assert trained("artefacts") == {"nuclei": ways_up, "vessels": ways_up}
    fine = ["unet", "unet_noskip", "unet_d3", "unet, deep supervision", "unet, width 16"]
    assert trained("fine-structure", "vessels") == {"own": fine}
    few = trained("few-samples")
    assert few["nuclei-2"] == ["unet", "unet_noskip", "lite0 pretrained"]
    assert few["nuclei-all"] == ["unet"]  # the other side of comparisons on fewer images


def test_models_without_a_label_are_all_trained() -> None:
    claim = next(c for c in read_claims(claims_folder()) if c.name == "any-size")
    suite = suite_of(claim, claims_folder(), None)
    assert isinstance(suite, Collection)
    member = suite.suites["nuclei"]
    plain = member.model_copy(update={"models": [m.model_copy(update={"label": None}) for m in member.models]})
    assert named(plain, claim.parts, "nuclei").models == plain.models  # their labels follow from options


def test_measurements_of_other_data_are_not_taken_for_these(tmp_path: Path) -> None:
    claims = tmp_path / "claims"
    claims.mkdir()
    (claims / "sizes.toml").write_text(CLAIM, encoding="utf-8")
    found = Measured(quantities={}, tables=[], method="", data="cells")
    write_measured(tmp_path / "out/measured/sizes.json", found)
    assert read_measured(tmp_path / "out/measured/sizes.json") == found
    with pytest.raises(UnetzooError, match="was measured on cells, not on none"):
        ask(Asking(out=tmp_path / "out", folder=claims))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--only", "architektur"), "did you mean architecture"),
        (("--only", "memory", "--data", "cells"), "ask it without --data"),
        (("--data", "no/such"), "is neither a folder"),
        (("--claims", "."), "has no claims"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    done = run("claims", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stderr.strip().count("\n")) == (2, 0)
    assert words in done.stderr


def test_the_command_writes_the_page(tmp_path: Path) -> None:
    done = run("claims", "--only", "architecture", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "page: runs/claims/README.md" in done.stdout
    assert "**holds**" in (tmp_path / "runs/claims/README.md").read_text(encoding="utf-8")
