"""How many trials run side by side, if the user leaves it to a short measurement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from unetzoo._util.batch_job import cores
from unetzoo.bench.limits import GIB
from unetzoo.bench.trials import Trial

WORTHWHILE_SECONDS = 60  # of training; less is over before a measurement has paid
GAIN = 1.1  # times the steps of one trial with all cores, below which trials run one at a time
PROCESS_BYTES = GIB // 2  # of a trial's process before it has a tensor
MEMORY_SHARE = 0.7  # of the machine's memory that trials side by side may need by their measured peaks


@dataclass(frozen=True)
class Measured:
    """Figures of a trial's training that its model's costs tell.

    Attributes:
        step_seconds: Seconds of a step.
        peak: Peak memory of a step on one device, in bytes.
        device: The kind of device.
        gpus: Bytes of memory of each GPU of the machine, if it trains on GPUs.
    """

    step_seconds: float
    peak: int | None
    device: str
    gpus: tuple[int, ...] = ()


def training_seconds(trial: Trial, measured: Measured | None) -> float:
    """Return about how long a trial trains; 0 if nothing was measured of its model.

    Args:
        trial: The trial, with a budget in steps.
        measured: What was measured of its model.
    """
    return measured.step_seconds * (trial.train.steps or trial.train.most_steps) if measured else 0.0


def most_jobs(trials: list[Trial], measured: list[Measured], memory: int | None) -> int:
    """Return the largest number of trials that may run side by side; 1 if there is nothing to choose.

    Args:
        trials: The trials to run, without trivial predictors.
        measured: What was measured of each of them.
        memory: The machine's memory in bytes; None if not known.
    """
    recipes = [trial.train for trial in trials]
    if len(trials) < 2 or any(m.device != "cpu" for m in measured) or any(recipe.devices > 1 for recipe in recipes):
        return 1
    if any(recipe.minutes is not None for recipe in recipes):  # beside others they would be trained less
        return 1
    if sum(map(training_seconds, trials, measured)) < WORTHWHILE_SECONDS:
        return 1
    threads = max(max(1, recipe.threads) for recipe in recipes)
    need = max((m.peak or 0) + PROCESS_BYTES for m in measured)
    by_memory = cores() if memory is None else int(MEMORY_SHARE * memory / need)
    return max(1, min(cores() // threads, len(trials), by_memory))


def choose_jobs(most: int, fixed_threads: bool, steps_per_second: Callable[[int], float | None]) -> tuple[int, str]:
    """Choose the number of trials side by side that makes the most steps.

    Args:
        most: The largest number that may be chosen.
        fixed_threads: True if the suite states the threads of a trial; then more trials need no measurement.
        steps_per_second: Function from a number of trials to the steps that they make per second in all; None if one of
            them failed.

    Returns:
        The number, and the reason in words; empty if there was nothing to choose.
    """
    if most == 1:
        return 1, ""
    if fixed_threads:
        return most, f"{most} trials side by side, each with the threads that the suite states"
    rates: dict[int, float] = {}
    jobs = 1
    while jobs <= most:
        rate = steps_per_second(jobs)
        if rate is None or rate < 0.9 * max(rates.values(), default=0.0):
            break
        rates[jobs] = rate
        jobs *= 2
    if not rates:
        return 1, ""
    best = max(rates, key=lambda jobs: rates[jobs])
    if rates[best] < GAIN * rates[1]:
        best = 1
    listed = ", ".join(f"{rate:.2f} with {jobs}" for jobs, rate in rates.items())
    one = "one trial at a time" if best == 1 else f"{best} trials side by side"
    return best, f"{one}, by the training steps per second in all ({listed})"
