"""Overlap-tile inference: tiles compared with the whole image, averaging over versions, reading and writing."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import unetzoo
from unetzoo import UnetzooError
from unetzoo.data.stream import Normalization
from unetzoo.inference.tiles import valid_tiles
from unetzoo.nn.sizes import SameSize, ValidSizes

CLOSE = {"rtol": 0, "atol": 2e-5}


@pytest.fixture(autouse=True)
def without_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute in float32 by default, as on a CPU without bfloat16; tests/inference/test_network.py has the rest."""
    monkeypatch.setattr("unetzoo.machine.device.cpu_has_bfloat16", lambda: False)


def small(**options: object) -> nn.Module:
    torch.manual_seed(0)
    defaults = {"in_channels": 1, "num_classes": 3, "width": 3, "depth": 3, "padding": "valid"}
    model = unetzoo.create_model("unet", **{**defaults, **options}).train()
    side = 76
    images = torch.rand(2, model.unetzoo_config.in_channels, side, side)
    with torch.no_grad():  # running statistics that have an effect, and a predicted class that varies
        for _ in range(3):
            model(images)
        logits = model.eval()(images)
        model.head.bias -= logits.mean(dim=(0, 2, 3))
        model.head.weight *= 10
        model.head.bias *= 10
    return model


VALID, PADDED = small(), small(padding="same")


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


class Pointwise(nn.Module):
    """A network whose logits depend on their own pixel alone: 4 x - 2, and 0."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([4 * x - 2, torch.zeros_like(x)], dim=1)


class Shift(nn.Module):
    """A network that depends on directions: each pixel's logit is its right neighbour's value."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.roll(x, -1, dims=-1)


# --- valid networks ---------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.integers(1, 150), st.integers(1, 150)),
    st.tuples(st.integers(12, 90), st.integers(12, 90)),
    st.integers(0, 8),
    st.sampled_from(["probabilities", "logits"]),
)
def test_tiles_of_valid_networks_equal_the_whole(
    size: tuple[int, int], tile: tuple[int, int], overlap: int, output: str
) -> None:
    image = noise(*size)
    whole = unetzoo.predict(VALID, image, tile=None, output=output)
    tiled = unetzoo.predict(VALID, image, tile=tile, overlap=overlap, output=output)
    assert whole.shape == tiled.shape == (3, *size)
    np.testing.assert_allclose(tiled, whole, **CLOSE)


@pytest.mark.parametrize("size", [(1, 1), (5, 130), (76, 76), (91, 77), (128, 99)])
def test_the_whole_image_is_what_training_scores(size: tuple[int, int]) -> None:
    image = torch.rand(1, *size)
    for model in (VALID, PADDED):
        with torch.inference_mode():
            expected = SameSize(model, 3).eval()(image[None])[0][0]
        for wrapped in (model, SameSize(model, 3)):
            found = unetzoo.predict(wrapped, image, tile=None, output="logits")
            np.testing.assert_allclose(found, expected, **CLOSE)


@pytest.mark.parametrize("options", [{"depth": 5, "width": 2}, {"depth": 2}, {"norm": "none"}, {"skip": "none"}])
@pytest.mark.parametrize("up", ["transposed", "bilinear", "nearest", "pixelshuffle"])
def test_tiles_equal_the_whole_for_every_way_up(up: str, options: dict) -> None:
    model = (
        small(up=up, **options)
        if options.get("depth") != 5
        else unetzoo.create_model("unet", in_channels=1, num_classes=3, padding="valid", up=up, norm="none", **options)
    )
    image = noise(151, 118)
    whole = unetzoo.predict(model, image, tile=None, output="logits")
    np.testing.assert_allclose(unetzoo.predict(model, image, tile=(50, 37), output="logits"), whole, **CLOSE)


def test_unet_paper_at_the_papers_sizes() -> None:
    torch.manual_seed(0)
    model = unetzoo.create_model("unet_paper", in_channels=1, num_classes=2, width=4).eval()
    image = noise(388, 400)
    whole = unetzoo.predict(model, image, tile=None, output="logits")
    np.testing.assert_allclose(unetzoo.predict(model, image, tile=(132, 388), output="logits"), whole, **CLOSE)
    rows = valid_tiles(ValidSizes(5), 3000, 388, 0, 0)
    assert {(t.size, t.size + 2 * t.context) for t in rows} == {(388, 572)}
    assert {b.start - a.start for a, b in pairwise(rows)} == {384}


@pytest.mark.parametrize("tta", [7, 8])
def test_averaged_tiles_of_valid_networks_equal_the_averaged_whole(tta: int) -> None:
    for size in ((70, 53), (41, 96)):
        image = noise(*size)
        whole = unetzoo.predict(VALID, image, tile=None, tta=tta)
        np.testing.assert_allclose(unetzoo.predict(VALID, image, tile=(28, 33), tta=tta), whole, **CLOSE)
        assert np.abs(whole - unetzoo.predict(VALID, image)).max() > 1e-3


# --- padded networks --------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(
    st.tuples(st.integers(1, 90), st.integers(1, 90)),
    st.tuples(st.integers(1, 50), st.integers(1, 50)),
    st.sampled_from([1, 8]),
)
def test_blending_gives_back_what_all_tiles_agree_on(size: tuple[int, int], tile: tuple[int, int], tta: int) -> None:
    image = noise(*size)
    logits = unetzoo.predict(Pointwise(), image, tile=tile, tta=tta, output="logits")
    np.testing.assert_allclose(logits[0], 4 * image - 2, **CLOSE)
    np.testing.assert_allclose(logits[1], 0, **CLOSE)


def test_blended_tiles_are_close_to_the_whole_and_closest_inside() -> None:
    image = noise(200, 180)
    whole = unetzoo.predict(PADDED, image, tile=None)
    tiled = unetzoo.predict(PADDED, image, tile=96, overlap=48)
    cut = unetzoo.predict(PADDED, image, tile=96, overlap=0)
    assert np.abs(tiled - whole).mean() < 0.25 * np.abs(cut - whole).mean()
    assert np.array_equal(unetzoo.predict(PADDED, image, tile=200), whole)


def test_blending_is_gaussian() -> None:
    """Between a tile of zeros and a tile of ones, the blend is the ratio of two Gaussians."""

    class Counter(nn.Module):
        seen = 0

        def forward(self, x: Tensor) -> Tensor:
            self.seen += 1
            return torch.full_like(x, self.seen - 1.0)

    found = unetzoo.predict(Counter(), noise(4, 60), tile=40, overlap=20, output="logits")[0, 0]
    left, right = (np.exp(-0.5 * ((np.arange(60) - centre) / 5) ** 2) for centre in (19.5, 39.5))
    expected = np.where(np.arange(60) < 20, 0, np.where(np.arange(60) >= 40, 1, right / (left + right)))
    np.testing.assert_allclose(found, expected, atol=1e-6)


# --- test-time augmentation -------------------------------------------------------------------------------------


def test_eight_versions_are_the_symmetries_of_the_square() -> None:
    image = torch.zeros(9, 9)
    image[4, 4] = 1
    found = unetzoo.predict(Shift(), image, tta=8, output="logits")[0]
    expected = np.zeros((9, 9))
    expected[[3, 5, 4, 4], [4, 4, 3, 5]] = 0.25  # each neighbour is the "right" one of two versions in eight
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_seven_rotations() -> None:
    rows, columns = np.mgrid[0:60, 0:50]
    smooth = np.sin(rows / 15) * np.cos(columns / 11)
    found = unetzoo.predict(Pointwise(), smooth, tta=7, output="logits")[0]
    np.testing.assert_allclose(found[3:-3, 3:-3], (4 * smooth - 2)[3:-3, 3:-3], atol=0.03)  # bilinear twice
    seen = []

    class Looking(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            down, right = torch.gradient(x[0, 0])
            middle = (
                slice(x.shape[-2] // 2 - 3, x.shape[-2] // 2 + 4),
                slice(x.shape[-1] // 2 - 3, x.shape[-1] // 2 + 4),
            )
            seen.append(float(torch.atan2(down[middle].mean(), right[middle].mean())))
            return x

    ramp = np.tile(np.arange(80.0), (80, 1))
    result = unetzoo.predict(Looking(), ramp, tta=7, output="logits")[0]
    turned = np.sort(np.mod(np.degrees(seen), 360))
    np.testing.assert_allclose(np.diff(turned), 360 / 7, atol=1e-3)
    np.testing.assert_allclose(result[20:60, 20:60], ramp[20:60, 20:60], atol=1e-3)


# --- what is read and written -----------------------------------------------------------------------------------


def test_outputs() -> None:
    image = noise(50, 61)
    logits = torch.from_numpy(unetzoo.predict(PADDED, image, output="logits"))
    probabilities = unetzoo.predict(PADDED, image)
    classes = unetzoo.predict(PADDED, image, output="classes")
    np.testing.assert_allclose(probabilities, logits.softmax(0), **CLOSE)
    assert np.array_equal(classes, logits.argmax(0))
    assert (classes.dtype, probabilities.dtype) == (np.uint8, np.float32)
    assert len(np.unique(classes)) > 1
    binary = unetzoo.predict(Shift(), 9 * image - 4)
    assert binary.shape == (1, 50, 61)
    assert np.array_equal(unetzoo.predict(Shift(), 9 * image - 4, output="classes"), binary[0] > 0.5)


def test_memory_maps_integers_and_tensors(tmp_path) -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (2, 90, 101), dtype=np.uint16)
    stored = np.memmap(tmp_path / "image.raw", ">u2", "w+", shape=pixels.shape)
    stored[:] = pixels
    model = small(in_channels=2)
    expected = unetzoo.predict(model, torch.from_numpy(pixels / 65535), tile=None)
    out = np.memmap(tmp_path / "out.raw", np.float32, "w+", shape=(3, 90, 101))
    assert unetzoo.predict(model, stored, tile=32, out=out) is out
    np.testing.assert_allclose(out, expected, **CLOSE)
    classes = torch.empty(90, 101, dtype=torch.long)
    assert unetzoo.predict(model, torch.from_numpy(pixels), tile=40, output="classes", out=classes) is classes
    assert np.array_equal(classes, expected.argmax(0))


def test_only_tiles_are_read() -> None:
    class Lazy:
        shape, dtype = (5000, 70), np.dtype("uint8")
        rows = 0

        def __getitem__(self, index):
            rows = index[1]
            self.rows = max(self.rows, rows.stop - rows.start)
            return np.zeros((rows.stop - rows.start, index[2].stop - index[2].start), np.uint8)

    image = Lazy()
    assert unetzoo.predict(PADDED, image, tile=128, output="classes").shape == (5000, 70)
    assert image.rows == 128


@pytest.mark.filterwarnings("ignore:these weights do not tell")
def test_normalization_travels_with_the_weights(tmp_path) -> None:
    normalization = Normalization((0.3,), (0.2,))
    path = unetzoo.save_model(PADDED, tmp_path, normalization={"mean": (0.3,), "std": (0.2,)})
    image = noise(70, 40)
    expected = unetzoo.predict(PADDED, (image - np.float32(0.3)) / np.float32(0.2))
    np.testing.assert_allclose(unetzoo.predict(unetzoo.load_model(path), image), expected, **CLOSE)
    np.testing.assert_allclose(unetzoo.predict(PADDED, image, normalize=normalization), expected, **CLOSE)
    assert np.abs(unetzoo.predict(PADDED, image) - expected).max() > 0.01


def test_the_model_is_left_as_it_was() -> None:
    model = small(padding="same").train()
    model.encoder.eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    expected = unetzoo.predict(small(padding="same"), noise(40, 40))
    assert np.array_equal(unetzoo.predict(model, noise(40, 40)), expected)
    assert model.training
    assert model.decoder.training
    assert not model.encoder.training
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


def test_progress_goes_to_stderr_or_to_a_function(capsys: pytest.CaptureFixture[str]) -> None:
    unetzoo.predict(PADDED, noise(90, 60), tile=40, progress=True)
    assert capsys.readouterr().out == ""
    told = []
    unetzoo.predict(PADDED, noise(90, 40), tile=40, overlap=0, tta=8, progress=lambda *counts: told.append(counts))
    assert told == [(done, 24) for done in range(1, 25)]


# --- how it is computed -----------------------------------------------------------------------------------------


class Recording(nn.Module):
    """A network that records the shapes, layouts and number formats of its inputs."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.inner, self.shapes, self.layouts, self.formats = network, [], [], set()
        if isinstance(sizes := getattr(network, "sizes", None), ValidSizes):
            self.sizes = sizes
        network.head.register_forward_hook(lambda module, given, found: self.formats.add(found.dtype))

    def forward(self, x: Tensor) -> Tensor:
        self.shapes.append(tuple(x.shape))
        self.layouts.append(x.stride())
        return self.inner(x)


@settings(max_examples=12, deadline=None)
@given(
    st.booleans(),
    st.tuples(st.integers(1, 110), st.integers(1, 110)),
    st.tuples(st.integers(12, 40), st.integers(12, 40)),
    st.sampled_from([1, 7, 8]),
    st.integers(2, 7),
)
def test_batches_change_nothing(
    valid: bool, size: tuple[int, int], tile: tuple[int, int], tta: int, batch: int
) -> None:
    model, image = VALID if valid else PADDED, noise(*size)
    one = unetzoo.predict(model, image, tile=tile, overlap=8, tta=tta)
    many = Recording(model)
    np.testing.assert_allclose(unetzoo.predict(many, image, tile=tile, overlap=8, tta=tta, batch=batch), one, **CLOSE)
    assert max(shape[0] for shape in many.shapes) <= batch


@pytest.mark.parametrize(("tta", "calls"), [(1, 2), (7, 14), (8, 12)])
@pytest.mark.parametrize("model", [VALID, PADDED])
def test_what_has_one_shape_makes_batches(model: nn.Module, tta: int, calls: int) -> None:
    """Seven tiles go in batches of five, mixing versions only if their tiles have one shape, as square ones do."""
    seen = Recording(model)
    unetzoo.predict(seen, noise(32, 7 * 32), tile=32, overlap=0, tta=tta, batch=5)
    assert sum(shape[0] for shape in seen.shapes) == 7 * tta
    assert len(seen.shapes) <= calls


def test_channels_last() -> None:
    for channels, rest in ((1, 1), (3, 3)):
        seen = Recording(small(in_channels=channels, padding="same"))
        image = noise(channels, 40, 32)
        fast = unetzoo.predict(seen, image)
        assert seen.layouts.pop() == (40 * 32 * rest, 1, 32 * rest, rest)
        np.testing.assert_allclose(unetzoo.predict(seen, image, channels_last=False), fast, **CLOSE)
        assert seen.layouts.pop() == (40 * 32 * rest, 40 * 32, 32, 1)


def test_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, image = Recording(PADDED), noise(32, 32)
    exact = unetzoo.predict(seen, image, precision="float32")
    assert seen.formats == {torch.float32}
    rounded = unetzoo.predict(seen, image, precision="bfloat16")
    assert seen.formats == {torch.float32, torch.bfloat16}
    assert rounded.dtype == np.float32
    assert 0 < np.abs(rounded - exact).max() < 0.1
    for fast, expected in ((True, rounded), (False, exact)):
        monkeypatch.setattr("unetzoo.machine.device.cpu_has_bfloat16", lambda fast=fast: fast)
        assert np.array_equal(unetzoo.predict(seen, image, precision="auto"), expected)
    with torch.autocast("cpu", torch.bfloat16):  # the surrounding context changes nothing
        assert np.array_equal(unetzoo.predict(seen, image, precision="float32"), exact)


def test_training_goes_on_after_a_prediction_within_its_autocast() -> None:
    model = small(padding="same").train()
    with torch.autocast("cpu", torch.bfloat16):
        unetzoo.predict(model, noise(16, 16), precision="bfloat16")
        model(torch.rand(2, 1, 16, 16)).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize(
    ("image", "options", "message"),
    [
        (noise(3, 4, 5, 6), {}, r"must be \(H, W\) or \(C, H, W\)"),
        (noise(0, 4), {}, r"the image is \(0, 4\), but must be .* with no side 0"),
        (noise(3, 40, 40), {}, r"takes 1 channels, but the image \(3, 40, 40\) has 3"),
        (noise(40, 30, 1), {}, r"has 40; it looks like \(H, W, 1\)"),
        (np.zeros((40, 40), np.int64), {}, "pixels of type int64"),
        (noise(40, 40), {"tile": 0}, "tile = 0 must be"),
        (noise(40, 40), {"tile": (9, 9, 9)}, "one or two whole numbers"),
        (noise(40, 40), {"tile": 32, "overlap": 32}, "overlap = 32 must be whole pixels from 0 to less than"),
        (noise(40, 40), {"overlap": 0.5}, "overlap = 0.5 must be whole pixels"),
        (noise(40, 40), {"batch": 0}, "batch = 0 must be a whole number of tiles, at least 1"),
        (noise(40, 40), {"precision": "bf16"}, "precision = 'bf16' is not a choice; did you mean bfloat16"),
        (noise(40, 40), {"tta": 3}, "tta = 3 is not a choice; allowed: 1"),
        (noise(40, 40), {"output": "class"}, r"output = 'class' is not a choice; did you mean classes\?"),
        (
            noise(40, 40),
            {"out": np.empty((2, 40, 40))},
            r"out has shape \(2, 40, 40\), but probabilities .*\(3, 40, 40\)",
        ),
    ],
)
def test_what_does_not_fit_is_one_line(image: np.ndarray, options: dict, message: str) -> None:
    with pytest.raises(UnetzooError, match=message) as caught:
        unetzoo.predict(PADDED, image, **options)
    assert "\n" not in str(caught.value)


def test_a_tile_too_small_for_a_valid_network() -> None:
    with pytest.raises(UnetzooError, match="tile = 3 with overlap = 2 is too small"):
        unetzoo.predict(VALID, noise(90, 90), tile=3, overlap=2)
