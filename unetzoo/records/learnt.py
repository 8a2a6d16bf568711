"""Rules by which a run counts as one that learnt, as one whose seeds agree, and as one that was still rising.

They judge a record by what it holds, so that old records can be judged too. A run that did not learn takes part in no
verdict and no rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from unetzoo._util.language import N_, _, _n
from unetzoo.records.fields import class_names, foreground, label_of, seed_of
from unetzoo.records.parts import Result
from unetzoo.records.record import Record

MOST_MISSED = 0.9  # share of the images with a class in which it may be missed
GAP = 0.1  # least Dice between two camps of seeds
WIDTHS = 3.0  # the gap between two camps, in widths of the wider one
NO_VALIDATION = N_(
    "test Dice {ours:.3f} is not above the {best:.3f} of {label!r} (not validation Dice, of which this run has none on"
    " record)"
)
SOME_NO_VALIDATION = N_(
    "test Dice {ours:.3f} is not above the {best:.3f} of {label!r} (not validation Dice, of which some trivial"
    " predictors have none on record)"
)


@dataclass(frozen=True)
class Unlearnt:
    """A run that did not learn.

    Attributes:
        kind: The rule that says so: "trivial" (not above the best trivial predictor), "constant" or "missed".
        reason: The rule in words and numbers, for the report, in its language.
    """

    kind: Literal["trivial", "constant", "missed"]
    reason: str


def unlearnt(record: Record, baselines: Sequence[Record]) -> Unlearnt | None:
    """Return why a run did not learn, or None if it did or has no result.

    It did not learn if one class is predicted everywhere, if its validation Dice is not above that of the best trivial
    predictor, or if a foreground class is missed in over 90 % of the test images that have it. Test scores take the
    place of validation scores if a trivial predictor's record has none, as older ones do; the reason says so.

    Args:
        record: Record of a model.
        baselines: Records of the trivial predictors on the same data; without any, the other rules decide.
    """
    if record.status != "ok" or record.result is None:
        return None
    for flag in record.flags:
        if flag.kind == "constant":
            return Unlearnt("constant", flag.text)
    return _not_above_trivial(record.result, baselines) or _missed(record, record.result)


def _not_above_trivial(result: Result, baselines: Sequence[Record]) -> Unlearnt | None:
    results = [(label_of(b), b.result) for b in baselines if b.status == "ok" and b.result]
    ours, theirs = result.best_val_dice, [(r.best_val_dice, label) for label, r in results]
    sentence = N_("validation Dice {ours:.3f} is not above the {best:.3f} of {label!r}")
    if ours is None or any(dice is None for dice, _label in theirs):
        sentence = NO_VALIDATION if ours is None else SOME_NO_VALIDATION
        ours, theirs = result.dice, [(r.dice, label) for label, r in results]
    known = [(dice, label) for dice, label in theirs if dice is not None]
    if not known or ours is None or ours > (best := max(known))[0]:
        return None
    return Unlearnt("trivial", _(sentence, ours=ours, best=best[0], label=best[1]))


def _missed(record: Record, result: Result) -> Unlearnt | None:
    counted = foreground(record)
    names = [name for name in class_names(record) or result.missed if counted is None or name in counted]
    shares = {name: result.missed.get(name, 0) / images for name in names if (images := images_with(result, name))}
    often = {name: share for name, share in shares.items() if share > MOST_MISSED}
    if not often:
        return None
    worst = max(often, key=lambda name: often[name])
    values = {"name": worst, "n": result.missed[worst], "images": images_with(result, worst)}
    if len(often) == 1:
        return Unlearnt("missed", _("{name!r} is missed in {n} of the {images} test images with it", **values))
    more = _(
        "{name!r} is missed in {n} of the {images} test images with it, and {more} more of {all} classes",
        more=len(often) - 1,
        all=len(names),
        **values,
    )
    return Unlearnt("missed", more)


def images_with(result: Result, name: str) -> int:
    """Return the number of test images that have a class: all but those in which it is not true, predicted or not.

    Records without ``false_alarms`` give an upper limit.
    """
    return len(result.per_image) - result.undefined.get(name, 0) - result.false_alarms.get(name, 0)


def camps(records: Sequence[Record], baselines: Sequence[Record]) -> str | None:
    """Return a sentence if the seeds of one label fall in two camps, else None.

    They do if some learnt and some did not, or if the largest gap between neighbouring test scores is above 0.1 Dice
    and three times as wide as the wider camp, a rule of thumb that needs three seeds. The mean of two camps describes
    no run.

    Args:
        records: Records of one label, one per seed.
        baselines: Records of the trivial predictors on the same data.
    """
    done = [r for r in records if r.status == "ok" and r.result]
    failed = [seed_of(r) for r in done if unlearnt(r, baselines)]
    if 0 < len(failed) < len(done):
        return _("{n} of {all} seeds did not learn ({seeds})", n=len(failed), all=len(done), seeds=_listed(failed))
    return two_camps(records)


def two_camps(records: Sequence[Record]) -> str | None:
    """Return a sentence if the test scores of one label fall in two camps, by the second rule of `camps`."""
    done = [r for r in records if r.status == "ok" and r.result]
    scored = sorted((r.result.dice, seed_of(r)) for r in done if r.result and r.result.dice is not None)
    if len(scored) < 3:
        return None
    cut = max(range(1, len(scored)), key=lambda i: scored[i][0] - scored[i - 1][0])
    low, high = scored[:cut], scored[cut:]
    gap, width = high[0][0] - low[-1][0], max(camp[-1][0] - camp[0][0] for camp in (low, high))
    if gap <= GAP or gap <= WIDTHS * width:
        return None
    return _(
        "the seeds fall in two camps: test Dice up to {low:.3f} ({seeds}) and from {high:.3f} (the others)",
        low=low[-1][0],
        seeds=_listed([seed for _dice, seed in low]),
        high=high[0][0],
    )


def _listed(seeds: Sequence[int]) -> str:
    return _n("seed {seeds}", "seeds {seeds}", len(seeds), seeds=", ".join(map(str, sorted(seeds))))


def still_rising(record: Record) -> bool:
    """Return True if the best of several validations was the last, so that the budget ended a run that still rose.

    Neither a run that converged still rose, nor one that patience ended, which has validations after its best one.
    """
    if record.status != "ok" or record.baseline or record.result is None or record.curves is None:
        return False
    validated = [step for step, *_scores in record.curves.val]
    best_was_last = len(validated) > 1 and record.result.best_step == validated[-1]
    return best_was_last and record.result.ended != "converged"
