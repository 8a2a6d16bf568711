"""The pages in a real browser: limits, recommendation, sorting, filters, front, address, downloads, themes, phones."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from support.browser import browser, opened, serious
from support.records import NASTY, baseline, everything, folder_of, full, record, timing
from unetzoo._util.text import visible
from unetzoo.errors import UnetzooError
from unetzoo.records.frame import load
from unetzoo.report import write_report
from unetzoo.report.judgement import judge_all
from unetzoo.report.limits import read_limits
from unetzoo.report.page import pages
from unetzoo.report.recommend import choose, field_of
from unetzoo.report.sections import context
from unetzoo.report.statistics import summarise

FORMULA = '=HYPERLINK("x"),</script>\u2028\u202e💥'
SHOWN = visible(FORMULA)
SCORES = {"unet": 0.80, "unet_slow": 0.801, "unet_d2": 0.75, "unet_noskip": 0.70, FORMULA: 0.77, "unet_twin": 0.8}


def pictures(folder: Path, labels: list[str]) -> list[dict[str, list[dict[str, str]]]]:
    """Write two test images and each label's predictions; the labels disagree on the second one alone."""
    images = folder / "records" / "images"
    images.mkdir(parents=True)
    truth = np.zeros((48, 48), np.uint8)
    truth[12:36, 12:36] = 1
    for name, pixels in (("image", truth * 180), ("truth", truth)):
        Image.fromarray(pixels).save(images / f"{name}.png")
    made = []
    for k in range(len(labels)):
        for n in range(2):
            Image.fromarray(np.roll(truth, k * n, 1)).save(images / f"p{k}-{n}.png")
        files = {"image": "images/image.png", "truth": "images/truth.png"}
        made.append(
            {"samples": [{"key": f"slice_{n}", **files, "prediction": f"images/p{k}-{n}.png"} for n in range(2)]}
        )
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the report of six variants, of which one has a hostile name, and what was learnt nothing."""
    path = tmp_path_factory.mktemp("page") / "run"
    samples = pictures(path, list(SCORES))
    made = []
    for k, (label, mean) in enumerate(SCORES.items()):
        for seed in (0, 1, 2):
            one = full(label, seed, mean, noise=label == "unet_noskip", unit=2 + k, **(samples[k] if not seed else {}))
            one["id"] = f"{k:08x}{seed}"
            one["cost"]["params"] = (7 - k) * 10**6
            if label == "unet_slow":  # as fast as unet within the noise, with fewer parameters
                one["cost"] |= {"latency_p50_ms": 20.8 + seed, "timings": [timing("float32", 20.8 + seed)]}
            made.append(one)
    made.append(record("unet_big", 0, status="oom", log_tail="killed </pre><script>alert(1)</script>"))
    made.append(baseline("otsu", 0.41))
    for one in made:
        (path / "records" / f"{one['id']}.json").write_text(json.dumps(one))
    write_report(path)
    return path


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as started:
        yield started


@pytest.fixture
def page(chromium: Any, folder: Path) -> Iterator[Any]:
    with opened(chromium, (folder / "index.html").as_uri()) as found:
        yield found


def labels(page: Any) -> list[str]:
    """Return the variants that the table shows, in order."""
    cells = "#variants tbody:first-of-type tr:not([hidden]) td:first-child"
    return page.eval_on_selector_all(cells, "cells => cells.map(c => c.firstChild.textContent)")


def test_it_recommends_what_the_command_does(page: Any, folder: Path) -> None:
    t = load(folder)
    j = judge_all(t)
    rows = summarise(t).to_dict("records")
    asked = [{}, {"max_params": "5M"}, {"max_params": "4.5M"}, {"max_latency": "30ms"}, {"max_memory": "127MiB"}]
    asked += [{"max_params": "6.5M", "max_latency": "55ms"}, {"max_time": "1s"}, {"max_params": "2500k"}]
    named, refusals, ties = set(), [], 0
    for metric in ("dice", "nsd", "hd95"):
        page.select_option("#metric", metric)
        for given in asked:
            page.click("#reset")
            page.select_option("#metric", metric)
            for option, text in given.items():
                page.fill(f"#{option} + input", text)
            said = page.text_content("#advice")
            try:
                choice = choose(field_of(rows, j, metric), read_limits(given))
            except UnetzooError as error:
                refusals.append((said, f"{str(error)[0].upper()}{str(error)[1:]}."))
                continue
            taken = page.eval_on_selector_all("#variants tr.taken td:first-child a", "a => a.map(x => x.textContent)")
            assert taken == [choice.taken] if choice.taken in labels(page) else taken == []
            assert said.startswith(f"Take {choice.taken}: " if choice.taken else "No variant")
            assert ("within the noise of the timings" in said) == bool(choice.as_fast)
            ties += bool(choice.as_fast)
            named.add(choice.taken)
            assert set(labels(page)) - {"unet_big"} == set(choice.fit)
            command = page.inner_text("#command code")
            assert all(f"--{option.replace('_', '-')} {text}" in command for option, text in given.items())
    assert len(named) > 2
    assert ties
    assert refusals
    assert [said for said, _ in refusals] == [error for _, error in refusals]


def test_sliders_are_limits(page: Any) -> None:
    slider = page.locator("#max_params")
    slider.focus()
    before = labels(page)
    slider.press("ArrowLeft")
    slider.press("ArrowLeft")
    assert page.input_value("#max_params + input") == "6M"
    assert set(before) - set(labels(page)) == {"unet", "unet_big"}
    assert "max_params=6M" in page.url
    assert "over a limit, or not measured: unet" in page.inner_text("#shown")
    page.fill("#max_params + input", "6 apples")
    assert page.is_visible("#max_params ~ .wrong")
    assert set(labels(page)) == set(before)


def test_the_table_sorts_by_keyboard(page: Any) -> None:
    button = page.locator('th[data-key="params"] button')
    button.focus()
    page.keyboard.press("Enter")
    assert page.get_attribute('th[data-key="params"]', "aria-sort") == "ascending"
    assert labels(page) == ["unet_twin", SHOWN, "unet_noskip", "unet_d2", "unet_slow", "unet", "unet_big"]
    page.keyboard.press("Enter")
    assert labels(page)[:2] == ["unet", "unet_slow"]
    assert labels(page)[-1] == "unet_big"  # without a value, last in either order
    page.keyboard.press("Enter")
    assert page.get_attribute('th[data-key="params"]', "aria-sort") is None
    for key in ("label", "dice", "iou", "difference", "macs", "peak_train_bytes", "latency_p50_ms", "train_seconds"):
        page.click(f'th[data-key="{key}"] button')
        assert len(labels(page)) == 7


def test_filters(page: Any) -> None:
    page.fill("#find", "TWIN")
    assert labels(page) == ["unet_twin"]
    assert "1 of 7 variants shown" in page.inner_text("#shown")
    page.fill("#find", "")
    page.select_option("#verdict", "worse")
    found = labels(page)
    assert "unet_noskip" in found
    assert "unet" not in found
    page.click("#reset")
    page.select_option("#family", "up")
    assert len(labels(page)) == 7
    page.click("#columns summary")
    page.uncheck("#columns label:has-text('MACs') input")
    assert not page.is_visible('th[data-key="macs"]')
    assert "hide=macs" in page.url


def test_the_address_carries_the_state(chromium: Any, folder: Path) -> None:
    url = (folder / "index.html").as_uri()
    state = "#max_params=5M&find=unet_&metric=nsd&cost=params&log=1&sort=params,down&hide=iou"
    with opened(chromium, url + state) as page:
        assert labels(page) == ["unet_d2", "unet_noskip", "unet_twin"]
        assert page.input_value("#max_params + input") == "5M"
        assert page.input_value("#metric") == "nsd"
        assert page.is_checked("#log")
        assert not page.is_visible('th[data-key="iou"]')
        assert "parameters (M)" in page.text_content("#plot svg")
        page.click("#reset")
        assert len(labels(page)) == 7
        assert "#" not in page.url
        page.evaluate("location.hash = '#find=twin'")
        page.wait_for_function("document.getElementById('find').value === 'twin'")
        assert labels(page) == ["unet_twin"]
    with opened(chromium, url + "#metric=zzz&sort=%3Cscript%3E&cost=&max_params=%3Cb%3E&__proto__=1") as page:
        assert len(labels(page)) == 7


def test_the_front_explains_its_points_and_leads_to_them(page: Any) -> None:
    assert not page.is_visible("figure.still")
    assert page.locator("#plot a").count() == 6  # the failed one has no score
    page.locator('#plot a[aria-label^="unet_twin:"]').focus()
    tip = page.inner_text("#tip")
    assert tip.startswith("unet_twin")
    assert "Dice against unet: " in tip
    assert "parameters: 2 M" in tip
    page.keyboard.press("Escape")
    assert not page.is_visible("#tip")
    page.locator('#plot a[aria-label^="unet_noskip:"] .dot').hover()
    assert "latency, median: ~" in page.inner_text("#tip")
    page.select_option("#cost", "params")
    page.check("#log")
    assert page.locator("#plot .front").count() == 1
    page.locator('#plot a[aria-label^="unet_d2:"]').click()
    page.wait_for_url("**/variants/unet_d2.html")
    assert page.inner_text("h1") == "unet_d2"


def test_what_is_shown_downloads_as_csv(page: Any, tmp_path: Path) -> None:
    page.fill("#max_params + input", "4M")
    page.select_option("#metric", "nsd")
    with page.expect_download() as found:
        page.click("#csv")
    found.value.save_as(tmp_path / "shown.csv")
    rows = list(csv.DictReader((tmp_path / "shown.csv").read_text(encoding="utf-8").splitlines(keepends=True)))
    assert [row["model"] for row in rows] == [f"'{x}" if x == SHOWN else x for x in labels(page)]
    assert float(rows[0]["params"]) <= 4e6
    assert {"dice", "dice_sd", "verdict", "low", "high", "peak_infer_bytes", "nsd"} <= set(rows[0])


def test_hostile_names_are_text(chromium: Any, tmp_path: Path) -> None:
    folder = everything(tmp_path / "a")
    write_report(folder)
    with opened(chromium, (folder / "index.html").as_uri()) as page:
        assert NASTY in [label.replace("\u00a0", " ") for label in labels(page)]
        assert page.locator("#variants b:has-text('x|y')").count() == 0
        link = page.locator("#variants a", has_text="x|y")
        link.click()
        assert page.inner_text("h1") == " ".join(NASTY.split())
        assert page.locator("script").count() == 1


def test_the_browser_of_images(chromium: Any, folder: Path) -> None:
    with opened(chromium, (folder / "images.html").as_uri()) as page:
        order = "images => images.map(i => i.dataset.key)"
        assert page.eval_on_selector_all(".image", order) == ["slice_1", "slice_0"]  # they disagree on slice_1
        page.select_option("#sort", "key")
        assert page.eval_on_selector_all(".image", order) == ["slice_0", "slice_1"]
        assert "sort=key" in page.url
        assert page.locator(".image >> nth=0 >> img").count() == 2 + len(SCORES)
        page.fill("#find", "twin")
        assert page.locator(".image >> nth=0 >> figure:visible").count() == 3
        page.fill("#find", "")
        page.locator("#zoom").fill("4")
        rounded = "imgs => imgs.map(i => getComputedStyle(i).transform.replace(/[\\d.]+/g, x => Number(x).toFixed(1)))"
        page.wait_for_timeout(200)
        before = set(page.eval_on_selector_all("img", rounded))
        page.locator(".tiles >> nth=0").focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(200)
        after = set(page.eval_on_selector_all("img", rounded))
        assert len(before) == len(after) == 1  # zoom and place are common to all pictures
        assert before != after
        assert serious(page) == []


@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (390, "dark")])
def test_every_page_is_accessible_and_fits(chromium: Any, folder: Path, scheme: str, width: int) -> None:
    for name in ("index.html", "images.html", "variants/unet_d2.html", "variants/unet_big.html"):
        with opened(chromium, (folder / name).as_uri(), color_scheme=scheme) as page:
            page.set_viewport_size({"width": width, "height": 800})
            assert serious(page) == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            light = scheme == "light"
            assert (page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)") == light
            page.click(".theme")
            assert (page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)") == light


def test_the_page_fits_on_paper(page: Any) -> None:
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 718, "height": 1000})  # A4 upright
    assert page.evaluate("document.documentElement.scrollWidth") <= 718
    assert page.is_visible("#variants td >> nth=10")
    assert not page.is_visible("#tools")


def test_without_script_it_is_a_readable_page(chromium: Any, folder: Path) -> None:
    with opened(chromium, (folder / "index.html").as_uri(), java_script_enabled=False) as page:
        assert page.is_visible("#variants")
        assert page.is_visible("figure.still")
        assert not page.is_visible("#tools")
        assert not page.is_visible("#front")
    with opened(chromium, (folder / "images.html").as_uri(), java_script_enabled=False) as page:
        assert page.is_visible("img >> nth=0")
        assert not page.is_visible("#controls")


@pytest.mark.nightly  # half a minute for the page
def test_two_thousand_trials(chromium: Any, tmp_path: Path) -> None:
    made = []
    for k in range(200):
        for seed in range(10):
            one = record(f"unet_{k}", seed, 0.5 + k / 500, images=6)
            one["id"] = f"{k:08x}{seed}"
            one["cost"] |= {"latency_p50_ms": 10.0 + k % 37, "params": (k + 1) * 1_000_000}
            made.append(one)
    t = load(folder_of(tmp_path / "many", *made))
    j = judge_all(t)
    variables = context(t, summarise(t), j)
    variables |= {"machines": {}, "plots": {}, "skipped": [], "brief": False, "main_plot": None, "pareto": []}
    found = pages(tmp_path / "many", t, j, variables, {})
    assert len(found) == 201
    assert len(found["index.html"].encode()) < 10_000_000
    path = tmp_path / "index.html"
    path.write_text(found["index.html"], encoding="utf-8")
    with opened(chromium, path.as_uri()) as page:
        assert len(labels(page)) == 200
        page.fill("#max_params + input", "100M")
        assert len(labels(page)) == 100
