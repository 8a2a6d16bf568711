"""Error rates of the report's verdicts, by simulation: family-wise rate, coverage and power.

    python benchmarks/verdict_error_rates.py [--only TEXT] [--replications N] [--folder FOLDER]

simulates suites of variants that do not differ (and of variants half of which do) and judges them through the functions
that the report uses, `unetzoo.report.verdicts`. Finished cells are kept in cells.jsonl and are not simulated again;
README.md, rates.csv and rates.png are written from them at the end. Takes about half an hour on one core.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from verdict_error_rates_page import named, table, write

from unetzoo.report.matrix import Cell as Place
from unetzoo.report.matrix import Row, one_for_all, settled
from unetzoo.report.verdicts.comparison import MARGIN, Family, Pair
from unetzoo.report.verdicts.family import holm, interval, words
from unetzoo.report.verdicts.observing import observe_all
from unetzoo.report.verdicts.pair import Evidence, two_sided, weigh

FOLDER = Path(__file__).parents[1] / "reports" / "verdict-error-rates"
Array = npt.NDArray[np.float64]
REPLICATIONS = {2: 20_000, 6: 10_000, 20: 5_000}  # by the number of variants
PAGES = 500  # of collections
CHUNK = 4_000_000  # scores simulated at a time
EFFECT = 0.01  # Dice
KEY = ("scenario", "variants", "seeds", "images", "grouped")  # of a cell
ICC = 0.75  # correlation of the scores' noise between images of one group
# number of images -> images in each group
SIZES = {6: [1, 1, 1, 1, 2], 30: [3, 4, 5, 5, 6, 7], 100: [4, 5, 6, 7, 8, 8, 9, 9, 10, 10, 11, 13]}


@dataclass(frozen=True)
class Scenario:
    """SDs of the noise in a score, fitted to committed records.

    The effect of an image that all variants share cancels in paired differences and is left out.

    Attributes:
        seed: SD over the trainings of one variant.
        image: SD of a variant's own difficulty with an image.
        rest: SD of what is left, one training on one image.
        tails: Degrees of freedom of the t distribution of the image noise; None for normal noise.
        noisy: Factor by which the last variant's noise is larger than the others'.
    """

    seed: float
    image: float
    rest: float
    tails: float | None = None
    noisy: float = 1.0


SCENARIOS = {
    "isbi": Scenario(0.002, 0.003, 0.0045),
    "nuclei": Scenario(0.004, 0.035, 0.013, tails=3),
    "driving": Scenario(0.03, 0.015, 0.035),
    "isbi, one six times as noisy": Scenario(0.002, 0.003, 0.0045, noisy=6),
}


@dataclass(frozen=True)
class Cell:
    """One design of a suite in one scenario."""

    scenario: str
    variants: int
    seeds: int
    images: int
    grouped: bool

    @property
    def name(self) -> str:
        """Text that ``--only`` is looked for in."""
        return named(vars(self))

    @property
    def groups(self) -> npt.NDArray[np.intp] | None:
        """Group of each image; None if they are independent."""
        return np.repeat(np.arange(len(SIZES[self.images])), SIZES[self.images]) if self.grouped else None


def cells() -> Iterator[Cell]:
    """Return all cells, small ones first."""
    for designed in itertools.product((2, 6, 20), (3, 5, 10), (6, 30, 100), (False, True), SCENARIOS):
        variants, seeds, images, grouped, scenario = designed
        yield Cell(scenario, variants, seeds, images, grouped)


# --- simulation ---------------------------------------------------------------------------------------------------


def draw(rng: np.random.Generator, shape: tuple[int, ...], tails: float | None) -> Array:
    """Return noise of SD 1."""
    if tails is None:
        return rng.standard_normal(shape)
    return rng.standard_t(tails, shape) / np.sqrt(tails / (tails - 2))


def over_images(rng: np.random.Generator, shape: tuple[int, ...], cell: Cell) -> Array:
    """Return noise of SD 1 over images (the last axis), correlated within groups."""
    tails = SCENARIOS[cell.scenario].tails
    own = draw(rng, shape, tails)
    if (groups := cell.groups) is None:
        return own
    shared = draw(rng, (*shape[:-1], int(groups.max()) + 1), tails)
    return np.sqrt(ICC) * shared[..., groups] + np.sqrt(1 - ICC) * own


def scores(rng: np.random.Generator, replications: int, cell: Cell) -> Array:
    """Return scores (replications, variants, seeds, images) of variants that do not differ."""
    scenario = SCENARIOS[cell.scenario]
    shape = (replications, cell.variants, cell.seeds, cell.images)
    noise = scenario.seed * rng.standard_normal((*shape[:3], 1))
    noise = noise + scenario.image * over_images(rng, (*shape[:2], 1, cell.images), cell)
    noise = noise + scenario.rest * over_images(rng, shape, cell)
    noise[:, -1] *= scenario.noisy
    return noise


def shifted(e: Evidence, effect: Array) -> Evidence:
    """Return the evidence if the true differences were ``effect`` and the noise the same."""
    return Evidence(e.difference + effect, e.over_seeds, e.over_images, e.over_cells, e.seeds, e.groups, e.freedom)


def rates(e: Evidence, effect: Array) -> dict[str, Array]:
    """Judge families of comparisons and return what came true, for each family.

    Args:
        e: Evidence (families, comparisons).
        effect: True differences (comparisons,).

    Returns:
        Arrays (families,): ``error`` (any false better or worse), ``covered`` (share of the intervals by themselves
        that hold the truth), ``all_covered`` (the simultaneous ones do, all of them), ``together`` (they do, and no
        bound that Holm's test puts at 0 is wrong), ``found`` (share of true differences found) and ``equivalent``
        (share of such verdicts).
    """
    adjusted = holm(two_sided(e))
    low_alone, high_alone = interval(e)
    low_all, high_all = interval(e, comparisons=len(effect))
    low, high = interval(e, comparisons=len(effect), p_adjusted=adjusted)
    verdict = words(e.difference, low, high, adjusted, margin=MARGIN)
    truth = np.select([effect > 0, effect < 0], ["better", "worse"], "none")
    shown = (verdict == "better") | (verdict == "worse")
    differ = effect != 0
    return {
        "error": (shown & (verdict != truth)).any(-1),
        "covered": ((low_alone < effect) & (effect < high_alone)).mean(-1),
        "all_covered": ((low_all < effect) & (effect < high_all)).all(-1),
        "together": ((low < effect) & (effect < high)).all(-1),  # a bound at 0 is open
        "found": (verdict == truth)[:, differ].mean(-1) if differ.any() else np.zeros(len(adjusted)),
        "equivalent": (verdict == "equivalent").mean(-1),
    }


def simulate(cell: Cell, replications: int) -> dict[str, Any]:
    """Return the rates of one cell, each with its standard error, as one row."""
    rng = np.random.default_rng(
        [cell.variants, cell.seeds, cell.images, cell.grouped, list(SCENARIOS).index(cell.scenario)]
    )
    step = max(1, CHUNK // (cell.variants * cell.seeds * cell.images))
    none = np.zeros(cell.variants - 1)
    some = np.where(np.arange(cell.variants - 1) < cell.variants // 2, EFFECT, 0.0)
    found: dict[str, list[Array]] = {}
    began = time.perf_counter()
    for start in range(0, replications, step):
        drawn = scores(rng, min(step, replications - start), cell)
        e = weigh(drawn[:, 1:] - drawn[:, :1], cell.groups)
        columns = {name: values for name, values in rates(e, none).items() if name != "found"}
        columns |= {f"half_{name}": values for name, values in rates(shifted(e, some), some).items()}
        if 2 < cell.variants <= 6:
            first, second = np.triu_indices(cell.variants, 1)
            pairs = weigh(drawn[:, second] - drawn[:, first], cell.groups)
            columns["pairs_error"] = rates(pairs, np.zeros(len(first)))["error"]
        for name, values in columns.items():
            found.setdefault(name, []).append(values)
    row: dict[str, Any] = {**vars(cell), "replications": replications, "seconds": round(time.perf_counter() - began, 1)}
    for name, parts in found.items():
        values = np.concatenate(parts).astype(float)
        row |= {name: round(values.mean(), 5), f"{name}_se": round(values.std() / np.sqrt(len(values)), 5)}
    return row


def run(folder: Path, only: str, replications: int | None) -> list[dict[str, Any]]:
    """Simulate the cells that are not in ``cells.jsonl`` yet; return all that are, in the order of `cells`."""
    path = folder / "cells.jsonl"
    done = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    known = {key(row): row for row in done}
    with path.open("a") as file:
        for cell in cells():
            if only in cell.name and key(vars(cell)) not in known:
                known[key(vars(cell))] = row = simulate(cell, replications or REPLICATIONS[cell.variants])
                file.write(json.dumps(row) + "\n")
                file.flush()
                print(f"{cell.name}: {100 * row['error']:.1f} % ({row['seconds']} s)")
    return [known[key(vars(cell))] for cell in cells() if key(vars(cell)) in known]


def collection(seeds: int, ahead: float, replications: int) -> dict[str, Any]:
    """Return the rates of wrong statements on pages of four data sets, with the noise of isbi, and four variants.

    Args:
        seeds: Number of seeds.
        ahead: Dice by which the first variant is better than the others on every data set.
        replications: Number of pages.
    """
    rng = np.random.default_rng([seeds, round(1000 * ahead)])
    labels, effect = ["a", "b", "c", "d"], np.array([ahead, 0, 0, 0])
    tables = {f"row {k}": scores(rng, replications, Cell("isbi", 4, seeds, 30, False)) for k in range(4)}
    lower, serving, wrong = np.zeros((3, replications))
    for k in range(replications):
        rows = settled([judged(name, labels, table[k] + effect[:, None, None]) for name, table in tables.items()])
        for row in rows:
            lower[k] += (row.lower(labels) & (effect[:, None] >= effect)).any()
        chosen = one_for_all(rows, labels)
        serving[k], wrong[k] = bool(chosen), any(effect.max() - effect[labels.index(m)] >= MARGIN for m in chosen)
    row: dict[str, Any] = {"seeds": seeds, "ahead": ahead, "replications": replications}
    for name, values in (("lower", lower > 0), ("serving", serving), ("wrong", wrong)):
        row |= {name: round(values.mean(), 5), f"{name}_se": round(values.std() / np.sqrt(replications), 5)}
    return row


def judged(name: str, labels: list[str], tables: Array) -> Row:
    """Return a row of a collection from scores (variants, seeds, images)."""
    both = itertools.combinations(zip(labels, tables, strict=True), 2)
    pairs = [Pair(name, other, ours, theirs) for (other, theirs), (name, ours) in both]
    cells = {m: Place(dice=x.mean(), seeds=len(x), mark="not enough data") for m, x in zip(labels, tables, strict=True)}
    order = sorted(labels, key=lambda m: -(cells[m].dice or 0))
    found = observe_all(pairs, Family())
    findings = {(each.comparison.model, each.comparison.reference): each for each in found}
    return Row(name, None, {m: cells[m] for m in order}, None, MARGIN, findings)


def run_collections(folder: Path, replications: int) -> list[dict[str, Any]]:
    """Simulate collections that are not in ``collections.jsonl`` yet; return all that are."""
    path = folder / "collections.jsonl"
    done = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    for seeds, ahead in itertools.product((3, 5), (0.0, MARGIN)):
        if not any((row["seeds"], row["ahead"]) == (seeds, ahead) for row in done):
            done.append(collection(seeds, ahead, replications))
            path.write_text("".join(json.dumps(row) + "\n" for row in done))
    return done


def key(row: dict[str, Any]) -> tuple[Any, ...]:
    """Return what identifies a cell."""
    return tuple(row[name] for name in KEY)


def described() -> dict[str, str]:
    """Return what the page says about the simulation."""
    lines = []
    for name, s in SCENARIOS.items():
        shape = "normal" if s.tails is None else f"t with {s.tails:g} degrees of freedom"
        lines.append([name, str(s.seed), str(s.image), str(s.rest), shape])
    return {
        "scenarios": table(["SD of Dice", "seed", "image", "seed and image", "distribution over images"], lines),
        "groups": ", ".join(str(len(sizes)) for sizes in SIZES.values()),
        "icc": str(ICC),
        "effect": str(EFFECT),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="simulate cells whose name contains this, such as '6 variants'")
    parser.add_argument(
        "--replications", type=int, help=f"number of suites in a cell; by default, by variants: {REPLICATIONS}"
    )
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the results go")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    cells = run(options.folder, options.only, options.replications)
    pages = [] if options.only else run_collections(options.folder, options.replications or PAGES)
    write(cells, pages, options.folder, described())
