"""Reading ahead, writing behind and batches chosen by timing: order, errors, bounds; results do not depend on them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import unetzoo
from unetzoo import UnetzooError
from unetzoo.inference import files, session
from unetzoo.inference.batches import MOST, Batches
from unetzoo.inference.images import Item
from unetzoo.inference.overlap import ahead, behind

CPU, GPU = torch.device("cpu"), torch.device("meta")  # a device that is no CPU, and that torch always has


class Pointwise(nn.Module):
    """A network whose logits depend on their own pixel alone."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([4 * x - 2, torch.zeros_like(x)], dim=1)


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape, dtype=np.float32)


# --- threads ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [0, 1, 3])
def test_items_come_in_order_and_no_more_than_a_few_ahead(most: int) -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for i in range(20):
            made.append(i)
            yield i

    with ahead(items(), most) as taken:
        for count, item in enumerate(taken):
            assert item == count
            assert len(made) <= count + 1 + most
    assert made == list(range(20))


@pytest.mark.parametrize("most", [0, 2])
def test_an_error_comes_where_its_item_would(most: int) -> None:
    def items() -> Iterator[int]:
        yield from range(3)
        raise OSError("disk gone")

    with ahead(items(), most) as taken:
        assert [next(taken) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(OSError, match="disk gone"):
            next(taken)


def test_no_more_is_read_after_the_end() -> None:
    made: list[None] = []
    before = threading.active_count()

    def interrupted() -> None:
        with ahead((made.append(None) for _ in range(1000)), 2) as taken:
            next(taken)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(made) <= 4
    assert threading.active_count() == before


def test_writing_keeps_its_order_and_waits() -> None:
    written = []

    def write(i: int) -> None:
        time.sleep(0.01 * (3 - i))
        written.append((i, threading.current_thread() is threading.main_thread()))

    with behind() as later:
        for i in range(3):
            later(write, i)
            assert len(written) >= i - 1  # at most one waits
    assert written == [(0, False), (1, False), (2, False)]
    with behind(threaded=False) as later:
        later(write, 2)
        assert written[-1] == (2, True)


@pytest.mark.parametrize("calls", [1, 2])
def test_a_failed_write_is_raised(calls: int) -> None:
    def fail() -> None:
        raise OSError("disk full")

    def run(interrupt: bool) -> None:
        with behind() as later:
            for _ in range(calls):
                later(fail)
            if interrupt:
                raise KeyboardInterrupt

    with pytest.raises(OSError, match="disk full"):
        run(interrupt=False)
    if calls == 1:  # not the failure that nobody asked for
        with pytest.raises(KeyboardInterrupt):
            run(interrupt=True)


# --- predict ----------------------------------------------------------------------------------------------------


class Slow:
    """An image (H, W) that is read slowly and fails below a row."""

    dtype = np.dtype(np.uint8)

    def __init__(self, pixels: np.ndarray, seconds: float = 0.0, end: int = 2**30) -> None:
        self.pixels, self.shape, self.seconds, self.end = pixels, pixels.shape, seconds, end

    def __getitem__(self, index: tuple) -> np.ndarray:
        time.sleep(self.seconds)
        if index[-2].stop > self.end:
            raise OSError("sector 17 is damaged")
        return self.pixels[index]


def test_results_do_not_depend_on_the_speed_of_reading() -> None:
    pixels = (255 * noise(70, 50)).astype(np.uint8)
    expected = unetzoo.predict(Pointwise(), pixels, tile=20)
    for seconds in (0.0, 0.003):
        assert np.array_equal(unetzoo.predict(Pointwise(), Slow(pixels, seconds), tile=20), expected)


@pytest.mark.parametrize("tile", [20, None])
def test_an_image_that_cannot_be_read_is_an_error_as_it_was(tile: int | None) -> None:
    done = []
    image = Slow(np.zeros((70, 20), np.uint8), end=45)
    with pytest.raises(OSError, match="sector 17 is damaged"):
        unetzoo.predict(Pointwise(), image, tile=tile, overlap=0, progress=lambda *counts: done.append(counts))
    assert done == ([(1, 4), (2, 4)] if tile else [])


def test_an_output_that_cannot_be_written_is_an_error() -> None:
    class Full:
        shape = (2, 70, 20)

        def __setitem__(self, index: tuple, rows: np.ndarray) -> None:
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        unetzoo.predict(Pointwise(), noise(70, 20), tile=20, out=Full())
    with pytest.raises(UnetzooError, match="out has shape"):
        unetzoo.predict(Pointwise(), noise(70, 20), tile=20, out=np.empty((2, 70, 21)))


def test_ctrl_c_ends_a_prediction() -> None:
    before = threading.active_count()

    def interrupt(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unetzoo.predict(Pointwise(), noise(70, 60), tile=20, progress=interrupt)
    assert threading.active_count() == before


@pytest.mark.filterwarnings("ignore:these weights do not tell")
def test_files_that_cannot_be_written_fail_their_image_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = unetzoo.create_model("unet", in_channels=1, num_classes=2, width=2, depth=2)
    path = unetzoo.save_model(model, tmp_path / "m.safetensors")
    for name in "abc":
        Image.fromarray((255 * noise(20, 30)).astype(np.uint8)).save(tmp_path / f"{name}.png")
    save, told = session.save_image, []

    def failing(image: Image.Image, to: Path, kind: str) -> None:
        if to.name.startswith(".b.png"):
            raise OSError("disk full")
        save(image, to, kind)

    class Watching(files.Watcher):
        def end(self, item: Item, what: str) -> None:
            told.append((item.path.name, threading.current_thread() is threading.main_thread()))

    monkeypatch.setattr(session, "save_image", failing)
    images = [tmp_path / f"{name}.png" for name in "abc"]
    result = files.predict_files(path, images, tmp_path / "out", session.Options(device="cpu"), Watching())
    assert (result.predicted, list(map(str, result.failed.values()))) == (2, [f"{images[1]}: OSError: disk full"])
    assert told == [("a.png", True), ("b.png", True), ("c.png", True)]
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"a.png", "c.png", "predictions.json", "predictions.csv"}


# --- batches ----------------------------------------------------------------------------------------------------


class Timed:
    """A clock, and a network that takes ``seconds[n]`` for a batch of n, or runs out of memory above ``most``."""

    def __init__(self, seconds: dict[int, float], most: int = 99) -> None:
        self.seconds, self.most, self.now, self.sizes = seconds, most, 0.0, []

    def __call__(self, pixels: Tensor) -> Tensor:
        if len(pixels) > self.most:
            raise torch.OutOfMemoryError("too many")
        self.sizes.append(len(pixels))
        self.now += self.seconds.get(len(pixels), 1.0)
        return 2 * pixels


def run(batches: Batches, tiles: int = 60) -> None:
    left = torch.arange(float(tiles))[:, None]
    while len(left):
        size = batches.size
        torch.testing.assert_close(batches(left[:size]), 2 * left[:size])
        left = left[size:]


def test_batches_grow_while_that_is_faster() -> None:
    for seconds, size in (
        ({1: 1.0, 2: 2.0}, 1),
        ({1: 1.0, 2: 1.2, 4: 2.0, 8: 4.0}, 4),
        (dict.fromkeys((1, 2, 4, 8, 16), 1.0), MOST),
    ):
        network = Timed(seconds)
        batches = Batches(network, "auto", GPU, lambda network=network: network.now)
        run(batches, 200)
        assert (batches.size, batches.settled) == (size, True)
        assert max(network.sizes) <= 2 * size


def test_a_first_batch_that_is_slow_to_set_up_does_not_count() -> None:
    class Warming(Timed):
        def __call__(self, pixels: Tensor) -> Tensor:
            self.now += 0.0 if len(pixels) in self.sizes else 50.0
            return super().__call__(pixels)

    network = Warming({1: 1.0, 2: 1.2, 4: 4.0})
    batches = Batches(network, "auto", GPU, lambda: network.now)
    run(batches)
    assert batches.size == 2


def test_too_little_memory_ends_the_growth() -> None:
    network = Timed(dict.fromkeys((1, 2, 4, 8, 16), 1.0), most=4)
    batches = Batches(network, "auto", GPU, lambda: network.now)
    run(batches)
    assert (batches.size, batches.settled) == (4, True)
    for wanted in ("auto", 1):
        with pytest.raises(torch.OutOfMemoryError):
            Batches(Timed({}, most=0), wanted, GPU)(torch.zeros(1, 1))


def test_a_cpu_and_a_number_are_not_timed() -> None:
    for batch, device, size in (("auto", CPU, 1), (3, CPU, 3), (3, GPU, 3)):
        network = Timed({1: 1.0, 2: 0.1, 3: 0.1})
        batches = Batches(network, batch, device, lambda network=network: network.now)
        run(batches)
        assert set(network.sizes) == {size}
