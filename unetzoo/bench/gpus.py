"""Assignment of GPUs to trials that run side by side."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from unetzoo.bench.limits import PROCESS_BASE, PROCESS_FACTOR

MEMORY_SHARE = 0.9  # of a GPU's memory that the trials on it may need by their measured peaks

Place = tuple[int, ...]  # the GPUs of a trial, by their indices among those that this process sees


def places(memory: Sequence[int], devices: int, per_device: int, peak: int | None) -> tuple[list[Place], str]:
    """Return the places that trials may take at the same time, those of an emptier GPU first.

    Args:
        memory: Bytes of each GPU.
        devices: GPUs of a trial.
        per_device: Trials that may share a GPU.
        peak: Largest peak of a training's tensors on one GPU, in bytes; None if not known.

    Returns:
        The places, and why they are fewer than asked for, in words; empty if they are not.
    """
    groups = [tuple(range(start, start + devices)) for start in range(0, len(memory) - devices + 1, devices)]
    if not groups:
        return [], ""
    smallest = min(memory[gpu] for group in groups for gpu in group)
    needed = None if peak is None else round(PROCESS_FACTOR * peak) + PROCESS_BASE
    fit = per_device if needed is None else max(1, min(per_device, int(MEMORY_SHARE * smallest / needed)))
    why = ""
    if fit < per_device and needed is not None:
        why = (
            f"{fit} trials a GPU and not {per_device}: one needs {needed / 2**30:.1f} GiB, "
            f"and a GPU has {smallest / 2**30:.1f}"
        )
    return groups * fit, why


def emptiest(all_places: Sequence[Place], taken: Iterable[Place]) -> Place:
    """Return the place that the fewest trials share; () where GPUs are not shared out.

    Args:
        all_places: The places.
        taken: Those of the trials that run.
    """
    busy = list(taken)
    return min(dict.fromkeys(all_places), key=busy.count, default=())


def visible(place: Place, environment: Mapping[str, str] = os.environ) -> str:
    """Return ``CUDA_VISIBLE_DEVICES`` for a trial.

    Args:
        place: The trial's GPUs.
        environment: The environment of the harness, which may see only some GPUs itself.
    """
    own = [name.strip() for name in environment.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return ",".join(own[gpu] if gpu < len(own) else str(gpu) for gpu in place)
