"""Speed reports: slowdowns are found, and noise is not taken for one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unetzoo.errors import UnetzooError
from unetzoo.report import speed
from unetzoo.report.speed import Compared, Measurement, SpeedReport, compare_speed

Times = dict[str, np.ndarray]


def report(reference: bool = False, **times: np.ndarray) -> SpeedReport:
    some = [
        Measurement(name=name, group="reference" if reference and name == "matmul" else "step", values=values.tolist())
        for name, values in times.items()
    ]
    return SpeedReport(kind="unetzoo-speed", version=1, measurements=some)


def drawn(rng: np.random.Generator, seconds: float, noise: float, repeats: int = 7) -> np.ndarray:
    """Return timings with proportional noise and, as on a shared machine, now and then one that took far longer."""
    return seconds * np.exp(rng.normal(0, noise, repeats)) * np.where(rng.random(repeats) < 0.03, 1.5, 1.0)


def by_name(found: list[Compared]) -> dict[str, Compared]:
    return {c.name: c for c in found}


def test_a_slowdown_of_a_fifth_is_found():
    rng = np.random.default_rng(0)
    before = {f"m{k}": drawn(rng, 0.1 * (k + 1), 0.02) for k in range(10)}
    after = {name: drawn(rng, float(np.median(v)) * (1.2 if name == "m3" else 1), 0.02) for name, v in before.items()}
    found = by_name(compare_speed(report(**before), report(**after)))
    slow = found.pop("m3")
    assert slow.verdict == "slower"
    assert slow.regressed(0.05)
    assert slow.low < slow.ratio < slow.high
    assert slow.ratio == pytest.approx(1.2, abs=0.05)
    assert not any(c.regressed(0.05) for c in found.values())


@pytest.mark.parametrize("references", [0, 1])
def test_false_alarms_stay_below_the_rate(references: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(speed, "RESAMPLES", 10)  # of the interval, on which no verdict depends
    rng = np.random.default_rng(1)
    alarms, runs = 0, 300
    for _ in range(runs):
        both = [{name: drawn(rng, 1.0, 0.05, 5) for name in ("matmul", "a", "b", "c", "d")} for _ in range(2)]
        found = compare_speed(*(report(reference=bool(references), **times) for times in both))
        alarms += any(c.verdict in ("slower", "faster") for c in found)
    assert alarms / runs < 0.05 + 2 * (0.05 * 0.95 / runs) ** 0.5


def test_a_slower_machine_is_not_slower_code():
    rng = np.random.default_rng(2)
    names = ("matmul", "step", "slow")
    before = {name: drawn(rng, 1.0, 0.01) for name in names}
    after = {name: drawn(rng, 1.3 * (1.2 if name == "slow" else 1), 0.01) for name in names}
    plain = by_name(compare_speed(report(**before), report(**after)))
    assert all(c.regressed(0.05) for c in plain.values())
    found = by_name(compare_speed(report(reference=True, **before), report(reference=True, **after)))
    assert found["step"].verdict == "same within noise"
    assert found["slow"].regressed(0.05)
    assert found["slow"].relative == pytest.approx(1.2, abs=0.03)
    assert found["matmul"].verdict == "slower"
    assert not found["matmul"].regressed(0.05)


def test_few_repeats_give_no_verdict():
    (found,) = compare_speed(report(a=np.array([1.0, 1.1])), report(a=np.array([3.0, 3.1])))
    assert (found.verdict, found.p) == ("too few repeats", None)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(1e-6, 1e3), min_size=3, max_size=6), st.lists(st.floats(1e-6, 1e3), min_size=3, max_size=6))
def test_turned_around_the_ratio_is_inverted(a: list[float], b: list[float]):
    (one,) = compare_speed(report(x=np.array(a)), report(x=np.array(b)))
    (other,) = compare_speed(report(x=np.array(b)), report(x=np.array(a)))
    assert one.ratio == pytest.approx(1 / other.ratio)
    assert one.p == pytest.approx(other.p)
    assert one.low <= one.high


def test_a_file_equals_itself():
    same = report(a=np.full(5, 0.2), b=np.array([0.1, 0.2, 0.3]))
    assert [c.verdict for c in compare_speed(same, same)] == ["same within noise"] * 2


def test_nothing_in_common():
    with pytest.raises(UnetzooError, match="no measurement has the same name in both"):
        compare_speed(report(a=np.ones(3)), report(b=np.ones(3)))
