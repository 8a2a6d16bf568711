"""The zoo's page: its text and escaping; the script resumes, and a failure becomes a row."""

from __future__ import annotations

import importlib.util
import signal
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor, nn

import unetzoo
from unetzoo.gallery import paired
from unetzoo.gallery.measured import EntryMeasurements, Ratio
from unetzoo.gallery.page import read_measurements, write_measurements, write_zoo
from unetzoo.grid.spec import UNetSpec
from unetzoo.models import registry
from unetzoo.models.entry import PROOFS, Reference
from unetzoo.models.papers import Paper
from unetzoo.models.registry import entries

ROOT = Path(__file__).parents[2]
HOSTILE = "<script>alert(1)</script>|`x`../y"


@pytest.fixture(scope="module")
def zoo() -> ModuleType:
    """Import ``benchmarks/zoo.py``, which is not in a package."""
    spec = importlib.util.spec_from_file_location("zoo", ROOT / "benchmarks/zoo.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register two narrow networks and no others, one of them with a hostile name."""
    entries()  # load the built-in entries now, or they would be loaded into the patched registry below
    monkeypatch.setattr(registry._REGISTRY, "entries", {})
    paper = Paper(title="A & <b>B</b>", authors="Ann Bee, Cy Dee", year=2020, arxiv="2001.00001")
    about: dict[str, Any] = {"paper": paper, "family": "block", "reference": Reference("a/b <i>c</i>", "golden")}
    about["encoder_paper"] = Paper(title="C", authors="Eve <u>Foe</u>", year=2021, doi="10.1/c")
    unetzoo.register_model("narrow", UNetSpec(width=2, depth=2, up="bilinear"), note="a *note*", **about)
    unetzoo.register_model(HOSTILE, UNetSpec(width=2, depth=3), deviations=("<u>none</u>",))


def arguments(zoo: ModuleType, folder: Path, *more: str) -> Any:
    return zoo._arguments(["--out", str(folder), "--no-time", *more])


def here(zoo: ModuleType) -> Callable[..., EntryMeasurements]:
    """Return a stand-in for `apart` that measures in this process."""

    def found(name: str, key: str, args: Any) -> EntryMeasurements:
        reports: list[EntryMeasurements] = []
        with patch.object(torch, "set_num_threads"):  # pytest's process keeps its own
            zoo.measure(name, key, args, reports.append)
        return reports[-1]

    return found


def test_the_page(zoo: ModuleType, narrow: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo, "apart", here(zoo))
    assert zoo.run(list(entries()), arguments(zoo, tmp_path)) == 0
    measurements = read_measurements(tmp_path)
    assert not any(found.failed for found in measurements.values())
    ratio = Ratio(median=1.5, p10=1.4, p90=1.8, rounds=9, p50_ms=3, other_p50_ms=2)
    measurements["narrow"] = measurements["narrow"].model_copy(update={"ratio": ratio})
    html = write_zoo(tmp_path, entries(), measurements, parity=True).read_text()
    markdown = (tmp_path / "README.md").read_text()
    for page in (html, markdown):
        assert page.count("<script") == (page == html)  # the page's own
        assert "&lt;script&gt;" in page
        for markup in ("<b>B</b>", "<i>", "<u>"):
            assert markup not in page
        assert "2 networks in 2 families, 2020." in page
        assert "up transposed → bilinear" in page
        assert "1 give the outputs of their reference code with the same parameters, 0 of them those" in page
        assert "parity.md" in page
        assert "~1.50 \u00d7" in page  # its percentiles are 0.4 / 1.5 apart, relative to the median
        assert "1.40 to 1.80" in page
        assert "https://arxiv.org/abs/2001.00001" in page
        assert "https://doi.org/10.1/c" in page
        assert f"{measurements['narrow'].macs / 1e9:.2f}" in page  # type: ignore[operator]
    for proof, networks in {**dict.fromkeys(PROOFS, 0), "golden": 1, "none": 1}.items():
        assert f"| {proof} | {networks} |" in markdown
    assert "state-space" not in html  # there is no such report beside this page
    assert html.count("<svg") == 2
    drawings = sorted(path.name for path in (tmp_path / "drawings").iterdir())
    assert len(drawings) == 2
    assert "narrow.svg" in drawings
    assert all(f"drawings/{name}" in markdown for name in drawings)
    assert all(line.count(" |") == 8 for line in markdown.splitlines() if line.startswith("| !"))

    del registry._REGISTRY.entries[HOSTILE]
    assert "alert" not in write_zoo(tmp_path, entries(), measurements, parity=False).read_text()
    assert [path.name for path in (tmp_path / "drawings").iterdir()] == ["narrow.svg"]


def test_it_resumes(zoo: ModuleType, narrow: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    ends: dict[str, BaseException | str] = {"narrow": KeyboardInterrupt()}

    def apart(name: str, key: str, args: Any) -> EntryMeasurements:
        asked.append(name)
        end = ends.get(name)
        if isinstance(end, BaseException):
            raise end
        return EntryMeasurements(name=name, key=key, parameters=7, failed=end)

    def run(*more: str) -> tuple[int, list[str]]:
        asked.clear()
        return zoo.run([HOSTILE, "narrow"], arguments(zoo, tmp_path, *more)), asked[:]

    monkeypatch.setattr(zoo, "apart", apart)
    assert run() == (130, [HOSTILE, "narrow"])
    assert "Not measured yet: 1 registered network." in (tmp_path / "index.html").read_text()
    ends["narrow"] = "broken <b>"
    assert run() == (0, ["narrow"])
    assert "broken &lt;b&gt;" in (tmp_path / "index.html").read_text()
    del ends["narrow"]
    assert run() == (0, ["narrow"])  # what failed is tried again
    assert run() == (0, [])
    assert run("--threads", "2") == (0, [HOSTILE, "narrow"])
    assert run("--threads", "2", "--time") == (0, [HOSTILE, "narrow"])  # no time had been measured


class Raises(nn.Module):
    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        raise ValueError("no <b>\nat all")


def test_what_a_network_raises_is_a_row(zoo: ModuleType, narrow: None, tmp_path: Path) -> None:
    unetzoo.register_model("raises")(Raises)
    found = here(zoo)("raises", "key", arguments(zoo, tmp_path))
    assert found.failed is not None
    assert found.failed.startswith("counts, topology: ValueError: no <b>; memory: UnetzooError: it does not run")
    assert "no &lt;b&gt;" in write_zoo(tmp_path, entries(), {"raises": found}, parity=False).read_text()


def test_memory_of_what_cannot_train_on_one_image_is_of_two(zoo: ModuleType, narrow: None, tmp_path: Path) -> None:
    @unetzoo.register_model("pooled")
    class Pooled(nn.Module):
        def __init__(self, in_channels: int, num_classes: int) -> None:
            super().__init__()
            self.conv = nn.Conv2d(in_channels, num_classes, 1)
            self.seen = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(num_classes))

        def forward(self, x: Tensor) -> Tensor:
            x = self.conv(x)
            return x * self.seen(x)

    found = here(zoo)("pooled", "key", arguments(zoo, tmp_path))
    assert (found.failed, found.train_images) == (None, 2)
    assert "trained on 2 images" in write_zoo(tmp_path, entries(), {"pooled": found}, parity=False).read_text()
    assert here(zoo)("narrow", "key", arguments(zoo, tmp_path)).train_images == 1


DIES = """
import os, signal, unetzoo
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor

@unetzoo.register_model("dies")
class Dies(nn.Module):
    def __init__(self, in_channels, num_classes):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, num_classes, 1)

    def forward(self, x):
        if isinstance(x, FakeTensor):
            os.kill(os.getpid(), signal.SIGKILL)
        return self.conv(x)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on Windows")
def test_a_death_is_a_row_and_what_came_before_is_kept(
    zoo: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dies.py").write_text(DIES)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    found = zoo.apart("dies", "key", arguments(zoo, tmp_path, "--import", str(tmp_path / "dies.py")))
    assert found.failed == "its process was ended by SIGKILL (out of memory?)"
    assert found.parameters == 4
    assert found.topology is not None
    assert found.memory is None


def test_broken_facts_are_told_in_a_line(zoo: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_measurements(tmp_path, {"a": EntryMeasurements(name="a", key="k")})
    with (tmp_path / "entries.jsonl").open("a") as file:
        file.write('{"name": "b"}\n')
    assert zoo.main(["--out", str(tmp_path), "--only", "unet"]) == 2
    assert capsys.readouterr().err == f"error: {tmp_path / 'entries.jsonl'}: line 2: key is missing\n"
    assert zoo.main(["--out", str(tmp_path), "--only", "unett"]) == 2
    assert "--only 'unett' is not a model; did you mean" in capsys.readouterr().err


def test_a_ratio_is_of_works_in_the_same_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine slows down tenfold half way, and the ratio stays the same."""
    clock, calls = [0.0], [0]

    def works(seconds: float) -> Callable[[], None]:
        def work() -> None:
            calls[0] += 1
            clock[0] += seconds * (10 if calls[0] > 16 else 1)

        return work

    monkeypatch.setattr(paired.time, "perf_counter", lambda: clock[0])
    ratio = paired.time_ratio(works(0.3), works(0.1), rounds=11, seconds=1e9)
    assert (ratio.median, ratio.rounds, ratio.other_p50_ms) == (3, 11, 1000)
    assert ratio.p10 == ratio.p90 == 3
    assert paired.time_ratio(works(3), works(1), rounds=11, seconds=1).rounds == 5
