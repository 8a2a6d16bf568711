"""Import of user modules and files that register models and data sets."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path

from unetzoo.errors import UnetzooError, one_line


def import_plugins(names: Iterable[str]) -> None:
    """Import user modules and files, each of them once.

    Args:
        names: Names of modules, or paths of files that end in ``.py``.

    Raises:
        UnetzooError: If one is missing or its import raises an exception.
    """
    for name in names:
        try:
            if name.endswith(".py"):
                _import_file(Path(name))
            else:
                importlib.import_module(name)
        except UnetzooError:
            raise
        except Exception as error:  # user code may raise anything
            raise UnetzooError(f"imports: {name}: {one_line(error)}") from None


def _import_file(path: Path) -> None:
    path = path.expanduser().resolve()
    module_name = f"unetzoo_import_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    if module_name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(module_name, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise UnetzooError(f"imports: {path}: no such file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[module_name]
        raise
