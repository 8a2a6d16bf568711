"""Every entry computes, starts and trains as the version in functions.json did; whoever changes one raises its version.

    python tests/models/test_functions.py --write NAME ...  # rows of new entries, or of those with a raised version
    python tests/models/test_functions.py --write           # all such rows

A row holds the numbers of a narrow network: mean and SD of its initial weights under a seed; then, with parameters
filled as in the parity checker ("exact") and in float64, its outputs, and loss and gradient norm of one training step.
The step is not made in float32 or from the initial weights: there batch norm over the few values of a small image
turns rounding that differs between CPUs into up to 37 % of the gradient norm (dcsau_net). Changes that only another
number format or a GPU would show are not seen. If the guard itself changes, delete the rows it makes stale and write
them anew.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import unetzoo
from unetzoo.nn.sizes import SameSize, ValidSizes
from unetzoo.train.losses import supervised_loss

sys.path.insert(0, str(Path(__file__).parents[1]))  # for a run as a script
from parity.parity import build, fill, make_input
from support.entries import narrow

TABLE = Path(__file__).with_name("functions.json")
NAMES = [name for name in unetzoo.list_models() if unetzoo.model_info(name).family != "own"]
CLASSES = 2
SIZE = (32, 64)  # (H, W)
TOLERANCES = {"outputs": 1e-6, "init": 1e-5, "step": 1e-5}  # of a value, or of the spread where it is next to 0
WIDER = {"lightm_unet": {"width": 32, "chunk": 256}}  # of few channels, its norms magnify rounding
COMMAND = "python tests/models/test_functions.py --write"

Row = dict[str, Any]


def small(name: str) -> nn.Module:
    torch.manual_seed(0)
    return unetzoo.create_model(name, num_classes=CLASSES, **(narrow(name) | WIDER.get(name, {})))


def summary(values: Tensor) -> list[float]:
    """Return mean, standard deviation, and the first, middle and last value."""
    flat = values.detach().double().numpy().ravel()
    return [float(x) for x in (flat.mean(), flat.std(), flat[0], flat[flat.size // 2], flat[-1])]


def outputs(model: nn.Module) -> list[list[float]]:
    """Return a summary of each output, the main one first."""
    sizes = getattr(model, "sizes", None)
    h, w = (sizes.input(side) for side in SIZE) if isinstance(sizes, ValidSizes) else SIZE
    forward_all = getattr(model, "forward_all", lambda x: [model(x)])
    with torch.no_grad():
        return [summary(output) for output in forward_all(make_input((1, 3, h, w)))]


def initial_weights(model: nn.Module) -> list[float]:
    """Return mean and standard deviation of all parameters."""
    return summary(torch.cat([parameter.detach().double().flatten() for parameter in model.parameters()]))[:2]


def training_step(model: nn.Module) -> tuple[list[float], bool]:
    """Return loss and gradient norm of two images, and whether random numbers were drawn (for dropout)."""
    images = make_input((2, 3, *SIZE)).contiguous(memory_format=torch.channels_last)
    masks = (make_input((2, *SIZE)) > 0).long()
    network = SameSize(model, CLASSES).to(memory_format=torch.channels_last).train()
    torch.manual_seed(1)
    before = torch.get_rng_state()
    loss = supervised_loss(network(images), masks, None)
    loss.backward()
    norms = [parameter.grad.norm() for parameter in model.parameters() if parameter.grad is not None]
    drawn = not torch.equal(before, torch.get_rng_state())
    return [loss.item(), torch.stack(norms).norm().item()], drawn


def measured(name: str) -> tuple[Row, bool]:
    """Return the row of today's code, and whether its training step drew random numbers."""
    init = initial_weights(small(name))
    model = fill(build({}, lambda: small(name)), "exact")
    row = {"version": unetzoo.model_info(name).version, "outputs": outputs(model), "init": init}
    row["step"], drawn = training_step(model)
    return row, drawn


def differences(row: Row, known: Row) -> list[str]:
    """Return which numbers of a row differ from the known ones."""
    found = []
    for what, tolerance in TOLERANCES.items():
        new, old = np.atleast_2d(row[what]), np.atleast_2d(known[what])
        spread = 0 if what == "step" else np.abs(old[:, 1:2])
        if new.shape != old.shape or not (np.abs(new - old) <= tolerance * np.maximum(np.abs(old), spread)).all():
            found.append(f"{what} {np.squeeze(new).tolist()}, were {np.squeeze(old).tolist()}")
    return found


def read_table() -> dict[str, Row]:
    return json.loads(TABLE.read_text(encoding="utf-8")) if TABLE.exists() else {}


def test_the_table_has_every_entry() -> None:
    table = read_table()
    assert not (missing := [name for name in NAMES if name not in table]), f"run `{COMMAND} {' '.join(missing)}`"
    assert not (gone := [name for name in table if name not in NAMES]), f"delete {gone} from {TABLE}"


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_computes_as_its_version_did(name: str) -> None:
    known, version = read_table()[name], unetzoo.model_info(name).version
    assert version == known["version"], f"{name} is of version {version} now: run `{COMMAND} {name}`"
    row, drawn = measured(name)
    if drawn and not torch.backends.mkl.is_available():
        row["step"] = known["step"]  # the table was made with MKL, whose random numbers are others
    assert not (found := differences(row, known)), (
        f"{name} computes something else than version {version} did: raise its version and run `{COMMAND} {name}` "
        f"({'; '.join(found)})"
    )


def test_a_change_is_seen() -> None:
    known = read_table()["unet"]
    assert not differences(known, known)
    for what in TOLERANCES:
        values = np.array(known[what])
        values.flat[-1] *= 1 + 3 * TOLERANCES[what]
        assert [text.split()[0] for text in differences({**known, what: values.tolist()}, known)] == [what]


def write(names: list[str]) -> int:
    """Write missing rows and those of another version; return an exit code."""
    table, code = read_table(), 0
    for name in names or NAMES:
        row, _ = measured(name)
        known = table.get(name)
        if known and known["version"] == row["version"]:
            if differences(row, known):
                print(f"{name} computes something else than version {row['version']} did: raise its version first")
                code = 1
            continue
        table[name] = {key: value if key == "version" else rounded(value) for key, value in row.items()}
        print(f"{name}: version {row['version']}")
    lines = [f"{json.dumps(name)}: {json.dumps(table[name])}" for name in sorted(table) if name in NAMES]
    TABLE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    return code


def rounded(value: Any) -> Any:
    return [rounded(v) for v in value] if isinstance(value, list) else float(f"{value:.9g}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", nargs="*", metavar="NAME", required=True, help="of entries (default: of all)")
    names = parser.parse_args().write
    if unknown := [name for name in names if name not in NAMES]:
        parser.error(f"--write {' '.join(unknown)}: no such entry")
    sys.exit(write(names))
