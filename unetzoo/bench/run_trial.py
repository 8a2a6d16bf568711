"""One trial in its fresh process, from data to record; reads from top to bottom."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from unetzoo._util.batch_job import whole_machine
from unetzoo._util.plugins import import_plugins
from unetzoo._util.text import REASON, shortened, visible
from unetzoo.bench import baselines, samples, sanity
from unetzoo.bench.channel import Channel
from unetzoo.bench.choice import choose, synchronised
from unetzoo.bench.limits import cache_bytes
from unetzoo.bench.model_costs import costs_of
from unetzoo.bench.output import OutputFolders
from unetzoo.bench.read_order import ReadInOrder
from unetzoo.bench.setting import enter
from unetzoo.bench.suite import Suite
from unetzoo.bench.trials import Trial
from unetzoo.data.base import SegmentationDataset
from unetzoo.data.decoded import Decoded
from unetzoo.data.expected import Expected
from unetzoo.data.stream import EvaluationItems, Normalization
from unetzoo.errors import UnetzooError, one_line
from unetzoo.machine.determinism import Determinism
from unetzoo.machine.lock import MachineLock, no_beat
from unetzoo.machine.phases import Phases
from unetzoo.metrics.overlap import confusion
from unetzoo.metrics.score import Scores
from unetzoo.records.parts import Curves, Event, Flag, Result, Sample, Try
from unetzoo.records.record import WEIGHTS_NOT_SAVED, Record
from unetzoo.train.batches import augments_on
from unetzoo.train.evaluation import evaluate, evaluate_middles, image_dice, mean_dice
from unetzoo.train.history import History
from unetzoo.train.hooks import TrainingHooks
from unetzoo.train.loop import training_crops, with_size
from unetzoo.train.recipe import Recipe, steps_for
from unetzoo.train.weights import file_checksum, save_model

SAMPLES = 3
TRAIN_CHECKED = 8  # whole training images to score, for comparison with validation


@dataclass
class Outcome:
    """The outcome of `_train_and_test`, which comes from another process if training is distributed.

    Attributes:
        done: History of the chosen training.
        result: Test scores.
        tries: The learning rates that were tried.
        flags: Reasons to suspect the result.
        events: The order in which the data was read.
        samples: Test images that were written.
        weights: Checksum of the saved weights; None if they could not be saved, and in all processes but the first.
        not_deterministic: Operators that ran without a deterministic implementation.
        phases: Time of each phase.
        augmentation: Where the crops were augmented, in words.
    """

    done: History
    result: Result
    tries: list[Try]
    flags: list[Flag]
    events: list[Event]
    samples: list[Sample]
    weights: str | None
    not_deterministic: list[str]
    phases: Phases
    augmentation: str


def run_trial(
    suite: Suite, trial: Trial, blank: Record, folders: OutputFolders, channel: Channel, began: float
) -> Record:
    """Train, choose the weights on validation, and score the test split once.

    Args:
        suite: The suite of the trial.
        trial: The trial.
        blank: Its record, as far as it is known beforehand.
        folders: Folders of the output.
        channel: Connection to the harness.
        began: Time at which the harness started this process, by `time.monotonic`.

    Returns:
        The complete record.

    Raises:
        UnetzooError: If the data, the model's source or its weights have changed since the suite was started.
            Any other exception of the model, the data or the training is passed on.
    """
    phases = Phases("import", since=began)
    phases("data")
    recipe = trial.train
    setting = enter(suite, trial, jobs=folders.jobs, threads=recipe.threads or folders.threads)
    conditions, device = setting.conditions, setting.device
    channel.send({"phase": "data", "environment": conditions})
    dataset = suite.data.open()
    if dataset.digest() != trial.data.digest:
        raise UnetzooError(f"data set {trial.data.name!r} has changed since the suite was started")
    if trial.model.baseline:
        return _run_baseline(trial, blank, dataset, conditions, folders, channel)

    costs = costs_of(trial, dataset.info, setting, folders, channel, phases)
    setting, recipe = setting.choosing(costs.choice), costs.choice.applied(recipe)
    conditions = setting.conditions
    if recipe.flops is not None:
        recipe = recipe.model_copy(update={"flops": None, "steps": steps_for(recipe.flops, costs.step_flops)})

    phases("import")  # time in which the processes of DistributedDataParallel start, if there are any
    arguments = {
        "suite": suite,
        "trial": trial,
        "recipe": recipe,
        "dataset": dataset,
        "folders": folders,
        "channel": channel,
    }
    fabric = setting.fabric(recipe.devices)
    conditions |= _describe_batch_norm(recipe.devices, device)
    run = fabric.launch(partial(_train_and_test, **arguments, phases=phases))
    if device != "cpu" or recipe.augment_on != "auto":
        conditions["augmentation"] = run.augmentation
    if recipe.deterministic:
        conditions["not_deterministic"] = run.not_deterministic
    seconds = run.phases.so_far()
    training = max(run.done.seconds, 1e-9)
    shorter = recipe.tune is not None and recipe.tune.steps is not None  # if so, the chosen rate was trained once more
    beside = [t for t in run.tries if shorter or not t.chosen]
    cost = costs.cost.model_copy(
        update={
            "predicted_train_seconds": costs.predicted_train_seconds(conditions),
            "train_seconds": round(run.done.seconds, 3),
            "images_per_second": round(run.done.images / training, 3),
            "wall_seconds": round(sum(seconds.values()), 3),
            "phases": {name: round(value, 3) for name, value in seconds.items()},
            "train_flops": run.done.step * costs.step_flops,
            "data_share": _share(seconds.get("load", 0.0), seconds.get("train", 0.0)),
            "tuning_seconds": round(sum(t.seconds for t in beside), 3) if run.tries else None,
        }
    )
    if trial.measure.where == "off" or (trial.measure.where == "exclusive" and not whole_machine()):
        cost = costs.cost.model_copy(update={"train_flops": cost.train_flops})  # no times of this training
    return blank.model_copy(
        update={
            "status": "ok",
            "result": run.result,
            "curves": Curves(train=run.done.train_curve, val=run.done.val_curve),
            "cost": cost,
            "tuning": run.tries,
            "events": run.events,
            "resumed": run.done.resumed,
            "flags": [*blank.flags, *run.flags],
            "samples": run.samples,
            "weights": run.weights,
            "environment": conditions,
        }
    )


def _describe_batch_norm(processes: int, device: str) -> dict[str, str]:
    """Return what batch norms see of a batch that several processes share."""
    if processes == 1:
        return {}
    share = "the batch of all processes" if synchronised(processes, device) else "each process's share of the batch"
    return {"batch_norm": f"over {share}"}


def _train_and_test(
    fabric: Fabric,
    suite: Suite,
    trial: Trial,
    recipe: Recipe,
    dataset: SegmentationDataset,
    folders: OutputFolders,
    channel: Channel,
    phases: Phases,
) -> Outcome:
    """Train, choose and test, in every process of a possibly distributed trial; only the first one writes."""
    import_plugins(suite.imports)  # the processes of DistributedDataParallel are fresh
    info, first = dataset.info, fabric.global_rank == 0
    torch.set_num_threads(max(1, (recipe.threads or folders.threads) // recipe.devices))
    phases("data")
    data = ReadInOrder(dataset, channel.beat if first else no_beat)
    decoded = Decoded(data, cache_bytes(suite.limits, folders.jobs, recipe.devices), folders.folder(trial))
    normalization = trial.model.config.normalization() or Normalization.of(decoded)
    length = recipe.batch_size * 10**9  # in effect endless: the budget ends a training, and a sweep's may be the longer
    crops = training_crops(decoded, normalization, recipe, seed=trial.seed, length=length)
    place, augmentation = augments_on(recipe, crops, fabric.device.type)
    recipe = recipe.model_copy(update={"augment_on": place})  # the same for all trainings of a sweep
    validation = EvaluationItems(decoded, decoded.splits["val"], normalization)
    hooks = TrainingHooks(
        progress=channel.send if first else lambda message: None,
        beat=channel.beat if first else no_beat,
        stop=channel.stop,
        phases=phases,
        lock=MachineLock(beat=channel.beat, say=channel.note) if first else None,
    )
    with Determinism(recipe.deterministic) as determinism:
        done, network, tries = choose(fabric, suite, trial, recipe, crops, validation, folders, hooks)
    data.select(done.best_step)

    hooks.beat = channel.check if first else hooks.beat
    hooks.progress({"phase": "test"})
    phases("other")
    memory_format = torch.channels_last if recipe.channels_last else torch.contiguous_format
    model = fabric.setup_module(with_size(network, info.classes, recipe))
    some = EvaluationItems(decoded, tuple(_spread(data.splits["train"], TRAIN_CHECKED)), normalization).items()
    whole, within, alone = evaluate_middles(model, some, recipe.crop, info, memory_format, hooks, "validate")
    train_dice = image_dice(whole, info, trial.score.both_empty)
    scores = Scores(info.class_names, info.foreground, info.ignore_index, trial.score)
    kept_images = samples.KeptImages(_spread(data.splits["test"], SAMPLES))

    def keep(key: str, logits: Tensor, mask: Tensor) -> None:
        scores.add(visible(key), logits, mask)
        kept_images.add_prediction(key, logits.argmax(dim=0))

    phases("test")
    evaluate(model, _test_items(data, normalization, kept_images), info, memory_format, hooks, "test", keep)
    result = Result(
        **scores.result(),
        best_step=done.best_step,
        best_val_dice=done.best_dice,
        steps=done.step,
        ended=done.ended,
        train_dice=sum(train_dice) / len(train_dice) if train_dice else None,
        groups=_test_groups(dataset),
    )
    flags = sanity.flags(
        scores.matrices,
        info.foreground,
        info.class_names,
        predictions=scores.hashes,
        truths=scores.truths,
        train_curve=done.train_curve,
        val_curve=done.val_curve,
        train_dice=train_dice,
        val_dice=done.best_images,
        alone=alone,
        within=within,
        crop=recipe.crop,
        both_empty=trial.score.both_empty,
        tries=tries,
    )
    phases("save")
    written: list[Sample] = []
    weights = None
    if first:
        channel.renew_claim()
        written = kept_images.write(info, folders.records)
        extra: dict[str, Any] = {"normalization": {"mean": normalization.mean, "std": normalization.std}}
        extra |= {"trial": trial.id, "data": info.model_dump()}
        try:
            file = save_model(network.cpu(), folders.folder(trial), expected=_expected(decoded, trial), **extra)
            weights = file_checksum(file)
        except Exception as error:  # such as a full disk; the scores are kept
            traceback.print_exc()
            reason = shortened(visible(one_line(error)), REASON)
            flags.append(Flag(kind=WEIGHTS_NOT_SAVED, text=f"the trained weights could not be saved ({reason})"))
    exceptions = determinism.exceptions
    return Outcome(done, result, tries, flags, data.events, written, weights, exceptions, phases, augmentation)


def _expected(data: SegmentationDataset, trial: Trial) -> Expected:
    """Return what is known of the training images; the size of a pixel if the suite states one."""
    score = trial.score
    known = score.unit != "px"
    return Expected.of(data, pixel_size=score.spacing if known else None, unit=score.unit if known else None)


def _test_items(
    data: SegmentationDataset, normalization: Normalization, kept_images: samples.KeptImages
) -> Iterator[tuple[str, tuple[Tensor, Tensor]]]:
    for key in data.splits["test"]:
        image, mask = data[key]
        kept_images.add(key, image, mask)
        yield key, (normalization(image), mask)


def _run_baseline(
    trial: Trial,
    blank: Record,
    dataset: SegmentationDataset,
    conditions: dict[str, Any],
    folders: OutputFolders,
    channel: Channel,
) -> Record:
    """Run a trivial predictor with the same order of reading and the same metrics as a model."""
    data, info = ReadInOrder(dataset, channel.check), dataset.info
    scores = Scores(info.class_names, info.foreground, info.ignore_index, trial.score)
    kept_images = samples.KeptImages(_spread(data.splits["test"], SAMPLES))
    with MachineLock(beat=channel.check, say=channel.note).shared():
        predict = baselines.fit(trial.model.name, data, trial.seed)
        matrices = []
        for key in data.splits["val"]:
            image, mask = data[key]
            matrices.append(confusion(torch.from_numpy(predict(image.numpy())), mask, info.classes, info.ignore_index))
        val_dice = mean_dice(torch.stack(matrices), info, trial.score.both_empty)
        data.select(0)
        for key in data.splits["test"]:
            image, mask = data[key]
            prediction = torch.from_numpy(predict(image.numpy()))
            kept_images.add(key, image, mask)
            kept_images.add_prediction(key, prediction)
            scores.add_map(visible(key), prediction, mask)
    result = Result(**scores.result(), best_step=0, best_val_dice=val_dice, groups=_test_groups(dataset))
    written = kept_images.write(info, folders.records)
    changes = {"status": "ok", "result": result, "events": data.events, "samples": written, "environment": conditions}
    return blank.model_copy(update=changes)


def _test_groups(dataset: SegmentationDataset) -> dict[str, str]:
    """Return what each test image was sampled with, by its key as records have it."""
    sampled_with = dataset.sampled_with
    return {visible(key): visible(str(sampled_with[key])) for key in dataset.splits["test"] if key in sampled_with}


def _share(part: float, rest: float) -> float | None:
    return round(part / (part + rest), 5) if part + rest else None


def _spread(keys: tuple[str, ...], count: int) -> list[str]:
    """Return up to ``count`` keys, evenly spread from the first to the last."""
    last = len(keys) - 1
    return [keys[i] for i in sorted({round(last * part / max(1, count - 1)) for part in range(count)})]
