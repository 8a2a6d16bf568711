"""The page of one data set: read, compute, draw, render the two templates, write the files."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import escape

from unetzoo._util.atomic import write_atomic
from unetzoo._util.language import ENGLISH, N_, _, language
from unetzoo.errors import UnetzooError
from unetzoo.records.frame import Tables, csv_text, load
from unetzoo.report.browser import browse
from unetzoo.report.embedded import as_script, embedded
from unetzoo.report.judgement import Judgement, judge_all
from unetzoo.report.machines import COST_PLOTS, apart, by_machine, kind_of
from unetzoo.report.options import Clock, Options
from unetzoo.report.paper import write_paper
from unetzoo.report.phrases import as_literal, in_script, phrases
from unetzoo.report.plots import ALL, MOST, NAMES, PARETO, draw
from unetzoo.report.predictions import draw_predictions, left_out, shown_first
from unetzoo.report.sections import context
from unetzoo.report.statistics import summarise
from unetzoo.report.strips import difference_strips, score_strips
from unetzoo.report.style import FORMATS, SCREEN, Drawn
from unetzoo.report.variant_pages import FOLDER, addresses, variant_contexts
from unetzoo.report.verdict_table import verdict_table
from unetzoo.report.words import escape_markdown, link, number, signed, span, status_text

BARS = N_(" Bars: SD of Dice and range of the cost over seeds.")
FRONT = N_(" Dashed: the Pareto front (nothing at the same or lower cost scores higher).")
CAPTIONS = {
    "dice_vs_latency": N_("Test Dice against the median time of one forward pass."),
    "dice_vs_params": N_("Test Dice against the number of parameters."),
    "dice_vs_memory": N_("Test Dice against the peak memory of one training step."),
    "dice_distribution": N_(
        "Dice of each test image, all seeds, in the order of the table; box: quartiles and median, line: lowest to"
        " highest."
    ),
    "learning_curves": N_("Mean over seeds; the band runs from the lowest to the highest seed."),
    "difference": N_(
        "Difference in test Dice from the reference with its simultaneous 95 % interval, p after Holm's correction,"
        " number of seeds whose own difference has the same sign, verdict. Green band: the margin within which a"
        " difference does not matter. No interval: not judged."
    ),
    "best_set": N_(
        "Difference of each variant from the one with the best mean, with its simultaneous 95 % interval and verdict."
        " Green band: the margin. Those not worse are the set in which the best may be."
    ),
    "paired_images": N_("Each grey line is a test image; its Dice with each variant, mean over seeds."),
    "image_ranks": N_("Per cent of the test images on which a variant has a rank; equal Dice shares its ranks."),
    "difficulty": N_(
        "Dice of each test image with each variant, the hardest image first; grey: from the lowest to the highest"
        " variant."
    ),
    "size_scaling": N_(
        "Dice and latency against parameters, along variants that differ in width alone, or in depth alone."
    ),
    "memory_split": N_(
        "Tensors at the peak of one training step, by purpose. Skips: encoder levels that the decoder has yet to use."
        " Diamond: the peak predicted without allocating anything."
    ),
    "phases": N_(
        "Where a trial's time goes; median over seeds. In brackets: the share of training (with loading its crops),"
        " validation and test."
    ),
    "predictions": N_("Test images, the ground truth, and the prediction of each variant's lowest-numbered seed."),
}
BRIEF = ("png",)
OPTIONAL = {
    "best_set",
    "paired_images",
    "image_ranks",
    "difficulty",
    "size_scaling",
}  # not missed where they say nothing
IN_ADDRESS = str.maketrans({c: f"%{ord(c):02X}" for c in "%#<>\"&'"})
COSTS = tuple(PARETO)
BROWSER = "images.html"
HOLLOW = N_(" Hollow: the timing was noisy in at least one seed.")


def build(
    folder: Path, *, keep: Sequence[str] | None = None, margin: float | None = None, options: Options | None = None
) -> Path:
    """Build and write the report of one data set; see `unetzoo.report.write_report`.

    Args:
        folder: Output folder of a run.
        keep: Names of the only plots to write, without the page; None writes everything.
        margin: Largest difference in Dice that does not matter; None takes the records'.
        options: What else the report has.

    Returns:
        The path of the page; with ``keep``, of ``summary.md``.

    Raises:
        UnetzooError: If the folder or its records are missing, or the folder cannot be written.
    """
    options = options or Options()
    stage = options.clock.stage
    with stage("reading"):
        full = load(folder)
        t = apart(full)
    with stage("verdicts"):
        j = judge_all(t, margin)
    summary = summarise(t)
    if not j.ranked:
        summary = summary.sort_values("model", kind="stable", ignore_index=True)
    order = sorted(summary["model"], key=lambda label: label != j.reference)  # the reference, then by row
    shown = NAMES if keep is None else [name for name in NAMES if name in keep]
    formats = options.formats or (SCREEN if keep is None else BRIEF)
    drawn = tuple(dict.fromkeys([*formats, *(SCREEN if keep is None else ())]))
    plots = _plots(folder, t, summary, j, shown, order, drawn, options.clock)
    captions = {name: _caption(name, j.ranked, summary["noisy"].any()) for name in NAMES if name in plots}
    if len(summary) > MOST:
        for name in captions.keys() - {*ALL, "predictions"}:
            captions[name] += shown_first(MOST, len(summary))
    if "predictions" in captions:
        captions["predictions"] += left_out(t.models, order)
    with stage("tables"):
        machines, found = by_machine(full, j.reference), context(t, summary, j)
    unasked = {*OPTIONAL, *(COST_PLOTS if machines else ()), *(() if j.ranked else ("difference",))}
    skipped = [name for name in shown if name not in plots and name not in unasked]
    variables = found | {
        "machines": machines,
        "plots": captions,
        "skipped": skipped,
        "brief": keep is not None,
        "main_plot": next((name for name in PARETO if name in plots), None),
        "pareto": [name for name in PARETO if name in plots],
    }
    if options.paper:
        with stage("paper"), language(ENGLISH):
            write_paper(folder, t, judge_all(t, margin))
    try:
        with stage("files"):
            write_atomic(folder / "results.csv", csv_text(_results(full, bool(machines))))
        return _write(folder, t, j, variables, plots, formats, options)
    except OSError as error:
        raise UnetzooError(f"{folder}: cannot write the report: {error.strerror or error}") from None


def _results(t: Tables, several: bool) -> pd.DataFrame:
    """Return the table of the trials, with the kind of machine of each if there are several."""
    if not several:
        return t.trials
    known = {record.id: kind_of(record) if record.cost else "" for record in t.records}
    return t.trials.assign(machine=t.trials["id"].map(known))


def _plots(
    folder: Path,
    t: Tables,
    summary: pd.DataFrame,
    j: Judgement,
    shown: Sequence[str],
    order: list[str],
    formats: Sequence[str],
    clock: Clock,
) -> dict[str, Drawn]:
    """Draw the plots, in English in every report: the fonts that matplotlib brings lack other scripts."""
    with language(ENGLISH):
        with clock.stage("plots"):
            plots = draw(t, summary, j, shown, formats)
        with clock.stage("pictures"):
            found = draw_predictions(t.models, folder, order, formats) if "predictions" in shown else None
    return plots if found is None else plots | {"predictions": found}


def _caption(name: str, ranked: bool, noisy: bool) -> str:
    sentences = [CAPTIONS[name]]
    if name in PARETO:
        sentences += [FRONT, BARS] if ranked else [BARS]
    if noisy and name == "dice_vs_latency":
        sentences.append(HOLLOW)
    return "".join(map(_, sentences))


def _write(
    folder: Path,
    t: Tables,
    j: Judgement,
    variables: dict[str, Any],
    plots: dict[str, Drawn],
    formats: Sequence[str],
    options: Options,
) -> Path:
    """Write all files; return the path of the page, or of the summary if the report is brief."""
    summary, page = folder / "summary.md", folder / "index.html"
    with options.clock.stage("files"):
        write_plots(folder, NAMES, plots, formats)
        write_atomic(folder / "verdicts.csv", csv_text(verdict_table(j.every)))
        write_atomic(summary, render("summary.md.j2", variables))
    made = {} if variables["brief"] else pages(folder, t, j, variables, plots, options)
    with options.clock.stage("files"):
        for path in (page, folder / BROWSER, *(folder / FOLDER).glob("*.html")):
            if str(path.relative_to(folder).as_posix()) not in made:
                path.unlink(missing_ok=True)
        for name, text in made.items():
            write_atomic(folder / name, text)
    return page if made else summary


def pages(
    folder: Path,
    t: Tables,
    j: Judgement,
    variables: dict[str, Any],
    plots: dict[str, Drawn],
    options: Options | None = None,
) -> dict[str, str]:
    """Return the HTML of the page, of each variant's own page and of the browser of images, by file name.

    Args:
        folder: Output folder of the run, which has the pictures.
        t: Tables of the report.
        j: The verdicts.
        variables: Variables of the summary.
        plots: Those that were drawn, as PNG and SVG.
        options: What else the report has.
    """
    options = options or Options()
    rows = variables["rows"]
    found = addresses(str(row["model"]) for row in rows)
    with options.clock.stage("pictures"):
        images = browse(t.models, folder, [str(row["model"]) for row in rows])
    shared = {"suite": variables["title"], "pages": found, "browser": BROWSER if images else None}
    main = {
        "data": as_script(embedded(rows, t, j, found)),
        "rising": j.standing.rising,
        "scores": score_strips(rows),
        "differences": difference_strips(j),
        "inline": {name: data_uri(name, drawn) for name, drawn in plots.items()},
    }
    with options.clock.stage("page"):
        made = {"index.html": render("index.html.j2", variables | shared | main)}
    environment = environment_for("variant.html.j2")
    template = environment.get_template("variant.html.j2")
    with options.clock.stage("pages of variants"):
        for label, one in variant_contexts(t, j, rows, folder, options):
            title = _("{label}, {suite}", label=label, suite=variables["title"])
            made[found[label]] = template.render(**shared, **one, title=title)
    if images:
        template = environment.get_template("images.html.j2")
        title = _("Test images of {suite}", suite=variables["title"])
        with options.clock.stage("pictures"):
            made[BROWSER] = template.render(**shared, **images, title=title)
    return made


def write_plots(folder: Path, names: Iterable[str], plots: dict[str, Drawn], formats: Sequence[str] = SCREEN) -> None:
    """Write the plots that were drawn and remove the others, which an earlier report left.

    Args:
        folder: Folder of the report; plots go to its ``plots/``.
        names: All plots that the report can have.
        plots: Those that were drawn, in these formats or more.
        formats: Formats to write.
    """
    for name in names:
        for suffix in FORMATS:
            path = folder / "plots" / f"{name}.{suffix}"
            content = plots.get(name, {}).get(suffix)
            if content is None or suffix not in formats:
                path.unlink(missing_ok=True)
            else:
                write_atomic(path, content)


def data_uri(name: str, drawn: Drawn) -> str:
    """Return a plot as a data URI: SVG, or PNG for pictures and where the SVG is more than three times as large."""
    if name == "predictions" or len(drawn["png"]) < len(drawn["svg"]) / 3:
        return f"data:image/png;base64,{base64.b64encode(drawn['png']).decode()}"
    text = " ".join(drawn["svg"].decode().split()).translate(IN_ADDRESS)  # smaller than base64
    return f"data:image/svg+xml,{text}"


def render(
    template: str, variables: dict[str, Any], conventions: str = "conventions.txt.j2", *, package: str | None = None
) -> str:
    """Render a template to text; values from records are escaped.

    Args:
        template: File name of an HTML or Markdown template.
        variables: Its variables.
        conventions: Template whose lines become the list 'How to read the numbers'.
        package: Package whose templates come before those of `unetzoo.report`.
    """
    environment = environment_for(template, package)
    lines = environment.get_template(conventions).render(**variables).splitlines()
    return environment.get_template(template).render(**variables, conventions=[line for line in lines if line.strip()])


def environment_for(template: str, package: str | None = None) -> Environment:
    """Return the environment of templates of one kind, HTML or Markdown, which escapes what comes from records.

    Args:
        template: File name of one of them.
        package: Package whose templates come before those of `unetzoo.report`.
    """
    markdown = template.endswith(".md.j2")
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(name) for name in (package, "unetzoo.report") if name]),
        autoescape=not markdown,  # noqa: S701 (in Markdown, `finalize` escapes)
        finalize=escape_markdown if markdown else None,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"num": number, "span": span, "link": link, "signed": signed, "status": status_text}
    environment.filters |= {"js": in_script, "in_js": as_literal}
    environment.globals |= phrases(escape_markdown if markdown else escape)
    return environment
