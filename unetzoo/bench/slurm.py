"""Slurm: job arrays of plain scripts whose tasks run a few trials of a prepared run, and a job for the report.

The files ``slurm/*.sh`` and ``slurm/*.txt`` in the folder of the run are all there is: no process stays behind.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unetzoo._util.atomic import write_atomic
from unetzoo._util.text import shortened, visible
from unetzoo.bench.prepared import Prepared, PreparedTrial
from unetzoo.bench.slurm_options import SlurmOptions
from unetzoo.bench.suite import Suite
from unetzoo.errors import UnetzooError

FOLDER, JOBS = "slurm", "jobs.txt"
SAVE_SECONDS = 120  # before the end of a task's time, to save the trial
MAX_ARRAY_SIZE = 1001  # Slurm's default
BASELINE_SECONDS = 10.0
MOST_REQUEUES, MOST_CRASHES = 100, 3
ANSWER_SECONDS = 60

TASK = r"""
run={run}
tasks={tasks}
if ! [ -d "$run" ]; then
  echo "unetzoo: $run: no such folder on $(hostname); it must be on a disk that all nodes share, at one path" >&2
  exit 2
fi
child= stop= cancelled= again= crashed= failed=
ask_to_save() {{ stop=1; if [ -n "$child" ]; then kill -USR2 "$child" 2>/dev/null; fi; }}
trap ask_to_save USR2               # the time of the task is nearly over
trap 'cancelled=1; ask_to_save' TERM  # it was cancelled, or preempted: then Slurm puts it back by itself
for id in $(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" "$tasks"); do
  if [ -n "$stop" ]; then again=1; break; fi
  {unetzoo} trial "$run" "$id" &
  child=$!
  while true; do
    wait "$child"; code=$?            # a signal ends the wait before the trial has ended
    if ! kill -0 "$child" 2>/dev/null; then break; fi
  done
  wait "$child"; last=$?
  if [ "$last" -ne 127 ]; then code=$last; fi
  child=
  case "$code" in
    0) ;;
    1) failed=1 ;;                    # it has a record that says why
    2) exit 2 ;;
    75) again=1 ;;                    # it has saved itself
    *) if [ -n "$stop" ]; then again=1; else crashed=1; fi ;;
  esac
done
restarts=${{SLURM_RESTART_COUNT:-0}}
if [ -n "$crashed" ] && [ "$restarts" -lt {crashes} ]; then again=1; fi
if [ -n "$again" ]; then
  if [ -z "$cancelled" ] && [ "$restarts" -lt {requeues} ]; then
    scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"
  fi
  exit 75
fi
if [ -n "$failed$crashed" ]; then exit 1; fi
"""


@dataclass(frozen=True)
class Script:
    """A script for sbatch.

    Attributes:
        name: Its file name in the folder ``slurm``.
        text: Its lines.
        tasks: The ids of each task's trials; empty for the report, which waits for the end of all others.
    """

    name: str
    text: str
    tasks: list[list[str]]


def scripts(
    prepared: Prepared, options: SlurmOptions, seconds: Mapping[tuple[str | None, str], float], margin: float | None
) -> list[Script]:
    """Return the scripts of a run: as many arrays as Slurm's largest array asks for, and the report.

    Args:
        prepared: The run.
        options: The suite's table ``[slurm]``.
        seconds: Predicted seconds of a trial by data set and model; a model without a prediction shares no task.
        margin: Margin of the report; None for its default.
    """
    tasks = bundles(prepared, seconds, 60 * options.task_minutes)
    most = max_array_size()
    parts = [tasks[start : start + most] for start in range(0, len(tasks), most)]
    found = []
    for part, chunk in enumerate(parts):
        name = f"{prepared.digest}-{part}"
        limit = f"%{options.max_parallel}" if options.max_parallel else ""
        own = [f"--array=0-{len(chunk) - 1}{limit}", "--requeue", f"--signal=B:USR2@{SAVE_SECONDS}", "--nodes=1"]
        own += ["--ntasks=1", "--open-mode=append"]
        body = TASK.format(
            run=shlex.quote(str(prepared.out)),
            tasks=shlex.quote(str(prepared.out / FOLDER / f"{name}.txt")),
            unetzoo=_unetzoo(options),
            crashes=MOST_CRASHES,
            requeues=MOST_REQUEUES,
        )
        text = _head(prepared, options, [*own, *_resources(prepared, options)], "%A_%a") + body
        found.append(Script(f"{name}.sh", text, chunk))
    out = shlex.quote(str(prepared.out))
    report = f"{_unetzoo(options)} report {out}" + (f" --margin {margin:g}" if margin is not None else "")
    text = _head(prepared, options, _places(options), "%j-report") + f"{_unetzoo(options)} status {out}\n{report}\n"
    return [*found, Script(f"{prepared.digest}-report.sh", text, [])]


def bundles(prepared: Prepared, seconds: Mapping[tuple[str | None, str], float], least: float) -> list[list[str]]:
    """Return the ids of each task's trials: in order, as many as it takes to last ``least`` seconds.

    Args:
        prepared: The run.
        seconds: Predicted seconds of a trial by data set and model.
        least: Seconds that a task should last.
    """
    tasks, task, lasts = list[list[str]](), list[str](), 0.0
    for line in (line for line in prepared.trials if line.todo):
        task.append(line.id)
        lasts += _seconds(prepared, line, seconds, least)
        if lasts >= least:
            tasks.append(task)
            task, lasts = [], 0.0
    return [*tasks, task] if task else tasks


def _seconds(
    prepared: Prepared, line: PreparedTrial, seconds: Mapping[tuple[str | None, str], float], unknown: float
) -> float:
    model = line.trial["model"]
    if model["baseline"]:
        return BASELINE_SECONDS
    return seconds.get((prepared.run.suites[line.suite].label, model["label"]), unknown)


def submit(prepared: Prepared, found: Sequence[Script]) -> list[str]:
    """Write the scripts and submit them; if Slurm refuses one, those before it are cancelled.

    Args:
        prepared: The run.
        found: Its scripts.

    Returns:
        The ids of the jobs, that of the report last.

    Raises:
        UnetzooError: If sbatch is missing or refuses a script, or jobs of this folder are still queued.
    """
    if shutil.which("sbatch") is None:
        raise UnetzooError("sbatch is not found; run this where jobs are submitted, or see the scripts by --dry-run")
    folder = prepared.out / FOLDER
    _check_queue(folder)
    jobs: list[str] = []
    try:
        for script in found:
            if script.tasks:
                lines = "".join(f"{' '.join(task)}\n" for task in script.tasks)
                write_atomic(folder / script.name.replace(".sh", ".txt"), lines)
            write_atomic(folder / script.name, script.text)
            after = [] if script.tasks else [f"--dependency=afterany:{':'.join(jobs)}"]
            jobs.append(_sbatch(folder / script.name, *after))
        write_atomic(folder / JOBS, "".join(f"{job}\n" for job in jobs))
    except OSError as error:
        _cancel(jobs)
        raise UnetzooError(f"{folder}: cannot be written: {error.strerror}") from None
    except UnetzooError:
        _cancel(jobs)
        raise
    return jobs


def max_array_size() -> int:
    """Return Slurm's MaxArraySize, above all indices of an array; its default if Slurm does not tell."""
    done = _ask("scontrol", "show", "config")
    match = re.search(r"^MaxArraySize\s*=\s*(\d+)", done.stdout, re.MULTILINE) if done else None
    return max(1, int(match[1])) if match else MAX_ARRAY_SIZE


def _sbatch(script: Path, *options: str) -> str:
    done = _ask("sbatch", "--parsable", *options, str(script))
    if done is None:
        raise UnetzooError(f"sbatch {script}: no answer within {ANSWER_SECONDS} s")
    job = done.stdout.strip().partition(";")[0]
    if done.returncode or not re.fullmatch(r"\d+", job):
        said = " ".join((done.stderr or done.stdout).split()) or f"exit code {done.returncode}"
        raise UnetzooError(f"sbatch refuses {script}: {shortened(visible(said), 500)}")
    return job


def _check_queue(folder: Path) -> None:
    """Check that no job that was submitted for this folder is still queued.

    Raises:
        UnetzooError: If one is.
    """
    try:
        known = re.findall(r"^\d+$", (folder / JOBS).read_text(), re.MULTILINE)
    except (OSError, UnicodeDecodeError):
        return
    for job in known:
        done = _ask("squeue", "--noheader", "--jobs", job)
        if done and done.returncode == 0 and done.stdout.strip():
            raise UnetzooError(
                f"{folder.parent}: job {job} of this run is still queued; wait until it has ended, or: "
                f"scancel {' '.join(known)}"
            )


def _cancel(jobs: Sequence[str]) -> None:
    if jobs:
        _ask("scancel", *jobs)


def _ask(*command: str) -> subprocess.CompletedProcess[str] | None:
    """Run a command of Slurm; None if there is none, or it does not answer."""
    try:
        return subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, errors="replace", timeout=ANSWER_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None


def _head(prepared: Prepared, options: SlurmOptions, own: Sequence[str], log: str) -> str:
    """Return the lines of a script that come first: options, environment, folder."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", prepared.out.name) or "run"
    log_file = f"{prepared.out / FOLDER}".replace("%", "%%") + f"/{log}.log"
    options_ = [f"--job-name=unetzoo-{name}", f"--output={shlex.quote(log_file)}", *own, *options.extra]
    lines = ["#!/bin/bash", *(f"#SBATCH {option}" for option in options_), ""]
    lines += [f"module load {shlex.quote(module)}" for module in options.modules]
    if options.venv is not None:
        lines.append(f"source {shlex.quote(str(Path(options.venv).expanduser()))}/bin/activate || exit 2")
    if options.conda is not None:
        lines.append('source "$(conda info --base)/etc/profile.d/conda.sh" || exit 2')
        lines.append(f"conda activate {shlex.quote(options.conda)} || exit 2")
    if data := os.environ.get("UNETZOO_DATA"):
        lines.append(f"export UNETZOO_DATA={shlex.quote(data)}")
    return "\n".join([*lines, *options.setup, ""])


def _places(options: SlurmOptions) -> list[str]:
    values = {"partition": options.partition, "account": options.account, "qos": options.qos}
    return [f"--{name}={shlex.quote(value)}" for name, value in values.items() if value is not None]


def _resources(prepared: Prepared, options: SlurmOptions) -> list[str]:
    suites = [of.suite for of in prepared.run.suites]
    cpus = options.cpus or max(suite.train.threads for suite in suites) or None
    values = {"time": options.time, "gres": options.gres, "mem": options.mem, "constraint": options.constraint}
    found = [f"--{name}={shlex.quote(value)}" for name, value in values.items() if value is not None]
    found += [f"--cpus-per-task={cpus}"] if cpus else []
    found += _gpus(suites, options)
    whole = options.exclusive or any(suite.measure.where == "exclusive" for suite in suites)
    return [*_places(options), *found, *(["--exclusive"] if whole else [])]


def _gpus(suites: Sequence[Suite], options: SlurmOptions) -> list[str]:
    """Return the option that asks for the GPUs of a trial with several, if the suite's own options ask for none.

    Raises:
        UnetzooError: If they ask for fewer.
    """
    recipes = [suite.recipe(request) for suite in suites for request in suite.models]
    needed = max(1 if recipe.device == "cpu" else recipe.devices for recipe in recipes)
    if needed == 1 or any(re.match(r"--gpus|--gres|-G", option) for option in options.extra):
        return []
    if options.gres is None:
        return [f"--gres=gpu:{needed}"]
    given = re.search(r"\bgpu(?::[^:,]*[^:,\d][^:,]*)?(?::(\d+))?(?=,|$)", options.gres)
    if given and int(given[1] or 1) < needed:
        raise UnetzooError(f"slurm: gres = {options.gres!r}: a trial trains on devices = {needed}; give 'gpu:{needed}'")
    return []


def _unetzoo(options: SlurmOptions) -> str:
    """Return the command in the environment that is activated, or else in that of this process."""
    python = "python" if options.venv is not None or options.conda is not None else shlex.quote(sys.executable)
    return f"{python} -m unetzoo.cli"
