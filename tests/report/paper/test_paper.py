"""The material for a paper: marks that the verdicts support, a caption, BibTeX, methods, per-image scores."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from support.command import run
from support.records import baseline, everything, folder_of, load, noisy, record
from unetzoo.errors import UnetzooError
from unetzoo.report import write_report
from unetzoo.report.judgement import judge_all
from unetzoo.report.paper.bibtex import entries, file_text
from unetzoo.report.paper.latex import tex
from unetzoo.report.paper.methods import as_latex, as_markdown, sentences
from unetzoo.report.paper.table import ResultsTable, results_table
from unetzoo.report.statistics import summarise

MEANS = {"unet": 0.70, "up": 0.75, "same": 0.7502, "down": 0.60}
HOSTILE = "a_b & 50% $x$ #1 {\\input{x}} ~^ <script> | \u202eevil"


def table_of(*records: dict[str, Any], margin: float = 0.03) -> ResultsTable:
    t = load(*records)
    return results_table(t, summarise(t).to_dict("records"), judge_all(t, margin))


def four() -> list[dict[str, Any]]:
    return [noisy(label, s, mean) for label, mean in MEANS.items() for s in range(3)]


def test_bold_are_the_best_and_those_equivalent_to_it() -> None:
    made = table_of(*four(), record("new", 0, 0.9), baseline("otsu", 0.4))
    dice = {row[0].text: row[1] for row in made.rows}
    assert dice["up"].bold.startswith("0.75")
    assert dice["same"].bold.startswith("0.75")
    assert not dice["unet"].bold
    assert not dice["unet"].mark
    assert (dice["new"].bold, dice["new"].mark) == ("", "‡")  # highest, but with a single seed
    assert [row[0].text for row in made.baselines] == ["otsu"]
    assert "‡: no verdict." in made.caption
    assert "†" not in made.caption


def test_undecided_has_a_dagger_and_without_verdicts_nothing_is_marked() -> None:
    made = table_of(*four(), margin=0.0)
    assert {row[1].mark for row in made.rows} == {"", "†"}
    assert "†: undecided against the best." in made.caption
    thin = table_of(*[r for r in four() if r["trial"]["seed"] == 0])
    assert not any(cell.bold or cell.mark for row in thin.rows for cell in row)
    assert "Nothing is marked, since no verdict is possible" in thin.caption


def test_the_caption_states_images_groups_seeds_and_intervals() -> None:
    made = four()
    for one in made:
        one["result"]["groups"] = {f"slice_{k}": f"patient {k // 2}" for k in range(12)}
    text = table_of(*made).caption
    assert text.startswith("Scores on 12 test images in 6 groups of isbi: mean ± SD over 3 seeds")
    assert "simultaneous 95 % intervals of the difference in Dice over 3 comparisons" in text
    assert "Bold: the best mean of those that can be judged, and what is equivalent to it (Dice: ±0.03)." in text


def test_latex_is_booktabs_and_hostile_names_are_text() -> None:
    made = [noisy(label, s, m) for label, m in (("unet", 0.7), (HOSTILE, 0.8)) for s in range(3)]
    text = table_of(*made).as_latex()
    for word in (r"\toprule", r"\midrule", r"\bottomrule", r"\caption{", r"\label{tab:upsampling}"):
        assert word in text
    assert r"a\_b \& 50\% \$x\$ \#1 \{\textbackslash{}input\{x\}\} \textasciitilde{}\textasciicircum{}" in text
    assert "\u202e" not in text
    assert re.search(r"\\textbf\{0\.\d{3}\}~\$\\pm\$ 0\.\d{3} &", text)
    body = text.split(r"\toprule")[1]
    assert len({line.count(" & ") for line in body.splitlines() if line.endswith(r"\\")}) == 1


def test_a_text_for_latex() -> None:
    assert tex("\u22120.1 ± 2 %\n†") == r"$-$0.1 $\pm$ 2 \% $\dagger$"


def test_bibtex_cites_models_data_and_metrics_once_each() -> None:
    made = four()
    for one in made:
        one["data"]["citation"] = "Staal et al., IEEE TMI 23(4), 2004, doi 10.1109/TMI.2004.825627"
        one["model"]["paper"] = {
            "title": "A_B & {C}",
            "authors": "Ä. Öztürk, B {C}",
            "year": 2020,
            "doi": "10.1/s_x} , evil = {",
        }
    t = load(*made)
    cited = entries(t)
    text = file_text(cited)
    assert text.count("@misc{") == len(cited.entries) == 6  # model, data, Dice, IoU, Holm, unetzoo
    assert r"title = {{A\_B \& \{C\}}}" in text
    assert "author = {Ä. Öztürk and B \\{C\\}}" in text
    assert "doi = {10.1/s_x,evil=}" in text
    assert "@misc{ozturk2020work," in text
    assert "doi = {10.1109/TMI.2004.825627}" in text
    for block in text.split("@misc")[1:]:
        plain = re.sub(r"\\[{}]", "", block)
        assert plain.count("{") == plain.count("}")


def test_two_papers_with_one_key_are_two_entries() -> None:
    made = four()
    for one in made:
        label = one["trial"]["model"]["label"]
        one["model"]["paper"] = {"title": f"Nets {'x' if label == 'up' else 'y'}", "authors": "A B", "year": 2020}
    assert {"b2020nets", "b2020nets-2"} <= set(entries(load(*made)).entries)


def test_methods_are_made_from_the_records() -> None:
    made = four()
    for one in made:
        one["trial"]["train"] |= {"optimizer": "adamw", "momentum": 0.9}
        if one["trial"]["model"]["label"] == "up":
            one["trial"]["train"]["momentum"] = 0.8
    t = load(*made)
    j = judge_all(t, 0.03)
    text = sentences(t, j, entries(t))
    plain = as_markdown(text)
    assert plain.startswith("We compared 4 networks (down, same, unet and up) with unetzoo [@unetzoo; @")
    for part in (
        "trained with 3 seeds, equal steps: 10, optimizer adamw, learning rate 0.001, batches of 2",
        "they differ in momentum (0.9 or 0.8)",
        "digest d1",
        "corrected over 3 comparisons with unet by Holm's method",
        "within ±0.03 Dice",
        "Costs were measured on cpu (latency: timer; memory: tracked), with torch 2.9",
    ):
        assert part in plain, part
    latex = as_latex(text)
    assert r"$\pm$0.03" in latex
    for keys in re.findall(r"\\cite\{(.*?)\}", latex):
        assert set(keys.split(",")) <= set(entries(t).entries)


def test_the_folder_and_its_bytes(tmp_path: Path) -> None:
    folder = everything(tmp_path / "f")
    page = write_report(folder, paper=True)
    assert page.name == "index.html"
    made = {p.name: p.read_bytes() for p in (folder / "paper").iterdir()}
    assert sorted(made) == ["methods.md", "methods.tex", "per_image.parquet", "references.bib", "table.md", "table.tex"]
    images = pd.read_parquet(folder / "paper" / "per_image.parquet")
    assert len(images) == 12 * 12  # four variants with three seeds
    assert {"model", "seed", "image", "dice", "nsd"} <= set(images)
    assert b"<script>" not in made["table.md"] + made["methods.md"]
    write_report(folder, paper=True)
    assert {p.name: p.read_bytes() for p in (folder / "paper").iterdir()} == made


def test_without_pyarrow_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of(tmp_path / "f", *four())
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UnetzooError, match=r"pip install 'unetzoo\[paper\]'"):
        write_report(folder, paper=True)
    assert [p.name for p in folder.iterdir()] == ["records"]
    said = run("report", str(folder), "--paper")
    assert (said.returncode, "Traceback" in said.stderr) == (2, False)


def test_records_without_a_result(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "f", record("unet", 0, status="oom"))
    write_report(folder, paper=True)
    assert "Scores on 0 test images" in (folder / "paper" / "table.md").read_text()
