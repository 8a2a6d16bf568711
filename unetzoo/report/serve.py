"""The report on 127.0.0.1, made anew as records come in, with the progress of the run above it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from unetzoo._util.language import ENGLISH, _, check_language, language
from unetzoo.errors import UnetzooError
from unetzoo.records.manifest import read_manifest
from unetzoo.records.progress import read_progress
from unetzoo.records.reading import record_files
from unetzoo.report import write_report
from unetzoo.report.page import environment_for

ADDRESS = "127.0.0.1"
LOOK_SECONDS = 1.0
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".md": "text/plain; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
OFFLINE, ONLINE = "default-src 'none';", "default-src 'none'; connect-src 'self';"


class Refresher:
    """Writes the report again whenever the records have changed.

    Args:
        folder: Output folder of a run, or of a collection.
        write: Writes the report of a folder.
        lang: Language of what is said above the report, from `unetzoo._util.language.LANGUAGES`.
    """

    def __init__(self, folder: Path, write: Callable[[Path], object] = write_report, lang: str = ENGLISH) -> None:
        check_language(lang)
        self.folder, self.lang = folder, lang
        self.version = 0  # of the report; the page loads itself again when it grows
        self.problem = ""
        self._write = write
        self._seen: tuple[object, ...] | None = None
        self._end = threading.Event()

    def look(self) -> None:
        """Write the report if the records are others than at the last look; keep why it could not be."""
        with language(self.lang):
            self._look()

    def _look(self) -> None:
        try:
            if not self.folder.is_dir():
                raise UnetzooError(_("{folder}: the folder is gone", folder=self.folder))
            seen = _signature(self.folder)
            if not seen:
                self.problem = _("no trial has ended yet")
            elif seen != self._seen:
                self._write(self.folder)
                self._seen, self.problem, self.version = seen, "", self.version + 1
        except UnetzooError as error:
            self.problem = str(error)

    def run(self) -> None:
        """Look again and again until `stop`; a report that takes long is made less often."""
        while not self._end.is_set():
            begun = time.monotonic()
            self.look()
            self._end.wait(max(LOOK_SECONDS, 2 * (time.monotonic() - begun)))

    def stop(self) -> None:
        """End `run`."""
        self._end.set()

    def state(self) -> dict[str, Any]:
        """Return what the page shows above the report."""
        found = read_progress(self.folder)
        state: dict[str, Any] = {"version": self.version, "problem": self.problem, "progress": None}
        if found is not None:
            progress, written = found
            state |= {"progress": progress.model_dump(), "left": progress.left, "age": max(0.0, time.time() - written)}
        return state


def _signature(folder: Path) -> tuple[object, ...]:
    """Return names and times of all records, also those of a collection's data sets."""
    manifest = read_manifest(folder)
    folders = [folder / label for label in manifest.data] if manifest else [folder]
    found = []
    for path in (path for each in folders for path in record_files(each)):
        with suppress(OSError):
            found.append((str(path), path.stat().st_mtime_ns))
    return tuple(found)


def make_server(refresher: Refresher, port: int) -> ThreadingHTTPServer:
    """Return a server of the report, which listens on 127.0.0.1 alone.

    Args:
        refresher: Keeps the report up to date.
        port: Port; 0 takes a free one.

    Raises:
        UnetzooError: If the port is in use or may not be used.
    """
    handler = type("Handler", (_Handler,), {"refresher": refresher})
    try:
        return _Server((ADDRESS, port), handler)
    except OSError as error:
        why = error.strerror or str(error)
        raise UnetzooError(f"port {port} on {ADDRESS}: {why}; give another one, or 0 for any free one") from None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = False  # a port that another server uses is refused on every system


class _Handler(BaseHTTPRequestHandler):
    refresher: Refresher
    server_version, sys_version = "unetzoo", ""

    def do_GET(self) -> None:
        with language(self.refresher.lang):  # each request has a thread of its own
            self._answer()

    def _answer(self) -> None:
        address = f"{ADDRESS}:{self.connection.getsockname()[1]}"
        if self.headers.get("Host") not in (address, address.replace(ADDRESS, "localhost")):
            self._send(403, "text/plain", b"this server answers on 127.0.0.1 alone\n")
            return
        path = unquote(urlsplit(self.path).path)
        if path == "/live.json":
            self._send(200, "application/json", json.dumps(self.refresher.state()).encode())
            return
        name = path.lstrip("/") or "index.html"
        content = self._file(name + "index.html" if name.endswith("/") else name)
        if content is not None:
            self._send(200, *content)
        elif name == "index.html":
            page = environment_for("waiting.html.j2").get_template("waiting.html.j2")
            text = page.render(title=self.refresher.folder.name, problem=self.refresher.problem)
            self._send(200, KINDS[".html"], _live(text).encode())
        else:
            self._send(404, "text/plain", b"no such page\n")

    def _file(self, name: str) -> tuple[str, bytes] | None:
        """Return kind and content of a file of the report; None for all else."""
        folder = self.refresher.folder.resolve()
        try:
            path = (folder / name).resolve()
            if path.suffix not in KINDS or not path.is_relative_to(folder):
                return None
            content = path.read_bytes()
        except (OSError, ValueError):
            return None
        if path.name == "index.html":
            content = _live(content.decode()).encode()
        return KINDS[path.suffix], content

    def _send(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        with suppress(ConnectionError):  # the browser has gone on
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the terminal shows the address alone."""


def _live(page: str) -> str:
    """Return a page with the script that shows the progress and loads the page again."""
    script = environment_for("live.js.j2").get_template("live.js.j2").render()
    return page.replace(OFFLINE, ONLINE, 1).replace("</body>", f"<script>\n{script}</script>\n</body>")


def serve(
    folder: Path,
    port: int,
    ready: Callable[[str], None],
    write: Callable[[Path], object] = write_report,
    lang: str = ENGLISH,
) -> None:
    """Serve the report of a folder until Ctrl-C.

    Args:
        folder: Output folder of a run, or of a collection; records may still come in.
        port: Port on 127.0.0.1; 0 takes a free one.
        ready: Called with the address.
        write: Writes the report of a folder.
        lang: Language of what is said above the report, from `unetzoo._util.language.LANGUAGES`.

    Raises:
        UnetzooError: If the folder is missing, the language is unknown, or the port is in use.
    """
    if not folder.is_dir():
        raise UnetzooError(f"{folder}: no such folder")
    refresher = Refresher(folder, write, lang)
    with make_server(refresher, port) as server:
        thread = threading.Thread(target=refresher.run, daemon=True)
        thread.start()
        ready(f"http://{ADDRESS}:{server.server_address[1]}/")
        try:
            with suppress(KeyboardInterrupt):
                server.serve_forever()
        finally:
            refresher.stop()
