"""Download of a file from its official address: resumed after an interruption, checked before it is used.

An unfinished download lies in ``NAME.part``; ``NAME.part.json`` keeps the server's headers, so that a file which has
changed meanwhile is downloaded anew instead of being appended to the old one. ``NAME.sha256`` stays beside the finished
file: where no checksum is published, a second download must give the same bytes as the first.
"""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from unetzoo._util.atomic import write_atomic
from unetzoo._util.versions import __version__
from unetzoo.errors import Strict, UnetzooError, one_line

TIMEOUT = 30.0  # seconds without an answer or a byte
CHUNK = 1 << 18

Progress = Callable[[int, "int | None"], None]
"""``progress(bytes so far, total bytes)``; the total is None if the server does not give it."""


class Remote(Strict):
    """A file to download.

    Attributes:
        url: Official address.
        file: Name of the local file.
        checksum: Published checksum, "md5:..." or "sha256:..."; None if there is none.
    """

    url: str
    file: str
    checksum: str | None = None


class _Headers(Strict):
    """The server's headers for the file whose beginning is in ``.part``."""

    url: str
    validator: str | None = None  # ETag (a strong one) or Last-Modified
    size: int | None = None


def fetch(remote: Remote, folder: Path, *, progress: Progress = lambda done, size: None) -> Path:
    """Download a file and check it. A file that is already there is checked, not downloaded again.

    Args:
        remote: The file.
        folder: Target folder.
        progress: Called with the bytes so far and in total.

    Returns:
        The path of the complete, checked file.

    Raises:
        UnetzooError: If the server cannot be reached, answers with an error or breaks off (the next call continues
            from there), the disk is full, or the checksum is wrong.
    """
    target = folder / remote.file
    part = target.with_name(target.name + ".part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            _receive(remote.url, part, progress)
            _verify(remote, part, target)
            part.replace(target)
            part.with_name(part.name + ".json").unlink(missing_ok=True)
        else:
            _verify(remote, target, target)
    except OSError as error:
        raise UnetzooError(_disk(error, folder)) from None
    return target


def _receive(url: str, part: Path, progress: Progress) -> None:
    """Download the rest of ``part``.

    Raises:
        UnetzooError: If the server ends early.
    """
    notes = part.with_name(part.name + ".json")
    known = _noted_headers(notes, url) if part.exists() else None
    have = part.stat().st_size if known else 0
    if known and have and have == known.size:
        return
    if known is None or known.validator is None or known.size is None or have > known.size:
        have = 0  # nothing that could safely be continued
    with _ask(url, have, known) as answer:
        size, goes_on = _sizes(answer, have, known)
        if not goes_on:
            have = 0
        write_atomic(notes, _Headers(url=url, validator=_validator(answer), size=size).model_dump_json())
        with part.open("ab" if goes_on else "wb") as file:
            have = _copy(answer, file, have, size, progress)
    if size is not None and have != size:
        raise UnetzooError(f"{url}: ended after {have} of {size} bytes; run the command again to continue from there")


def _ask(url: str, have: int, known: _Headers | None) -> HTTPResponse:
    headers = {"User-Agent": f"unetzoo/{__version__}", "Accept-Encoding": "identity"}
    if have and known and known.validator is not None:
        headers |= {"Range": f"bytes={have}-", "If-Range": known.validator}
    _check_scheme(url, url)
    try:
        return build_opener(_Redirects()).open(Request(url, headers=headers), timeout=TIMEOUT)  # noqa: S310
    except HTTPError as error:
        raise UnetzooError(f"{url}: the server answers {error.code} {error.reason}") from None
    except (OSError, HTTPException) as error:  # also URLError, which wraps another error as its reason
        reason = error.reason if isinstance(error, URLError) else error
        raise UnetzooError(f"{url}: cannot be reached: {reason or one_line(error)}") from None


def _sizes(answer: HTTPResponse, have: int, known: _Headers | None) -> tuple[int | None, bool]:
    """Return the size of the whole file, and True if the answer begins where ``.part`` ends, not with the whole file.

    Raises:
        UnetzooError: If the answer is for another range or another file.
    """
    if answer.status == 206:
        first, _, total = answer.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        size = int(total) if total.isdigit() else None
        if first.partition("-")[0] != str(have) or (known and known.size not in (None, size)):
            raise UnetzooError(
                f"{answer.url}: asked for the bytes from {have} on, got {first}/{total}; delete the .part file"
            )
        return size, True
    length = answer.headers.get("Content-Length", "")
    return (int(length) if length.isdigit() else None), False


def _copy(answer: HTTPResponse, file: IO[bytes], have: int, size: int | None, progress: Progress) -> int:
    progress(have, size)
    while True:
        try:
            chunk = answer.read(CHUNK)
        except (OSError, HTTPException) as error:  # an error of the connection, not of the disk
            raise UnetzooError(
                f"{answer.url}: broke off after {have} bytes ({one_line(error)}); run the command again to continue "
                "from there"
            ) from None
        if not chunk:
            return have
        file.write(chunk)
        have += len(chunk)
        progress(have, size)


def _verify(remote: Remote, path: Path, target: Path) -> None:
    """Check ``path`` against the published checksum, or else that of the first download of ``target``.

    Raises:
        UnetzooError: If they differ.
    """
    beside = target.with_name(target.name + ".sha256")
    digest = file_digest(path, "sha256")
    kind, _, published = (remote.checksum or "").partition(":")
    first = beside.read_text().split()[:1] if beside.is_file() else []
    if published:
        got, wanted, whose = file_digest(path, kind), published, f"the published {kind}"
    else:
        got, wanted, whose = digest, first[0] if first else digest, f"that of the first download, in {beside.name}"
    if got != wanted:
        if path != target:
            path.unlink()
        raise UnetzooError(f"{target}: its checksum is {got}, not {wanted} ({whose}); the file is not used")
    write_atomic(beside, f"{digest}  {target.name}\n")


def file_digest(path: Path, kind: str) -> str:
    """Return the digest of a file as hex digits; ``kind`` is an algorithm of `hashlib`, such as "sha256"."""
    digest = hashlib.new(kind, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _noted_headers(notes: Path, url: str) -> _Headers | None:
    """Return the headers noted for this address, or None if there are none that can be read."""
    try:
        headers = _Headers(**json.loads(notes.read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return headers if headers.url == url else None


def _validator(answer: HTTPResponse) -> str | None:
    tag = answer.headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified")


class _Redirects(HTTPRedirectHandler):
    def redirect_request(self, req, fp, code, msg, headers, newurl):
        _check_scheme(newurl, req.full_url)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_scheme(url: str, origin: str) -> None:
    """Allow http and https, and no step from https down to http.

    Raises:
        UnetzooError: If the address is refused.
    """
    scheme = urlsplit(url).scheme.lower()
    if scheme not in ("http", "https"):
        raise UnetzooError(f"{origin}: leads to {url!r}, which is not an http address; refused")
    if scheme == "http" and urlsplit(origin).scheme.lower() == "https":
        raise UnetzooError(f"{origin}: leads from https to http ({url}); refused")


def _disk(error: OSError, folder: Path) -> str:
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None)):
        return f"{folder}: the disk is full; the partial download is kept and continues once there is room"
    return f"{error.filename or folder}: {error.strerror or error}"
