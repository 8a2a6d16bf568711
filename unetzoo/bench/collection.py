"""A collection: one question put to several data sets, each with an ordinary suite of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from unetzoo.bench.suite import DataRequest, Suite, suite_from
from unetzoo.errors import Strict, nearest
from unetzoo.records.manifest import folder_name


class DataEntry(DataRequest):
    """A data set of the collection, the label of its folder, and its changes to the suite's tables."""

    name: str
    label: Annotated[str, AfterValidator(folder_name)] | None = Field(None, description="folder name; default: name")
    train: dict[str, Any] = {}
    measure: dict[str, Any] = {}
    score: dict[str, Any] = {}

    @property
    def folder(self) -> str:
        """Name of the data set's folder: the label, or else the name."""
        return self.label or self.name

    @model_validator(mode="after")
    def _named(self) -> DataEntry:
        folder_name(self.folder)
        return self


class _Entries(Strict):
    data: list[DataEntry] = Field(min_length=1)

    @model_validator(mode="after")
    def _distinct(self) -> _Entries:
        seen: dict[str, int] = {}
        for k, entry in enumerate(self.data):
            first = seen.setdefault(entry.folder.lower(), k)  # some file systems ignore case
            if first != k:
                raise ValueError(
                    f"data.{k}.label = {entry.folder!r} is already the label of data.{first}; give one of them another"
                )
        return self


class Collection(Strict):
    """Several suites that ask one question of several data sets.

    Attributes:
        name: Name of the collection.
        question: The question it answers.
        suites: The suite of each data set by its label, in the order of the file.
        only: Labels of the data sets to run; empty for all.
    """

    name: str
    question: str = ""
    suites: dict[Annotated[str, AfterValidator(folder_name)], Suite] = Field(min_length=1)
    only: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _known(self) -> Collection:
        for label in self.only:
            if label not in self.suites:
                raise ValueError(f"only = {label!r} is not a label of the collection; {nearest(label, self.suites)}")
        return self

    @property
    def chosen(self) -> dict[str, Suite]:
        """The suites to run, by label."""
        return {label: suite for label, suite in self.suites.items() if not self.only or label in self.only}


def collection_from(data: Mapping[str, Any], where: str, here: Path) -> Collection:
    """Build the collection of a suite file whose ``data`` is a list.

    Args:
        data: The parsed tables of the file.
        where: Beginning of error messages, such as the path of the file.
        here: Folder that relative paths start from.

    Returns:
        The checked collection.

    Raises:
        UnetzooError: If an entry or option is wrong; the message names file, entry and key.
    """
    common = {key: value for key, value in data.items() if key != "data"}
    shared = Suite.from_mapping(common, where)  # checked first, so that its mistakes are not blamed on a data set
    suites = {}
    for k, entry in enumerate(_Entries.from_mapping({"data": data["data"]}, where).data):
        changed = {table: {**common.get(table, {}), **getattr(entry, table)} for table in ("measure", "score")}
        changed["train"] = shared.train.changed(entry.train, f"{where}: data.{k}: train").model_dump()
        request = entry.model_dump(include=set(DataRequest.model_fields))
        name = f"{shared.name}: {entry.folder}"
        suites[entry.folder] = suite_from(
            {**common, **changed, "name": name, "data": request}, f"{where}: data.{k}", here
        )
    return Collection(name=shared.name, question=shared.question, suites=suites)
