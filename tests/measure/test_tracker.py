"""Predicted memory compared with real tensors, with torch's own tracker and with arithmetic."""

from __future__ import annotations

import pytest
import torch

import unetzoo
from support.entries import narrow_config
from unetzoo.measure.counts import count_parameters
from unetzoo.measure.memory import PeakMemory
from unetzoo.measure.rehearsal import Rehearsal, tensor_memory
from unetzoo.measure.tracker import MemoryTracker
from unetzoo.models.factory import resolve_model
from unetzoo.nn.sizes import SameSize
from unetzoo.train.losses import supervised_loss

TRAIN, INFER = (2, 1, 64, 64), (1, 1, 96, 96)
# An entry of each family: what is predicted depends on kinds of operators, not on names.
LAST = {unetzoo.model_info(name).family: name for name in unetzoo.list_models()}
FEWER_LAYERS = {
    "context": "ladder_net", "dense": "unet_dense", "peer": "smp_unet", "pretrained": "unet_resnet34",
    "state-space": "ultralight_vm_unet",
}  # fmt: skip
FEW = sorted({**LAST, **FEWER_LAYERS}.values())


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        *((name, "float32") for name in FEW),
        *((name, "bfloat16") for name in ("unet", "unet_paper", "medt")),  # which has einsum
        pytest.param("attention_unet", "bfloat16", marks=pytest.mark.nightly),
    ],
)
def test_prediction_is_what_real_tensors_take(name: str, precision: str) -> None:
    both = [
        tensor_memory(narrow_config(name), 2, TRAIN, INFER, precision=precision, ignore_index=255, fake=fake)
        for fake in (True, False)
    ]
    for what in ("train", "infer"):
        predicted, measured = (getattr(memory, what) for memory in both)
        assert predicted.total == pytest.approx(measured.total, rel=0.1)
        parts = (predicted.parameters, predicted.gradients, predicted.optimizer, predicted.activations, predicted.other)
        assert sum(parts) == predicted.total
        assert 0 <= (predicted.skips or 0) <= predicted.activations
        assert predicted.skips == measured.skips
        held = sum(p.numel() for p in narrow_config(name).build().parameters())  # including those that are not trained
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
    config, shape = narrow_config(name), (2, 1, 96, 96)
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
    memory = tensor_memory(narrow_config("unet", depth=3), 2, TRAIN, INFER, precision="float32")
    assert memory is not None
    params = count_parameters(narrow_config("unet", depth=3).build())
    tensors = len(list(narrow_config("unet", depth=3).build().parameters()))
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
    half = tensor_memory(narrow_config("unet", depth=3), 2, TRAIN, INFER, precision="bfloat16")
    assert half is not None
    assert 2 * (half.train.skips or 0) == memory.train.skips
    without = tensor_memory(narrow_config("unet_noskip", depth=3), 2, TRAIN, INFER, precision="float32")
    assert without is not None
    assert without.train.skips == 0


def test_gradients_are_filed_where_they_are_the_peak() -> None:
    """On a tiny image the peak is at the optimizer's step, when all gradients exist."""
    memory = tensor_memory(narrow_config("unet", width=32), 2, (2, 1, 32, 32), INFER, precision="float32")
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
    tensor_memory(narrow_config("unet"), 2, TRAIN, INFER, precision="float32")  # load its code before measuring
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
        work = Rehearsal(narrow_config("unet"), 2, precision="float32", fake=False)
        work.training_peak(TRAIN)
        tracker = work.tracker
        del work
        assert tracker.now.total() == 0
    finally:
        gc.enable()
