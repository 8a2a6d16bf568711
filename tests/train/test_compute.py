"""The choice of precision and memory format by timing, and compilation of the training model."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection

import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

import unetzoo
from unetzoo import UnetzooError
from unetzoo.bench.fork_server import start_method
from unetzoo.data.stream import EvaluationItems, Normalization, TrainingCrops
from unetzoo.train import compute
from unetzoo.train.compute import Compute, candidates, choose_compute
from unetzoo.train.loop import train
from unetzoo.train.recipe import Recipe

SMALL = partial(unetzoo.create_model, "unet", in_channels=1, num_classes=2, width=4, depth=3)
CHOOSE = {"device": "cpu", "channels": 1, "classes": 2}


def recipe(**changes: object) -> Recipe:
    return Recipe(**{"recipe": "modern", "batch_size": 2, "crop": 32, "compute": "auto", **changes})  # type: ignore[arg-type]


@pytest.fixture
def _bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unetzoo.machine.device.cpu_has_bfloat16", lambda: True)


def of(precision: str, channels_last: bool) -> Compute:
    return Compute(precision=precision, channels_last=channels_last)


@pytest.mark.usefixtures("_bfloat16")
def test_candidates_are_what_the_recipe_leaves_open() -> None:
    every = [of("bfloat16", True), of("bfloat16", False), of("float32", True), of("float32", False)]
    assert candidates(recipe(), "cpu") == every
    assert candidates(recipe(precision="float32"), "cpu") == every[2:]
    assert candidates(recipe(channels_last=False), "cpu") == [every[1], every[3]]
    assert candidates(recipe(compute="fixed"), "cpu") == every[:1]
    assert candidates(recipe(compute="fixed", deterministic=True), "cpu") == every[:1]


def test_without_bfloat16_it_is_no_candidate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unetzoo.machine.device.cpu_has_bfloat16", lambda: False)
    assert {candidate.precision for candidate in candidates(recipe(), "cpu")} == {"float32"}


def clock(times: dict[Compute, Callable[[], float]]) -> Callable[[compute._Steps, str], float]:
    """Return a step that is not taken, and takes the given times."""

    def step(steps: compute._Steps, precision: str) -> float:
        return times[of(precision, steps.images.is_contiguous(memory_format=torch.channels_last))]()

    return step


TIMES = {of("bfloat16", True): 1.0, of("bfloat16", False): 2.0, of("float32", True): 2.0, of("float32", False): 2.0}


@pytest.mark.usefixtures("_bfloat16")
@pytest.mark.parametrize(
    ("changes", "chosen"),
    [
        ({}, of("bfloat16", True)),
        ({of("float32", False): 0.91}, of("bfloat16", True)),
        ({of("float32", False): 0.89}, of("float32", False)),
        ({of("float32", False): 0.89, of("bfloat16", False): 0.5}, of("bfloat16", False)),
    ],
)
def test_only_a_clear_gain_departs_from_the_default(
    changes: dict[Compute, float], chosen: Compute, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = {key: partial(float, value) for key, value in {**TIMES, **changes}.items()}
    monkeypatch.setattr(compute._Steps, "__call__", clock(times))
    data = recipe(crop=32)
    choice = choose_compute(partial(SMALL, in_channels=3), data, device="cpu", channels=3, classes=2, seconds=0.0)
    assert choice.compute == chosen
    assert [timing.compute for timing in choice.timings] == list(TIMES)
    assert choice.timings[0].rounds == compute.FEWEST
    slow = [timing for timing in choice.timings if timing.seconds == 2.0]
    assert all(timing.rounds == 1 for timing in slow)  # hopeless ones are timed no more
    stated = choice.applied(data)
    assert (stated.precision, stated.channels_last) == (chosen.precision, chosen.channels_last)


@pytest.mark.usefixtures("_bfloat16")
def test_what_fails_is_no_choice_unless_it_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> float:
        raise RuntimeError("not implemented for 'BFloat16'\nmore")

    times = {key: partial(float, value) for key, value in TIMES.items()}
    monkeypatch.setattr(compute._Steps, "__call__", clock({**times, of("bfloat16", False): fail}))
    choice = choose_compute(partial(SMALL, in_channels=3), recipe(), device="cpu", channels=3, classes=2)
    assert choice.timings[1].problem == "RuntimeError: not implemented for 'BFloat16'"
    assert choice.timings[1].seconds is None
    monkeypatch.setattr(compute._Steps, "__call__", clock({**times, of("bfloat16", True): fail}))
    with pytest.raises(RuntimeError, match="not implemented"):
        choose_compute(partial(SMALL, in_channels=3), recipe(), device="cpu", channels=3, classes=2)


def test_real_steps_leave_the_random_state_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    beats: list[int] = []
    choice = choose_compute(SMALL, recipe(precision="float32"), **CHOOSE, beat=partial(beats.append, 1))  # type: ignore[arg-type]
    assert torch.equal(before, torch.get_rng_state())
    assert all(timing.seconds and timing.seconds > 0 for timing in choice.timings)
    assert len(beats) == 2 + sum(timing.rounds for timing in choice.timings)
    assert type(choice).model_validate_json(choice.model_dump_json()) == choice


def test_options_that_exclude_each_other_are_refused() -> None:
    with pytest.raises(UnetzooError, match="compute = 'auto' has no effect without deterministic = False"):
        recipe(deterministic=True)
    with pytest.raises(UnetzooError, match="compile = True and recompute = 'all' exclude each other"):
        recipe(compile=True, recompute="all")


# --- compilation ------------------------------------------------------------------------------------------------


def losses(changes: dict[str, object]) -> list[float]:
    dataset = unetzoo.create_dataset("cells", n_train=2, n_val=1, n_test=1, size=48)
    normalization = Normalization.of(dataset)
    validation = EvaluationItems(dataset, dataset.splits["val"], normalization)
    options = recipe(compute="fixed", steps=2, precision="float32", **changes)
    crops = TrainingCrops(dataset, normalization, crop=32, seed=0, length=4)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))
    fabric = Fabric(accelerator="cpu", devices=1, precision="32-true")
    done = train(fabric, network, crops, validation, dataset.info, options)
    return [done.train_curve[-1][1], done.val_curve[-1][1]]


def traced(connection: Connection) -> None:
    """Send the losses without and with compilation, by the backend that only traces, and how often it was asked for."""
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", message="The .srun. command is available")  # wherever Slurm is installed
    calls, real = 0, torch.compile

    def trace(model: nn.Module, **_: object) -> object:
        nonlocal calls
        calls += 1
        return real(model, backend="eager")

    torch.compile = trace  # type: ignore[assignment]
    connection.send((losses({}), losses({"compile": True}), calls))


def test_a_compiled_training_is_the_same() -> None:
    """It runs in a process of its own, as a trial does: a crash of the compiler must not take other tests along."""
    context = start_method()
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=traced, args=(theirs,))
    process.start()
    theirs.close()
    try:
        plain, compiled, calls = ours.recv()
    except EOFError:
        process.join()
        pytest.fail(f"the process ended with exit code {process.exitcode}; see its error output")
    process.join()
    assert plain == pytest.approx(compiled)
    assert calls == 2  # Fabric does it again, around its own wrapper


def test_without_a_compiler_it_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> str:
        raise RuntimeError("no compiler\nsearched everywhere")

    monkeypatch.setattr("torch._inductor.cpp_builder.get_cpp_compiler", missing)
    with pytest.raises(
        UnetzooError, match=r"^compile = True needs a C\+\+ compiler, and none is found; install one .*$"
    ):
        losses({"compile": True})
