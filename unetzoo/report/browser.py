"""The browser of test images: each kept image with its truth and every variant's prediction, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unetzoo._util.language import N_, _
from unetzoo.records.fields import image_score, label_of
from unetzoo.records.record import Record
from unetzoo.report.pictures import Kept, painted, png_uri, read_kept
from unetzoo.report.predictions import legend, shown_variants
from unetzoo.report.verdicts.family import LOWER_IS_BETTER
from unetzoo.report.words import percent

BYTES = 3_000_000  # of pictures on the page
BOUNDARY = {"nsd": "NSD", "hd95": "HD95", "assd": "ASSD", "boundary_iou": N_("boundary IoU")}


def browse(records: list[Record], folder: Path, order: Sequence[str]) -> dict[str, Any] | None:
    """Return the variables of the browser's template, the image on which the variants disagree most first.

    Args:
        records: Records of models; of each label the one with the lowest seed that kept images is shown.
        folder: Output folder of the run, which has the pictures.
        order: Labels, in the order of the tiles.

    Returns:
        The variables; None if no image was kept.
    """
    shown = shown_variants(records, list(order))
    keys = list(dict.fromkeys(s.key for r in shown for s in r.samples))
    if not keys:
        return None
    metric = next((m for m in BOUNDARY if any(image_score(r, key, m) is not None for r in shown for key in keys)), None)
    disagreements = {key: _disagreement(list(_kept(shown, key, folder).values())) for key in keys}
    found, size = [], 0
    for key in sorted(keys, key=lambda key: -disagreements[key]):
        one: dict[str, Any] = _image(shown, key, folder, metric)
        size += len(one["image"] or "") + sum(len(tile["source"] or "") for tile in one["tiles"])
        if found and size > BYTES:
            break
        found.append(one | {"disagreement": disagreements[key], "words": percent(disagreements[key], 1)})
    return {
        "images": found,
        "kept": len(keys),
        "boundary": _(BOUNDARY[metric]) if metric else None,
        "lower": metric in LOWER_IS_BETTER,
        "legend": legend(shown[0]),
        "variants": len(shown),
    }


def _kept(records: Sequence[Record], key: str, folder: Path) -> dict[str, Kept]:
    samples = ((label_of(r), next((s for s in r.samples if s.key == key), None)) for r in records)
    return {label: read_kept(folder, sample) for label, sample in samples if sample is not None}


def _disagreement(kept: Sequence[Kept]) -> float:
    """Return the share of pixels that the variants do not all give the same class."""
    guesses = [k.prediction for k in kept if k.prediction is not None]
    same = [guess for guess in guesses if guess.shape == guesses[0].shape]
    return float((np.stack(same) != same[0]).any(0).mean()) if len(same) > 1 else 0.0


def _image(records: Sequence[Record], key: str, folder: Path, metric: str | None) -> dict[str, Any]:
    kept = _kept(records, key, folder)
    first = next(iter(kept.values()))
    tiles = [{"label": _("truth"), "source": painted(first, records[0], truth=True), "dice": None, "boundary": None}]
    for record in records:
        one = kept.get(label_of(record))
        tiles.append(
            {
                "label": label_of(record),
                "source": painted(one, record) if one else None,
                "dice": image_score(record, key),
                "boundary": image_score(record, key, metric) if metric else None,
            }
        )
    return {
        "key": key,
        "image": None if first.image is None else png_uri(first.image),
        "tiles": tiles,
        "dice": _mean([tile["dice"] for tile in tiles]),
        "boundary": _mean([tile["boundary"] for tile in tiles]),
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
