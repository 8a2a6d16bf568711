"""The proposed reading of masks that are drawn from annotations, and what is noticed about them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from unetzoo.data.folders.drawn import Drawing
from unetzoo.data.folders.mask_rules import MaskReading
from unetzoo.data.folders.pairs import Finding, listed, some
from unetzoo.data.folders.reading import ClassReading

VOID_NAME = re.compile(r"_*(void|ignored?|unlabell?ed|don.?t.?care)_*", re.IGNORECASE)
RULES = {
    "smaller": "the smaller object is on top (overlap = 'later' in dataset.toml puts the later one on top)",
    "later": "the later object is on top (overlap = 'smaller' in dataset.toml puts the smaller one on top)",
}


def drawn_masks(categories: Sequence[str]) -> MaskReading:
    """Return the reading of drawn masks: 0 is background, and each category is a class or void by its name.

    Args:
        categories: Names of the values 1, 2, ...
    """
    found = MaskReading(f"drawn from {len(categories)} categor{'y' if len(categories) == 1 else 'ies'}")
    found.classes = [ClassReading(name="background", values=[0], foreground=False)]
    for value, name in enumerate(categories, start=1):
        if VOID_NAME.fullmatch(name):
            found.ignore.append(value)
            found.add("note", "void", f"category {name!r} is void by its name: neither trained on nor scored")
        else:
            found.classes.append(ClassReading(name=name, values=[value]))
    if len(found.classes) < 2:
        found.classes = []
        found.add("error", "categories", f"there is no category beside {some(list(categories))}: nothing to segment")
    return found


def drawn_findings(drawings: Sequence[Drawing]) -> list[Finding]:
    """Return what was noticed when the masks of a data set were drawn.

    Args:
        drawings: The drawings, after their masks were drawn.
    """
    if not drawings:
        return []
    unseen = [f"{d.path}: {d.image}: {label} covers no pixel: not drawn" for d in drawings for label in d.unseen]
    findings = listed("warning", "no pixel", unseen)
    if contested := [d for d in drawings if d.contested]:
        pixels = sum(d.contested for d in contested)
        share = pixels / sum(d.size[0] * d.size[1] for d in drawings)
        most = max(contested, key=lambda d: d.contested)
        text = (
            f"objects of different categories overlap in {len(contested)} of {len(drawings)} images, {share:.2%} of "
            f"the pixels, most in {most.image}: {RULES[most.overlap]}"
        )
        findings.append(Finding("note", "overlap", text))
    if all(d.empty for d in drawings):
        findings.append(Finding("error", "empty", f"{drawings[0].path}: every mask is empty"))
    return findings
