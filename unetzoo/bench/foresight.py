"""What the report will hold against a run, as far as it is known before training."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from unetzoo.bench.trials import Trial
from unetzoo.data.base import SegmentationDataset
from unetzoo.errors import UnetzooError


def unjudged(dataset: SegmentationDataset, leaking: dict[str, int] | None) -> list[str]:
    """Return why a report cannot judge variants on a data set, however long they train; empty if it can.

    Args:
        dataset: The data set.
        leaking: Its share of near-duplicates (`unetzoo.data.leaks.leaking_share`).
    """
    from unetzoo.report.verdicts.family import MIN_GROUPS

    reasons = []
    if leaking:
        reasons.append(
            f"{leaking['test']} of {leaking['of']} test images resemble an image of another split; "
            "--on-leak drop_from_training leaves those out of training and validation"
        )
    test, sampled_with = dataset.splits["test"], dataset.sampled_with
    independent = {(key in sampled_with, str(sampled_with.get(key, key))) for key in test}
    if (n := len(independent)) < MIN_GROUPS:
        kinds = "patient, film or volume" if n == 1 else "patients, films or volumes"
        together = f" of {n} {kinds}" if n < len(test) else ""
        reasons.append(
            f"it has {len(test)} test images{together}, and at least {MIN_GROUPS} independent ones are needed"
        )
    return reasons


def machine_decides(trial: Trial) -> bool:
    """Return True if the machine decides in which precision the trial is trained, not its suite or timings."""
    recipe = trial.train
    timed = recipe.compute == "auto" and not recipe.deterministic
    return recipe.precision == "auto" and not timed and not trial.model.baseline


def mixed_precisions(there: set[str], todo: Sequence[Trial]) -> str | None:
    """Return a sentence if the rest of a suite would be trained in another precision here than what is there; or None.

    Args:
        there: Precisions of the suite's finished trials for which `machine_decides`.
        todo: The trials that are still to run.
    """
    devices = {trial.train.device for trial in todo if machine_decides(trial)}
    if not there or not devices:
        return None
    from unetzoo.machine.device import resolve_device, resolve_precision  # imports torch

    here: set[str] = set()
    for device in devices:
        with suppress(UnetzooError):  # such as a GPU that this machine lacks
            here.add(resolve_precision("auto", resolve_device(device)))
    if not here - there:
        return None
    return (
        f"finished trials were trained in {' and '.join(sorted(there))}, and this machine trains the others in "
        f"{' and '.join(sorted(here))}: the report will warn of comparisons that mix them; to avoid it, train the rest "
        "on a machine like the first, or all in a new folder with precision set in [train]"
    )
