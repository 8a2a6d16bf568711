"""One trial, from data to record: what the fresh process does. Reads top to bottom."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from unetzoo.bench import samples
from unetzoo.bench.layout import Where
from unetzoo.bench.record import Cost, Curves, Record, Result, Sample
from unetzoo.bench.suite import Suite, Trial
from unetzoo.data.base import DatasetInfo, SegmentationDataset
from unetzoo.data.stream import Normalization, TrainingCrops, evaluation_items
from unetzoo.errors import UnetzooError
from unetzoo.measure.counts import count_macs, count_parameters
from unetzoo.measure.environment import environment
from unetzoo.measure.latency import Latency, measure_latency, synchronize
from unetzoo.measure.memory import PeakMemory
from unetzoo.metrics.overlap import dice, iou
from unetzoo.nn.sizes import SameSize
from unetzoo.plugins import import_plugins
from unetzoo.train.device import FABRIC_PRECISION, check_devices, resolve_device, resolve_precision
from unetzoo.train.loop import History, evaluate, mean_foreground, supervised_loss, train
from unetzoo.train.weights import save_model

SAMPLES = 3
Send = Callable[[dict[str, Any]], None]


def run_trial(suite: Suite, trial: Trial, blank: Record, where: Where, send: Send) -> Record:
    """Measure, train, choose on validation, read the test set once; the record of it.

    ``blank`` is the record's part that is known beforehand. Raises what goes wrong.
    """
    start = time.perf_counter()
    recipe = trial.train
    device = resolve_device(recipe.device)
    check_devices(recipe, device)
    precision = resolve_precision(recipe.precision, device)
    torch.set_num_threads(recipe.threads or where.threads)
    fabric = Fabric(
        accelerator=device,
        devices=recipe.devices,
        strategy="ddp_spawn" if recipe.devices > 1 else "auto",
        precision=FABRIC_PRECISION[precision],  # type: ignore[arg-type]
    )

    facts = {**environment(device, precision), "jobs": where.jobs}
    send({"phase": "data", "environment": facts})
    dataset = suite.data.open()
    if dataset.digest() != trial.data.digest:
        raise UnetzooError(f"data set {trial.data.name!r} has changed since the suite was started")

    send({"phase": "measure"})
    cost = measure_cost(fabric, trial, dataset.info, device, precision)

    done, result, drawn = fabric.launch(
        partial(_train_and_test, suite=suite, trial=trial, dataset=dataset, where=where, send=send)
    )
    cost = cost.model_copy(
        update={
            "train_seconds": round(done.seconds, 3),
            "images_per_second": round(done.images / done.seconds, 3),
            "wall_seconds": round(time.perf_counter() - start, 3),
        }
    )
    return blank.model_copy(
        update={
            "status": "ok",
            "result": result,
            "curves": Curves(train=done.train_curve, val=done.val_curve),
            "cost": cost,
            "samples": drawn,
            "environment": facts,
        }
    )


def measure_cost(fabric: Fabric, trial: Trial, info: DatasetInfo, device: str, precision: str) -> Cost:
    """Cost on random pixels, before any training: inference first, then two training steps."""
    config, recipe, size = trial.model.config, trial.train, trial.measure.size
    layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
    shape = (trial.measure.batch_size, info.channels, size, size)
    train_shape = (recipe.batch_size // recipe.devices, info.channels, recipe.crop, recipe.crop)
    _wake_up(fabric, layout)

    memory = PeakMemory(device)
    torch.manual_seed(trial.seed)
    network = config.build().to(fabric.device)
    network.to(memory_format=layout)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(network.parameters())
    model = SameSize(network, info.classes)
    images = torch.rand(shape, device=fabric.device).contiguous(memory_format=layout)
    latency, peak_infer = _infer(fabric, model, images, device, trial.measure.repeats, memory)
    memory.restart()
    model.train()
    for _ in range(2):  # the optimizer's state exists from the second step on
        images = torch.rand(train_shape, device=fabric.device).contiguous(memory_format=layout)
        masks = torch.randint(info.classes, (train_shape[0], *train_shape[2:]), device=fabric.device)
        with fabric.autocast():
            outputs = model(images)
        supervised_loss(outputs, masks, info.ignore_index).backward()
        optimizer.step()
        optimizer.zero_grad()
    synchronize(device)
    peak_train = memory.peak()
    macs = count_macs(model.eval(), torch.rand(1, *shape[1:], device=fabric.device))
    layout_name = "channels_last" if recipe.channels_last else "contiguous"
    return Cost(
        params=count_parameters(network),
        macs=macs,
        shape=shape,
        train_shape=train_shape,
        peak_train_bytes=peak_train,
        peak_infer_bytes=peak_infer,
        memory_method=memory.method,
        latency_p50_ms=latency.p50_ms,
        latency_p90_ms=latency.p90_ms,
        latency_repeats=latency.repeats,
        latency_method=f"forward pass after warm-up, {precision}, {layout_name}, eval mode, synchronised",
    )


@torch.inference_mode()
def _infer(
    fabric: Fabric, model: nn.Module, images: Tensor, device: str, repeats: int, memory: PeakMemory
) -> tuple[Latency, int]:
    def forward() -> None:
        with fabric.autocast():  # anew each time: within one context the weights would be cast once only
            model(images)

    model.eval()
    latency = measure_latency(forward, device, repeats)
    return latency, memory.peak()


def _wake_up(fabric: Fabric, layout: torch.memory_format) -> None:
    """Load the libraries' code and start their threads before a baseline is taken."""
    layer = nn.Sequential(nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.ConvTranspose2d(8, 8, 2, 2)).to(fabric.device)
    images = torch.rand(1, 8, 32, 32, device=fabric.device).contiguous(memory_format=layout)
    with fabric.autocast():
        layer(images).mean().backward()
    torch.optim.AdamW(layer.parameters()).step()


def _train_and_test(
    fabric: Fabric, suite: Suite, trial: Trial, dataset: SegmentationDataset, where: Where, send: Send
) -> tuple[History, Result, list[Sample]]:
    """What every process of a (possibly distributed) trial runs; the first one writes."""
    import_plugins(suite.imports)  # the processes of DistributedDataParallel are fresh ones
    recipe, info = trial.train, dataset.info
    torch.set_num_threads(max(1, (recipe.threads or where.threads) // recipe.devices))
    torch.manual_seed(trial.seed)
    network = trial.model.config.build()
    normalization = Normalization.of(dataset)
    length = recipe.batch_size * (recipe.steps or 10**9)
    crops = TrainingCrops(dataset, normalization, crop=recipe.crop, seed=trial.seed, length=length)
    validation = evaluation_items(dataset, "val", normalization)
    report = send if fabric.global_rank == 0 else lambda message: None
    done = train(fabric, network, crops, validation, info, recipe, report)

    report({"phase": "test"})
    layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
    predictions: dict[str, Tensor] = {}
    shown = set(_spread(dataset.splits["test"], SAMPLES))
    model = fabric.setup_module(SameSize(network, info.classes))
    _, matrices = evaluate(
        model,
        evaluation_items(dataset, "test", normalization),
        info,
        layout,
        keep=lambda key, prediction: predictions.update({key: prediction}) if key in shown else None,
    )
    drawn: list[Sample] = []
    if fabric.global_rank == 0:
        drawn = [samples.draw(dataset, key, predictions[key], where.records) for key in sorted(predictions)]
        extra = {"normalization": {"mean": normalization.mean, "std": normalization.std}}
        try:
            save_model(network.cpu(), where.folder(trial), trial=trial.id, data=info.model_dump(), **extra)
        except Exception:  # a full disk, say: the log tells, and the scores are kept
            traceback.print_exc()
    return done, score(matrices, info, done), drawn


def score(matrices: dict[str, Tensor], info: DatasetInfo, done: History) -> Result:
    """Everything said of the test set, from one confusion matrix (K, K) an image."""
    stacked = torch.stack(list(matrices.values()))
    scores = {"dice": dice(stacked), "iou": iou(stacked)}
    pooled = {"dice": dice(stacked.sum(0)), "iou": iou(stacked.sum(0))}
    truth, hits = stacked.sum(-1), stacked.diagonal(dim1=-2, dim2=-1)
    names = info.class_names
    return Result(
        dice=mean_foreground(scores["dice"], info),
        iou=mean_foreground(scores["iou"], info),
        per_class={n: {m: _number(s[:, c].nanmean()) for m, s in scores.items()} for c, n in enumerate(names)},
        pooled={n: {m: _number(s[c]) for m, s in pooled.items()} for c, n in enumerate(names)},
        per_image={
            key: {m: {n: _number(s[i, c]) for c, n in enumerate(names)} for m, s in scores.items()}
            for i, key in enumerate(matrices)
        },
        undefined={n: int(scores["dice"][:, c].isnan().sum()) for c, n in enumerate(names)},
        missed={n: int(((truth[:, c] > 0) & (hits[:, c] == 0)).sum()) for c, n in enumerate(names)},
        best_step=done.best_step,
        best_val_dice=done.best_dice,
    )


def _number(value: Tensor) -> float | None:
    return None if value.isnan() else round(float(value), 6)


def _spread(keys: tuple[str, ...], count: int) -> list[str]:
    """``count`` keys evenly from first to last."""
    last = len(keys) - 1
    return [keys[i] for i in sorted({round(last * part / max(1, count - 1)) for part in range(count)})]
