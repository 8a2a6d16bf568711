"""A stand-in for Slurm: `sbatch`, `scontrol`, `squeue` and `scancel` that run job arrays as processes of this machine.

``install(folder)`` writes the commands into ``folder/bin``. ``folder/faults.json`` holds [{"task", "kind", "when"}]:
once the glob ``when`` matches a file, the task is struck, once for each fault: "timeout" (SIGUSR2 to the script, as
``--signal=B:USR2`` does), "kill" (of the trial's harness), "node" (of the whole task, which Slurm then puts back).
``folder/refuse`` holds a text with which sbatch refuses.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

PARALLEL = 2
SELF = Path(__file__).resolve()


def install(folder: Path, faults: list[dict[str, Any]] = []) -> Path:  # noqa: B006
    """Write the commands; return the folder to put in front of PATH."""
    bin_, here = folder / "bin", SELF.parents[2]
    bin_.mkdir(parents=True)
    (folder / "jobs").mkdir()
    (folder / "faults.json").write_text(json.dumps(faults))
    for command in ("sbatch", "scontrol", "squeue", "scancel"):
        line = f'PYTHONPATH="{here}:$PYTHONPATH" exec "{sys.executable}" "{SELF}" {command} "{folder}" "$@"\n'
        (bin_ / command).write_text(f"#!/bin/bash\n{line}")
        (bin_ / command).chmod(0o755)
    return bin_


def wait(folder: Path, seconds: float) -> bool:
    """Wait until all jobs have ended; False if they have not after a time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if all(path.with_suffix(".end").exists() for path in (folder / "jobs").glob("*.json")):
            return True
        time.sleep(0.1)
    return False


def sbatch(folder: Path, *arguments: str) -> int:
    if (folder / "refuse").exists():
        print("sbatch: error: " + (folder / "refuse").read_text(), file=sys.stderr)
        return 1
    script = Path(arguments[-1])
    options = dict(re.findall(r"^#SBATCH --([a-z-]+)(?:=(.*))?$", script.read_text(), re.MULTILINE))
    options |= {a[2:].partition("=")[0]: a.partition("=")[2] for a in arguments[:-1] if a.startswith("--")}
    job = len(list((folder / "jobs").glob("*.json"))) + 1
    (folder / "jobs" / f"{job}.json").write_text(json.dumps({"script": str(script), **options}))
    log = (folder / f"controller-{job}.log").open("w")
    subprocess.Popen(
        [sys.executable, str(SELF), "control", str(folder), str(job)], start_new_session=True, stdout=log, stderr=log
    )
    print(f"{job};cluster" if "parsable" in options else f"Submitted batch job {job}")
    return 0


def scontrol(folder: Path, *arguments: str) -> int:
    if arguments[:2] == ("show", "config"):
        print("MaxArraySize            = 3" if (folder / "small").exists() else "MaxArraySize            = 1001")
    if arguments[0] == "requeue":
        (folder / "jobs" / f"{arguments[1]}.requeue").touch()
    return 0


def squeue(folder: Path, *arguments: str) -> int:
    job = arguments[-1]
    if not (folder / "jobs" / f"{job}.json").exists():
        print("slurm_load_jobs error: Invalid job id specified", file=sys.stderr)
        return 1
    if not (folder / "jobs" / f"{job}.end").exists():
        print(f"{job} gpu unetzoo R")
    return 0


def scancel(folder: Path, *arguments: str) -> int:
    for job in arguments:
        (folder / "jobs" / f"{job}.cancelled").touch()
    return 0


def control(folder: Path, job: str) -> int:
    """Run the tasks of a job once the jobs that it depends on have ended."""
    said = json.loads((folder / "jobs" / f"{job}.json").read_text())
    for other in re.findall(r"\d+", said.get("dependency", "")):
        while not (folder / "jobs" / f"{other}.end").exists():
            time.sleep(0.05)
    first, last = map(int, re.findall(r"\d+", said["array"])[:2]) if "array" in said else (0, 0)
    waiting, running = [(task, 0) for task in range(first, last + 1)], list[Task]()
    while (waiting or running) and not (folder / "jobs" / f"{job}.cancelled").exists():
        while waiting and len(running) < PARALLEL:
            running.append(Task(folder, job, said, *waiting.pop(0)))
        time.sleep(0.05)
        for task in list(running):
            if (again := task.look()) is not None:
                running.remove(task)
                waiting += [(task.number, task.restarts + 1)] if again else []
    for task in running:
        task.kill()
    (folder / "jobs" / f"{job}.end").touch()
    return 0


class Task:
    """One task of an array, at one of its starts."""

    def __init__(self, folder: Path, job: str, said: dict[str, Any], number: int, restarts: int) -> None:
        self.folder, self.job, self.number, self.restarts, self.lost = folder, job, number, restarts, False
        name = f"{job}_{number}" if "array" in said else job
        self.requeue = folder / "jobs" / f"{name}.requeue"
        environment = {**os.environ, "SLURM_JOB_ID": f"{100 * int(job) + number}", "SLURM_CPUS_PER_TASK": "1"}
        if "array" in said:
            environment |= {"SLURM_ARRAY_JOB_ID": job, "SLURM_ARRAY_TASK_ID": str(number)}
        if restarts:
            environment["SLURM_RESTART_COUNT"] = str(restarts)
        log = Path(said["output"].replace("%A", job).replace("%a", str(number)).replace("%j", job))
        with log.open("a") as output:
            self.process = subprocess.Popen(
                ["bash", said["script"]], env=environment, stdout=output, stderr=output, start_new_session=True
            )

    def look(self) -> bool | None:
        """Strike if it is time to; return None while the task runs, then True if it is to start again."""
        if self.process.poll() is not None:
            again = self.requeue.exists() or self.lost
            self.requeue.unlink(missing_ok=True)
            return again
        file = self.folder / "faults.json"
        faults = json.loads(file.read_text())
        mine = next(
            (f for f in faults if f["task"] == self.number and any(Path("/").glob(f["when"].lstrip("/")))), None
        )
        if mine is not None and self.strike(mine["kind"]):
            faults.remove(mine)
            file.write_text(json.dumps(faults))
            with (self.folder / "struck.txt").open("a") as told:
                told.write(f"{self.job}_{self.number} {mine['kind']}\n")
        return None

    def strike(self, kind: str) -> bool:
        from unetzoo.machine.processes import descendants

        below = descendants(self.process.pid)
        harness = [pid for pid, p in below.items() if p.parent == self.process.pid]
        if not harness:
            return False
        if kind == "timeout":
            self.process.send_signal(signal.SIGUSR2)
        elif kind == "kill":
            os.kill(harness[0], signal.SIGKILL)
        else:
            self.lost = True
            self.kill()
        return True

    def kill(self) -> None:
        from unetzoo.machine.processes import descendants

        for pid in (self.process.pid, *descendants(self.process.pid)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    command = {f.__name__: f for f in (sbatch, scontrol, squeue, scancel, control)}[sys.argv[1]]
    sys.exit(command(Path(sys.argv[2]), *sys.argv[3:]))
