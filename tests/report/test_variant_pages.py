"""Pages of variants: names of their files, what they say, and that old ones go."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from support.records import everything, folder_of, load, noisy, record
from unetzoo.records.fields import label_of
from unetzoo.records.record import Record
from unetzoo.report import write_report
from unetzoo.report.architecture import Architecture, Stage
from unetzoo.report.judgement import judge_all
from unetzoo.report.line_chart import line_chart, ticks
from unetzoo.report.options import Options
from unetzoo.report.page import pages
from unetzoo.report.pictures import png_uri
from unetzoo.report.sections import context
from unetzoo.report.statistics import summarise
from unetzoo.report.variant_pages import addresses


def test_names_of_files_are_safe_and_apart() -> None:
    labels = ["unet", "UNET", "a/b", "a b", "../x", "", "x" * 300, "=cmd", "💥", "unet (transposed)"]
    found = addresses(labels)
    names = list(found.values())
    assert found["UNET"] == "variants/UNET.html"
    assert re.fullmatch(r"variants/unet-[0-9a-f]{8}\.html", found["unet"])
    assert all(re.fullmatch(r"variants/[A-Za-z0-9_-]{1,75}\.html", name) for name in names)
    assert len({name.lower() for name in names}) == len(labels)
    assert addresses(reversed(labels)) == found


def test_a_page_says_what_is_known_of_its_variant(tmp_path: Path) -> None:
    folder = everything(tmp_path / "a")
    write_report(folder)
    text = (folder / "variants" / "unet_noskip.html").read_text()
    assert re.search(r"Dice <b>0\.(69|70)", text)
    assert "worse" in text
    assert 'href="../variants/unet_bilinear.html"' in text
    assert text.count('<svg class="chart"') == 4  # loss and Dice, against steps and seconds
    assert "unetzoo show unet" in text
    assert "batch_size 2" in text
    assert "did not learn" not in text
    failed = (folder / "variants" / "unet_big.html").read_text()
    assert "timeout in phase" in failed
    assert "No test score." in failed
    (hostile,) = (path for path in (folder / "variants").iterdir() if path.name.startswith("b-x-y"))
    assert "<b>x|y" not in hostile.read_text()
    assert hostile.read_text().count("<script") == 1


def test_pages_of_variants_that_are_gone_are_removed(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "a", record("unet", 0), record("unet_b", 0))
    write_report(folder)
    assert {p.name for p in (folder / "variants").iterdir()} == {"unet.html", "unet_b.html"}
    for path in (folder / "records").glob("*.json"):
        if "unet_b" in path.read_text():
            path.unlink()
    write_report(folder)
    assert {p.name for p in (folder / "variants").iterdir()} == {"unet.html"}
    write_report(folder, brief=True)
    assert not list((folder / "variants").iterdir())


def test_a_log_is_shown_with_its_trial(tmp_path: Path) -> None:
    bad = record("unet", 1, status="crashed", log_tail="Traceback\n</pre><script>alert(1)</script>")
    write_report(folder_of(tmp_path / "a", noisy("unet", 0, 0.8), bad))
    text = (tmp_path / "a" / "variants" / "unet.html").read_text()
    assert "Traceback\n&lt;/pre&gt;&lt;script&gt;" in text


def test_charts_escape_names_and_need_points() -> None:
    chart = line_chart([("<b>", [(0, 1.0), (10, 2.0)]), ("one", [(3, 1.5)])], "<x>", "y & z")
    assert "<b>" not in chart
    assert "&lt;b&gt;" in chart
    assert chart.count("<circle") == 1
    assert line_chart([("a", [])], "x", "y") == ""
    assert ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert "polyline" in line_chart([("a", [(5, 0.0)])], "x", "y")


def test_pictures_keep_their_colours() -> None:
    import base64
    import io

    from PIL import Image

    rng = np.random.default_rng(0)
    for pixels in (
        rng.integers(0, 255, (9, 7, 3), np.uint8),
        rng.integers(0, 2, (9, 7, 1), np.uint8) * [[[200, 3, 9]]],
    ):
        pixels = np.asarray(pixels, np.uint8)
        content = base64.b64decode(png_uri(pixels).partition(",")[2])
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(content)).convert("RGB")), pixels)


def test_the_architecture_and_the_ways_to_go_on(tmp_path: Path) -> None:
    good, bad = noisy("unet", 0, 0.8), noisy("unet_<b>", 0, 0.7)
    good |= {"id": "abcdef123456", "weights": "0" * 64}
    good["trial"]["model"] |= {"in_channels": 1, "options": {"up": "a b", "width": 64}}
    good["model"]["diff"] = {"up": ["x", "a b"]}
    t = load(good, bad)
    assert {label_of(r) for r in t.models} == {"unet", "unet_<b>"}
    folder = tmp_path / "run"
    own = folder / "trials" / "unet-s0-abcdef123456"
    own.mkdir(parents=True)
    (folder / "prepared").mkdir()
    (own / "model.safetensors").touch()
    (own / "log.txt").write_text("begun here\n" + "line\n" * 20 + "the end </pre>")
    stage = Stage("encoder.<i>", 1.0, 8, "16x16", 1234, 5_600_000)

    def describe(record: Record) -> Architecture | str:
        return Architecture(32, [stage], "<svg></svg>") if label_of(record) == "unet" else "not shown, as <u>"

    variables = context(t, summarise(t), judge_all(t))
    variables |= {"plots": {}, "machines": {}, "skipped": [], "brief": False, "main_plot": None, "pareto": []}
    made = pages(folder, t, judge_all(t), variables, {}, Options(describe=describe))
    text, other = made["variants/unet.html"], next(made[name] for name in made if "unet_-b" in name)
    assert "<svg></svg>" in text
    assert "<td>encoder.&lt;i&gt;</td><td>1</td><td>8</td><td>16x16</td><td>1,234</td><td>5.6</td>" in text
    assert "The architecture is not shown, as &lt;u&gt;." in other
    assert "begun here" not in text
    assert "the end &lt;/pre&gt;" in text
    for command in (
        "unetzoo show unet --in-channels 1 --set &#39;up=a b&#39;",
        "unetzoo bench upsampling.toml --out .",
        "unetzoo trial . abcdef123456",
        "unetzoo predict trials/unet-s0-abcdef123456 IMAGES",
        "unetzoo export trials/unet-s0-abcdef123456 --to onnx",
    ):
        assert f"<code>{command}</code>" in text
    assert "unetzoo predict" not in other
    assert "Architecture" not in pages(folder, t, judge_all(t), variables, {})["variants/unet.html"]
