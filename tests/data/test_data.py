"""Data sets: generating, reading and refusing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from torchvision import tv_tensors

import unetzoo
from unetzoo import UnetzooError
from unetzoo.data.augmentation import augmentation
from unetzoo.data.base import SPLITS, DatasetInfo, SegmentationDataset
from unetzoo.data.pixel_transforms import RandomIntensity
from unetzoo.data.stream import Normalization, TrainingCrops
from unetzoo.data.transforms import RandomRightAngle

DATA = os.environ.get("UNETZOO_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="UNETZOO_DATA is not set: the real data sets are not at hand")


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write ten RGB images of different sizes with 0/255 masks."""
    random = np.random.default_rng(0)
    for i in range(10):
        size = (40 + i, 50)
        save(tmp_path / "images" / f"a{i}.png", random.integers(0, 256, (*size, 3), dtype=np.uint8))
        save(tmp_path / "masks" / f"a{i}.png", 255 * random.integers(0, 2, size, dtype=np.uint8))
    return tmp_path


# --- every data set ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cells", pytest.param("isbi2012", marks=needs_data)])
def test_items_are_what_the_info_says(name: str) -> None:
    dataset = unetzoo.create_dataset(name)
    dataset.check_values()
    for split in SPLITS:
        image, mask = dataset[dataset.splits[split][0]]
        assert (image.dtype, mask.dtype) == (torch.float32, torch.int64)
        assert image.shape == (dataset.info.channels, *mask.shape)
        assert 0 <= float(image.min()) < float(image.max()) <= 1
        assert set(mask.unique().tolist()) <= set(range(dataset.info.classes))
    assert dataset.digest() == unetzoo.create_dataset(name).digest()


def test_unknown_names_and_options() -> None:
    with pytest.raises(UnetzooError, match=r"'cell'; did you mean cells\?"):
        unetzoo.create_dataset("cell")
    with pytest.raises(UnetzooError, match=r"'cells': unknown option 'sized'; did you mean size"):
        unetzoo.create_dataset("cells", sized=3)
    with pytest.raises(UnetzooError, match="'cells': n_val = 'many': input should be a valid integer"):
        unetzoo.create_dataset("cells", n_val="many")
    with pytest.raises(UnetzooError, match="n_val = 0 must be a whole number >= 1"):
        unetzoo.create_dataset("cells", n_val=0)


class Given(SegmentationDataset):
    """A data set with given splits and contents."""

    def __init__(self, splits: dict[str, tuple[str, ...]], contents: dict[str, str]) -> None:
        self.info = DatasetInfo(name="given", channels=1, class_names=("a", "b"), foreground=(1,))
        self.splits, self.contents = splits, contents

    def read(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros((1, 8, 8), np.float32), np.full((8, 8), 7)

    def content_digest(self, key: str) -> str:
        return self.contents[key]


def test_a_leak_is_refused() -> None:
    contents = {"x": "1", "y": "2", "z": "3", "copy": "1"}
    Given({"train": ("x",), "val": ("y",), "test": ("z",)}, contents).check()
    with pytest.raises(UnetzooError, match="'copy' in test and 'x' in train are the same content"):
        Given({"train": ("x",), "val": ("y",), "test": ("copy",)}, contents).check()
    with pytest.raises(UnetzooError, match="the same key"):
        Given({"train": ("x", "y"), "val": ("y",), "test": ("z",)}, contents).check()
    with pytest.raises(UnetzooError, match="the val split is empty"):
        Given({"train": ("x",), "val": (), "test": ("z",)}, contents).check()
    with pytest.raises(UnetzooError, match=r"'x': mask values \[7\] are not classes"):
        Given({"train": ("x",), "val": ("y",), "test": ("z",)}, contents).check_values()


def test_own_data_set_registers(monkeypatch: pytest.MonkeyPatch) -> None:
    from unetzoo.data import registry

    monkeypatch.setattr(registry, "_DATASETS", dict(registry._DATASETS))

    @unetzoo.register_dataset("mine")
    def mine(root: Path | None = None, **options: str) -> Given:
        if "fail" in options:
            raise KeyError("a plug-in's own mistake")
        return Given({"train": ("x",), "val": ("y",), "test": ("z",)}, {"x": "1", "y": "2", "z": "3"})

    assert "mine" in unetzoo.list_datasets()
    assert unetzoo.create_dataset("mine", anything="goes").info.name == "given"
    with pytest.raises(UnetzooError, match="data set 'mine': KeyError"):
        unetzoo.create_dataset("mine", fail="yes")
    with pytest.raises(UnetzooError, match="'cells' is already registered"):
        unetzoo.register_dataset("cells")(Given)


# --- cells ------------------------------------------------------------------------------------------------------


def test_cells_are_deterministic_and_touching() -> None:
    first, again, other = (unetzoo.create_dataset("cells", seed=s) for s in (3, 3, 4))
    assert np.array_equal(first.read("test-001")[0], again.read("test-001")[0])
    assert first.digest() != other.digest()
    assert not np.array_equal(first.read("test-001")[0], other.read("test-001")[0])
    labels = first.instances("test-001")
    assert labels is not None
    assert labels.max() >= 5
    assert np.array_equal(labels > 0, first.read("test-001")[1] == 1)
    from scipy.ndimage import binary_dilation

    grown = [binary_dilation(labels == i, iterations=2) for i in range(1, labels.max() + 1)]
    assert np.sum(grown, axis=0).max() >= 2  # some cells are within 4 px of each other


def test_cells_are_neither_empty_nor_full() -> None:
    dataset = unetzoo.create_dataset("cells")
    share = np.mean([dataset.read(key)[1].mean() for key in dataset.splits["test"]])
    assert 0.25 < share < 0.55


# --- ISBI 2012 --------------------------------------------------------------------------------------------------


@needs_data
def test_isbi_is_membrane_and_contiguous() -> None:
    dataset = unetzoo.create_dataset("isbi2012")
    assert [len(dataset.splits[s]) for s in SPLITS] == [20, 4, 6]
    assert dataset.splits["val"] == ("20", "21", "22", "23")
    share = np.mean([dataset.read(key)[1].mean() for split in SPLITS for key in dataset.splits[split]])
    assert share == pytest.approx(0.2196, abs=1e-4)  # from the data's README
    assert dataset.info.class_names == ("interior", "membrane")


def test_isbi_from_the_challenges_own_files(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    volume = random.integers(0, 256, (30, 32, 32), dtype=np.uint8)
    labels = 255 * random.integers(0, 2, (30, 32, 32), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "train-volume.tif", volume)
    tifffile.imwrite(tmp_path / "train-labels.tif", labels)
    dataset = unetzoo.create_dataset("isbi2012", tmp_path)
    assert dataset.splits["test"] == ("24", "25", "26", "27", "28", "29")
    assert np.array_equal(dataset.read("07")[1], labels[7] == 0)
    labels[3, 0, 0] = 9
    tifffile.imwrite(tmp_path / "train-labels.tif", labels)
    with pytest.raises(UnetzooError, match=r"train-labels\.tif: mask value 9 is in no class"):
        unetzoo.create_dataset("isbi2012", tmp_path)
    tifffile.imwrite(tmp_path / "train-labels.tif", labels[:7])
    with pytest.raises(UnetzooError, match=r"train-labels\.tif: has \d+ pages; expected 30"):
        unetzoo.create_dataset("isbi2012", tmp_path)


def test_isbi_says_how_to_bring_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNETZOO_DATA", raising=False)
    with pytest.raises(UnetzooError, match=r"set UNETZOO_DATA.*data info isbi2012"):
        unetzoo.create_dataset("isbi2012")
    with pytest.raises(UnetzooError, match=r"does not hold data set 'isbi2012'; expected train-volume\.tif"):
        unetzoo.create_dataset("isbi2012", tmp_path)


# --- a user's folder --------------------------------------------------------------------------------------------


def test_folder(folder: Path) -> None:
    dataset = unetzoo.create_dataset("folder", folder)
    assert dataset.info.channels == 3
    assert dataset.info.class_names == ("background", "foreground")
    assert sum(len(keys) for keys in dataset.splits.values()) == 10
    image, mask = dataset.read("a3")
    assert image.shape == (3, 43, 50)
    assert np.array_equal(mask * 255, np.asarray(Image.open(folder / "masks" / "a3.png")))
    before = dataset.digest()
    save(folder / "images" / "a3.png", np.zeros((43, 50, 3), np.uint8))
    assert unetzoo.create_dataset("folder", folder).digest() != before


def test_folder_with_lists_classes_and_void(folder: Path) -> None:
    for i in range(10):
        mask = np.random.default_rng(i).integers(0, 3, (40 + i, 50), dtype=np.uint8)
        mask[0] = 255
        save(folder / "masks" / f"a{i}.png", mask)
    (folder / "train.txt").write_text("a0\na1\na2\na3\na4\n\n")
    (folder / "test.txt").write_text("a8\na9\n")
    dataset = unetzoo.create_dataset("folder", folder, ignore_index=255)
    assert dataset.splits["test"] == ("a8", "a9")
    assert len(dataset.splits["train"]) == 4
    assert len(dataset.splits["val"]) == 1
    assert dataset.info.classes == 3
    assert dataset.info.foreground == (1, 2)
    assert set(np.unique(dataset.read("a0")[1])) == {0, 1, 2, 255}
    assert unetzoo.create_dataset("folder", folder, ignore_index=255, foreground=[2]).info.foreground == (2,)
    for wrong in ({"foreground": 1}, {"class_names": "abc"}, {"class_names": ["a", "b", "b"]}, {"foreground": [3]}):
        with pytest.raises(UnetzooError, match=next(iter(wrong))):
            unetzoo.create_dataset("folder", folder, ignore_index=255, **wrong)


def _cut_palette(folder: Path) -> None:
    path = folder / "images" / "a4.png"
    Image.open(path).convert("P").save(path)
    path.write_bytes(path.read_bytes()[:1500])


def _broken(change: Callable[[Path], object], *words: str) -> object:
    return pytest.param(change, words, id=words[0])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        _broken(lambda f: (f / "masks").rename(f / "old"), "there is only images/", "images/ and masks/"),
        _broken(lambda f: (f / "masks" / "a4.png").unlink(), "a4.png: has no mask with stem 'a4'"),
        _broken(lambda f: (f / "images" / "a4.png").unlink(), "a4.png: has no image with stem 'a4'"),
        _broken(lambda f: (f / "images" / "a4.png").write_bytes(b"no"), "a4.png: not an image that can be read"),
        _broken(
            lambda f: (f / "images" / "a4.png").write_bytes((f / "images" / "a4.png").read_bytes()[:200]),
            "a4.png: cannot be read as an image",
        ),
        _broken(lambda f: save(f / "masks" / "a4.png", np.zeros((9, 9), np.uint8)), "a4.png: mask is 9x9", "44x50"),
        _broken(
            lambda f: save(f / "masks" / "a4.png", np.full((44, 50), 77, np.uint8)),
            "a4.png: value 77 is in this mask alone",
        ),
        _broken(
            lambda f: save(f / "masks" / "a4.png", np.full((44, 50), 3, np.uint8)),
            "a4.png: value 3 is in this mask alone",
        ),
        _broken(lambda f: save(f / "images" / "a4.png", np.zeros((44, 50), np.uint8)), "a4.png: 1 channels", "has 3"),
        _broken(lambda f: save(f / "images" / "a4.bmp", np.zeros((44, 50, 3), np.uint8)), "stem 'a4' is taken"),
        _broken(_cut_palette, "a4.png: cannot be read as an image"),
        _broken(lambda f: (f / "train.txt").write_text("a0\nzz\n"), "train.txt: 'zz' has no image"),
        _broken(lambda f: (f / "train.txt").write_text("a0\na0\n"), "train.txt: 'a0' is listed twice"),
        _broken(lambda f: (f / "train.txt").write_text("a0\na1\n"), "there is no test split beside train.txt"),
    ],
)
def test_what_is_wrong_with_a_folder(folder: Path, change: Callable[[Path], object], words: tuple[str, ...]) -> None:
    change(folder)
    with pytest.raises(UnetzooError) as caught:
        unetzoo.create_dataset("folder", folder)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


# --- what training sees -----------------------------------------------------------------------------------------


def test_image_and_mask_move_together() -> None:
    ranks = torch.randperm(1600).reshape(40, 40)
    for _ in range(20):
        image, mask = augmentation("flips").pixels(tv_tensors.Image(ranks[None] / 1600), tv_tensors.Mask(ranks))
        assert image.shape == (1, 40, 40)
        # The jitter is affine in the pixel values: order is kept exactly where the mask went with the image.
        assert torch.equal(image.flatten().argsort(), mask.flatten().argsort())


def test_transforms_change_what_they_should() -> None:
    torch.manual_seed(0)
    image, mask = tv_tensors.Image(torch.rand(3, 8, 8)), tv_tensors.Mask(torch.randint(2, (8, 8)))
    turned = {tuple(RandomRightAngle()(mask).flatten().tolist()) for _ in range(40)}
    assert turned == {tuple(torch.rot90(mask.as_subclass(torch.Tensor), k).flatten().tolist()) for k in range(4)}
    brighter, same = RandomIntensity()(image, mask)
    assert torch.equal(same, mask)
    assert not torch.equal(brighter, image)


def test_a_crop_depends_on_seed_and_index_alone() -> None:
    dataset = unetzoo.create_dataset("cells", n_train=3, n_val=1, n_test=1, size=48)
    normalization = Normalization.of(dataset)
    first, again, other = (TrainingCrops(dataset, normalization, crop=32, seed=s, length=9) for s in (1, 1, 2))
    torch.manual_seed(5)
    backwards = [first[i] for i in reversed(range(9))][::-1]
    state = torch.get_rng_state()
    for i in range(9):
        assert torch.equal(again[i][0], backwards[i][0])
        assert torch.equal(again[i][1], backwards[i][1])
    assert torch.equal(torch.get_rng_state(), state)  # the network's own random stream is left alone
    assert any(not torch.equal(other[i][0], again[i][0]) for i in range(9))
    pixels = torch.cat([dataset[key][0].flatten() for key in dataset.splits["train"]])
    assert normalization.mean[0] == pytest.approx(float(pixels.mean()), abs=1e-5)


def test_an_image_smaller_than_the_crop_is_mirrored_out() -> None:
    dataset = unetzoo.create_dataset("cells", n_train=1, n_val=1, n_test=1, size=48)
    image, mask = TrainingCrops(dataset, Normalization.of(dataset), crop=64, seed=0, length=1)[0]
    assert image.shape == (1, 64, 64)
    assert mask.shape == (64, 64)
