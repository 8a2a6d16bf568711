"""A real browser for tests of pages: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
LOCAL = ("file:", "data:", "blob:")


@contextmanager
def browser() -> Iterator[Any]:
    """Start the browser; skip the test where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip(f"no browser: looked for {', '.join(NAMES)}")
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield started
        started.close()


@contextmanager
def opened(browser: Any, url: str, *, requests: bool = False, **options: Any) -> Iterator[Any]:
    """Open a page, and check at the end that it logged no error and, unless ``requests``, asked nobody for anything.

    Args:
        browser: From `browser`.
        url: Address of the page.
        requests: True if the page may send requests to 127.0.0.1.
        **options: Of the browser's context, such as ``color_scheme`` or ``viewport``.
    """
    context = browser.new_context(viewport={"width": 1400, "height": 900}, **options)
    page = context.new_page()
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    allowed = (*LOCAL, "http://127.0.0.1:") if requests else LOCAL
    page.on("request", lambda asked: None if asked.url.startswith(allowed) else errors.append(asked.url))
    page.goto(url)
    yield page
    context.close()
    assert errors == []


def serious(page: Any) -> list[str]:
    """Return what axe-core finds serious or critical on a page."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    found = axe.Axe().run(page).response["violations"]
    return [
        f"{v['id']}: {v['help']}: {v['nodes'][0]['html'][:200]} {v['nodes'][0].get('failureSummary', '')}"
        for v in found
        if v["impact"] in ("serious", "critical")
    ]
