"""The middle of an image within it and alone: equal for what looks at single pixels, unequal for what looks at size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unetzoo.data.base import DatasetInfo
from unetzoo.metrics.overlap import confusion
from unetzoo.nn.sizes import SameSize
from unetzoo.train.evaluation import evaluate_middles

INFO = DatasetInfo(name="x", channels=1, class_names=("a", "b"), foreground=(1,), ignore_index=255)


class Threshold(nn.Module):
    """Says b where a pixel is above half; with ``to``, in images of other sides the reverse."""

    def __init__(self, to: int | None = None) -> None:
        super().__init__()
        self.to, self.weight = to, nn.Parameter(torch.ones(1))

    def forward(self, images: Tensor) -> Tensor:
        above = (images - 0.5) * self.weight * (1 if self.to in (None, images.shape[-1]) else -1)
        return torch.cat((-above, above), dim=1)


def items(*sizes: tuple[int, int]) -> list[tuple[str, tuple[Tensor, Tensor]]]:
    random = torch.Generator().manual_seed(0)
    images = [torch.rand(1, *size, generator=random) for size in sizes]
    return [(f"image{i}", (image, (image[0] > 0.5).long())) for i, image in enumerate(images)]


def middles(
    network: nn.Module, *sizes: tuple[int, int]
) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    return evaluate_middles(SameSize(network, 2), items(*sizes), 16, INFO, torch.contiguous_format)


def test_the_middle_of_each_larger_image_is_scored_within_and_alone() -> None:
    sizes = (16, 16), (9, 12), (17, 16), (40, 10), (33, 50)
    whole, within, alone = middles(Threshold(), *sizes)
    assert list(whole) == [f"image{i}" for i in range(5)]
    assert list(within) == list(alone) == ["image2", "image3", "image4"]  # the first two are no larger than 16 px
    for (key, (_, mask)), shape in zip(items(*sizes)[2:], ((16, 16), (16, 10), (16, 16)), strict=True):
        top, left = ((side - part) // 2 for side, part in zip(mask.shape, shape, strict=True))
        part = mask[top : top + shape[0], left : left + shape[1]]
        assert torch.equal(within[key], confusion(part, part, 2, 255))
        assert torch.equal(within[key], alone[key])


def test_a_network_that_looks_at_the_size_is_right_alone_only() -> None:
    _, within, alone = middles(Threshold(to=16), (40, 40), (20, 30))
    for key in within:
        assert alone[key].diagonal().sum() == 256
        assert within[key].diagonal().sum() == 0


def test_images_of_the_crops_size_have_no_middle() -> None:
    whole, within, alone = middles(Threshold(), (16, 16), (8, 8))
    assert len(whole) == 2
    assert within == alone == {}
