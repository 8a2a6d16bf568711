"""What each of many pairs shows by itself, computed at once for the pairs that have the same seeds and images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from unetzoo._util.language import _, _n
from unetzoo.report.verdicts.comparison import Comparison, Family, Finding, Pair, settle
from unetzoo.report.verdicts.family import LOWER_IS_BETTER, MIN_GROUPS, MIN_SEEDS, interval, possible
from unetzoo.report.verdicts.pair import (
    Array,
    Evidence,
    complete,
    components,
    gathered,
    prob_false,
    superiority,
    two_sided,
    weigh,
)

MOST = 500_000  # numbers in one array of differences (pairs, seeds, images)
MOST_ARRAYS = 512  # looked at together, as each is compared with each
Mask = npt.NDArray[np.bool_]


def judge(pairs: Sequence[Pair], family: Family) -> list[Comparison]:
    """Return the comparisons of all pairs, corrected for one another.

    Args:
        pairs: The pairs.
        family: Settings they share.
    """
    return settle(observe_all(pairs, family), family)


def observe(pair: Pair, family: Family) -> Finding:
    """Return what one pair shows by itself; see `observe_all`."""
    return observe_all([pair], family)[0]


def observe_all(pairs: Sequence[Pair], family: Family) -> list[Finding]:
    """Return what each pair shows by itself.

    Args:
        pairs: Scores of both sides; pairs of one variant should share its array, which is then looked at once.
        family: Settings; its margin is not used.
    """
    findings: dict[int, Finding] = {}
    for members, seeds, images in _alike(pairs):
        arrays = {id(x) for k in members for x in (pairs[k].ours, pairs[k].theirs)}
        step = len(members) if len(arrays) <= MOST_ARRAYS else MOST_ARRAYS // 2
        for at in range(0, len(members), step):
            some = members[at : at + step]
            findings |= zip(some, _observed([pairs[k] for k in some], seeds, images, family), strict=True)
    return [findings[k] for k in range(len(pairs))]


def _alike(pairs: Sequence[Pair]) -> Iterator[tuple[list[int], Mask, Mask]]:
    """Yield the indices of pairs that agree in the seeds and images to compare, with the masks of these."""
    finite = {id(x): np.isfinite(x) for pair in pairs for x in (pair.ours, pair.theirs)}
    by_seed: dict[int, Mask] = {key: np.any(x, axis=1) for key, x in finite.items()}
    by_image: dict[int, Mask] = {key: np.any(x, axis=0) for key, x in finite.items()}
    found: dict[tuple[bytes, bytes, int], tuple[list[int], Mask, Mask]] = {}
    for k, pair in enumerate(pairs):
        a, b = id(pair.ours), id(pair.theirs)
        seeds = by_seed[a] & by_seed[b]
        images = by_image[a] | by_image[b]
        if not seeds.all():
            images = np.any(finite[a][seeds], axis=0) | np.any(finite[b][seeds], axis=0)
        found.setdefault((seeds.tobytes(), images.tobytes(), id(pair.groups)), ([], seeds, images))[0].append(k)
    yield from found.values()


def _observed(pairs: Sequence[Pair], seeds: Mask, images: Mask, family: Family) -> list[Finding]:
    """Return the findings of pairs with the same seeds and images in common."""
    arrays = {id(x): x for pair in pairs for x in (pair.ours, pair.theirs)}
    places = {key: place for place, key in enumerate(arrays)}
    left, right = ([places[id(x)] for x in some] for some in ([p.ours for p in pairs], [p.theirs for p in pairs]))
    scores = np.stack([x[seeds][:, images] for x in arrays.values()])
    groups = pairs[0].groups
    codes = None if groups is None else np.unique(groups[images], return_inverse=True)[1]
    scored: Mask = np.any(np.isfinite(scores), axis=1)
    sizes = scored.sum(1).tolist()
    grouped = None if codes is None else [len(np.unique(codes[each])) for each in scored]
    bare: list[dict[str, Any]] = [
        {
            "model": pair.model,
            "seeds": scores.shape[1],
            "images": min(sizes[a], sizes[b]),
            "groups": None if grouped is None else min(grouped[a], grouped[b]),
            "metric": family.metric,
            "reference": pair.reference,
        }
        for pair, a, b in zip(pairs, left, right, strict=True)
    ]
    if not seeds.any():
        return [Finding(Comparison(**c, note=_("no seed or no test image in common"))) for c in bare]
    filled = complete(scores)
    e, agree = _weighed(filled, left, right, codes)
    higher = superiority(scores)
    chance = (higher[right, left] if family.metric in LOWER_IS_BETTER else higher[left, right]).tolist()
    for c, d, n, s in zip(bare, e.difference.tolist(), agree, chance, strict=True):
        c |= {"difference": d, "agree": n, "superiority": None if s != s else s}
    return _measured(bare, e, family)


def _weighed(
    filled: Array, left: Sequence[int], right: Sequence[int], codes: npt.NDArray[np.intp] | None
) -> tuple[Evidence, list[int]]:
    """Return the evidence of each pair, and the number of its seeds whose difference has the sign of the mean."""
    parts: list[Evidence] = []
    agree: list[int] = []
    step = max(1, MOST // max(1, filled[0].size))
    for at in range(0, len(left), step):
        table = filled[left[at : at + step]] - filled[right[at : at + step]]
        parts.append(weigh(table, codes))
        agree += (np.sign(table.mean(-1)) == np.sign(parts[-1].difference)[:, None]).sum(-1).tolist()
    return gathered(parts), agree


def _measured(bare: Sequence[dict[str, Any]], e: Evidence, family: Family) -> list[Finding]:
    """Add what does not depend on the other comparisons: the interval by itself, p, and the split of the variance.

    Args:
        bare: Fields of each comparison so far.
        e: Their evidence.
        family: Settings they share.
    """
    lows, highs = (x.tolist() for x in possible(*interval(e, alpha=family.alpha), family.metric))
    sds = np.stack(components(e), 1).tolist()
    p, false = two_sided(e).tolist(), prob_false(e).tolist()
    findings = []
    for k, c in enumerate(bare):
        seeds, of_groups = c["seeds"], c["groups"] is not None
        if (count := c["groups"] if of_groups else c["images"]) < MIN_GROUPS:
            c["note"] = _too_few(count, of_groups)
            findings.append(Finding(Comparison(**c)))
            continue
        c |= {"low": lows[k], "high": highs[k], "low_alone": lows[k], "high_alone": highs[k]}
        if seeds > 1:
            image, seed, interaction = sds[k]
            spread = (image**2 + seed**2 + interaction**2) ** 0.5
            c["effect"] = c["difference"] / spread if spread > 1e-12 else None
            c |= {"sd_image": image, "sd_seed": seed, "sd_interaction": interaction}
        if seeds < 2:
            c["note"] = _(
                "one seed in common: the difference between these two trained networks, not between the variants; run"
                " --seeds {least}",
                least=MIN_SEEDS,
            )
        elif seeds < MIN_SEEDS:
            c["note"] = _("{n} seeds in common, a verdict needs {least}; run --seeds {least}", n=seeds, least=MIN_SEEDS)
        else:
            c |= {"p": p[k], "prob_false": false[k]}
        findings.append(Finding(Comparison(**c), e.at(k) if "p" in c else None))
    return findings


def _too_few(count: int, of_groups: bool) -> str:
    """Say that there are too few test images, or groups of them, for a verdict."""
    if of_groups:
        return _n(
            "{n} group of test images in common, at least {least} are needed",
            "{n} groups of test images in common, at least {least} are needed",
            count,
            least=MIN_GROUPS,
        )
    return _n(
        "{n} test image in common, at least {least} are needed",
        "{n} test images in common, at least {least} are needed",
        count,
        least=MIN_GROUPS,
    )
