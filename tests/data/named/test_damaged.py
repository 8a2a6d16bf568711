"""Archives with flipped bits or odd members, and answers of servers that are empty, endless or lead nowhere."""

from __future__ import annotations

import gzip
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from unetzoo.data.named.download import Remote, fetch
from unetzoo.data.named.unpack import unpack
from unetzoo.errors import UnetzooError

FILES = {f"set/{k}.bin": np.random.default_rng(k).integers(0, 256, 700, dtype=np.uint8).tobytes() for k in range(3)}


def make_tar(path: Path, files: dict[str, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def unpacked(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tgz", "a.tar"])
def test_a_sound_tar_is_unpacked(tmp_path: Path, name: str) -> None:
    archive = make_tar(tmp_path / name, FILES, "w" if name == "a.tar" else "w:gz")
    unpack(archive, tmp_path / "out")
    assert unpacked(tmp_path / "out") == FILES


def test_no_flipped_bit_of_a_tar_gz_is_silently_wrong(tmp_path: Path) -> None:
    content = make_tar(tmp_path / "whole.tar.gz", FILES).read_bytes()
    refused = 0
    for k, at in enumerate(range(10, len(content), 23)):
        (archive := tmp_path / f"{k}.tar.gz").write_bytes(
            content[:at] + bytes([content[at] ^ 1 << k % 8]) + content[at + 1 :]
        )
        out = tmp_path / f"out{k}"
        try:
            unpack(archive, out)
        except UnetzooError as error:
            text = str(error)
        else:  # a bit without a meaning
            assert unpacked(out) == FILES
            continue
        assert text.startswith(str(archive))
        assert "download it again" in text
        assert "\n" not in text
        assert not unpacked(out)
        refused += 1
    assert refused > 80


def test_a_stored_tar_gz_with_another_payload_fails_its_checksum(tmp_path: Path) -> None:
    inner = make_tar(tmp_path / "a.tar", FILES, "w").read_bytes()
    content = bytearray(gzip.compress(inner, compresslevel=0))
    at = content.index(FILES["set/1.bin"])
    content[at + 5] ^= 4
    (archive := tmp_path / "b.tar.gz").write_bytes(content)
    with pytest.raises(UnetzooError, match="CRC check failed"):
        unpack(archive, tmp_path / "out")
    assert not unpacked(tmp_path / "out")


def test_a_damaged_header_in_a_tar_is_not_taken_for_its_end(tmp_path: Path) -> None:
    content = bytearray(make_tar(tmp_path / "a.tar", FILES, "w").read_bytes())
    content[content.index(b"set/1.bin")] ^= 1
    (archive := tmp_path / "b.tar").write_bytes(content)
    with pytest.raises(UnetzooError, match=r"the header at byte 1536 is damaged"):
        unpack(archive, tmp_path / "out")


def test_what_follows_a_tar_is_not_read_without_end(tmp_path: Path) -> None:
    inner = make_tar(tmp_path / "a.tar", FILES, "w").read_bytes()
    (archive := tmp_path / "b.tar.gz").write_bytes(gzip.compress(inner + bytes(4 << 20)))
    with pytest.raises(UnetzooError, match="more than 1000000 bytes follow its last member"):
        unpack(archive, tmp_path / "out", most_bytes=1_000_000)


def test_a_damaged_lzma_zip_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("set/a.bin", FILES["set/0.bin"] * 3)
    content = bytearray((tmp_path / "a.zip").read_bytes())
    for at in range(45, 60):
        content[at] ^= 0xFF
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(UnetzooError, match="is damaged or of an unsupported kind"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_a_member_with_an_empty_name_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("b", b"x")
        archive.infolist()[0].filename = ""
        archive.infolist()[0].orig_filename = ""
    with pytest.raises(UnetzooError, match="a member has an empty name"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_a_path_of_thousands_of_levels_is_refused(tmp_path: Path) -> None:
    archive = make_tar(tmp_path / "a.tar.gz", {"a/" * 2000 + "b": b"x"})
    with pytest.raises(UnetzooError, match="lies 2001 levels deep; at most 64"):
        unpack(archive, tmp_path / "out")


class Handler(BaseHTTPRequestHandler):
    """Serves, by path: nothing, an endless file, a file of a stated size, or a redirect to a broken address."""

    def log_message(self, *args) -> None:
        pass

    def do_GET(self) -> None:
        kind = self.path.strip("/")
        self.send_response(302 if kind == "broken" else 200)
        if kind == "broken":
            self.send_header("Location", "http://[::1")
        if kind in ("empty", "stated"):
            self.send_header("Content-Length", "0" if kind == "empty" else str(10**6))
        self.end_headers()
        if kind == "endless":
            for _ in range(200):
                self.wfile.write(bytes(10_000))


@pytest.fixture
def address() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.handle_error = lambda *args: None
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("empty", "the server sends an empty file"),
        ("nothing", "the server sends an empty file"),
        ("stated", "the file has 1000000 bytes; at most 100000 are downloaded"),
        ("endless", "sends more than 100000 bytes"),
        ("broken", "cannot be reached: Invalid IPv6 URL"),
    ],
)
def test_an_odd_answer_leaves_nothing(tmp_path: Path, address: str, kind: str, words: str) -> None:
    for _ in range(2):  # nothing of the first try may pass for the file at the second
        with pytest.raises(UnetzooError, match=words):
            fetch(Remote(url=f"{address}/{kind}", file="a.zip"), tmp_path, most_bytes=100_000)
        assert not (tmp_path / "a.zip").exists()
        assert not (tmp_path / "a.zip.sha256").exists()


def test_an_empty_file_that_is_there_is_not_pinned(tmp_path: Path) -> None:
    (tmp_path / "a.zip").touch()
    with pytest.raises(UnetzooError, match=r"a\.zip: is empty; delete it"):
        fetch(Remote(url="http://127.0.0.1:1/a.zip", file="a.zip"), tmp_path)
    assert not (tmp_path / "a.zip.sha256").exists()
