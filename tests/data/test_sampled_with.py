"""Images that were sampled together: patients, films, volumes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import tifffile

from unetzoo import create_dataset
from unetzoo.data.named.catalogue import CATALOGUE


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("chase_db1", {"Image_11L": "11", "Image_11R": "11", "Image_14R": "14"}),
        ("camvid", {"0001TP_008550": "0001TP", "Seq05VD_f00060": "Seq05VD", "Seq05VD_f05070": "Seq05VD"}),
        ("isbi2012", {"24": "isbi2012", "29": "isbi2012"}),
        ("amazon_forest", {"Amazon_122.tiff_33": "122", "Amazon_122.tiff_34": "122", "Amazon_5.tiff_1": "5"}),
        ("tapuscorpus", {"AN96AP_FRAN_0150_0001_L-medium": "AN96AP", "btv1b525062185_f1": "btv1b525062185"}),
        ("dsb2018", {}),
        ("magnetic_tile", {}),
    ],
)
def test_named_sets_know_from_the_keys_alone(name: str, groups: Mapping[str, str]) -> None:
    assert CATALOGUE[name].sampled_with(groups or ["a", "b"]) == groups


def test_a_key_with_an_unusual_name_has_no_group() -> None:
    assert CATALOGUE["chase_db1"].sampled_with(["Image_01L", "other"]) == {"Image_01L": "01"}


def test_groups_are_what_images_were_sampled_with_by_default() -> None:
    data = create_dataset("cells", n_train=2, n_val=1, n_test=1)
    assert data.sampled_with == {}
    data.groups = {"a": "b"}
    assert data.sampled_with == {"a": "b"}


def test_pages_of_one_stack_are_of_one_volume_in_all_splits(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pages = {"train-volume": rng.integers(0, 256, (8, 16, 16)), "train-labels": 255 * rng.integers(0, 2, (8, 16, 16))}
    for name, pixels in pages.items():
        tifffile.imwrite(tmp_path / f"{name}.tif", pixels.astype(np.uint8), photometric="minisblack")
    data = create_dataset("folder", tmp_path, accept_reading=True)
    assert data.groups == {}
    assert all(data.splits.values())
    assert data.sampled_with == {key: "train-volume" for keys in data.splits.values() for key in keys}
