"""Downloads from a local server in a thread, and malicious archives; nothing here leaves the machine."""

from __future__ import annotations

import errno
import hashlib
import io
import stat
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from unetzoo.data.named import download
from unetzoo.data.named.download import Remote, fetch
from unetzoo.data.named.unpack import unpack
from unetzoo.errors import UnetzooError

BODY = bytes(range(256)) * 4000  # about 1 MB: several chunks
SHA = hashlib.sha256(BODY).hexdigest()
MD5 = hashlib.md5(BODY).hexdigest()


class Server(ThreadingHTTPServer):
    """A server whose content and behaviour the tests set; ``asked`` has the Range headers it received."""

    daemon_threads = True
    body, etag, ranges, cut, status, location = BODY, '"one"', True, 0, 200, ""
    length = True  # send the number of bytes to come

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str | None] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/set.zip"

    def handle_error(self, request, client_address) -> None:
        """Stay silent: a client that hangs up is part of the tests."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *args) -> None:
        pass

    def do_GET(self) -> None:
        server, wanted = self.server, self.headers.get("Range")
        server.asked.append(wanted)
        if server.status != 200:
            self.send_response(server.status)
            if server.location:
                self.send_header("Location", server.location)
            self.end_headers()
            return
        begin = 0
        if server.ranges and wanted and self.headers.get("If-Range") == server.etag:
            begin = int(wanted.removeprefix("bytes=").rstrip("-"))
        body = server.body[begin:]
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(server.body) - 1}/{len(server.body)}")
        self.send_header("ETag", server.etag)
        if server.length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: server.cut] if server.cut else body)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def remote(server: Server, checksum: str | None = f"sha256:{SHA}") -> Remote:
    return Remote(url=server.url, file="set.zip", checksum=checksum)


def test_a_file_is_fetched_once(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    path = fetch(remote(server), tmp_path / "new", progress=lambda done, size: seen.append((done, size)))
    assert path.read_bytes() == BODY
    assert seen[0] == (0, len(BODY))
    assert seen[-1] == (len(BODY), len(BODY))
    assert fetch(remote(server), tmp_path / "new") == path
    assert len(server.asked) == 1
    assert sorted(p.name for p in path.parent.iterdir()) == ["set.zip", "set.zip.sha256"]
    assert (tmp_path / "new/set.zip.sha256").read_text() == f"{SHA}  set.zip\n"


def cut_off(server: Server, folder: Path, at: int = 300_000) -> None:
    server.cut = at
    with pytest.raises(UnetzooError, match="run the command again to continue from there"):
        fetch(remote(server), folder)
    server.cut = 0
    assert (folder / "set.zip.part").stat().st_size == at


def test_it_goes_on_where_it_was_cut(server: Server, tmp_path: Path) -> None:
    cut_off(server, tmp_path)
    assert fetch(remote(server), tmp_path).read_bytes() == BODY
    assert server.asked == [None, "bytes=300000-"]


def test_it_is_cut_twice(server: Server, tmp_path: Path) -> None:
    cut_off(server, tmp_path)
    server.cut = 100_000
    with pytest.raises(UnetzooError, match=r"after 400000|400000 of 1024000"):
        fetch(remote(server), tmp_path)
    server.cut = 0
    assert fetch(remote(server), tmp_path).read_bytes() == BODY


def test_a_server_without_ranges_sends_it_all_again(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    cut_off(server, tmp_path)
    assert fetch(remote(server), tmp_path).read_bytes() == BODY
    assert server.asked[-1] == "bytes=300000-"


def test_a_file_that_changed_meanwhile_is_not_glued(server: Server, tmp_path: Path) -> None:
    cut_off(server, tmp_path)
    server.body, server.etag = BODY[::-1], '"two"'
    assert fetch(remote(server, None), tmp_path).read_bytes() == BODY[::-1]


def test_without_a_validator_it_begins_anew(server: Server, tmp_path: Path) -> None:
    server.etag = 'W/"weak"'
    cut_off(server, tmp_path)
    assert fetch(remote(server), tmp_path).read_bytes() == BODY
    assert server.asked == [None, None]


def test_without_a_size_it_begins_anew(server: Server, tmp_path: Path) -> None:
    server.length, server.cut = False, 300_000
    with pytest.raises(UnetzooError, match="its checksum is"):  # nothing else can tell that it was cut
        fetch(remote(server), tmp_path)
    (tmp_path / "set.zip.part").write_bytes(BODY[:1000])
    server.cut = 0
    assert fetch(remote(server), tmp_path).read_bytes() == BODY
    assert server.asked == [None, None]


def test_a_part_of_another_address_is_not_used(server: Server, tmp_path: Path) -> None:
    cut_off(server, tmp_path)
    server.url += "?other"
    assert fetch(remote(server), tmp_path).read_bytes() == BODY
    assert server.asked == [None, None]


@pytest.mark.parametrize("checksum", [f"sha256:{SHA}", f"md5:{MD5}"])
def test_a_wrong_checksum_is_no_file(server: Server, tmp_path: Path, checksum: str) -> None:
    server.body = BODY[:-1] + b"x"
    with pytest.raises(UnetzooError, match=rf"set\.zip: its checksum is \w+, not {checksum.partition(':')[2]}"):
        fetch(remote(server, checksum), tmp_path)
    assert not (tmp_path / "set.zip").exists()
    server.body = BODY
    assert fetch(remote(server, checksum), tmp_path).read_bytes() == BODY


def test_a_damaged_file_that_is_there_is_said(server: Server, tmp_path: Path) -> None:
    (tmp_path / "set.zip").write_bytes(b"other")
    with pytest.raises(UnetzooError, match="the published sha256"):
        fetch(remote(server), tmp_path)
    assert (tmp_path / "set.zip").read_bytes() == b"other"  # a user's own file must not be deleted


def test_where_no_checksum_is_published_the_first_download_counts(server: Server, tmp_path: Path) -> None:
    fetch(remote(server, None), tmp_path).unlink()
    server.body, server.etag = BODY[::-1], '"two"'
    with pytest.raises(UnetzooError, match=r"first download, in set\.zip\.sha256"):
        fetch(remote(server, None), tmp_path)


@pytest.mark.parametrize("status", [403, 404, 500])
def test_an_answer_that_is_an_error(server: Server, tmp_path: Path, status: int) -> None:
    server.status = status
    with pytest.raises(UnetzooError, match=rf"set\.zip: the server answers {status}"):
        fetch(remote(server), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://127.0.0.1/set.zip"])
def test_only_the_web_is_followed(server: Server, tmp_path: Path, location: str) -> None:
    server.status, server.location = 302, location
    with pytest.raises(UnetzooError, match=r"not an http address; refused|answers 302"):
        fetch(remote(server), tmp_path)
    with pytest.raises(UnetzooError, match="not an http address; refused"):
        fetch(Remote(url=location, file="set.zip"), tmp_path)


def test_a_redirect_within_the_web_is_followed(server: Server, tmp_path: Path) -> None:
    with Server() as front:
        front.status, front.location = 302, server.url
        thread = threading.Thread(target=front.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        assert fetch(remote(front), tmp_path).read_bytes() == BODY
        front.shutdown()
        thread.join()


def test_never_from_https_to_http() -> None:
    with pytest.raises(UnetzooError, match="from https to http"):
        download._check_scheme("http://example.org/a.zip", "https://example.org/a.zip")


def test_nobody_answers(server: Server, tmp_path: Path) -> None:
    url = "http://127.0.0.1:9/set.zip"  # the discard port: closed
    with pytest.raises(UnetzooError, match=r"^http://127\.0\.0\.1:9/set\.zip: cannot be reached: .*refused"):
        fetch(Remote(url=url, file="set.zip"), tmp_path)


def test_a_server_that_falls_silent(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "TIMEOUT", 0.2)
    monkeypatch.setattr(Handler, "do_GET", lambda self: threading.Event().wait(1))
    with pytest.raises(UnetzooError, match=r"cannot be reached: .*timed out"):
        fetch(remote(server), tmp_path)


def test_a_full_disk_keeps_what_came(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cut_off(server, tmp_path)

    def full(*args) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(download, "_copy", full)
        with pytest.raises(UnetzooError, match="the disk is full; the partial download is kept"):
            fetch(remote(server), tmp_path)
    assert fetch(remote(server), tmp_path).read_bytes() == BODY


def test_ctrl_c_keeps_what_came(server: Server, tmp_path: Path) -> None:
    def interrupt(done: int, size: int | None) -> None:
        if done > 500_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(remote(server), tmp_path, progress=interrupt)
    assert fetch(remote(server), tmp_path).read_bytes() == BODY
    assert server.asked[1] is not None


# archives


def make_zip(path: Path, members: dict[str, bytes], mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = mode << 16
            archive.writestr(info, content)
    return path


def make_tar(path: Path, *members: tuple[str, bytes, str]) -> Path:
    """Write a tar file; members are (name, tarfile type, link target)."""
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        for name, kind, link in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            info.size = 5 if kind == tarfile.REGTYPE else 0
            archive.addfile(info, io.BytesIO(b"hello") if info.size else None)
    return path


def refused(archive: Path, match: str, **limits: int) -> None:
    """Check that nothing is written, neither in the folder nor beside it."""
    out = archive.parent / "out"
    before = sorted(p.name for p in archive.parent.iterdir())
    with pytest.raises(UnetzooError, match=match):
        unpack(archive, out, **limits)
    assert sorted(p.name for p in archive.parent.iterdir()) == before


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tgz"])
def test_a_tar_is_unpacked(tmp_path: Path, name: str) -> None:
    archive = make_tar(
        tmp_path / name,
        ("./set", tarfile.DIRTYPE, ""),
        ("./set/a.txt", tarfile.REGTYPE, ""),
        ("b", tarfile.REGTYPE, ""),
    )
    unpack(archive, tmp_path / "out")
    assert sorted(p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*")) == [
        "b",
        "set",
        "set/a.txt",
    ]
    assert (tmp_path / "out/set/a.txt").read_bytes() == b"hello"


def test_a_zip_is_unpacked(tmp_path: Path) -> None:
    unpack(make_zip(tmp_path / "a.zip", {"set/": b"", "set/a b.txt": b"hello", "c": b""}), tmp_path / "out")
    assert (tmp_path / "out/set/a b.txt").read_bytes() == b"hello"
    assert (tmp_path / "out/c").read_bytes() == b""


EVIL = ["../evil", "a/../../evil", "/tmp/evil", "C:/evil", "..\\evil", "a/.."]


@pytest.mark.parametrize("name", EVIL)
def test_what_would_leave_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    refused(make_zip(tmp_path / "a.zip", {"good": b"1", name: b"2"}), "would leave the folder")
    tar = make_tar(tmp_path / "a.tar", ("good", tarfile.REGTYPE, ""), (name, tarfile.REGTYPE, ""))
    refused(tar, "would leave the folder")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    tar = make_tar(tmp_path / "a.tar.gz", ("good", tarfile.REGTYPE, ""), ("bad", kind, "good"))
    refused(tar, "member 'bad' is not a plain file")


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    refused(
        make_zip(tmp_path / "a.zip", {"bad": b"/etc/passwd"}, mode=stat.S_IFLNK | 0o777), "'bad' is not a plain file"
    )


def test_bombs_are_refused(tmp_path: Path) -> None:
    bomb = make_zip(tmp_path / "a.zip", {"zeros": bytes(1 << 22)})
    assert bomb.stat().st_size < 1 << 14
    refused(bomb, "more than .* bytes when unpacked", most_bytes=1 << 21)
    refused(make_zip(tmp_path / "b.zip", {str(i): b"" for i in range(20)}), "more than 10 files", most_members=10)


def test_a_tar_bomb_is_refused_before_it_is_inflated(tmp_path: Path) -> None:
    header = tarfile.TarInfo("zeros")
    header.size = 1 << 50
    (tmp_path / "a.tar").write_bytes(header.tobuf() + bytes(1 << 12))
    refused(tmp_path / "a.tar", "more than .* bytes when unpacked")


def test_a_name_that_stands_twice_is_refused(tmp_path: Path) -> None:
    refused(make_tar(tmp_path / "a.tar", ("a", tarfile.REGTYPE, ""), ("./a", tarfile.REGTYPE, "")), "occurs twice")


def test_more_than_the_disk_holds_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = make_zip(tmp_path / "a.zip", {"a": b"12345"})
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 4}))
    refused(archive, "not enough room on the disk")


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.rar"])
def test_what_is_no_archive_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"no archive at all")
    refused(tmp_path / name, "damaged|cannot be unpacked|not a supported archive")


def test_a_truncated_archive_writes_nothing(tmp_path: Path) -> None:
    whole = make_tar(tmp_path / "a.tar.gz", *((f"{i}", tarfile.REGTYPE, "") for i in range(200)))
    (tmp_path / "b.tar.gz").write_bytes(whole.read_bytes()[:-200])
    refused(tmp_path / "b.tar.gz", "damaged|cannot be unpacked")


def test_what_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/set").write_text("mine")
    with pytest.raises(UnetzooError, match="out/set: already exists"):
        unpack(make_zip(tmp_path / "a.zip", {"set/a": b"theirs"}), tmp_path / "out")
    assert (tmp_path / "out/set").read_text() == "mine"
