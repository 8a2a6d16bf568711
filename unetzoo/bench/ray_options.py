"""The table ``[ray]`` of a suite: what a trial asks of a node of a Ray cluster."""

from __future__ import annotations

from pydantic import Field

from unetzoo.errors import Strict


class RayOptions(Strict):
    """Resources of a trial on a Ray cluster; they are no part of a trial's id."""

    cpus: int | None = Field(
        None,
        ge=1,
        description="cores of a trial; default: `train.threads`, or all of the cluster's smallest node",
    )
    gpus: float | None = Field(
        None, ge=0, description="GPUs of a trial, also a fraction such as 0.5; default: `train.devices` if it uses GPUs"
    )
    memory_gib: float | None = Field(
        None, ge=0, description="GiB of memory of a trial, 0 to ask for none; default: what `unetzoo plan` predicts"
    )
    resources: dict[str, float] = Field(
        {}, description="further resources by name, such as { 'accelerator_type:A100' = 0.001 }"
    )
