"""The table ``[slurm]`` of a suite: options of the jobs in which its trials run on a Slurm cluster."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from unetzoo.errors import Strict


def _one_line(text: str) -> str:
    """Return a text that may stand in a line of a script.

    Raises:
        ValueError: If it may not.
    """
    if not text.isprintable() or not text.strip():
        raise ValueError(f"{text!r} must be one line of printable characters")
    return text


def _option(text: str) -> str:
    """Return a further option of sbatch.

    Raises:
        ValueError: If it is none, or one that the scripts need themselves.
    """
    name = _one_line(text).partition("=")[0].partition(" ")[0]
    if not name.startswith("-"):
        raise ValueError(f"{text!r} is not an option of sbatch; such as '--reservation=course'")
    if name in OURS:
        raise ValueError(f"{text!r} cannot be changed, because the scripts rely on it")
    return text


OURS = ("--array", "-a", "--output", "-o", "--signal", "--requeue", "--no-requeue", "--dependency", "-d", "--parsable")
Line = Annotated[str, AfterValidator(_one_line)]
SbatchOption = Annotated[str, AfterValidator(_option)]


class SlurmOptions(Strict):
    """Options of the jobs on a Slurm cluster; they are no part of a trial's id."""

    partition: Line | None = Field(None, description="partition of the jobs")
    account: Line | None = Field(None, description="account that the time is charged to")
    qos: Line | None = Field(None, description="quality of service")
    time: Line | None = Field(None, description="time limit of a task, such as '02:00:00'; a trial may need several")
    gres: Line | None = Field(
        None, description="generic resources of a task, such as 'gpu:1'; default: the GPUs of a trial with several"
    )
    mem: Line | None = Field(None, description="memory of a task, such as '16G'")
    cpus: int | None = Field(None, ge=1, description="cores of a task; default: `train.threads`, or what Slurm gives")
    constraint: Line | None = Field(None, description="features that a node must have")
    exclusive: bool = Field(False, description="give each task a whole node, so that nothing disturbs timings")
    max_parallel: int | None = Field(None, ge=1, description="most tasks at a time")
    modules: list[Line] = Field([], description="modules to load first")
    venv: Line | None = Field(None, description="folder of a virtual environment to activate")
    conda: Line | None = Field(None, description="name or folder of a conda environment to activate")
    setup: list[Line] = Field([], description="shell commands to run before the trials")
    extra: list[SbatchOption] = Field([], description="further options of sbatch, such as '--reservation=course'")
    task_minutes: float = Field(
        10, ge=0, description="short trials share a task until it lasts so long by the plan; 0: a task for each trial"
    )

    @model_validator(mode="after")
    def _one_environment(self) -> SlurmOptions:
        if self.venv is not None and self.conda is not None:
            raise ValueError("venv and conda are two environments; give one of them")
        return self
