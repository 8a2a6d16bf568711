"""Damage to records: what is flipped, cut or copied under another's name is found, and old records are still read."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import unetzoo
from unetzoo.records.manifest import MANIFEST, DamagedManifestError, expected_by_records, read_manifest
from unetzoo.records.record import DamagedRecordError, Record, read_record, recorded_weights
from unetzoo.report import write_report

ID = "0123456789ab"


def record(**changes: Any) -> Record:
    trial = {"seed": 3, "model": {"label": "unet", "name": "unet"}, "data": {"name": "cells"}, "train": {}}
    result = {
        "dice": 0.148, "iou": 0.1, "per_class": {"cell": {"dice": 0.148}}, "pooled": {},
        "per_image": {"é": {"dice": {"cell": 1e-7}}}, "undefined": {}, "missed": {}, "best_step": 2,
        "best_val_dice": None,
    }  # fmt: skip
    made = {"id": ID, "status": "ok", "suite": "s", "trial": trial, "model": {"paper": {}, "diff": {}}}
    data = {"name": "cells", "class_names": ["background", "cell"], "foreground": [1]}
    return Record.from_json(json.dumps({**made, "data": data, "result": result, **changes}), "made")


def test_a_record_survives_the_way_to_disk_and_back() -> None:
    made = record(weights="f" * 64)
    assert Record.from_json(made.to_json(), "again") == made
    assert made.to_json() == made.to_json()
    assert "weights" not in json.loads(record().to_json())


def test_a_file_laid_out_anew_is_the_same_record() -> None:
    again = json.dumps(json.loads(record().to_json()), indent=4, ensure_ascii=False).replace("\n", "\r\n")
    assert Record.from_json(again.encode(), "again") == record()


def test_a_record_without_a_checksum_is_read() -> None:
    fields = json.loads(record().to_json())
    del fields["checksum"]
    assert Record.from_json(json.dumps(fields), "old") == record()


def test_no_flipped_bit_gives_another_record() -> None:
    whole = record(weights="f" * 64)
    content = whole.to_json().encode()
    taken = 0
    for at in range(len(content)):
        for bit in range(8):
            flipped = content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]
            with suppress(DamagedRecordError):
                assert Record.from_json(flipped, "x") == whole, (at, bit)  # such as 1e-07 and 1E-07
                taken += 1
    assert taken < 10


@pytest.mark.parametrize("text", ["caf\udce9", "\ud83d", "a\0b", "\x1b[2J", "x\x9b"])
def test_unsound_text_does_not_spoil_a_record(text: str) -> None:
    made = record().model_copy(update={"reason": text, "environment": {text: [text]}, "status": "crashed"})
    read = Record.from_json(made.to_json(), "again")
    assert read.reason in ("caf\\xe9", "\\ud83d", "a\\x00b", "\\x1b[2J", "x\\x9b")
    assert read.environment == {read.reason: [read.reason]}
    old = json.dumps({**json.loads(record().to_json()), "reason": text, "checksum": None})  # as it was once written
    assert Record.from_json(old, "old").reason == read.reason


def test_a_long_text_of_an_old_record_is_cut() -> None:
    read = record(reason="x" * 10**6, log_tail="y" * 10**6)
    assert len(read.reason or "") < 2_000
    assert len(read.log_tail or "") < 110_000
    assert (read.reason or "").endswith("more characters]")


def test_a_record_under_another_name_is_refused(tmp_path: Path) -> None:
    own, other = tmp_path / f"unet-s3-{ID}.json", tmp_path / "unet-s4-ba9876543210.json"
    for path in (own, other):
        path.write_text(record().to_json())
    assert read_record(own) == record()
    with pytest.raises(DamagedRecordError, match=f"not the record of this trial, but of trial {ID}"):
        read_record(other)


def test_a_report_says_which_record_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    good, bad = record(), tmp_path / "records" / f"unet-s3-{ID}.json"
    bad.write_text(good.to_json().replace("0.148", "0.948"))
    (tmp_path / "records" / "unet-s4-ba9876543210.json").write_text(
        good.model_copy(update={"id": "ba9876543210"}).to_json()
    )
    table = unetzoo.read_records(tmp_path)
    assert sorted(table["status"]) == ["ok", "unreadable"]
    page = write_report(tmp_path)
    assert "does not match its checksum" in page.read_text()
    assert "0.948" not in page.read_text()


def test_the_checksum_of_weights_is_found_beside_them(tmp_path: Path) -> None:
    file = tmp_path / "trials" / f"unet-s3-{ID}" / "model.safetensors"
    path = tmp_path / "records" / f"unet-s3-{ID}.json"
    assert recorded_weights(file) is None
    path.parent.mkdir()
    path.write_text(record(weights="f" * 64).to_json())
    assert recorded_weights(file) == ("f" * 64, path)
    assert recorded_weights(tmp_path / "model.safetensors") is None
    path.write_text(path.read_text()[:50])
    assert recorded_weights(file) is None


def test_a_damaged_manifest_can_be_made_from_records(tmp_path: Path) -> None:
    (tmp_path / "a" / "records").mkdir(parents=True)
    (tmp_path / "a" / "records" / f"unet-s3-{ID}.json").write_text(record().to_json())
    (tmp_path / "a" / "records" / "damaged.json").write_text("{")
    (tmp_path / MANIFEST).write_bytes(random.Random(0).randbytes(100))
    with pytest.raises(DamagedManifestError, match="makes it again"):
        read_manifest(tmp_path)
    assert [(e.id, e.model, e.seed) for e in expected_by_records(tmp_path / "a")] == [(ID, "unet", 3)]
