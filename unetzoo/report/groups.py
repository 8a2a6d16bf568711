"""The groups of test images: from the record, or, where an older record has none, from the catalogue of named sets."""

from __future__ import annotations

from unetzoo.data.named.catalogue import CATALOGUE
from unetzoo.records.fields import data_of, dig
from unetzoo.records.frame import Tables
from unetzoo.records.record import Record


def image_groups(record: Record) -> dict[str, str]:
    """Return what each test image was sampled with: a patient, a film, a volume. Images without one are left out.

    Args:
        record: A record with a result; one without has no groups.
    """
    if record.result is None:
        return {}
    entry = CATALOGUE.get(str(dig(record.trial, "data", "name")))
    if record.result.groups or entry is None:
        return record.result.groups
    return entry.sampled_with(record.result.per_image)


def groups_by_key(t: Tables) -> dict[str, str]:
    """Return the group of each test image that has one, by the keys of `unetzoo.report.statistics.score_grids`."""
    return {f"{data_of(r)}/{key}": group for r in t.models for key, group in image_groups(r).items()}
