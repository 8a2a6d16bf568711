"""Groups of test images, from new records and from old ones."""

from __future__ import annotations

import json
from typing import Any

from support.records import record
from unetzoo.records.record import Record
from unetzoo.report.groups import image_groups


def made(name: str, keys: list[str], groups: dict[str, str] | None = None, **change: Any) -> Record:
    fields = record(**change)
    fields["trial"]["data"]["name"] = name
    if fields["result"]:
        fields["result"]["per_image"] = {key: {"dice": {"membrane": 0.5}} for key in keys}
        fields["result"] |= {} if groups is None else {"groups": groups}
    return Record.model_validate_json(json.dumps(fields))


def test_a_record_says_its_groups() -> None:
    assert image_groups(made("mine", ["a", "b"], {"a": "p1"})) == {"a": "p1"}
    assert image_groups(made("camvid", ["a_1"], {"a_1": "other"})) == {"a_1": "other"}


def test_an_old_record_of_a_named_set_is_grouped_by_its_keys() -> None:
    old = made("camvid", ["0001TP_008550", "Seq05VD_f00060"])
    assert image_groups(old) == {"0001TP_008550": "0001TP", "Seq05VD_f00060": "Seq05VD"}


def test_others_have_none() -> None:
    assert image_groups(made("folder", ["a"])) == {}
    assert image_groups(made("chase_db1", ["unusual"])) == {}
    assert image_groups(made("camvid", [], status="crashed")) == {}
