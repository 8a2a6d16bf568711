"""Figures of sizes and of ranks, their files in every format, and the time of a report's stages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from support.command import run
from support.records import folder_of, load, noisy
from unetzoo.errors import UnetzooError
from unetzoo.report import page, plots, write_report
from unetzoo.report.image_plots import image_ranks
from unetzoo.report.judgement import judge_all
from unetzoo.report.options import Clock, check_formats
from unetzoo.report.scaling import families, size_scaling
from unetzoo.report.statistics import summarise


def sized(label: str, mean: float = 0.8, params: int = 10**6, source: str = "", **options: Any) -> dict[str, Any]:
    made = noisy(label, 0, mean)
    made["trial"]["model"] |= {"options": {"width": 64, "depth": 5, "up": "a", **options}, "source": source}
    made["cost"] |= {"params": params}
    return made


def test_sizes_are_lines_of_variants_that_differ_in_width_or_depth_alone() -> None:
    some = [sized("unet"), sized("unet_w", 0.7, 10**5, width=16), sized("unet_d", 0.6, 10**4, depth=3)]
    t = load(*some, sized("other", up="b"), sized("far", up="b", width=8, depth=2), sized("n", source="v1", width=4))
    assert sorted(families(t.models).values()) == [["unet", "unet_d"], ["unet", "unet_w"]]
    figure = size_scaling(t.models, summarise(t))
    assert figure is not None
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["unet_d … unet (depth)", "unet_w … unet (width)"]
    assert size_scaling(load(some[0]).models, summarise(load(some[0]))) is None


def test_equal_dice_shares_the_ranks() -> None:
    scores = {"a": [0.9, 0.5, 0.7], "b": [0.8, 0.5, 0.8], "c": [0.1, 0.4, 0.2]}
    rows = [{"model": m, "image": str(k), "dice": d} for m, dice in scores.items() for k, d in enumerate(dice)]
    figure = image_ranks(pd.DataFrame(rows), ["c", "b", "a"])
    assert figure is not None
    (ax,) = figure.axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["b (1.50)", "a (1.50)", "c (3.00)"]
    shares = np.asarray(ax.collections[0].get_array()).reshape(3, 3)
    assert shares.tolist() == [[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 1]]
    assert image_ranks(pd.DataFrame(rows[:3]), ["a"]) is None


def test_of_many_variants_the_first_are_drawn_and_the_caption_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = [f"v{k}" for k in range(6)]
    made = [noisy(label, seed, 0.9 - 0.05 * k) for k, label in enumerate(labels) for seed in range(3)]
    for module in (plots, page):
        monkeypatch.setattr(module, "MOST", 3)
    t = load(*made)
    figures = {name: make() for name, make in plots.makers(t, summarise(t), judge_all(t)).items()}
    for name in ("dice_distribution", "image_ranks", "best_set"):
        assert len(figures[name].axes[0].get_yticklabels()) == 3, name
    assert len(figures["paired_images"].axes[0].get_xticklabels()) == 3
    assert len(figures["dice_vs_params"].axes[0].texts) == 6
    text = write_report(folder_of(tmp_path / "run", *made)).read_text()
    assert "Shown: the first 3 of 6 variants." in text


def test_formats_replace_the_usual_ones_and_stages_are_timed(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "run", noisy("unet", 0, 0.8))
    (folder / "plots").mkdir()
    (folder / "plots" / "dice_vs_params.svg").write_text("old")
    said = run("report", folder, "--brief", "--format", "pdf", "--timings")
    assert said.returncode == 0
    assert "reading 0." in said.stderr
    assert ", plots " in said.stderr
    made = {path.name: path.read_bytes() for path in (folder / "plots").iterdir()}
    assert set(made) == {f"dice_vs_{cost}.pdf" for cost in ("latency", "params", "memory")}
    assert all(content.startswith(b"%PDF") and b"CreationDate" not in content for content in made.values())
    for arguments, words in (
        ([folder, "--format", "gif"], "--format 'gif' is not a format of plots"),
        ([folder, folder, "--format", "pdf"], "--format is for one DIR, not 2"),
        ([folder, "--serve", "0", "--timings"], "--serve shows the page of one DIR"),
    ):
        said = run("report", *arguments)
        assert said.returncode == 2
        assert words in said.stderr


def test_formats_in_the_api() -> None:
    assert check_formats(["pdf", "png"]) == ("png", "pdf")
    for wrong in ("pdf", []):
        with pytest.raises(UnetzooError, match="must be one or more of png, svg, pdf"):
            check_formats(wrong)


def test_a_clock_adds_up() -> None:
    clock = Clock()
    for name in ("a", "b", "a"):
        with clock.stage(name):
            pass
    clock.seconds |= {"a": 1.5, "b": 200}
    assert str(clock) == "a 1.5 s, b 3.33 min; together 3.36 min"
