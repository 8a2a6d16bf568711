"""The groups of test images: from the record, or, where an older record has none, from the catalogue of named sets."""

from __future__ import annotations

from unetzoo.data.named.catalogue import CATALOGUE
from unetzoo.records.fields import dig
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
