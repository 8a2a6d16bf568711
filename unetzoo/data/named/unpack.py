"""Safe unpacking of downloaded archives: every member is checked before the first is written."""

from __future__ import annotations

import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from unetzoo.errors import UnetzooError, one_line

MOST_MEMBERS = 300_000
MOST_BYTES = 64 << 30
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")


@dataclass(frozen=True)
class _Member:
    path: PurePosixPath
    size: int
    raw: zipfile.ZipInfo | tarfile.TarInfo


def is_archive(path: Path) -> bool:
    """Return True if the name ends like a supported archive."""
    return path.name.lower().endswith(ARCHIVES)


def unpack(archive: Path, folder: Path, *, most_members: int = MOST_MEMBERS, most_bytes: int = MOST_BYTES) -> None:
    """Unpack a .zip, .tar or .tar.gz into a folder, completely or not at all.

    Args:
        archive: The archive.
        folder: Target folder.
        most_members: Largest number of files.
        most_bytes: Largest total size when unpacked.

    Raises:
        UnetzooError: If a member has an absolute path or ``..``, is a link, a device or another special file, occurs
            twice or exists already; if there are too many members or bytes; or if the archive is damaged.
    """
    try:
        with _opened(archive) as opened:
            members = _checked(archive, opened, most_members, most_bytes)
            tops = sorted({member.path.parts[0] for member in members})
            if taken := [top for top in tops if (folder / top).exists()]:
                raise UnetzooError(f"{folder / taken[0]}: already exists; move it away, then unpack {archive.name}")
            if sum(member.size for member in members) > shutil.disk_usage(archive.parent).free:
                raise UnetzooError(f"{folder}: not enough room on the disk to unpack {archive.name}")
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".unpack-", dir=folder) as staging:
                for member in members:
                    _write(opened, member, Path(staging) / member.path)
                for top in tops:
                    (Path(staging) / top).rename(folder / top)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError) as error:
        raise UnetzooError(
            f"{archive}: is damaged or of an unsupported kind ({one_line(error)}); delete it and its .sha256, then "
            "download it again"
        ) from None
    except OSError as error:
        raise UnetzooError(f"{archive}: cannot be unpacked to {folder}: {error.strerror or error}") from None


@contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile | tarfile.TarFile]:
    if not is_archive(archive):
        raise UnetzooError(f"{archive}: is not a supported archive; supported are {', '.join(ARCHIVES)}")
    with zipfile.ZipFile(archive) if archive.suffix.lower() == ".zip" else tarfile.open(archive) as opened:
        yield opened


def _checked(
    archive: Path, opened: zipfile.ZipFile | tarfile.TarFile, most_members: int, most_bytes: int
) -> list[_Member]:
    """Return the files among the members, checked. A tar is read by its headers, so that a bomb is never inflated.

    Raises:
        UnetzooError: If a member is refused.
    """
    found: dict[str, _Member] = {}
    size = 0
    for raw in opened if isinstance(opened, tarfile.TarFile) else opened.infolist():
        name, bytes_, folder, plain_file = _facts(raw)
        where = f"{archive}: member {name!r}"
        path = PurePosixPath(name)
        if not name or "\\" in name or "\0" in name or path.is_absolute() or ".." in path.parts or ":" in name[:2]:
            raise UnetzooError(f"{where} would leave the folder; nothing was unpacked")
        if folder:
            continue
        if not plain_file or not path.parts:
            raise UnetzooError(f"{where} is not a plain file (a link, a device or encrypted); nothing was unpacked")
        if path.as_posix() in found:
            raise UnetzooError(f"{where} occurs twice; nothing was unpacked")
        size += bytes_
        if len(found) >= most_members or size > most_bytes:
            raise UnetzooError(
                f"{archive}: more than {most_members} files or {most_bytes} bytes when unpacked; nothing was unpacked"
            )
        found[path.as_posix()] = _Member(path, bytes_, raw)
    return list(found.values())


def _facts(raw: zipfile.ZipInfo | tarfile.TarInfo) -> tuple[str, int, bool, bool]:
    """Return name, size in bytes, True for a folder, and True for a plain file."""
    if isinstance(raw, tarfile.TarInfo):
        return raw.name, raw.size, raw.isdir(), raw.isreg()
    kind = stat.S_IFMT(raw.external_attr >> 16)
    encrypted = raw.flag_bits & 1
    return raw.orig_filename, raw.file_size, raw.is_dir(), kind in (0, stat.S_IFREG) and not encrypted


def _write(opened: zipfile.ZipFile | tarfile.TarFile, member: _Member, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source: IO[bytes] | None
    if isinstance(opened, tarfile.TarFile):
        assert isinstance(member.raw, tarfile.TarInfo)
        source = opened.extractfile(member.raw)
    else:
        assert isinstance(member.raw, zipfile.ZipInfo)
        source = opened.open(member.raw)
    assert source is not None  # plain files only
    with source, target.open("xb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
