"""The checkerboard that each way up leaves in the logits of trained networks: reports/upsampling/artefacts.md.

    UNETZOO_DATA=... unetzoo bench benchmarks/upsampling.toml --out runs/upsampling --jobs 2
    UNETZOO_DATA=... python benchmarks/trained_artefacts.py --runs runs/upsampling
    python benchmarks/trained_artefacts.py --page       # write the page again from checkerboard.csv

Energies go to DATA/checkerboard.csv below --out, one row for each trial, one column for each test image. A trial whose
weights are not here any more keeps its row.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.ticker import FuncFormatter

from unetzoo._util.atomic import write_atomic
from unetzoo.bench.collection import Collection
from unetzoo.bench.suite_file import read_suite
from unetzoo.claims.trained import logits_energy, predictor, weights_of
from unetzoo.data.base import SegmentationDataset
from unetzoo.errors import UnetzooError
from unetzoo.records.fields import label_of, seed_of
from unetzoo.records.frame import csv_text, load
from unetzoo.records.reading import read_all
from unetzoo.report.groups import groups_by_key
from unetzoo.report.standing import Standing, standing
from unetzoo.report.statistics import compare
from unetzoo.report.style import RC, canvas, save
from unetzoo.report.verdicts.comparison import Comparison
from unetzoo.train.weights import load_model

ROOT = Path(__file__).resolve().parents[1]
SUITE = ROOT / "benchmarks/upsampling.toml"
REFERENCE = "bilinear"
DECADES = 12  # energies below 1e-12 count as that: nothing
FACTOR = 2.0  # within it two energies are called alike; chosen before any training
TABLE = "checkerboard.csv"
VERDICTS = {"better": "more", "worse": "less", "equivalent": f"within a factor of {FACTOR:g}", "undecided": "undecided"}


@torch.inference_mode()
def energies(weights: Path, data: SegmentationDataset) -> dict[str, float]:
    """Return the checkerboard energy of the logits of every test image, as the claim on artefacts measures it."""
    predict = predictor(load_model(weights), data.info.classes)
    return {key: float(f"{logits_energy(predict(data[key][0])[0]):.4g}") for key in data.splits["test"]}


def measure(runs: Path, out: Path, data: SegmentationDataset) -> None:
    """Write the energies of the finished trials of one data set that have no row yet.

    Args:
        runs: Folder of its results, with ``trials``.
        out: Folder of its report.
        data: The data set.
    """
    path = out / TABLE
    rows = {} if not path.exists() else {str(r["id"]): r for r in pd.read_csv(path).to_dict("records")}
    for record in read_all(runs)[0]:
        weights = weights_of(runs, record)
        if record.status != "ok" or record.baseline or record.id in rows or weights is None:
            continue
        label, seed = label_of(record), seed_of(record)
        print(f"{runs.name}: {label}, seed {seed}", flush=True)
        rows[record.id] = {"id": record.id, "model": label, "seed": seed, **energies(weights, data)}
    if rows:
        out.mkdir(parents=True, exist_ok=True)
        ordered = sorted(rows.values(), key=lambda row: (str(row["model"]), int(row["seed"])))
        write_atomic(path, csv_text(pd.DataFrame(ordered)))


def scores(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return by way up, seeds x images, the logarithms of the energies, from 0 (1e-12) to 1 (1)."""
    grids = {}
    for label, rows in table.groupby("model"):
        values = rows.set_index("seed").drop(columns=["id", "model"]).astype(float)
        grids[str(label)] = 1 + np.log10(values.clip(lower=10.0**-DECADES)) / DECADES
    return grids


def energy_of(score: float) -> float:
    """Return the energy of a score."""
    return 10 ** (DECADES * (score - 1))


def factor(difference: float) -> str:
    """Return a difference of scores as a factor of energies, with two digits that count."""
    rounded = float(f"{10 ** (DECADES * difference):.2g}")
    return f"{rounded:,.0f}" if rounded >= 10 else f"{rounded:g}"


def page(out: Path, labels: list[str]) -> None:
    """Write ``artefacts.md`` and its plots from the tables and the records.

    Args:
        out: Folder of the report.
        labels: Data sets of the suite.
    """
    lines = [
        "# What checkerboard does each way up leave after training?",
        "",
        "Checkerboard energy: the share of a map's variance at the frequencies of stride 2 (0: none, 1: nothing else), "
        "of the logits of every test image. Networks of equal multiply-accumulates "
        "([upsampling.toml](../../benchmarks/upsampling.toml)). Energies are compared as logarithms, by the rules of "
        f"the reports, all with {REFERENCE} as one family; within a factor of {FACTOR:g} they are called alike. "
        "A trial that did not learn takes no part. In brackets: the lowest and highest mean of a seed; behind a factor "
        "its simultaneous 95 % interval.",
        "",
        "Measured and written by `python benchmarks/trained_artefacts.py --runs FOLDER`.",
    ]
    for label in labels:
        if (out / label / TABLE).exists():
            lines += ["", f"## {label}", "", *_section(out, label)]
    write_atomic(out / "artefacts.md", "\n".join(lines) + "\n")


def _section(out: Path, label: str) -> Iterator[str]:
    tables = load(out / label)
    s = standing(tables)
    grids = scores(s.counted(pd.read_csv(out / label / TABLE)))
    groups = {key.split("/", 1)[1]: group for key, group in groups_by_key(tables).items()}
    margin = np.log10(FACTOR) / DECADES
    compared = compare(grids, REFERENCE, groups=groups, margin=margin, metric="checkerboard", leaking=tables.leaking)
    against = {c.model: s.temper(c) for c in compared}
    dice = {str(k): v for k, v in s.counted(tables.done).groupby("model")["dice"]}
    energy = {name: sorted(energy_of(mean) for mean in grid.mean(axis=1)) for name, grid in grids.items()}
    means = {name: energy_of(float(grid.mean(axis=1).mean())) for name, grid in grids.items()}
    order = sorted(grids, key=lambda name: -means[name])
    drawn = _draw(order, energy, {name: list(dice[name]) for name in order})
    write_atomic(out / "plots" / f"artefacts-{label}.png", drawn)
    seeds = sorted({len(grid) for grid in grids.values()})
    images = next(iter(grids.values())).shape[1]
    yield f"{' to '.join(map(str, dict.fromkeys((seeds[0], seeds[-1]))))} seeds, {images} test images."
    yield ""
    yield f"| way up | energy after training (seeds) | against {REFERENCE}: times | more or less | test Dice |"
    yield "|:--|--:|--:|:--|--:|"
    for name in order:
        low, high = energy[name][0], energy[name][-1]
        cells = [
            name,
            f"{means[name]:.2g} ({low:.2g} to {high:.2g})",
            *_against(against.get(name), s),
            f"{dice[name].mean():.3f}",
        ]
        yield "| " + " | ".join(cells) + " |"
    yield ""
    yield f"![Checkerboard energy and Dice of every seed by way up, {label}](plots/artefacts-{label}.png)"


def _against(c: Comparison | None, s: Standing) -> list[str]:
    if c is None:
        return ["", "reference"]
    if c.low is None or c.high is None or c.difference is None:
        return ["", c.note or c.verdict]
    word = VERDICTS.get(c.verdict, c.verdict) + " at this budget" * s.at_budget(c)
    return [f"{factor(c.difference)} ({factor(c.low)} to {factor(c.high)})", word]


def _draw(order: list[str], energy: dict[str, list[float]], dice: dict[str, list[float]]) -> bytes:
    import matplotlib as mpl

    with mpl.rc_context(RC):
        figure = canvas(9, 0.32 * len(order) + 1.2)
        left, right = figure.subplots(1, 2, sharey=True)
        for row, name in enumerate(reversed(order)):
            left.plot(energy[name], [row] * len(energy[name]), "o", color="#0072b2", alpha=0.6)
            right.plot(dice[name], [row] * len(dice[name]), "o", color="#d55e00", alpha=0.6)
        left.set(xscale="log", xlabel="checkerboard energy of the logits, a dot a seed", yticks=range(len(order)))
        left.set_yticklabels(list(reversed(order)))
        left.xaxis.set_major_formatter(FuncFormatter(lambda value, _at: f"{value:.0e}"))
        right.set_xlabel("test Dice, a dot a seed")
        return save(figure, ("png",))["png"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=ROOT / "reports/upsampling", help="folder of the suite's results")
    parser.add_argument("--out", type=Path, default=ROOT / "reports/upsampling", help="folder of the report")
    parser.add_argument("--page", action="store_true", help="only write the page")
    args = parser.parse_args()
    suite = read_suite(SUITE)
    assert isinstance(suite, Collection)
    for label, member in {} if args.page else suite.suites.items():
        if (args.runs / label / "records").is_dir():
            measure(args.runs / label, args.out / label, member.data.open())
    if not any((args.out / label / TABLE).exists() for label in suite.suites):
        raise SystemExit(f"{args.runs}: no finished trial with weights; see --help")
    page(args.out, list(suite.suites))


if __name__ == "__main__":
    try:
        main()
    except UnetzooError as error:
        raise SystemExit(f"error: {error}") from None
