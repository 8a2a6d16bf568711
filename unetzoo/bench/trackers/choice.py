"""The trackers to choose from, and the check that what they need is installed."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec

from unetzoo.bench.trackers.tracker import Tracker
from unetzoo.errors import UnetzooError, nearest

FOLDER = "trackers"  # in the folder of the run
NEEDED = {  # name, also of the extra -> modules of the packages it needs
    "tensorboard": ("tensorboard",),
    "mlflow": ("mlflow", "sqlalchemy", "alembic"),
    "wandb": ("wandb",),
    "trackio": ("trackio",),
}
NAMES = ", ".join(NEEDED)


def tracker_names(texts: Iterable[str], option: str) -> list[str]:
    """Return the trackers that a command line names, each once.

    Args:
        texts: Names, or several in one text, with commas between.
        option: The option, with which error messages begin.

    Raises:
        UnetzooError: If there is no such tracker, or a package that it needs is not installed.
    """
    names = list(dict.fromkeys(name.strip() for text in texts for name in text.split(",")))
    for name in names:
        if name not in NEEDED:
            raise UnetzooError(f"{option} {name!r} is not a tracker; {nearest(name, NEEDED)}")
        missing = [module for module in NEEDED[name] if not _installed(module)]
        if missing:
            needed = f"needs {' and '.join(missing)} (not installed)"
            raise UnetzooError(f"{option} {name}: {needed}: pip install 'unetzoo[{name}]'")
    return names


def tracker_class(name: str) -> type[Tracker]:
    """Return the class of a tracker, which imports its client."""
    return import_module(f"unetzoo.bench.trackers.to_{name}").Adapter


def _installed(module: str) -> bool:
    """Return True if a package is installed; a mere folder of its name, such as clients leave, is none."""
    spec = find_spec(module)
    return spec is not None and spec.origin is not None
