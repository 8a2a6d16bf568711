"""Reports in Chinese: no phrase is missing, and numbers, names and tables are those of the English report."""

from __future__ import annotations

import html
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from gettext import GNUTranslations
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from support.browser import browser, opened
from support.collection import made, page_of, scores
from support.command import run
from support.records import baseline, everything, folder_of, noisy, record
from unetzoo._util.language import LANGUAGES, _, _n, language
from unetzoo.errors import UnetzooError
from unetzoo.gallery.architecture import describe
from unetzoo.records.fields import label_of
from unetzoo.records.record import Record
from unetzoo.report import write_report
from unetzoo.report.architecture import Architecture, Stage
from unetzoo.report.merged_page import build_merged
from unetzoo.report.page import environment_for
from unetzoo.report.plots import NAMES
from unetzoo.report.serve import Refresher, _live

OTHERS = [name for name in LANGUAGES if name != "en"]
# Words that a Chinese page keeps: names of metrics, methods, formats and commands.
KEPT = set(
    re.findall(
        "[a-z]+",
        "arxiv assd bengio brier csv dice dir ece flags float gib hsu holm iou isbi macs mib min nadeau nan net nsd"
        " pflop rand recommend report results satterthwaite seeds show student unet unetzoo unlearnt verdicts "
        + " ".join(NAMES),
    )
)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the folder of the same report in each language; its plots, which stay in English, are not drawn."""
    first = everything(tmp_path_factory.mktemp("reports") / "en")
    found = {"en": first}
    for name in OTHERS:
        found[name] = first.with_name(name)
        shutil.copytree(first, found[name])
    with patch("unetzoo.report.page.draw", return_value={name: {"png": b"", "svg": b""} for name in NAMES[:-1]}):
        for name, folder in found.items():
            write_report(folder, lang=name, describe=described)
    return found


def described(record: Record) -> Architecture | str:
    """Return an architecture; of a variant that is registered in another version, why there is none."""
    if label_of(record) == "unet_bilinear":
        return describe(record)
    return Architecture(32, [Stage("unet", 1.0, 8, "16x16", 1234, 5_600_000)], "<svg></svg>")


def texts(page: str) -> Iterator[str]:
    """Yield the texts of a page, with those in its attributes and scripts, without pictures, addresses and code."""
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', page)
    if data:
        known = json.loads(data[1])
        yield from (str(cost[key]) for cost in known["costs"] for key in ("title", "noun", "phrase", "superlative"))
        yield from (v["setback"] for v in known["variants"])
        yield from known["decided"].values()
    page = re.sub(r"<(style|script|code).*?</\1>", "", page, flags=re.DOTALL)
    yield from (html.unescape(text) for text in re.split(r"<[^>]*>", page))
    yield from map(html.unescape, re.findall(r'(?:alt|aria-label|placeholder|title)="([^"]*)"', page))


def foreign(found: str, folder: Path) -> set[str]:
    """Return the English words of a text that neither its records nor `KEPT` account for."""
    records = " ".join(p.read_text() for p in folder.rglob("*.json")).encode().decode("unicode_escape")
    known = KEPT | set(re.findall(r"[a-z]+", f"{records} {folder}".lower()))
    return set(re.findall(r"[a-z]{3,}", found.lower())) - known


def numbers(text: str) -> Counter[str]:
    return Counter(re.findall(r"\d+(?:[.,]\d+)*", text))


@pytest.mark.parametrize("name", OTHERS)
def test_no_phrase_is_missing(name: str) -> None:
    phrases = pytest.importorskip("support.phrases", reason="Babel is not installed")
    asked, found = phrases.template(), phrases.catalogue(name)
    help = "run: python tests/support/phrases.py, then translate what it names"
    assert {(m.context, m.id) for m in asked if m.id} == {(m.context, m.id) for m in found if m.id}, help
    assert phrases.untranslated(found) == [], help
    wrong = [
        (m.id, form)
        for m in found
        if m.id
        for form in phrases.phrases(m.string)
        if phrases.placeholders(form) != phrases.placeholders(phrases.phrases(m.id)[-1])
    ]
    assert wrong == []
    with phrases.path(name).with_suffix(".mo").open("rb") as file:
        committed = GNUTranslations(file)._catalog  # pyright: ignore[reportAttributeAccessIssue]
    made_now = GNUTranslations(phrases.io.BytesIO(phrases.compiled(found)))._catalog  # pyright: ignore[reportAttributeAccessIssue]
    assert {k: v for k, v in committed.items() if k} == {k: v for k, v in made_now.items() if k}, help


def test_a_phrase_is_said_in_the_language_of_the_block() -> None:
    with language("zh"):
        assert _("{n} of {all} trials finished.", n=2, all="{3}") == "{3} 次试验中完成 2 次。"
        assert _n("{n} seed", "{n} seeds", 1) == "1 个种子"
        with language("en"):
            assert _n("{n} seed", "{n} seeds", 1) == "1 seed"
    assert _("{n} failed", n=2) == "2 failed"
    with pytest.raises(UnetzooError, match="language 'fr': is not known"), language("fr"):
        pass


def test_a_chinese_report_says_nothing_in_english(reports: dict[str, Path]) -> None:
    folder = reports["zh"]
    pages = list(folder.rglob("*.html"))
    assert {p.parent.name for p in pages} == {"zh", "variants"}
    for path in pages:
        page = path.read_text()
        assert '<html lang="zh-CN">' in page
        assert foreign("\n".join(texts(page)), folder) == set(), path.name
    assert foreign((folder / "summary.md").read_text(), folder) <= {"plots", "png"}


def test_numbers_names_and_tables_are_those_of_the_english_report(reports: dict[str, Path]) -> None:
    for name in OTHERS:
        for path in (p for p in reports["en"].rglob("*") if p.is_file() and "records" not in p.parts):
            other = reports[name] / path.relative_to(reports["en"])
            if path.suffix in (".html", ".md"):
                ours, theirs = ("\n".join(texts(p.read_text())) for p in (path, other))
                assert numbers(ours) == numbers(theirs), other.name
            else:
                assert path.read_bytes() == other.read_bytes(), other.name


def few(path: Path, *labels: str, seeds: int = 1, images: int = 12, **change: Any) -> Path:
    return folder_of(
        path, *(record(x, s, 0.6 + 0.1 * k, images, **change) for k, x in enumerate(labels) for s in range(seeds))
    )


def test_reports_with_little_in_them_say_nothing_in_english(tmp_path: Path) -> None:
    made_of = {
        "one": few(tmp_path / "one", "unet"),
        "seeds": few(tmp_path / "seeds", "unet", "up"),
        "images": few(tmp_path / "images", "unet", "up", seeds=3, images=4),
        "failed": few(tmp_path / "failed", "unet", "up", status="oom"),
    }
    with patch("unetzoo.report.page.draw", return_value={}):
        for folder in made_of.values():
            summary = write_report(folder, brief=True, lang="zh").read_text()
            assert foreign(summary, folder) == set(), folder.name


def test_costs_of_two_machines_are_in_chinese(tmp_path: Path) -> None:
    machines = [{"device": "cpu", "cpu": name} for name in ("A100", "H200")]
    trials = [record(x, s, 0.6, environment=machines[s]) for x in ("unet", "up") for s in (0, 1)]
    folder = folder_of(tmp_path / "run", *trials)
    with patch("unetzoo.report.page.draw", return_value={}):
        page = write_report(folder, lang="zh")
    assert "成本在 2 种机器上测得（A100 和 H200）" in (folder / "summary.md").read_text()
    assert "<h3>为同一机器上 unet 成本的倍数</h3>" in page.read_text()
    assert foreign("\n".join(texts(page.read_text())), folder) == set()


def test_a_collection_and_merged_runs_say_nothing_in_english(tmp_path: Path) -> None:
    parts = {
        "one": [*scores(unet=0.7, up=0.8), baseline("otsu", 0.4)],
        "two": [*scores(unet=0.8, up=0.7), noisy("down", 0, 0.3, status="hung")],
        "none": [],
    }
    folder = made(tmp_path / "apps", parts, two=[record("up", 5)])
    with patch("unetzoo.report.page.build", return_value=folder / "index.html"):
        write_report(folder, lang="zh")
    runs = [folder_of(tmp_path / x, *scores(unet=0.7, up=m)) for x, m in (("a", 0.8), ("b", 0.6))]
    build_merged(runs, tmp_path / "both", lang="zh")
    for path, records in ((folder, folder), (tmp_path / "both", tmp_path)):
        page = (path / "index.html").read_text()
        assert '<html lang="zh-CN">' in page
        assert foreign("\n".join(texts(page)), records) == set()
        assert "## 如何解读这些数字" in (path / "summary.md").read_text()
    assert "How to read" in page_of(folder)


def test_the_served_page_and_the_one_before_it_are_in_chinese(tmp_path: Path) -> None:
    refresher = Refresher(tmp_path, lang="zh")
    refresher.look()
    assert refresher.problem == "还没有试验结束"
    with language("zh"):
        script = _live("<main></main></body>")
        page = environment_for("waiting.html.j2").get_template("waiting.html.j2").render(title="t", problem="<p>")
    assert "${p.total} 次试验中完成 ${p.done} 次" in script
    assert not re.search(r"[\"`][A-Z][a-z]+ [a-z]+ [a-z]+", script)
    assert "还没有报告：&lt;p&gt;。" in page


def test_recommend_answers_in_chinese_and_an_unknown_language_is_refused(tmp_path: Path) -> None:
    folder = few(tmp_path / "f", "unet", "up", seeds=3)
    said = run("recommend", folder, "--lang", "zh", "--max-params", "50M")
    assert said.stdout.startswith("选用 up（Dice 0.700 ± 0.000，3 个种子）：")
    none = run("recommend", folder, "--lang", "zh", "--max-params", "1k")
    assert "2 个变体中没有一个满足参数量 ≤ 1,000；参数最少的是 up，参数量" in none.stderr
    for command in ("report", "recommend"):
        refused = run(command, folder, "--lang", "klingon")
        assert refused.returncode == 2
        assert refused.stderr.strip() == "error: language 'klingon': is not known; known: en, zh"


def test_the_script_of_a_chinese_page_speaks_chinese(reports: dict[str, Path]) -> None:
    with browser() as found, opened(found, (reports["zh"] / "index.html").as_uri()) as page:
        page.fill("[aria-label^=参数量]", "25M")
        assert page.inner_text("#advice").startswith("选用 unet")
        page.fill("[aria-label^=参数量]", "25")
        assert "没有一个满足参数量 ≤ 25；" in page.inner_text("#advice")
        assert re.match(r"显示 5 个变体中的 0 个；超出限制或未测量：", page.inner_text("#shown"))
        page.click("#reset")
        parts = page.eval_on_selector_all("#tools *, #front *", "all => all.map((e) => e.firstChild?.nodeValue || '')")
        shown = "\n".join(parts)
        assert foreign(shown, reports["zh"]) == set()
