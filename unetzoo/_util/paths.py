"""Paths as users write them."""

from __future__ import annotations

import os
from pathlib import Path

from unetzoo.errors import UnetzooError, shown


def user_path(path: str | os.PathLike[str], what: str = "") -> Path:
    """Return a path with a leading ``~`` or ``~user`` replaced by the home folder.

    Args:
        path: The path.
        what: Name of the argument or option, with which error messages begin.

    Raises:
        UnetzooError: If it is not a path, has a NUL character, or the user is not known.
    """
    begin = f"{what} = " if what else ""
    if not isinstance(path, str | os.PathLike):
        raise UnetzooError(f"{begin}{shown(path)}: must be a path, a str or a pathlib.Path")
    found = Path(path)
    if "\0" in str(found):
        raise UnetzooError(f"{begin}{shown(path)}: a path has no NUL character; remove it")
    try:
        return found.expanduser()
    except RuntimeError:
        raise UnetzooError(
            f"{begin}{str(path)!r}: there is no user {found.parts[0][1:]!r} here; write the folder in full, or "
            f"./{found.parts[0]} for a folder of that name"
        ) from None


def check_utf8(path: Path) -> None:
    """Check that the name of a file can be written to a table, a record or a page.

    Args:
        path: The file.

    Raises:
        UnetzooError: If the name is not UTF-8.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise UnetzooError(f"{str(path)!r}: its name is not UTF-8; rename it") from None
