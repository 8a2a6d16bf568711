"""A user's own data: a folder, a CSV of pairs, or a ``dataset.toml``."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from unetzoo.data.folders.check import open_reading
from unetzoo.data.folders.drawn_reading import drawn_findings
from unetzoo.data.folders.file_dataset import FileDataset
from unetzoo.data.folders.layout import Layout
from unetzoo.data.folders.reading import Reading
from unetzoo.data.registry import register_dataset
from unetzoo.errors import UnetzooError

WARNING = "warning: "
LOGGER = logging.getLogger(__name__)  # to standard error unless the caller configures logging


@register_dataset("folder")
class Folder(FileDataset):
    """A user's own images and masks. Every file is read at the start.

    Without a ``dataset.toml`` a reading is proposed from all files; see `unetzoo data check`.

    Args:
        root: A folder with images and masks or annotations, a CSV of pairs, a COCO file, or a ``dataset.toml``.
        class_names: New names of the classes.
        foreground: Class indices of the headline score.
        ignore_index: Stored mask value that is void.
        downscale: Side of the blocks that images are averaged over.
        accept_reading: Accept what is proposed for masks whose meaning is not certain, instead of raising.
        images: Folder or pattern of the images, where several could be meant.
        masks: Folder or pattern of the masks.
        on_leak: See `unetzoo.create_dataset`, which drops what leaks.
        compare: Search for near-duplicates while the files are read.

    Raises:
        UnetzooError: If ``root`` is missing, an option does not fit the classes, something is wrong with
            the files, or the meaning of the masks is not certain and not accepted.
    """

    def __init__(
        self,
        root: Path | None = None,
        *,
        class_names: list[str] | None = None,
        foreground: list[int] | None = None,
        ignore_index: int | None = None,
        downscale: int | None = None,
        accept_reading: bool = False,
        images: str | None = None,
        masks: str | None = None,
        on_leak: str = "refuse",
        compare: bool = False,
    ) -> None:
        if root is None:
            raise UnetzooError("data set 'folder' needs root = a folder with images/ and masks/, or a CSV of pairs")
        chosen = {name: value for name, value in (("images", images), ("masks", masks)) if value is not None}
        settled = () if foreground is None else ("foreground", "background")
        finish = partial(_changed, root, class_names, foreground, ignore_index, downscale)
        opened = open_reading(
            root,
            ignore_index,
            chosen=chosen,
            leaks=on_leak != "refuse",
            compare=compare,
            accept=accept_reading,
            settled=settled,
            finish=finish,
        )
        layout, reading = opened.layout, finish(opened.reading)
        known, compared = opened.survey.known(reading) if opened.survey is not None else ({}, None)
        compare = compare and not known
        super().__init__(reading, layout.pairing.pairs, layout.splits, layout.groups, known=known, compare=compare)
        self.compared = self.compared or compared
        self.drawn, self.ordered, self._sampled_with = layout.drawn, layout.ordered, layout.sampled_with
        self.test_is_fixed = bool(layout.fixed) and not layout.ordered
        remarks = [line for line in _remarks(layout) if line not in opened.messages]
        self.messages = [*opened.messages, *remarks, *self.summary_lines()]
        for line in (*opened.messages, *remarks):
            if line.startswith(WARNING):
                LOGGER.warning("%s", line.removeprefix(WARNING))
        self.accepted = opened.accepted

    @property
    def sampled_with(self) -> Mapping[str, str]:
        return self._sampled_with

    def describe(self) -> dict[str, Any]:
        """Return the description that a record keeps, with the questions whose proposed answers were accepted."""
        accepted = {"accepted_reading": self.accepted} if self.accepted else {}
        return {**super().describe(), **accepted}


def _remarks(layout: Layout) -> list[str]:
    """Return what `unetzoo data check` would say about annotations and the masks that were drawn from them.

    Raises:
        UnetzooError: If every mask is empty.
    """
    if layout.files.annotations is None:
        return []
    drawings = [pair.drawing for pair in layout.pairing.pairs.values() if pair.drawing is not None]
    drawn = drawn_findings([drawing for drawing in drawings if drawing.empty is not None])
    if errors := [finding.text for finding in drawn if finding.severity == "error"]:
        raise UnetzooError(errors[0])
    found = [finding for finding in layout.pairing.findings if finding.severity == "warning"]
    return [f"{finding.severity}: {finding.text}" for finding in [*found, *drawn]]


def _changed(
    root: Path,
    names: list[str] | None,
    foreground: list[int] | None,
    ignore_index: int | None,
    downscale: int | None,
    reading: Reading,
) -> Reading:
    classes, count = list(reading.classes), len(reading.classes)
    if names is not None:
        if len(names) != count or len(set(names)) < count:
            have = ", ".join(c.name for c in classes)
            raise UnetzooError(f"{root}: class_names = {names}: {count} different names are needed, for {have}")
        classes = [c.model_copy(update={"name": name}) for c, name in zip(classes, names, strict=True)]
    if foreground is not None:
        if not foreground or any(not 0 <= index < count for index in foreground):
            raise UnetzooError(f"{root}: foreground = {foreground} must hold class indices from 0 to {count - 1}")
        classes = [c.model_copy(update={"foreground": i in foreground}) for i, c in enumerate(classes)]
    changes = {"classes": [c.model_dump() for c in classes]}
    if ignore_index is not None:
        changes["ignore"] = list({*reading.ignore, ignore_index})  # type: ignore[arg-type]
    if downscale is not None:
        changes["downscale"] = downscale  # type: ignore[assignment]
    return Reading.from_mapping({**reading.model_dump(), **changes}, str(root))
