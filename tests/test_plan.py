"""Predicted memory compared with real tensors and arithmetic; plans checked for consistency."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from statistics import median

import entries
import pytest
import torch
from test_cli import run
from torch import nn

import unetzoo
from unetzoo.bench import plan as planning
from unetzoo.bench.plan import largest_batch, plan_suite, profile_model
from unetzoo.bench.suite import Suite
from unetzoo.errors import UnetzooError
from unetzoo.machine import memory
from unetzoo.measure.counts import count_parameters, stages
from unetzoo.measure.memory import PeakMemory
from unetzoo.measure.tracker import MemoryTracker, Rehearsal, tensor_memory
from unetzoo.models import registry
from unetzoo.models.factory import ModelConfig, resolve_model
from unetzoo.nn.sizes import SameSize
from unetzoo.train.losses import supervised_loss
from unetzoo.train.recipe import Recipe

TRAIN, INFER = (2, 1, 64, 64), (1, 1, 96, 96)
# An entry of each family: what is predicted depends on kinds of operators, not on names.
LAST = {unetzoo.model_info(name).family: name for name in unetzoo.list_models()}
FEW = sorted({**LAST, "context": "ladder_net", "dense": "unet_dense"}.values())  # those have fewer layers


def narrow(name: str, **options: object) -> ModelConfig:
    return resolve_model(name, in_channels=1, num_classes=2, options={**entries.narrow(name, width=8), **options})


@pytest.fixture
def own_models(monkeypatch: pytest.MonkeyPatch) -> Callable[..., object]:
    monkeypatch.setattr(registry._REGISTRY, "entries", dict(registry.entries()))
    return unetzoo.register_model


class Awkward(nn.Module):
    """A network that reads values, which fake tensors do not have."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.head = nn.Conv2d(in_channels, num_classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x) * float(x.max() + 1)


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        *((name, "float32") for name in FEW),
        *((name, "bfloat16") for name in ("unet", "unet_paper", "attention_unet")),
    ],
)
def test_prediction_is_what_real_tensors_take(name: str, precision: str) -> None:
    both = [
        tensor_memory(narrow(name), 2, TRAIN, INFER, precision=precision, ignore_index=255, fake=fake)
        for fake in (True, False)
    ]
    for what in ("train", "infer"):
        predicted, measured = (getattr(memory, what) for memory in both)
        assert predicted.total == pytest.approx(measured.total, rel=0.1)
        parts = (predicted.parameters, predicted.gradients, predicted.optimizer, predicted.activations, predicted.other)
        assert sum(parts) == predicted.total
        assert 0 <= (predicted.skips or 0) <= predicted.activations
        assert predicted.skips == measured.skips
        held = sum(p.numel() for p in narrow(name).build().parameters())  # including those that are not trained
        assert predicted.parameters == measured.parameters == 4 * held


@pytest.mark.parametrize("channels_last", [True, False])
def test_prediction_at_full_width(channels_last: bool) -> None:
    config, shape = resolve_model("unet", in_channels=3, num_classes=2), (1, 3, 32, 32)
    predicted, measured = (
        tensor_memory(config, 2, shape, shape, precision="float32", channels_last=channels_last, fake=fake)
        for fake in (True, False)
    )
    assert predicted is not None
    assert measured is not None
    assert predicted.train.total == pytest.approx(measured.train.total, rel=0.1)
    assert predicted.infer.total == pytest.approx(measured.infer.total, rel=0.1)


@pytest.mark.parametrize(
    ("name", "precision"), [("unet", "bfloat16"), ("unet_paper", "float32"), ("unet_d2", "float32")]
)
def test_torchs_own_tracker_sees_the_same(name: str, precision: str) -> None:
    """torch's tracker is private and may vanish; it keeps the last step's images, so allow over 1 % of difference."""
    module = pytest.importorskip("torch.distributed._tools.mem_tracker")
    config, shape = narrow(name), (2, 1, 96, 96)
    model = SameSize(config.build().to(memory_format=torch.channels_last), 2).train()  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(model.parameters())
    tracker = module.MemTracker()
    tracker.track_external(model, optimizer)
    with tracker:
        for _ in range(2):
            images = torch.rand(shape).contiguous(memory_format=torch.channels_last)
            masks = torch.randint(2, (2, 96, 96))
            tracker.track_external(images, masks)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16"):
                outputs = model(images)
            supervised_loss(outputs, masks, None).backward()
            optimizer.step()
            optimizer.zero_grad()
            tracker.reset_mod_stats()  # clear the statistics by module, which allow one step only
    (peak,) = tracker.get_tracker_snapshot("peak").values()
    ours = tensor_memory(config, 2, shape, shape, precision=precision)
    assert ours is not None
    assert ours.train.total == pytest.approx(peak["Total"], rel=0.03)


def test_the_split_by_hand() -> None:
    """With depth 3, width 8, float32, the levels of 8 and 16 channels wait for the decoder; the bottleneck does not."""
    memory = tensor_memory(narrow("unet", depth=3), 2, TRAIN, INFER, precision="float32")
    assert memory is not None
    params = count_parameters(narrow("unet", depth=3).build())
    tensors = len(list(narrow("unet", depth=3).build().parameters()))
    assert memory.train.parameters == 4 * params
    assert memory.train.optimizer == 2 * 4 * params + 4 * tensors  # two moments each, and its count of steps
    assert memory.train.skips == 2 * 4 * (8 * 64**2 + 16 * 32**2)
    assert memory.infer.skips == 4 * (8 * 96**2 + 16 * 48**2)
    assert memory.infer.gradients == memory.infer.optimizer == 0
    # The peak is at the finest stage, when its second layer normalises. It holds the decoder's coarser maps and, of the
    # block, the input (two maps concatenated), the first layer's output, the convolution's and the norm's.
    coarse = 32 * 24**2 + 16 * 48**2
    block = (16 + 8 + 8 + 8) * 96**2
    assert memory.infer.activations == memory.infer.skips + 4 * (coarse + block)
    half = tensor_memory(narrow("unet", depth=3), 2, TRAIN, INFER, precision="bfloat16")
    assert half is not None
    assert 2 * (half.train.skips or 0) == memory.train.skips
    without = tensor_memory(narrow("unet_noskip", depth=3), 2, TRAIN, INFER, precision="float32")
    assert without is not None
    assert without.train.skips == 0


def test_gradients_are_filed_where_they_are_the_peak() -> None:
    """On a tiny image the peak is at the optimizer's step, when all gradients exist."""
    memory = tensor_memory(narrow("unet", width=32), 2, (2, 1, 32, 32), INFER, precision="float32")
    assert memory is not None
    assert memory.train.gradients > 0.9 * memory.train.parameters


def test_a_storage_counts_once_and_until_it_is_gone() -> None:
    with MemoryTracker() as tracker:
        a = torch.zeros(1000)
        view = a[10:20].view(2, 5)
        assert tracker.now.total() == 4000
        del a
        assert tracker.now.total() == 4000
        b = view * 2
        assert tracker.now.total() == 4040
        del view, b
        assert tracker.now.total() == 0
        assert tracker.peak.total() == 4040
        with tracker.during("activations"):
            c = torch.zeros(10)
        assert tracker.now["activations"] == 40
        tracker.file([c], "skips")
        assert (tracker.now["activations"], tracker.now["skips"]) == (0, 40)
        tracker.restart()
        assert tracker.peak.total() == 40


def test_a_prediction_allocates_nothing() -> None:
    config = resolve_model("unet", in_channels=3, num_classes=2)
    tensor_memory(narrow("unet"), 2, TRAIN, INFER, precision="float32")  # load its code before measuring
    process = PeakMemory("cpu")
    memory = tensor_memory(config, 2, (64, 3, 2048, 2048), (64, 3, 2048, 2048), precision="bfloat16")
    assert memory is not None
    assert memory.train.total > 500 * 2**30
    assert process.peak() < 100 * 2**20


def test_nothing_of_a_real_rehearsal_stays() -> None:
    import gc

    gc.collect()
    gc.disable()
    try:
        work = Rehearsal(narrow("unet"), 2, precision="float32", fake=False)
        work.training_peak(TRAIN)
        tracker = work.tracker
        del work
        assert tracker.now.total() == 0
    finally:
        gc.enable()


def test_a_model_that_cannot_be_faked(own_models: Callable[..., object]) -> None:
    own_models("awkward")(Awkward)
    config = resolve_model("awkward", in_channels=1, num_classes=2)
    assert tensor_memory(config, 2, TRAIN, INFER, precision="float32") is None
    real = tensor_memory(config, 2, TRAIN, INFER, precision="float32", fake=False)
    assert real is not None
    assert real.train.skips is None
    profile = profile_model(config, size=32, timed=False)
    assert profile.need.memory is None
    assert profile.need.problem
    assert profile.need.params == 4


@pytest.mark.parametrize(
    "bytes_at",
    [
        lambda b: 100 + 7 * b,
        lambda b: max(500 + 2 * b, 9 * b),
        lambda b: 100 + b * b,
        lambda b: 64 * (b // 5 + 1),
    ],
)
@pytest.mark.parametrize("start", [1, 2, 37])
def test_largest_batch(bytes_at: Callable[[int], int], start: int) -> None:
    for limit in (0, 99, 107, 108, 511, 1000, 12345):
        asked: list[int] = []
        found = largest_batch(lambda b, asked=asked: asked.append(b) or bytes_at(b), limit, start)
        assert found == max((b for b in range(1, 20_000) if bytes_at(b) <= limit), default=0)
        assert min(asked) >= 1
        assert len(asked) < 25


def test_largest_batch_of_a_model() -> None:
    config, limit = narrow("unet_d3"), planning.PROCESS_BASE + 64 * 2**20
    need = profile_model(config, size=64, batch=2, precision="float32", limit=limit, timed=False).need
    assert need.largest_batch is not None
    assert need.largest_batch > 2
    for batch, fits in ((need.largest_batch, True), (need.largest_batch + 1, False)):
        there = profile_model(config, size=64, batch=batch, precision="float32", limit=limit, timed=False).need
        assert there.fits is fits


def test_a_batch_that_cannot_be_trained_does_not_hide_the_memory() -> None:
    """At 16 px the deepest of five levels has one pixel, so batch norm refuses to train on one image."""
    shape = (8, 1, 16, 16)
    need = planning.predict(narrow("unet"), shape, (1, 1, 64, 64), None, Recipe(), "cpu", "float32", 1)
    assert (need.fits, need.largest_batch, need.problem) == (False, None, None)
    assert need.memory is not None


@pytest.fixture
def suite() -> Suite:
    return Suite.from_mapping(
        {
            "name": "tiny",
            "models": ["unet_d2", {"name": "unet_d3", "label": "three"}],
            "set": {"width": 4},
            "seeds": 2,
            "data": {"options": {"n_train": 2, "n_val": 2, "n_test": 3, "size": 48}},
            "train": {"steps": 40, "batch_size": 2, "crop": 32, "validate_every": 15, "precision": "float32"},
            "measure": {"size": 32},
        },
        "suite",
    )


def test_plan_of_a_suite(suite: Suite) -> None:
    heard: list[str] = []
    plan = plan_suite(suite, on_model=heard.append)
    assert heard == [row.label for row in plan.rows] == ["unet_d2", "three"]
    for row, name in zip(plan.rows, ("unet_d2", "unet_d3"), strict=True):
        assert row.trials == 2
        assert row.need.params == count_parameters(narrow(name, width=4).build())
        assert row.need.train_shape == (2, 1, 32, 32)
        assert row.need.memory == tensor_memory(
            narrow(name, width=4), 2, (2, 1, 32, 32), (1, 1, 32, 32), precision="float32"
        )
        assert row.step_seconds is not None
        assert row.image_seconds is not None
        assert row.step_seconds > 0
        # 3 validations (after 15, 30 and 40 steps) of 2 images, then 3 test images
        assert row.trial_seconds == pytest.approx(40 * row.step_seconds + 9 * row.image_seconds, rel=0.05)
    assert plan.seconds == pytest.approx(2 * sum(row.trial_seconds or 0 for row in plan.rows))


def test_plan_with_a_budget_of_minutes(suite: Suite) -> None:
    recipe = suite.train.model_copy(update={"steps": None, "minutes": 2.0})
    row = plan_suite(suite.model_copy(update={"train": recipe})).rows[0]
    assert row.trial_seconds is not None
    assert row.trial_seconds > 120


def test_plan_for_a_machine_that_is_too_small(suite: Suite) -> None:
    plan = plan_suite(suite, limit=planning.PROCESS_BASE // 2)
    assert [(row.need.fits, row.need.largest_batch, row.trial_seconds) for row in plan.rows] == [(False, 0, None)] * 2
    assert plan.seconds is None


def test_what_does_not_fit_here_is_not_timed_for_a_larger_machine(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "memory_limit", lambda device: (planning.PROCESS_BASE, "physical memory"))
    plan = plan_suite(suite, limit=2**50)
    assert [(row.need.fits, row.trial_seconds) for row in plan.rows] == [(True, None)] * 2


def test_a_broken_model_leaves_the_others(suite: Suite, own_models: Callable[..., object]) -> None:
    own_models("fails")(lambda in_channels, num_classes, width=1: nn.Conv2d(in_channels, num_classes, 3))
    broken = Suite.from_mapping({**suite.model_dump(), "models": ["fails", "unet_d2"]}, "suite")
    first, second = plan_suite(broken, timed=False).rows
    assert first.need.memory is None
    assert first.need.problem == "Conv2d must return logits of shape (1, 2, 32, 32), got (1, 2, 30, 30)"
    assert second.need.problem is None
    assert second.need.fits


def test_nothing_is_run_without_time(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "time_model", lambda *_: pytest.fail("a step was run"))
    assert plan_suite(suite, timed=False).seconds is None
    with pytest.raises(pytest.fail.Exception):
        plan_suite(suite)


@pytest.mark.parametrize(
    ("files", "limits"),
    [
        ({"/proc/self/cgroup": "0::/a/b\n", "a/memory.max": "4096\n", "a/b/memory.max": "max\n"}, [4096]),
        (
            {"/proc/self/cgroup": "5:devices:/\n4:cpu,memory:/a\n", "memory/a/memory.limit_in_bytes": "77\n"},
            [77],
        ),
        ({}, []),
    ],
)
def test_memory_limits_of_control_groups(
    files: dict[str, str], limits: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {str(memory.CGROUP / name): text for name, text in files.items()}
    monkeypatch.setattr(memory, "_text", lambda path: known.get(str(path), ""))
    assert memory._cgroup_limits() == limits
    if limits:
        assert memory.memory_limit("cpu") == (limits[0], "limit of the control group")


def test_the_assumed_process_covers_every_measured_one() -> None:
    """The constants match the committed measurement."""
    folder = Path(__file__).parents[1] / "reports" / "memory-prediction"
    rows = json.loads((folder / "measured.json").read_text())
    ratios = [row["process"]["train"] / row["predicted"]["train"]["total"] for row in rows]
    assert round(median(ratios), 2) == planning.PROCESS_FACTOR
    base = median(row["base"] for row in rows)
    for row in rows:
        need = planning._process_bytes(max(row["predicted"][what]["total"] for what in ("train", "infer")), "cpu")
        assert need >= base + max(row["process"].values())
        for what in ("train", "infer"):
            assert row["predicted"][what]["total"] == pytest.approx(row["tracked"][what]["total"], rel=0.1)


def test_profile() -> None:
    config = narrow("unet_d2")
    profile = profile_model(config, size=32, batch=3, precision="float32")
    assert profile.need.train_shape == profile.need.infer_shape == (3, 1, 32, 32)
    assert profile.latency_p50_ms is not None
    assert 0 < profile.latency_p50_ms <= (profile.latency_p90_ms or 0)
    with pytest.raises(UnetzooError, match="precision = 'float8' is not a choice"):
        profile_model(config, precision="float8", timed=False)


def test_profile_tells_what_a_valid_network_reads() -> None:
    config = narrow("unet_paper")
    profile = profile_model(config, size=64, precision="float32", timed=False)
    assert profile.need.train_shape[-1] == 64
    assert profile.reads == 252
    assert profile.need.macs == sum(stage.macs for stage in stages(config, 252, 252))


def test_profile_of_what_cannot_be_built(own_models: Callable[..., object]) -> None:
    @own_models("raises")
    def raises(in_channels: int, num_classes: int) -> nn.Module:
        raise KeyError("no such thing")

    with pytest.raises(UnetzooError, match="model 'raises': KeyError: 'no such thing'"):
        profile_model(resolve_model("raises"), timed=False)


@pytest.mark.slow
def test_plan_and_profile_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "import unetzoo\nfrom torch import nn\n"
        "@unetzoo.register_model('odd[red]')\n"
        "def odd(in_channels, num_classes): return nn.Conv2d(in_channels, num_classes, 3)\n"
    )
    line = ["plan", "--models", "unet_d2,odd[red]", "--import", "own.py", "--no-time", "--memory", 4, "--seeds", 3]
    done = run(*line, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for words in (
        "2 models, 6 trials of 120 steps",
        "training: a step on 8x1x128x128",
        "4.00 GiB (as given)",
        "odd[red]: Conv2d must return logits",
    ):
        assert words in done.stdout
    row = next(line.split() for line in done.stdout.splitlines() if line.startswith("unet_d2"))
    params = count_parameters(unetzoo.create_model("unet_d2", in_channels=1, num_classes=2))
    assert row[1:4] == ["3", f"{params / 1e3:.4g}", "k"]
    planned = json.loads(run(*line, "--json", cwd=tmp_path).stdout)
    assert planned["rows"][0]["need"]["params"] == params
    assert planned["limit_bytes"] == 4 * 2**30

    line = ["profile", "unet", "--set", "width=4", "--size", 32, "--batch", 2, "--precision", "float32"]
    done = run(*line)
    assert done.returncode == 0, done.stderr
    for words in ("unet at 2x3x32x32", "latency", "largest training batch", "of these"):
        assert words in done.stdout
    planned = json.loads(run(*line, "--no-time", "--json").stdout)
    assert planned["latency_p50_ms"] is None
    assert planned["need"]["memory"]["train"]["total"] > planned["need"]["memory"]["infer"]["total"]


@pytest.mark.parametrize("command", ["plan", "profile"])
def test_help_has_an_example(command: str) -> None:
    done = run(command, "--help")
    assert done.returncode == 0
    assert "Example" in done.stdout
    assert f"unetzoo {command}" in " ".join(done.stdout.split())


WRONG = {
    "plan none.toml": "none.toml: cannot be read",
    "plan --models unett --no-time": "unknown model 'unett'",
    "plan --memory 0": "--memory 0: must be above 0",
    "profile unett": "did you mean unet",
    "profile unet --set widht=3": "did you mean width",
    "profile unet --precision float8": "precision = 'float8' is not a choice",
}


@pytest.mark.parametrize("line", WRONG)
def test_wrong_input_is_one_line_and_exit_code_2(line: str, tmp_path: Path) -> None:
    done = run(*line.split(), cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stderr.startswith("error: ")
    assert WRONG[line] in done.stderr
