"""The sentences of a page claim no more than the verdicts do, and one seed ranks nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.records import baseline, folder_of, full, load, noisy, record, variables_of
from unetzoo.report import write_report
from unetzoo.report.comparisons import remarks
from unetzoo.report.judgement import Judgement, judge_all, turned
from unetzoo.report.outlook import expected_reach
from unetzoo.report.standing import UNEVEN
from unetzoo.report.verdict_table import COLUMNS, verdict_table

FOUR = ("better", "worse", "equivalent", "undecided")
RANKS = r"better|worse|higher|lower|highest|first|best\b|rank|equivalent|undecided|interval|Cheapest|\u2605"


def of(*records: dict[str, Any], margin: float | None = None) -> Judgement:
    return judge_all(load(*records), margin)


def spread(seed: int, spread: float, **means: float) -> list[dict[str, Any]]:
    """Return records of three seeds with noise of this SD over seeds and images."""
    rng = np.random.default_rng(seed)
    return [
        record(label, s, np.clip(mean + rng.normal(0, spread) + rng.normal(0, spread, 12), 0, 1))
        for label, mean in means.items()
        for s in range(3)
    ]


def test_the_four_words() -> None:
    means = {"unet": 0.7, "up": 0.75, "down": 0.6, "same": 0.7}
    records = [noisy(label, s, mean) for label, mean in means.items() for s in range(3)]
    j = of(*records, margin=0.03)
    assert {name: c.verdict for name, c in j.against.items()} == {
        "up": "better",
        "down": "worse",
        "same": "equivalent",
    }
    assert of(*records, margin=0.0).against["same"].verdict == "undecided"
    text = " ".join(variables_of(*records)["answer"])
    assert re.search(r"up scores higher than unet \(Dice 0\.7\d+ against 0\.\d+, simultaneous 95 % interval", text)
    assert "down scores lower than unet" in text
    assert re.search(r"With 5 seeds instead of 3, an interval such as \w+'s is expected to reach ±0\.\d+", text)


def test_an_equivalent_variant_is_named_with_the_margin() -> None:
    records = [noisy(label, s, 0.7) for label in ("unet", "same") for s in range(3)]
    for r in records:
        r["trial"]["score"] = {"margin": 0.03}
    text = " ".join(variables_of(*records)["answer"])
    assert re.search(r"same \(.* to .*\) is equivalent to unet: within ±0\.03 Dice\.", text)


def test_an_undecided_variant_says_what_would_settle_it() -> None:
    records = spread(3, 0.02, unet=0.7, other=0.71)
    c = of(*records).against["other"]
    assert c.verdict == "undecided"
    text = " ".join(variables_of(*records)["answer"])
    assert re.search(r"other \(.* to .*\) is undecided against unet: ", text)
    assert re.search(r"about [\d,]+ (seeds|test images)|would settle it", text)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 10**6), st.floats(0.001, 0.1), st.floats(0.3, 0.7), st.floats(0, 0.1), st.booleans())
def test_an_interval_and_its_word_never_disagree(
    seed: int, noise: float, other: float, margin: float, failed: bool
) -> None:
    records = spread(seed, noise, unet=0.5, other=other, third=0.5)
    if failed:
        records.append(record("other", 7, status="nan"))
    j = of(*records, margin=margin)
    for c in [*j.against.values(), *j.pairs]:
        if c.verdict not in FOUR:
            continue
        assert c.low is not None
        assert c.high is not None
        assert c.low <= c.difference <= c.high
        assert -1 <= c.low <= c.high <= 1
        inside = -margin <= c.low <= c.high <= margin
        if c.verdict == "better":
            assert c.low >= 0
            assert c.difference > 0
        elif c.verdict == "worse":
            assert c.high <= 0
            assert c.difference < 0
        elif c.verdict == "equivalent":
            assert inside
        else:
            assert c.low <= 0 <= c.high
            assert not inside
        assert {c.model, c.reference} & {"unet", "third"} or c.verdict == "worse" or not failed
    if failed:
        assert j.against["other"].verdict in ("worse", "not enough data")
    table = verdict_table(j.every)
    unjudged = table[~table["verdict"].isin(FOUR)]
    assert unjudged[["low", "high", "p", "prob_false"]].isna().all(axis=None)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.floats(0.05, 0.95), min_size=2, max_size=6), st.integers(1, 2))
def test_one_or_two_seeds_rank_nothing(means: list[float], seeds: int) -> None:
    records = [noisy(f"unet_{k}", s, mean) for k, mean in enumerate(means) for s in range(seeds)]
    variables = variables_of(*records)
    text = " ".join([*variables["recommendation"], *variables["answer"]])
    assert not re.search(RANKS, text.replace("which variant is better", ""))
    assert "--seeds 3" in text
    assert variables["pairs"] == variables["other_verdicts"] == {}
    assert all(row["against"] is None or row["against"]["interval"] == "" for row in variables["rows"])
    assert ("these trained networks" in text) == (seeds == 1)


def test_a_page_of_one_seed_has_no_ranks_and_no_intervals(tmp_path: Path) -> None:
    records = [full("unet", 0, 0.7), full("b", 0, 0.8), full("a", 0, 0.6)]
    page = write_report(folder_of(tmp_path / "f", *records)).read_text()
    body = re.sub(r"base64,[^\"]*|<style>.*?</style>|<h2>How to read.*", "", page, flags=re.DOTALL)
    for word in ("interval", "undecided", "Pareto", "Highest", "% of resamples", "not judged", "▲", "▼"):
        assert word not in body, word
    rows = re.findall(r'<tr data-row="\d+"><td><a href="variants/\w+\.html">(\w+)</a>', page)
    assert rows == ["a", "b", "unet"]  # by name, not by score
    assert "these trained networks" in body
    table = pd.read_csv(tmp_path / "f" / "verdicts.csv")
    assert set(table["verdict"]) == {"not enough data"}
    assert table[["low", "high", "p"]].isna().all(axis=None)
    assert not (tmp_path / "f" / "plots" / "difference.png").exists()


def test_verdicts_csv_has_every_pair_metric_and_cost(tmp_path: Path) -> None:
    records = [full(label, s, mean) for label, mean in (("unet", 0.8), ("b", 0.7), ("=c", 0.75)) for s in range(3)]
    write_report(folder_of(tmp_path / "f", *records))
    table = pd.read_csv(tmp_path / "f" / "verdicts.csv")
    assert list(table) == COLUMNS
    dice = table[table["metric"] == "dice"]
    pairs = [frozenset(pair) for pair in zip(dice["model"], dice["reference"], strict=True)]
    assert sorted(map(sorted, pairs)) == [["'=c", "b"], ["'=c", "unet"], ["b", "unet"]]
    assert {"params", "macs", "latency_p50_ms", "peak_train_bytes", "train_seconds"} <= set(table["metric"])
    parameters = table[(table["metric"] == "params") & (table["model"] == "b")].iloc[0]
    assert parameters["verdict"] == "better"  # fewer than unet's
    first = (tmp_path / "f" / "verdicts.csv").read_bytes()
    write_report(tmp_path / "f")
    assert (tmp_path / "f" / "verdicts.csv").read_bytes() == first


def test_a_variant_with_a_failed_seed_is_never_better() -> None:
    records = [noisy(label, s, mean) for label, mean in (("unet", 0.7), ("up", 0.8)) for s in range(3)]
    assert of(*records).against["up"].verdict == "better"
    records.append(record("up", 3, status="nan"))
    variables = variables_of(*records)
    row = next(row for row in variables["rows"] if row["model"] == "up")
    assert row["against"]["word"] == "not enough data"
    assert row["setback"] == "of 4 trials 1 failed (nan)"
    assert "never called better" in " ".join(variables["answer"])
    swapped = [noisy(label, s, mean) for label, mean in (("unet", 0.8), ("up", 0.7)) for s in range(3)]
    c = of(*swapped, record("unet", 3, status="oom")).against["up"]
    assert c.verdict == "not enough data"  # "worse" would call the reference better


def test_runs_that_learnt_nothing_take_part_in_no_verdict_and_no_rank() -> None:
    records = [noisy(label, s, mean) for label, mean in (("unet", 0.7), ("b", 0.3), ("c", 0.8)) for s in range(3)]
    records += [baseline("otsu", 0.5)]
    variables = variables_of(*records)
    j = of(*records)
    assert set(j.against) == {"c"}
    assert j.learnt == {"b": 0, "c": 3, "unet": 3}
    text = " ".join(variables["answer"])
    assert "b did not learn in any seed, and has no verdict and no rank." in text
    assert any(line.startswith("Did not learn: b (seeds 0, 1 and 2): test Dice 0.") for line in variables["warnings"])
    table = load(*records).trials
    assert table.loc[table["model"] == "b", "unlearnt"].notna().all()
    assert table.loc[table["model"] != "b", "unlearnt"].isna().all()


def test_a_run_that_was_still_rising_reads_at_this_budget() -> None:
    records = [noisy(label, s, mean) for label, mean in (("unet", 0.7), ("up", 0.8), ("down", 0.6)) for s in range(3)]
    for r in records:
        if r["trial"]["model"]["label"] == "up":
            r["curves"]["val"], r["result"]["best_step"] = [[5, 0.5, 0.6], [10, 0.4, 0.7]], 10
    variables = variables_of(*records)
    words = {row["model"]: row["against"]["word"] for row in variables["rows"] if row["against"]}
    assert words == {"up": "better at this budget", "down": "worse"}
    assert "up scores higher than unet at this budget" in " ".join(variables["answer"])
    assert "Still rising, as the best checkpoint was the last: up (seeds 0, 1 and 2)." in " ".join(variables["remarks"])


@pytest.mark.parametrize(("steps", "judged"), [((100, 101, 103), True), ((100, 101, 120), False)])
def test_uneven_steps_under_a_budget_in_minutes_give_no_verdict(steps: tuple[int, ...], judged: bool) -> None:
    records = [full(label, s, mean) for label, mean in (("unet", 0.7), ("up", 0.8)) for s in range(3)]
    for r in records:
        r["trial"]["train"] = {"minutes": 2.0}
        r["result"]["steps"] = steps[r["trial"]["seed"]]
    variables = variables_of(*records)
    assert of(*records).against["up"].verdict == ("better" if judged else UNEVEN)
    assert any("spread, (most - fewest) / median: unet " in note for note in variables["notes"])
    assert ("differ, up's by 20 % and unet's by 20 %" in " ".join(variables["answer"])) != judged


def test_groups_are_counted_beside_the_images() -> None:
    groups = {f"slice_{k}": f"patient {k % 3}" for k in range(12)}
    records = [noisy(label, s, mean) for label, mean in (("unet", 0.7), ("up", 0.8)) for s in range(3)]
    assert "12 test images. No groups are known" in remarks(load(*records), of(*records))[0]
    for r in records:
        r["result"]["groups"] = groups
    j = of(*records)
    assert (j.images, j.groups, j.against["up"].groups) == (12, 3, 3)
    assert j.against["up"].verdict == "not enough data"
    assert "12 test images, sampled in 3 groups" in remarks(load(*records), j)[0]
    assert "3 groups" in " ".join(variables_of(*records)["answer"])


def test_a_comparison_turned_round_says_the_same() -> None:
    j = of(*[noisy(label, s, mean) for label, mean in (("unet", 0.7), ("up", 0.8)) for s in range(3)])
    c = j.against["up"]
    back = turned(c)
    assert (back.verdict, back.model, back.reference) == ("worse", "unet", "up")
    assert (back.low, back.high) == (-c.high, -c.low)
    assert turned(back) == c
    assert j.by_pair["unet", "up"] == back


def test_more_seeds_narrow_an_interval() -> None:
    c = of(*spread(0, 0.02, unet=0.7, other=0.75)).against["other"]
    reach = [expected_reach(c, n) for n in (2, 3, 5, 10, 100)]
    assert reach == sorted(reach, reverse=True)
    assert expected_reach(c, 3) == pytest.approx((c.high_alone - c.low_alone) / 2, rel=0.2)


def test_tuning_stands_beside_the_score(tmp_path: Path) -> None:
    write_report(folder_of(tmp_path / "f", full("unet", 0, 0.8)))
    assert "| Dice (mean ± SD) | tuning before it |" in (tmp_path / "f" / "summary.md").read_text()
    write_report(folder_of(tmp_path / "g", record("unet", 0, 0.8)))
    assert "tuning" not in (tmp_path / "g" / "summary.md").read_text()
