"""The processes of a trial that trains on several devices: all on one machine, and started by the trial itself."""

from __future__ import annotations

import os
from collections.abc import Mapping

from lightning_fabric.plugins.environments.lightning import LightningEnvironment, find_free_network_port

from unetzoo.errors import UnetzooError

# Set by launchers for the processes that they start, and misunderstood by those that a trial starts.
OF_LAUNCHERS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "NODE_RANK", "MASTER_ADDR",
                "MASTER_PORT", "TORCHELASTIC_USE_AGENT_STORE")  # fmt: skip


class OneMachine(LightningEnvironment):
    """Starts one process for each device, whatever launcher or batch job this process is in.

    Fabric by itself would take the place that torchrun, Slurm or MPI has given to this process in a group of theirs,
    and then wait for the others.
    """

    def __init__(self) -> None:
        super().__init__()
        for name in OF_LAUNCHERS:
            os.environ.pop(name, None)
        self._main_port = find_free_network_port()

    @property
    def creates_processes_externally(self) -> bool:
        """False: the trial starts them."""
        return False

    @property
    def main_address(self) -> str:
        """The address of this machine for itself."""
        return "127.0.0.1"

    @property
    def main_port(self) -> int:
        """The port at which the processes meet."""
        return self._main_port

    def node_rank(self) -> int:
        """Return 0, as there is no other machine."""
        return 0


def place_in_torchrun(environment: Mapping[str, str]) -> tuple[int, int] | None:
    """Return the number of this process among those of torchrun, and how many they are; None outside of it.

    Args:
        environment: The environment of this process.

    Raises:
        UnetzooError: If torchrun runs on several machines.
    """
    if "TORCHELASTIC_RUN_ID" not in environment:
        return None
    here, all_ = (int(environment.get(name, "1")) for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE"))
    if here != all_:
        raise UnetzooError(
            f"torchrun --nnodes {all_ // max(1, here)}: a trial trains on the devices of one machine; "
            "run other trials on the other machines"
        )
    return int(environment.get("RANK", "0")), all_
