"""The training stream: items decoded once, crops with context, one deformation for image and mask, weight maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning_fabric import Fabric
from torch import Tensor, nn

import unetzoo
from unetzoo import UnetzooError
from unetzoo.data.base import DatasetInfo, SegmentationDataset
from unetzoo.data.decoded import Decoded
from unetzoo.data.stream import EvaluationItems, Normalization, TrainingCrops, window
from unetzoo.data.weight_map import border_weight_map
from unetzoo.nn.sizes import SameSize, ValidSizes, mirror_pad
from unetzoo.train.hooks import TrainingHooks
from unetzoo.train.loop import make_optimizer, train, training_crops
from unetzoo.train.losses import cross_entropy, cross_entropy_dice
from unetzoo.train.recipe import Recipe

NEUTRAL = Normalization((0.0,), (1.0,))


class Made(SegmentationDataset):
    """A data set of given images that counts reads; its masks encode each pixel's own position."""

    def __init__(self, images: list[np.ndarray], masks: list[np.ndarray] | None = None) -> None:
        self.images = images
        self.masks = masks or [np.arange(i[0].size, dtype=np.int64).reshape(i.shape[1:]) for i in images]
        names = tuple(f"i{n}" for n in range(len(images)))
        self.info = DatasetInfo(name="made", channels=images[0].shape[0], class_names=("a", "b"), foreground=(1,))
        self.splits = {"train": names[:-2], "val": names[-2:-1], "test": names[-1:]}
        self.reads: list[str] = []

    def read(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        self.reads.append(key)
        return self.images[int(key[1:])].copy(), self.masks[int(key[1:])].copy()

    def content_digest(self, key: str) -> str:
        return key


def grey(*sides: tuple[int, int], seed: int = 0) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.integers(0, 256, (1, *side)).astype(np.float32) / 255 for side in sides]


# --- decoded once ------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(
    kind=st.sampled_from([np.uint8, np.uint16, np.float32]),
    top=st.sampled_from([1, 255, 40_000]),
    limit=st.sampled_from([None, 0, 900]),
    seed=st.integers(0, 2**32 - 1),
)
def test_what_is_kept_is_what_was_read(
    tmp_path_factory: pytest.TempPathFactory, kind: type, top: int, limit: int | None, seed: int
) -> None:
    random = np.random.default_rng(seed)
    scale = 1.0 if kind is np.float32 else float(np.iinfo(kind).max)
    pixels = random.random((4, 2, 9, 11)) if kind is np.float32 else random.integers(0, int(scale), (4, 2, 9, 11))
    images = list(pixels.astype(kind).astype(np.float32) / np.float32(scale))
    masks = list(random.integers(0, top + 1, (4, 9, 11)))
    made = Made(images, masks)
    folder = tmp_path_factory.mktemp("decoded")
    decoded = Decoded(made, limit, folder)
    for _ in range(2):
        for n, key in enumerate(("i0", "i1", "i2")):
            image, mask = decoded.read(key)
            assert image.dtype == np.float32
            assert mask.dtype == np.int64
            assert np.array_equal(image, images[n])
            assert np.array_equal(mask, masks[n])
    assert made.reads == ["i0", "i1", "i2"]
    assert decoded.stored("i0")[0].dtype == (torch.uint8 if kind is np.uint8 else torch.float32)
    assert (decoded.in_files > 0) == (limit is not None and bool(list(folder.glob("decoded-*/*.npy"))))
    if limit is not None:
        assert decoded.in_memory <= limit


def test_test_items_are_not_kept_and_files_go(tmp_path: Path) -> None:
    made = Made(grey((8, 8), (8, 8), (8, 8)))
    decoded = Decoded(made, 0, tmp_path)
    for _ in range(2):
        decoded.read("i0")
        decoded.read("i2")
    assert made.reads == ["i0", "i2", "i2"]
    assert list(tmp_path.glob("decoded-*/*.npy"))
    del decoded
    assert not list(tmp_path.iterdir())


def test_mean_and_deviation_are_those_of_all_pixels() -> None:
    images = [
        np.concatenate([a, 0.3 * b])
        for a, b in zip(
            grey((9, 14), (20, 5), (7, 7), (7, 7)), grey((9, 14), (20, 5), (7, 7), (7, 7), seed=1), strict=True
        )
    ]
    made = Made(images)
    pixels = np.concatenate([i.reshape(2, -1) for i in images[:2]], axis=1).astype(np.float64)
    found = Normalization.of(made)
    assert found.mean == pytest.approx(pixels.mean(axis=1), abs=1e-6)
    assert found.std == pytest.approx(pixels.std(axis=1, ddof=1), abs=1e-6)


def test_evaluation_items_are_whole_and_normalised() -> None:
    made = Made(grey((8, 9), (10, 11), (12, 13)))
    items = EvaluationItems(Decoded(made), ("i1",), Normalization((0.5,), (0.25,)))
    assert list(items) == ["i1"]
    assert torch.allclose(items["i1"][0], (torch.from_numpy(made.images[1]) - 0.5) / 0.25)


# --- crops -------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    sides=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    top=st.integers(-20, 20),
    left=st.integers(-20, 20),
    height=st.integers(1, 15),
    width=st.integers(1, 15),
)
def test_a_window_is_a_part_of_the_mirrored_image(
    sides: tuple[int, int], top: int, left: int, height: int, width: int
) -> None:
    image = torch.arange(sides[0] * sides[1]).reshape(1, *sides)
    padded = mirror_pad(image, 20, 40, 20, 40)
    expected = padded[:, 20 + top : 20 + top + height, 20 + left : 20 + left + width]
    assert torch.equal(window(image, top, left, height, width), expected)


def valid_crops(augment: str, crop: int = 20) -> tuple[TrainingCrops, ValidSizes, Made]:
    """Return crops whose mask encodes each pixel's place in the image, with the context of a valid network."""
    sizes = ValidSizes(2)
    made = Made(grey((61, 50), (61, 50), (61, 50)))
    crops = TrainingCrops(made, NEUTRAL, crop=crop, seed=1, length=100, augment=augment)  # type: ignore[arg-type]
    return crops.with_context(sizes), sizes, made


@pytest.mark.parametrize("augment", ["flips", "paper2015"])
@pytest.mark.parametrize("crop", [20, 21, 32])
def test_the_mask_is_the_middle_of_what_a_valid_network_reads(augment: str, crop: int) -> None:
    """The output of a network that copies its input lies on the mask, even if the context is odd."""
    crops, sizes, made = valid_crops(augment, crop)

    class Through(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.sizes = sizes

        def forward(self, x: Tensor) -> Tensor:
            lost = (x.shape[-1] - (sizes.output(x.shape[-1]) or 0)) // 2
            return x[..., lost:-lost, lost:-lost]

    model = SameSize(Through(), 1).train()
    own = torch.from_numpy(made.images[0][0]).flatten()
    for i in range(12):
        image, mask = crops[i]
        assert image.shape == (1, sizes.input(crop), sizes.input(crop))
        assert mask.shape == (crop, crop)
        seen = model(image[None], mask.shape)[0][0, 0]
        # The jitter is affine, so the crop must correlate with the pixels that the mask names.
        named = own[mask]
        correlation = float(torch.corrcoef(torch.stack([seen.flatten(), named.flatten()]))[0, 1])
        assert correlation > (0.999 if augment == "flips" else 0.6), correlation
        shifted = float(torch.corrcoef(torch.stack([seen[1:].flatten(), named[:-1].flatten()]))[0, 1])
        assert abs(shifted) < 0.4, shifted


def test_a_deformed_crop_comes_from_the_whole_image() -> None:
    """Pixels rotated in from beyond the crop are the image's own, mirrored only at the image's border."""
    made = Made(grey((200, 200), (200, 200), (200, 200)))
    crops = TrainingCrops(made, NEUTRAL, crop=40, seed=3, length=100, augment="paper2015")
    inner = 0
    for i in range(40):
        rows, columns = crops[i][1] // 200, crops[i][1] % 200
        spread = int(rows.max() - rows.min()), int(columns.max() - columns.min())
        inner += all(v.min() > 0 and v.max() < 199 for v in (rows, columns))
        # Mirroring at the crop's border would repeat positions; only stretching may.
        assert min(spread) >= 30
    assert inner > 10


@pytest.mark.parametrize("augment", ["flips", "paper2015"])
def test_border_weights_move_with_the_mask(augment: str) -> None:
    cells = unetzoo.create_dataset("cells", n_train=2, n_val=1, n_test=1, size=96)
    data = Decoded(cells)
    key = cells.splits["train"][0]
    expected = border_weight_map(cells.instances(key), w0=7.0, sigma=4.0)
    assert np.array_equal(data.border_weights(key, 7.0, 4.0).numpy(), expected)
    crops = TrainingCrops(data, Normalization.of(data), crop=48, seed=0, length=20, augment=augment, border=(7.0, 4.0))  # type: ignore[arg-type]
    levels = [{float(w) for w in data.border_weights(k, 7.0, 4.0).unique()} for k in cells.splits["train"]]
    inside = [
        float(border_weight_map(cells.instances(k), w0=0.0)[cells.instances(k) > 0][0]) for k in cells.splits["train"]
    ]
    for i in range(20):
        image, mask, weights = crops[i]
        assert image.shape[1:] == mask.shape == weights.shape == (48, 48)
        found = {float(w) for w in weights.unique()}
        source = next(n for n in range(2) if found <= levels[n])  # values unchanged, all of one image
        assert bool((weights[mask == 1] == inside[source]).all())


def test_void_pixels_weigh_nothing() -> None:
    mask = np.zeros((30, 30), np.int64)
    mask[5:10, 5:10], mask[5:10, 14:20], mask[20:, :] = 1, 1, 255
    made = Made([np.full((1, 30, 30), 0.5, np.float32)] * 3, [mask] * 3)
    made.info = made.info.model_copy(update={"ignore_index": 255})
    weights = Decoded(made).border_weights("i0", 10.0, 5.0)
    assert bool((weights[20:] == 0).all())
    assert float(weights[7, 12]) > 3
    assert weights[:20][mask[:20] == 1].sum() == pytest.approx(300.0)  # n / 2: void is in neither class


# --- the paper's recipe ------------------------------------------------------------------------------------------


def test_a_preset_gives_defaults_and_what_is_said_stands() -> None:
    paper = Recipe.from_mapping({"recipe": "paper2015", "lr": 0.01}, "")
    assert (paper.optimizer, paper.momentum, paper.batch_size, paper.loss) == ("sgd", 0.99, 1, "cross_entropy")
    assert paper.border is not None
    assert (paper.border.w0, paper.border.sigma) == (10.0, 5.0)
    assert (paper.lr, paper.augment, paper.context, paper.clip_norm) == (0.01, "paper2015", "image", 0.0)
    assert Recipe.from_mapping(paper.model_dump(), "") == paper
    assert Recipe(recipe="paper2015", steps=7).batch_size == 1


def test_a_changed_recipe_keeps_the_budget_and_takes_the_presets_defaults() -> None:
    base = Recipe(minutes=3.0, crop=64, lr=0.5, threads=1)
    paper = base.changed({"recipe": "paper2015"}, "x")
    assert (paper.minutes, paper.crop, paper.threads, paper.lr, paper.steps) == (3.0, 64, 1, 1e-3, None)
    assert base.changed({"steps": 9}, "x").minutes is None
    with pytest.raises(UnetzooError, match=r"^x: unknown option 'lrr'; did you mean lr"):
        base.changed({"lrr": 1}, "x")


def test_weighted_cross_entropy() -> None:
    logits, target = torch.randn(2, 3, 5, 4), torch.randint(3, (2, 5, 4))
    weights = torch.rand(2, 5, 4)
    plain = -logits.log_softmax(1).gather(1, target[:, None])[:, 0]
    assert torch.allclose(cross_entropy(logits, target), plain.mean())
    assert torch.allclose(cross_entropy(logits, target, None, weights), (plain * weights).mean())
    target[0] = 255
    assert torch.allclose(cross_entropy(logits, target, 255, weights), (plain * weights)[1].mean())
    ones = cross_entropy_dice(logits, target, 255, torch.ones_like(weights))
    assert torch.allclose(ones, cross_entropy_dice(logits, target, 255))


def test_optimizers_are_the_recipes() -> None:
    layer = nn.Linear(2, 2)
    sgd = make_optimizer(Recipe(recipe="paper2015", lr=0.3), layer)
    assert isinstance(sgd, torch.optim.SGD)
    assert (sgd.defaults["lr"], sgd.defaults["momentum"], sgd.defaults["weight_decay"]) == (0.3, 0.99, 0.0)
    assert isinstance(make_optimizer(Recipe(), layer), torch.optim.AdamW)


@pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker:UserWarning")  # on one core
def test_the_papers_recipe_learns_whoever_prepares_its_crops() -> None:
    data = Decoded(unetzoo.create_dataset("cells", n_train=4, n_val=1, n_test=1, size=96))
    normalization = Normalization.of(data)
    validation = EvaluationItems(data, data.splits["val"], normalization)
    curves = []
    for workers in (0, 2):
        recipe = Recipe(
            recipe="paper2015", steps=40, crop=36, lr=3e-3, momentum=0.9, validate_every=20, workers=workers
        )
        torch.manual_seed(0)
        network = unetzoo.create_model("unet_paper", in_channels=1, num_classes=2, width=4, depth=3)
        crops = training_crops(data, normalization, recipe, seed=0, length=1000)
        fabric = Fabric(accelerator="cpu", devices=1)
        history = train(fabric, network, crops, validation, data.info, recipe, TrainingHooks())
        assert history.step == 40
        assert history.train_curve[-1][1] < history.train_curve[0][1]
        curves.append(history.train_curve)
    assert curves[0] == curves[1]
