"""Sentences and tables on how the trials were run: variants, matching, recipes, budget, order of reading, protocol."""

from __future__ import annotations

from statistics import median
from typing import Any

from unetzoo._util.language import N_, _, _n
from unetzoo.records.fields import class_names, dig, label_of, of_grid, seed_of
from unetzoo.records.record import Record
from unetzoo.report.alarms import in_order
from unetzoo.report.naming import distinct, named
from unetzoo.report.words import compute, fields, listed, number, percent, words

MOST_SPREAD = 0.05  # of the steps of one variant's seeds, under a budget in minutes
QUANTITIES = {"params": N_("parameters"), "macs": N_("MACs")}


def first_of_each(records: list[Record]) -> dict[str, Record]:
    """Return the first record of each label, from which the values shared by its trials are read."""
    found: dict[str, Record] = {}
    for record in records:
        found.setdefault(label_of(record), record)
    return dict(sorted(found.items()))


def variants(records: list[Record]) -> list[dict[str, Any]]:
    """Return each label's difference from ``unet``, the reference it was matched to, and its citations.

    A network outside the grid shares no options with ``unet``: it has its own ones instead.
    """
    return [
        {
            "model": label,
            "diff": [{"option": k, "base": words(old), "here": words(new)} for k, (old, new) in r.model.diff.items()],
            "own": None if of_grid(r) else _own(r),
            "matched": _matched_to(r),
            "papers": [
                _cited(r.model.paper),
                *([_cited(r.model.encoder_paper, N_("encoder: {title}"))] if r.model.encoder_paper else []),
            ],
        }
        for label, r in first_of_each(records).items()
    ]


def _own(record: Record) -> str:
    options = fields(dig(record.trial, "model", "options"))
    return _("another network, with {options}", options=options) if options else _("another network")


def _cited(paper: dict[str, Any], of: str = N_("{title}")) -> dict[str, Any]:
    known = {k: words(v) for k, v in paper.items() if v not in (None, "", [], {})}
    return {
        "title": _(of, title=known.pop("title", _("no paper named"))),
        "by": ", ".join(known.pop(k) for k in ("authors", "year") if k in known),
        "more": known,
    }


def _ratio(record: Record) -> float | None:
    ratio = record.model.matched.get("ratio")
    return float(ratio) if isinstance(ratio, (int, float)) else None


def _quantity(matched: dict[str, Any]) -> str:
    what = words(matched.get("what"))
    return _(QUANTITIES.get(what, what))


def _matched_to(record: Record) -> str | None:
    matched, ratio = record.model.matched, _ratio(record)
    if matched.get("reference") == label_of(record):
        return _("the others' {what} are matched to it", what=_quantity(matched))
    if ratio is None:
        return fields(matched)
    unit, name = (1e6, "M") if matched.get("what") == "params" else (1e9, "G")
    target, reached = (
        v if isinstance(v, (int, float)) else None for v in (matched.get("target"), matched.get("reached"))
    )
    names = {"what": _quantity(matched), "reference": words(matched.get("reference")), "ratio": ratio}
    if not (target and reached):
        return _("{what} matched to {reference}: x{ratio:.3f}", **names)
    names |= {"reached": f"{number(reached, 3, unit)} {name}", "target": f"{number(target, 3, unit)} {name}"}
    return _("{what} matched to {reference}: {reached} for a target of {target}, x{ratio:.3f}", **names)


def matched_to(records: list[Record]) -> str | None:
    """Return the label that all widths were matched to; None if there is none, or several."""
    found = {words(record.model.matched.get("reference")) for record in records if record.model.matched}
    return found.pop() if len(found) == 1 else None


def _odd_widths(records: list[Record]) -> bool:
    """Return True if matching gave fractional widths, whose channel counts fast kernels are not made for."""
    widths = [dig(r.trial, "model", "options", "width") for r in records if r.model.matched]
    return any(isinstance(width, float) and width != int(width) for width in widths)


def matched(records: list[Record]) -> list[str]:
    """Return one sentence for each quantity and reference that widths were matched to."""
    groups: dict[tuple[str, str], dict[str, float]] = {}
    for label, record in first_of_each(records).items():
        matched, ratio = record.model.matched, _ratio(record)
        if ratio is not None and matched.get("reference") != label:
            groups.setdefault((_quantity(matched), words(matched.get("reference"))), {})[label] = ratio
    sentences = [
        _(
            "Widths were chosen so that {what} match {reference}'s within {percent:.1f} %: {ratios}.",
            what=what,
            reference=reference,
            percent=100 * max(abs(r - 1) for r in ratios.values()),
            ratios=listed([f"{label} x{r:.3f}" for label, r in ratios.items()], 12),
        )
        for (what, reference), ratios in groups.items()
    ]
    if _odd_widths(records):
        odd = _(
            "{sentence} Fractional widths give unusual channel counts, which run slower than their MACs suggest, so"
            " these latencies do not apply to the variants at usual widths."
        )
        sentences = [odd.format(sentence=sentence) for sentence in sentences]
    references = {reference for _what, reference in groups}
    given = [label for label, r in first_of_each(records).items() if not r.model.matched and label not in references]
    if sentences and given:
        sentences.append(_("At the width given, not matched: {names}.", names=listed(given, 12)))
    return sentences


def recipes(records: list[Record]) -> list[str]:
    """Name the training options that differ between variants, group by group; empty if all were trained alike."""
    trained = {label: r.trial.get("train") for label, r in first_of_each(records).items()}
    known = {label: recipe for label, recipe in trained.items() if isinstance(recipe, dict)}
    options = dict.fromkeys(option for recipe in known.values() for option in recipe)
    varying = [o for o in options if len({repr(recipe.get(o)) for recipe in known.values()}) > 1]
    groups: dict[str, list[str]] = {}
    for label, recipe in known.items():
        groups.setdefault(words(fields({o: recipe.get(o) for o in varying})), []).append(label)
    if len(groups) < 2:
        return []
    warning = _(
        "The variants were not trained alike, so differences between these groups also reflect the training recipe."
        " {recipes}.",
        recipes=_("; ").join(
            _("{label}: {what}", label=listed(labels, 12), what=how) for how, labels in groups.items()
        ),
    )
    return [warning]


def spread_of_steps(records: list[Record]) -> list[str]:
    """State by how much the steps of a variant's seeds differ under a budget in minutes; empty under other budgets."""
    steps: dict[str, list[int]] = {}
    for record in records:
        if dig(record.trial, "train", "minutes") and record.result and record.result.steps:
            steps.setdefault(label_of(record), []).append(record.result.steps)
    spreads = {label: (max(n) - min(n)) / median(n) for label, n in steps.items() if len(n) > 1}
    if not spreads:
        return []
    parts = [f"{label} {percent(spread)}" for label, spread in spreads.items()]
    return [
        _(
            "In equal minutes the seeds of one variant take different numbers of steps; spread, (most - fewest) /"
            " median: {spreads}. Over {most} there is no verdict.",
            spreads=listed(parts, len(parts)),
            most=percent(MOST_SPREAD),
        )
    ]


def data_wait(records: list[Record]) -> list[str]:
    """State the largest share of a trial's training time that was spent waiting for data."""
    shares = {r.id: r.cost.data_share for r in records if r.cost and r.cost.data_share is not None}
    if not shares:
        return []
    most = percent(max(shares.values()), 1)
    return [_("Waiting for data took at most {share} of a trial's training time.", share=most)]


def budgets(records: list[Record]) -> str | None:
    """Return the training budget of trials in words: the one that they share, or each model's own; None if none.

    A training "until converged" may end at its cap before that: how many did is said too.
    """
    found = list(dict.fromkeys(b for record in records if (b := budget(record))))
    capped = _capped(records)
    if len(found) < 2:
        return _("; ").join([*found, *capped]) or None
    steps = [n for record in records if isinstance(n := dig(record.trial, "train", "steps"), int)]
    if len(steps) == len(records):
        return _("each variant's own steps: {low} to {high}", low=min(steps), high=max(steps))
    return _("; ").join([*found, *capped])


def _capped(records: list[Record]) -> list[str]:
    """Say how many of the trainings until convergence ended at their cap instead; empty if there are none."""
    trained = [r for r in records if r.status == "ok" and not r.baseline and dig(r.trial, "train", "until")]
    ends = [r.result.ended for r in trained if r.result]
    capped = ends.count("most_steps")
    return [_("trials that ended at this cap: {n} of {all}", n=capped, all=len(ends))] if capped else []


def budget(record: Record) -> str | None:
    """Return the training budget of a trial: time, compute, steps or convergence; None if none."""
    recipe = record.trial.get("train")
    if minutes := dig(recipe, "minutes"):
        return _("equal time: {n} min of training, validation not included", n=words(minutes))
    if dig(recipe, "until"):
        return _("until converged, within {n} steps", n=words(dig(recipe, "most_steps")))
    for key, value in recipe.items() if isinstance(recipe, dict) else ():
        if "flops" in key and isinstance(value, (int, float)) and value:
            return _("equal compute: {compute} of training, forward and backward", compute=compute(value))
    return _("equal steps: {n}", n=words(dig(recipe, "steps"))) if dig(recipe, "steps") else None


def order_of_reading(records: list[Record]) -> list[str]:
    """State for how many trials the test split was read once and last, and which trials were resumed.

    Trials that broke the order are among the warnings instead (`unetzoo.report.alarms.read_early`).
    """
    done = [r for r in records if r.status == "ok"]
    known = [r for r in done if r.events]
    heeded = [r for r in known if in_order(r)]
    sentences = []
    if heeded:
        n, of = len(heeded), len(done)
        sentence = (
            _("In the one trial the test split was read once, after the weights had been chosen.")
            if of == 1
            else _("In all {all} trials the test split was read once, after the weights had been chosen.")
            if n == of
            else _("In {n} of {all} trials the test split was read once, after the weights had been chosen.")
        )
        sentences.append(sentence.format(n=n, all=of))
    if known and len(known) < len(done):
        silent = _n(
            "{n} trial does not say in which order the splits were read.",
            "{n} trials do not say in which order the splits were read.",
            len(done) - len(known),
        )
        sentences.append(silent)
    if resumed := [r for r in records if r.resumed]:
        steps = named(
            resumed, lambda r: _("{seed} at step {steps}", seed=seed_of(r), steps=listed([str(s) for s in r.resumed]))
        )
        sentences.append(_("Interrupted and resumed: {trials}.", trials=steps))
    return sentences


def policies(records: list[Record]) -> list[str]:
    """Describe the scoring policy: empty masks, tolerances and units."""

    def options(record: Record) -> str | None:
        policy = record.result.policy if record.result else {}
        return fields({words(k).replace("_", " "): v for k, v in policy.items() if not isinstance(v, dict)})

    sentences = [_("Scoring options: {options}", options=line) for line in distinct(records, options)]
    for record in records:
        for rules in record.result.policy.values() if record.result else ():
            pairs = rules.items() if isinstance(rules, dict) else ()
            sentences += [_("{label}: {what}", label=words(k), what=words(v)) for k, v in pairs]
    return [_("{sentence}.", sentence=line[:1].upper() + line[1:]) for line in dict.fromkeys(sentences)]


def protocol(records: list[Record]) -> list[tuple[str, list[str]]]:
    """Return (title, distinct values) of the conditions of the trials; several values mean that it varied."""

    def splits(record: Record) -> str | None:
        by_split = record.data.get("splits")
        sizes = [
            f"{name}: {words(dig(split, 'n'))} ({words(dig(split, 'digest') or _('no hash'))})"
            for name, split in (by_split.items() if isinstance(by_split, dict) else [])
        ]
        return "; ".join(sizes) or None

    def cost(text: str) -> list[str]:
        return distinct(records, lambda r: text.format(c=r.cost) if r.cost else None)

    def classes(record: Record) -> str | None:
        counted = record.data.get("foreground")
        names = class_names(record)
        if not names:
            return None
        return _("{names}; foreground (indices): {indices}", names=", ".join(names), indices=words(counted))

    rows: list[tuple[str, list[str]]] = [
        (_("Data"), distinct(records, lambda r: r.data.get("description") or dig(r.trial, "data", "name"))),
        (_("Data digest"), distinct(records, lambda r: dig(r.trial, "data", "digest"))),
        (_("Classes"), distinct(records, classes)),
        (_("Splits"), distinct(records, splits)),
        (_("Seeds"), [", ".join(map(str, sorted({seed_of(r) for r in records})))] if records else []),
        (_("Budget"), [*distinct(records, budget), *_capped(records)]),
        (_("Training"), distinct(records, lambda r: fields(r.trial.get("train")))),
        (_("Measurement"), distinct(records, lambda r: fields(r.trial.get("measure")))),
        (_("Memory"), cost(_("{c.memory_method}; training step at {c.train_shape}"))),
        (_("Latency"), cost(_("{c.latency_method}; {c.latency_repeats} repeats at {c.shape} (N, C, H, W)"))),
        (_("MACs"), cost(_("one forward pass of one image at the size of {c.shape} (N, C, H, W)"))),
        (_("Protocol version"), distinct(records, lambda r: r.trial.get("protocol"))),
    ]
    keys = dict.fromkeys(k for r in records for k in r.environment)
    rows += [(key, distinct(records, lambda r, key=key: r.environment.get(key))) for key in keys]
    return [(title, values) for title, values in rows if values]
