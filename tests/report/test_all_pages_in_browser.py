"""Committed pages, a merged and a served one in a real browser: accessible, fitting, without a request or an error."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.browser import browser, opened, serious
from support.records import NASTY, folder_of, noisy
from unetzoo.records.progress import PROGRESS, Progress, RunningTrial
from unetzoo.report.merged_page import build_merged
from unetzoo.report.serve import Refresher, make_server

REPORTS = Path(__file__).parents[2] / "reports"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Return the address of each page."""
    path = tmp_path_factory.mktemp("pages")
    folders = []
    for machine in ("cpu A", "gpu <b>B"):
        made = [noisy(label, s, mean) for label, mean in (("unet", 0.7), (NASTY, 0.8)) for s in range(3)]
        for one in made:
            one["environment"] |= {"device_name": machine}
            one["id"] = f"{one['id']}{one['trial']['seed']}{machine[0]}"
        folders.append(folder_of(path / machine[:3], *made))
    merged = build_merged(folders, path / "merged")
    live = folder_of(path / "live", noisy("unet", 0, 0.8))
    shutil.copy(REPORTS / "overhead/index.html", live)
    running = RunningTrial(name=NASTY, phase="train", step=5, steps=10, loss=0.4, curve=[(1, 0.9, None), (5, 0.4, 0.5)])
    (live / PROGRESS).mkdir()
    (live / PROGRESS / "one.json").write_text(
        Progress(total=4, done=1, failed=1, seconds=30, running=[running]).model_dump_json()
    )
    with make_server(Refresher(live, lambda folder: None), 0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield {
            "zoo": (REPORTS / "zoo/index.html").as_uri(),
            "collection": (REPORTS / "worlds/index.html").as_uri(),
            "merged": merged.as_uri(),
            "served": f"http://127.0.0.1:{server.server_address[1]}/",
        }
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("name", ["zoo", "collection", "merged", "served"])
def test_a_page_is_accessible_and_fits(chromium: Any, pages: dict[str, str], name: str) -> None:
    with opened(chromium, pages[name], requests=name == "served", color_scheme="dark") as page:
        if name == "served":
            page.wait_for_selector("text=1 of 4")
        if name == "merged":  # the committed ones may be older than the style sheet
            page.emulate_media(media="print")
            page.set_viewport_size({"width": 718, "height": 1000})  # A4 upright
            assert page.evaluate("document.documentElement.scrollWidth") <= 718
            page.emulate_media(media="screen")
        page.set_viewport_size({"width": 390, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.evaluate("document.querySelectorAll('tr:nth-child(n + 6)').forEach((row) => row.remove())")  # axe is slow
        assert serious(page) == []
