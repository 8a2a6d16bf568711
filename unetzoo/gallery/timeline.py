"""The timeline of ideas on the page of all entries: which paper brought which network or encoder, from the entries."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from unetzoo.models.entry import Entry
from unetzoo.models.papers import Paper
from unetzoo.report.words import words

DERIVED = ("ablation", "pretrained", "peer")  # families whose entries only vary what another entry brought


def timeline(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """Return one row per paper, by year: what it brought, and the networks that have it.

    What a paper brought are the options in which its first network of the grid differs from unet, or the note of its
    first other network. A paper that entries cite only for their encoder brought that encoder.

    Args:
        entries: The entries, in the order of the registry.
    """
    papers: dict[str, Paper] = {}
    networks: dict[str, list[Entry]] = {}
    encoders: dict[str, list[Entry]] = {}
    for entry in entries:
        for paper, found in ((entry.paper, networks), (entry.encoder_paper, encoders)):
            if paper is not None:
                papers.setdefault(paper.title, paper)
                found.setdefault(paper.title, []).append(entry)
    rows = [_row(paper, networks.get(title, []), encoders.get(title, [])) for title, paper in papers.items()]
    return sorted(rows, key=lambda row: (row["year"], row["title"]))


def _row(paper: Paper, networks: list[Entry], encoders: list[Entry]) -> dict[str, Any]:
    own = [entry for entry in networks if entry.family not in DERIVED] or networks
    if own:
        changes = [f"{option} = {words(here)}" for option, (_, here) in own[0].diff.items()]
        brought = ", ".join(changes) or own[0].note
    else:
        names = dict.fromkeys(str(entry.options.get("encoder") or entry.name) for entry in encoders)
        brought = f"encoder: {', '.join(names)}"
    return {
        "year": paper.year,
        "title": paper.title,
        "link": paper.link,
        "cited": cited(paper),
        "brought": brought,
        "networks": [entry.name for entry in (own or encoders)],
    }


def cited(paper: Paper) -> str:
    """Cite as 'Ronneberger et al.'; the paper's authors are written first name first.

    Args:
        paper: The paper.
    """
    authors = paper.authors.split(", ")
    return authors[0].split()[-1] + (" et al." if len(authors) > 1 else "")
