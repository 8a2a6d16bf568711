"""Filters of the zoo's page in a real browser, and its timeline of papers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.browser import browser, opened, serious
from unetzoo.gallery.exports import EXPORTS
from unetzoo.gallery.measured import EntryMeasurements
from unetzoo.gallery.page import write_zoo
from unetzoo.gallery.timeline import timeline
from unetzoo.models.registry import model_info

NAMES = ("unet", "unet_d3", "attention_unet", "attention_unet_resnet34", "vm_unet", "unet_resnet34")


def test_the_timeline_names_each_paper_once_with_what_it_brought() -> None:
    rows = timeline(model_info(name) for name in NAMES)
    assert [row["year"] for row in rows] == sorted(row["year"] for row in rows)
    by_paper = {row["cited"]: row for row in rows}
    assert len(by_paper) == len(rows) == 4
    assert by_paper["Ronneberger et al."]["networks"] == ["unet"]  # not its ablation, nor that on a ResNet
    assert by_paper["Oktay et al."]["networks"] == ["attention_unet"]
    assert "skip = attention" in by_paper["Oktay et al."]["brought"]
    assert by_paper["He et al."]["brought"] == "encoder: resnet34"
    assert by_paper["Ruan et al."]["brought"] == model_info("vm_unet").note


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder: Path = tmp_path_factory.mktemp("zoo")
    measured = {
        name: EntryMeasurements(name=name, key="k", parameters=count)
        for name, count in (("unet", 31_000_000), ("attention_unet", 34_900_000), ("vm_unet", 27_400_000))
    }
    check = '{{"name":"unet","key":"k","backend":"{}","sides":"free","relative":1e-6}}\n'
    (folder / EXPORTS).write_text("".join(check.format(runtime) for runtime in ("onnxruntime", "openvino")))
    path = write_zoo(folder, {name: model_info(name) for name in measured}, measured, parity=False)
    with browser() as started, opened(started, path.as_uri()) as shown:
        yield shown


@pytest.mark.parametrize(
    ("field", "value", "left"),
    [
        ("name", "ATT", ["attention_unet"]),
        ("family", "state-space", ["vm_unet"]),
        ("from", "2018", ["attention_unet", "vm_unet"]),
        ("to", "2015", ["unet"]),
        ("most", "31", ["unet", "vm_unet"]),
        ("proof", "transcribed", ["vm_unet"]),
        ("export", "yes", ["unet"]),
        ("name", "<b>", []),
    ],
)
def test_a_filter_leaves_what_fits(page: Any, field: str, value: str, left: list[str]) -> None:
    control = page.locator(f"#filters [name={field}]")
    (control.select_option if field in ("family", "proof", "export") else control.fill)(value)
    rows = page.locator("tr[data-name]:visible")
    assert sorted(row.get_attribute("data-name") for row in rows.all()) == left
    assert page.locator("#shown").inner_text() == f"{len(left)} of 3 networks"
    families = {row.get_attribute("data-family") for row in rows.all()}
    assert {row.get_attribute("id") for row in page.locator("tr.family:visible").all()} == families
    page.locator("#filters [type=reset]").click()
    page.wait_for_selector("#shown:text-is('3 of 3 networks')")


def test_the_page_is_accessible(page: Any) -> None:
    assert not serious(page)
