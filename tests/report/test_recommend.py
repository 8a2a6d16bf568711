"""The recommendation follows its rule, names no winner without an interval, and refuses limits that exclude all."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import unetzoo
from support.records import NASTY, folder_of, load, noisy, record, timing, variables_of
from unetzoo._util.language import language
from unetzoo.errors import UnetzooError
from unetzoo.report.advice import Advice, advise
from unetzoo.report.judgement import judge_all
from unetzoo.report.limits import KINDS, read_limits
from unetzoo.report.recommend import Candidate, Field, choose, noise_of
from unetzoo.report.statistics import summarise
from unetzoo.report.verdicts.comparison import Comparison

MEANS = {"unet": 0.70, "up": 0.75, "same": 0.751, "down": 0.60}
LATENCY = {"unet": 20.0, "up": 30.0, "same": 15.0, "down": 5.0}
PARAMS = {"unet": 2e6, "up": 3e6, "same": 2.5e6, "down": 5e5}


def records(seeds: int = 3, **change: Any) -> list[dict[str, Any]]:
    made = [noisy(label, s, mean, **change) for label, mean in MEANS.items() for s in range(seeds)]
    for one in made:
        label = one["trial"]["model"]["label"]
        one["cost"] |= {"latency_p50_ms": LATENCY[label], "params": int(PARAMS[label])}
    return made


def advice_on(made: list[dict[str, Any]], metric: str = "dice", margin: float = 0.03, **limits: str) -> Advice:
    t = load(*made)
    return advise(summarise(t).to_dict("records"), judge_all(t, margin), read_limits(limits), metric)


def field_of(verdicts: dict[tuple[str, str], str], **scores: tuple[float, float]) -> Field:
    """Return variants by (score, latency), all eligible, with these verdicts."""
    candidates = [
        Candidate(label, score, 0.01, 3, True, False, False, "", {"latency_p50_ms": latency, "params": 1e6})
        for label, (score, latency) in scores.items()
    ]
    pairs = {pair: Comparison(pair[0], 3, 9, verdict=word, reference=pair[1]) for pair, word in verdicts.items()}  # type: ignore[arg-type]
    return Field("dice", candidates, pairs)


@pytest.mark.parametrize(
    ("verdict", "taken", "relation"),
    [("worse", "a", "best"), ("equivalent", "b", "equivalent"), ("undecided", "b", "undecided")],
)
def test_the_fastest_of_those_not_shown_worse_is_taken(verdict: str, taken: str, relation: str) -> None:
    field = field_of({("b", "a"): verdict, ("c", "a"): "worse"}, a=(0.9, 20), b=(0.89, 10), c=(0.5, 1))
    choice = choose(field)
    assert (choice.taken, choice.relation, choice.best) == (taken, relation, "a")


def test_one_shown_worse_than_another_that_is_not_worse_is_left_out() -> None:
    """The fastest, ``c``, is undecided against the best, and worse than ``b``, which is undecided against it too."""
    near = {("b", "a"): "undecided", ("c", "a"): "undecided", ("c", "b"): "worse"}
    found = choose(field_of(near, a=(0.90, 20), b=(0.899, 15), c=(0.88, 5)))
    assert (found.taken, found.relation, found.not_worse) == ("b", "undecided", ["a", "b"])
    beaten = {("b", "a"): "better"} | {("a", "b"): "worse"}  # the best mean itself, of other seeds
    assert choose(field_of(beaten, a=(0.90, 5), b=(0.89, 15))).taken == "b"
    circle = {("b", "a"): "undecided", ("c", "a"): "undecided", ("b", "c"): "worse", ("c", "b"): "worse"}
    assert choose(field_of(circle, a=(0.9, 20), b=(0.8, 10), c=(0.8, 5))).not_worse == ["a"]


def test_latencies_within_the_noise_go_by_parameters_then_memory_then_name() -> None:
    same = {("b", "a"): "equivalent", ("c", "a"): "equivalent", ("d", "a"): "equivalent"}
    field = field_of(same, a=(0.9, 9.0), b=(0.89, 9.02), c=(0.89, 9.04), d=(0.89, 9.2))
    a, b, c, d = field.candidates
    assert (choose(field).taken, choose(field).decided) == ("a", None)  # without a noise, 0.2 % decides
    object.__setattr__(a, "noise", 0.1)
    for one, costs, taken, decided in (
        (a, {}, "a", "label"),
        (c, {"peak_train_bytes": 1.0}, "c", "peak_train_bytes"),
        (b, {"params": 9e5}, "b", "params"),
        (d, {"params": 1e5}, "b", "params"),  # slower than the noise explains
    ):
        one.costs.update(costs)
        choice = choose(field)
        assert (choice.taken, choice.decided) == (taken, decided)
        assert sorted([choice.taken, *choice.as_fast]) == ["a", "b", "c"]
    object.__setattr__(d, "noise", 0.25)  # the larger of the two noises counts
    assert choose(field).taken == "d"


def test_noise_is_the_spread_of_repetitions_or_the_range_over_seeds() -> None:
    row = {"latency_p50_ms": 20.0, "latency_p50_ms_low": 19.0, "latency_p50_ms_high": 20.5, "latency_spread": 0.04}
    assert noise_of(row) == 1.5
    assert noise_of(row | {"latency_spread": 0.1}) == 2.0
    assert noise_of(row | {"latency_spread": None, "latency_p50_ms_low": float("nan")}) == 0.0


def test_the_sentence_names_the_tie() -> None:
    made = records()
    for one in made:
        if one["trial"]["model"]["label"] == "up":  # 15.5 ms against 15 of ``same``, with fewer parameters
            one["cost"] |= {"latency_p50_ms": 15.5, "params": 2_400_000, "timings": [timing("float32", 15.5)]}
    found = advice_on(made)
    assert found.choice.taken == "up"
    assert "; as fast as same within the noise of the timings (15.5 ms), so fewer parameters decide; of the" in str(
        found
    )
    assert "fastest (" not in str(found)
    with language("zh"):
        assert "；与 same 的速度差异在计时噪声之内（15.5 ms），因此取参数量较少者；在" in str(advice_on(made))


def test_a_cost_that_was_not_measured_meets_no_limit() -> None:
    field = field_of({("b", "a"): "equivalent"}, a=(0.9, 9), b=(0.89, 5))
    field.candidates[1].costs["latency_p50_ms"] = None
    choice = choose(field, {"latency_p50_ms": 10.0})
    assert (choice.taken, choice.relation, choice.unmeasured) == ("a", "only", {"b": ["latency_p50_ms"]})
    assert choose(field).taken == "a"  # without a limit too: a latency nobody knows is not the lowest


def test_without_a_verdict_nothing_is_taken() -> None:
    assert choose(field_of({}, a=(0.9, 9), b=(0.89, 5))).taken is None
    assert choose(field_of({("b", "a"): "not enough data"}, a=(0.9, 9), b=(0.89, 5))).taken is None
    assert choose(field_of({}, a=(0.9, 9))).taken is None


def test_the_sentences_of_an_equivalent_variant() -> None:
    text = str(advice_on(records()))
    interval = r"simultaneous 95 % interval [\u2212+]0\.\d{3} to [\u2212+]0\.\d{3}"
    assert re.match(r"Take same: equivalent to the best, up, within ±0\.03 Dice \(difference |Take same \(Dice", text)
    assert re.search(interval, text)
    assert "fastest (15 ms)" in text
    assert "fewest parameters (2.5 M)" in text
    assert re.search(rf"down scores 0\.1\d+ lower \({interval}\) than same, at 0\.33 times the latency\.", text)
    assert text.endswith("12 trials, 3 seeds, 12 test images.")


def test_limits_change_the_recommendation_and_tell_their_price() -> None:
    few = advice_on(records(), max_params="2M", max_latency="25ms")
    assert few.choice.taken == "unet"
    assert "with at most 2 M parameters and a latency of at most 25 ms" in str(few)
    worse = r"It is shown to be worse than the best without these limits, \w+ \(difference \u22120\.05"
    assert re.search(worse, str(few))
    assert advice_on(records(), max_params="500k").choice.taken == "down"
    assert "the only variant with at most 500,000 parameters" in str(advice_on(records(), max_params="500k"))


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (
            {"max_params": "0.1M"},
            "none of 4 variants has at most 100,000 parameters; the smallest, down, has 500,000 parameters",
        ),
        (
            {"max_latency": "1ms"},
            "none of 4 variants has a latency of at most 1 ms; the fastest, down, has a latency of 5 ms",
        ),
        (
            {"max_inference_memory": "1MiB"},
            "none of 4 variants has at most 1 MiB of inference memory; no record has inference memory",
        ),
    ],
)
def test_limits_that_exclude_everything(limits: dict[str, str], message: str) -> None:
    with pytest.raises(UnetzooError, match=re.escape(message)):
        advice_on(records(), **limits)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("max_memory", "2", "max_memory = '2': its unit is missing; write kB, MB, GB, KiB, MiB, GiB, such as 2GiB"),
        ("max_latency", "5 m", "'m' is not a unit of it; write us, µs, ms, s"),
        ("max_params", "-5M", "must be a number above 0 with its unit, such as 5M"),
        ("max_params", "nan", "must be a number above 0"),
        ("max_size", "5", "'max_size' is not a limit; there are max_params, "),
    ],
)
def test_bad_limits(option: str, value: str, message: str) -> None:
    with pytest.raises(UnetzooError, match=re.escape(message)):
        read_limits({option: value})


def test_units() -> None:
    given = {"max_params": 5e6, "max_macs": "1.5G", "max_latency": "1s", "max_memory": "2 GiB", "max_time": "2min"}
    assert read_limits(given) == {
        "params": 5e6,
        "macs": 1.5e9,
        "latency_p50_ms": 1000.0,
        "peak_train_bytes": 2.0**31,
        "train_seconds": 120.0,
    }
    assert [kind.has(1.25e6) for kind in KINDS.values()][:2] == ["1.25 M parameters", "1.25 M MACs"]


def test_reservations() -> None:
    made = records()
    for one in made:
        if one["trial"]["model"]["label"] == "same":
            one["curves"]["val"], one["result"]["best_step"] = [[5, 0.5, 0.6], [10, 0.4, 0.7]], 10
    made.append(record("up", 3, status="nan"))
    text = str(advice_on(made))
    assert "same was still rising when the budget ended" in text
    assert "than unet at this budget" not in text
    assert "Not considered, for lack of a verdict: up (of 4 trials 1 failed (nan))." in text
    assert "13 trials" in text


@pytest.mark.parametrize("seeds", [1, 2])
def test_one_or_two_seeds_recommend_nothing(seeds: int) -> None:
    found = advice_on(records(seeds))
    assert found.choice.taken is None
    assert "a verdict needs 3" in str(found)
    assert "Take" not in str(found)


def test_one_that_learnt_beside_another_that_did_not() -> None:
    made = [one for one in records() if one["trial"]["model"]["label"] in ("unet", "down")]
    for one in made:
        if one["trial"]["model"]["label"] == "down":
            one["result"]["best_val_dice"] = 0.01
    otsu = record("otsu", 0, baseline=True)
    otsu["result"]["best_val_dice"] = 0.5
    found = advice_on([*made, otsu])
    assert found.choice.taken is None
    assert "unet is the only variant with a score that counts (Dice 0.699 ± 0.002 over 3 seeds)" in str(found)


def test_another_metric_and_a_missing_one() -> None:
    made = records()
    for one in made:
        for scores in one["result"]["per_image"].values():
            scores["hd95"] = {"interior": 1.0, "membrane": 20 * (1 - scores["dice"]["membrane"])}
        one["result"]["foreground"] = {"hd95": 20 * (1 - one["result"]["dice"])}
    found = advice_on(made, "hd95")
    assert found.choice.best in ("up", "same")  # the lowest
    assert "HD95" in str(found) or "difference" in str(found)
    with pytest.raises(UnetzooError, match="metric 'nsd': no record has this score; they have dice and hd95"):
        advice_on(made, "nsd")
    with pytest.raises(UnetzooError, match="metric 'dcie' has no verdicts; did you mean dice"):
        advice_on(made, "dcie")


def test_the_page_the_object_and_the_command_say_the_same(tmp_path: Path) -> None:
    made = records()
    report = unetzoo.read_report(folder_of(tmp_path / "f", *made))
    assert report.recommend().sentences == variables_of(*made)["recommendation"]
    json.dumps(report.recommend(max_params="2M").as_json(), allow_nan=False)


def test_hostile_names_stay_text() -> None:
    made = [noisy(label, s, mean) for label, mean in (("unet", 0.7), (NASTY, 0.8)) for s in range(3)]
    for one in made:
        one["id"] = f"{one['id']}{one['trial']['seed']}"
    found = advice_on(made)
    assert found.choice.taken == NASTY
    assert NASTY in str(found)
