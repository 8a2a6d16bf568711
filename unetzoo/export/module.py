"""An exported graph as a module that `predict` calls like the network itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from unetzoo.errors import UnetzooError, one_line
from unetzoo.export.runtimes import FORMATS, Run, open_run
from unetzoo.export.sides import Sides
from unetzoo.nn.blocks import spatial
from unetzoo.nn.sizes import ValidSizes


class Exported(nn.Module):
    """A graph in its runtime on the CPU: images (N, C, H, W) to logits (N, K, H', W'), without parameters.

    Like a network it has the attributes that `predict` reads: ``unetzoo_config``, ``unetzoo_normalization``,
    ``unetzoo_expected``, and ``sizes`` and ``border`` for valid convolutions.

    Args:
        file: The file that the runtime opens.
        to: Its format, a key of `FORMATS`.
        sides: The sides that the graph takes.
        batched: True if the graph takes any number of images, False for one.
        sizes: The sizes of a network of valid convolutions.
        border: Width in px of such a network's output that depends on where its input was cut.
    """

    def __init__(
        self,
        file: Path,
        to: str,
        sides: Sides,
        *,
        batched: bool = True,
        sizes: ValidSizes | None = None,
        border: int = 0,
    ) -> None:
        super().__init__()
        self.file, self.target, self.sides, self.batched = file, to, sides, batched
        self.sizes, self.border = sizes, border
        self.backend, self.precision = FORMATS[to].backends[0], "float32"
        self._runs: dict[tuple[str, str], Run] = {}

    def use(self, backend: str | None, precision: str) -> Exported:
        """Choose the runtime and its precision, and open the file in it; return the module.

        Args:
            backend: One of `BACKENDS`; None keeps the current one.
            precision: "float32", "bfloat16" or "auto".

        Raises:
            UnetzooError: If the runtime is not installed, does not read such files, or has no such precision.
        """
        backend = backend or self.backend
        known = FORMATS[self.target].backends
        if backend not in known:
            raise UnetzooError(
                f"backend = {backend!r} does not read {FORMATS[self.target].words} files; this one runs with "
                f"{' or '.join(known)}"
            )
        if (backend, precision) not in self._runs:
            self._runs[backend, precision] = open_run(self.file, backend, precision)
        self.backend, self.precision = backend, precision
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to logits (N, K, H, W), or smaller ones if the convolutions are unpadded.

        Raises:
            UnetzooError: If the graph does not take images of this size, or the runtime fails.
        """
        h, w = spatial(x)
        self.sides.check(h, w)
        if (self.backend, self.precision) not in self._runs:
            self.use(None, self.precision)
        padded = self.sides.pad(x.detach().to("cpu", torch.float32)).contiguous()
        run: Any = self._runs[self.backend, self.precision]
        try:
            parts = [run(part) for part in (padded.split(1) if not self.batched else [padded])]
        except Exception as error:  # the runtimes raise many exception types
            raise UnetzooError(
                f"{self.file}: {self.backend} fails on {tuple(padded.shape)} ({one_line(error)})"
            ) from error
        logits = parts[0] if len(parts) == 1 else torch.cat(parts)
        return (logits[..., :h, :w] if self.sides.padded else logits).to(x.device)
