"""BibTeX of the variants, data sets, metrics and methods that a report uses."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from unetzoo._util.versions import __version__
from unetzoo.metrics.policy import ISBI
from unetzoo.records.columns import METRICS
from unetzoo.records.frame import Tables
from unetzoo.report.naming import distinct
from unetzoo.report.paper.latex import tex
from unetzoo.report.words import words

METRIC_SOURCES: dict[str, dict[str, Any]] = {
    "dice": {
        "title": "Measures of the Amount of Ecologic Association Between Species",
        "authors": "Lee R. Dice",
        "year": 1945,
        "doi": "10.2307/1932409",
    },
    "iou": {
        "title": "The Distribution of the Flora in the Alpine Zone",
        "authors": "Paul Jaccard",
        "year": 1912,
        "doi": "10.1111/j.1469-8137.1912.tb05611.x",
    },
    "nsd": {
        "title": "Deep learning to achieve clinically applicable segmentation of head and neck anatomy for"
        " radiotherapy",
        "authors": "Stanislav Nikolov and others",
        "year": 2018,
        "arxiv": "1809.04430",
    },
    "boundary_iou": {
        "title": "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation",
        "authors": "Bowen Cheng, Ross Girshick, Piotr Dollar, Alexander C. Berg, Alexander Kirillov",
        "year": 2021,
        "arxiv": "2103.16562",
    },
    "brier": {
        "title": "Verification of Forecasts Expressed in Terms of Probability",
        "authors": "Glenn W. Brier",
        "year": 1950,
        "doi": "10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2",
    },
    "ece": {
        "title": "On Calibration of Modern Neural Networks",
        "authors": "Chuan Guo, Geoff Pleiss, Yu Sun, Kilian Q. Weinberger",
        "year": 2017,
        "arxiv": "1706.04599",
    },
}
ISBI_SOURCE = {
    "title": "Crowdsourcing the creation of image segmentation algorithms for connectomics",
    "authors": "Ignacio Arganda-Carreras and others",
    "year": 2015,
    "doi": "10.3389/fnana.2015.00142",
}
HOLM = {
    "title": "A Simple Sequentially Rejective Multiple Test Procedure",
    "authors": "Sture Holm",
    "year": 1979,
    "url": "https://www.jstor.org/stable/4615733",
}
UNETZOO = {
    "title": "unetzoo: which U-Net should I use, and what does it cost me?",
    "authors": "{The unetzoo authors}",
    "url": "https://github.com/unetzoo/unetzoo",
}


@dataclass
class Cited:
    """The entries of a bibliography, and which of them stands for what.

    Attributes:
        entries: Key -> fields of the entry.
        of: "model", "data", "metric NAME", "holm" or "unetzoo" -> keys.
    """

    entries: dict[str, dict[str, str]] = field(default_factory=dict)
    of: dict[str, list[str]] = field(default_factory=dict)

    def add(self, what: str, fields: Mapping[str, str], key: str) -> None:
        """Add an entry unless an equal one is there, and remember what it stands for."""
        wanted = dict(fields)
        name, n = key, 1
        while name in self.entries and self.entries[name] != wanted:
            n += 1
            name = f"{key}-{n}"
        self.entries[name] = wanted
        if name not in self.of.setdefault(what, []):
            self.of[what].append(name)

    def keys(self, *whats: str) -> list[str]:
        """Return the keys of all these, each once."""
        return list(dict.fromkeys(key for what in whats for key in self.of.get(what, [])))


def entries(t: Tables) -> Cited:
    """Return the publications behind everything in a report."""
    cited = Cited()
    for record in t.models:
        for paper in (record.model.paper, record.model.encoder_paper):
            if paper.get("title"):
                cited.add("model", *_entry(paper))
    for citation in distinct(t.models, lambda r: r.data.get("citation")):
        cited.add("data", *_as_stated(citation))
    for metric in used_metrics(t):
        if metric in METRIC_SOURCES:
            cited.add(f"metric {metric}", *_entry(METRIC_SOURCES[metric]))
    if set(ISBI) & set(t.trials.columns):
        cited.add("metric isbi", *_entry(ISBI_SOURCE))
    cited.add("holm", *_entry(HOLM))
    versions = distinct(t.models, lambda r: r.environment.get("unetzoo")) or [__version__]
    cited.add("unetzoo", _entry({**UNETZOO, "version": " and ".join(versions)})[0], "unetzoo")
    return cited


def used_metrics(t: Tables) -> list[str]:
    """Return the metrics that a finished trial of a model has."""
    return [metric for metric in METRICS if t.done[metric].notna().any()]


def _entry(paper: Mapping[str, Any]) -> tuple[dict[str, str], str]:
    """Return the fields and the key of a publication given by title, authors, year, doi, arxiv or url."""
    raw = words(paper.get("authors") or "")
    authors = raw if raw.startswith("{") else " and ".join(tex(a) for a in re.split(r",\s*|\s+and\s+", raw) if a)
    fields = {"author": authors, "title": f"{{{tex(paper['title'])}}}"}
    fields |= {name: tex(words(paper[name])) for name in ("year", "version") if paper.get(name)}
    if paper.get("doi"):
        fields["doi"] = _doi(words(paper["doi"]))
    if paper.get("arxiv"):
        fields |= {"eprint": tex(words(paper["arxiv"])), "archiveprefix": "arXiv"}
    if paper.get("url"):
        fields["url"] = tex(words(paper["url"]))
    first = re.split(r",\s*|\s+and\s+", raw.strip("{}"))[0].split()
    word = next((w for w in _ascii(words(paper["title"])).split() if len(w) > 3), "work")
    return fields, f"{_plain(first[-1] if first else 'anon')}{_plain(words(paper.get('year') or ''))}{_plain(word)}"


def _as_stated(citation: str) -> tuple[dict[str, str], str]:
    """Return the entry of a data set, whose citation is one line of text, perhaps with a DOI."""
    fields = {"title": f"{{{tex(citation)}}}"}
    if doi := re.search(r"\b10\.\d{4,}/[^\s,;]+", citation):
        fields["doi"] = _doi(doi[0].rstrip("."))
    if year := re.search(r"\b(?:19|20)\d\d\b", citation):
        fields["year"] = year[0]
    return fields, f"{_plain(citation.split()[0]) or 'anon'}{fields.get('year', '')}data"


def _doi(text: str) -> str:
    """Return a DOI as BibTeX styles want it, without escapes, and without what could end its field."""
    return re.sub(r"[\s{}\\%#]", "", text)


def _ascii(text: str) -> str:
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()


def _plain(text: str) -> str:
    """Return the letters and digits of a text in lower case, for a key."""
    return re.sub(r"[^a-z0-9]", "", _ascii(text).lower())


def file_text(cited: Cited) -> str:
    """Return the content of a ``.bib`` file."""
    return "\n".join(_block(key, fields.items()) for key, fields in sorted(cited.entries.items()))


def _block(key: str, fields: Iterable[tuple[str, str]]) -> str:
    lines = [f"  {name} = {{{value}}}," for name, value in fields if value]
    return "\n".join([f"@misc{{{key},", *lines, "}", ""])
