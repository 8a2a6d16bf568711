"""`report --serve`: a report that refreshes while records come in, on 127.0.0.1 alone."""

from __future__ import annotations

import http.client
import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.browser import browser, opened
from support.records import folder_of, noisy, record
from unetzoo.errors import UnetzooError
from unetzoo.records.progress import PROGRESS, Progress, RunningTrial
from unetzoo.report.serve import Refresher, make_server, serve


def quick(folder: Path) -> None:
    """Write a page in no time."""
    names = sorted(path.stem for path in (folder / "records").glob("*.json"))
    (folder / "index.html").write_text(
        f"<head><meta content=\"default-src 'none';\"></head><body><main>{names}</main></body>"
    )


@contextmanager
def served(folder: Path) -> Iterator[tuple[Refresher, int]]:
    refresher = Refresher(folder, quick)
    with make_server(refresher, 0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield refresher, server.server_address[1]
        server.shutdown()
        thread.join()


def get(port: int, path: str, host: str = "") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    found = answer.status, answer.read().decode()
    connection.close()
    return found


def test_it_follows_the_records_and_the_run(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "run")
    running = RunningTrial(name="unet seed 1", phase="train", step=5, steps=10, loss=0.4, curve=[(1, 0.9, None)])
    (folder / PROGRESS).mkdir()
    progress = folder / PROGRESS / "one.json"
    progress.write_text(Progress(total=4, done=1, failed=1, seconds=30, running=[running]).model_dump_json())
    with served(folder) as (refresher, port):
        refresher.look()
        status, text = get(port, "/")
        assert status == 200
        assert "There is no report yet: no trial has ended yet" in text
        state = json.loads(get(port, "/live.json")[1])
        assert state["version"] == 0
        assert state["left"] == pytest.approx(30 / 1.5 * 2.5)
        assert state["progress"]["running"][0]["name"] == "unet seed 1"
        assert state["age"] < 60
        (folder / "records" / "a.json").write_text(json.dumps(record("unet", 0)))
        refresher.look()
        refresher.look()
        assert json.loads(get(port, "/live.json")[1])["version"] == 1
        page = get(port, "/")[1]
        assert "['a']" in page
        assert "live.json" in page
        assert "connect-src 'self'" in page
        assert "live.json" not in (folder / "index.html").read_text()
        progress.unlink()
        assert json.loads(get(port, "/live.json")[1])["progress"] is None


def test_a_folder_that_vanishes_is_said(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "run", record("unet", 0))
    with served(folder) as (refresher, port):
        refresher.look()
        shutil.rmtree(folder)
        refresher.look()
        assert "the folder is gone" in json.loads(get(port, "/live.json")[1])["problem"]
        assert "the folder is gone" in get(port, "/")[1]


def test_it_serves_the_report_alone(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "run", record("unet", 0))
    (tmp_path / "secret.html").write_text("secret")
    (folder / "variants").mkdir()
    (folder / "variants" / "unet.html").write_text("own page")
    (folder / "link.html").symlink_to(tmp_path / "secret.html")
    with served(folder) as (_, port):
        assert get(port, "/variants/unet.html?x#y") == (200, "own page")
        for path in ("/../secret.html", "/%2e%2e/secret.html", "//etc/passwd", "/link.html", "/records/", "/a%00.html"):
            assert get(port, path)[0] == 404
        assert get(port, f"/records/{next((folder / 'records').iterdir()).name}")[0] == 404
        assert get(port, "/", host="evil.example")[0] == 403
        assert get(port, "/live.json", host=f"localhost:{port}")[0] == 200
        with pytest.raises(OSError, match=r"refused|unreachable|timed out"):
            socket.create_connection((socket.gethostbyname("127.0.0.2"), port), timeout=2)


def test_a_port_in_use_and_a_missing_folder_are_one_line(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "run", record("unet", 0))
    with (
        served(folder) as (_, port),
        pytest.raises(UnetzooError, match=rf"port {port} on 127\.0\.0\.1: .*give another"),
    ):
        serve(folder, port, print)
    with pytest.raises(UnetzooError, match="nothing here: no such folder"):
        serve(tmp_path / "nothing here", 0, print)


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[None]:
    """Kill the process if the test fails meanwhile; nothing else would end it."""
    try:
        yield
    finally:
        if process.poll() is None:
            process.kill()


def test_the_command_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "run", *(noisy(label, seed, 0.8) for label in ("unet", "b") for seed in (0, 1, 2)))
    command = [sys.executable, "-m", "unetzoo.cli", "report", str(folder), "--serve", "0"]

    def heeding() -> None:  # a shell starts what runs in its background deaf to Ctrl-C
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes, preexec_fn=heeding) as process, ended(process):
        assert process.stdout is not None
        line = process.stdout.readline()
        port = int(line.partition("127.0.0.1:")[2].partition("/")[0])
        end = time.monotonic() + 60
        while json.loads(get(port, "/live.json")[1])["version"] == 0:
            assert time.monotonic() < end
            time.sleep(0.2)
        busy = subprocess.run([*command[:-1], str(port)], capture_output=True, text=True)
        assert busy.returncode == 2
        assert busy.stderr.count("\n") == 1
        assert f"port {port} on 127.0.0.1" in busy.stderr
        with browser() as started, opened(started, f"http://127.0.0.1:{port}/", requests=True) as page:
            page.wait_for_selector("#live b")
            assert page.inner_text("#live b") == "No run goes on in this folder."
            progress = Progress(total=4, done=1, seconds=30, running=[RunningTrial(name="<b>unet</b> seed 1")])
            (folder / PROGRESS).mkdir()
            (folder / PROGRESS / "one.json").write_text(progress.model_dump_json())
            page.wait_for_selector("#live div")
            assert "1 of 4 trials done, 1 running, 0 failed, about 90 s left" in page.inner_text("#live")
            assert "<b>unet</b> seed 1: starting" in page.inner_text("#live")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert "stopped" in process.stdout.read()
