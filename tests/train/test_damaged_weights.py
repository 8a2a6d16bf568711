"""Damage to weights: a flipped bit is found by the file alone, and by the record of the trial whose folder it is in."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import safetensors.torch
import torch
from PIL import Image

import unetzoo
from unetzoo.errors import UnetzooError
from unetzoo.inference.files import Watcher, predict_files
from unetzoo.inference.session import Options
from unetzoo.records.parts import ModelDescription
from unetzoo.records.record import Record
from unetzoo.train.weights import file_checksum, read_header


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the file of a small network."""
    torch.manual_seed(0)
    model = unetzoo.create_model("unet", in_channels=1, num_classes=2, width=2, depth=2)
    folder = tmp_path_factory.mktemp("weights")
    return unetzoo.save_model(model, folder, note="mine").read_bytes()


def test_any_flipped_bit_of_a_file_is_found(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    end = 8 + int.from_bytes(content[:8], "little")
    dice = random.Random(0)
    places = [*range(8), *dice.sample(range(8, end), 150), *dice.sample(range(end, len(content)), 50)]
    at_key = content.index(b"checksum")
    for at in [*places, *range(at_key - 2, at_key + 14)]:
        flipped = bytearray(content)
        flipped[at] ^= 1 << dice.randrange(8)
        path.write_bytes(flipped)
        with pytest.raises(UnetzooError, match=r"model\.safetensors: |unknown model|unknown option") as caught:
            unetzoo.load_model(path)
        assert "\n" not in str(caught.value)


def test_a_whole_file_loads(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    assert unetzoo.load_model(path)(torch.zeros(1, 1, 16, 16)).shape == (1, 2, 16, 16)
    assert read_header(path).keys() == {"model", "note"}


def test_a_file_of_before_checksums_loads(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with safetensors.safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["unetzoo"])
    del header["checksum"]
    safetensors.torch.save_file(safetensors.torch.load_file(path), path, {"unetzoo": json.dumps(header)})
    unetzoo.load_model(path)


def test_weights_of_another_trial_are_refused(content: bytes, tmp_path: Path) -> None:
    """They are sound in themselves, but not those that the record scored; predicting refuses them, too."""
    path = tmp_path / "trials" / "unet-s0-0123456789ab" / "model.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    record = Record(
        id="0123456789ab", status="ok", suite="s", trial={}, model=ModelDescription(paper={}, diff={}), data={},
        weights=file_checksum(path),
    )  # fmt: skip
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "unet-s0-0123456789ab.json").write_text(record.to_json())
    unetzoo.load_model(path.parent)
    other = unetzoo.create_model("unet", in_channels=1, num_classes=2, width=2, depth=2)
    unetzoo.save_model(other, path)
    image = tmp_path / "image.png"
    Image.new("L", (16, 16)).save(image)
    for load in (
        lambda: unetzoo.load_model(path.parent),
        lambda: predict_files(path, [image], tmp_path / "masks", Options(), Watcher()),
    ):
        with pytest.raises(UnetzooError, match=r"damaged or not of this trial, .* --retry failed makes it again"):
            load()
