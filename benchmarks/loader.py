"""Training crops per second of a core: ours, albumentations and torchvision v2 doing the same; their share of a step.

    python benchmarks/loader.py --out loader.json

All read the same decoded uint8 images from memory and return a normalised float32 image and its mask. Rounds of a few
crops of each are interleaved on one thread, and the processor time counts, which other processes disturb less than the
clock. albumentations is not a dependency: without it, it is left out.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from unetzoo.data.base import DatasetInfo, SegmentationDataset
from unetzoo.data.stream import Normalization, TrainingCrops
from unetzoo.machine.environment import environment
from unetzoo.measure.rehearsal import Rehearsal
from unetzoo.models.factory import resolve_model

MEAN, STD = 0.45, 0.22
Draw = Callable[[], Any]


class Noise(SegmentationDataset):
    """Images of smooth noise, bright parts of which are the foreground."""

    def __init__(self, channels: int, side: int, count: int = 8) -> None:
        names = tuple(f"{i}" for i in range(count + 2))
        self.info = DatasetInfo(name="noise", channels=channels, class_names=("dark", "bright"), foreground=(1,))
        self.splits = {"train": names[:-2], "val": names[-2:-1], "test": names[-1:]}
        coarse = torch.rand(len(names), channels, side // 16, side // 16, generator=torch.Generator().manual_seed(0))
        fine = torch.nn.functional.interpolate(coarse, (side, side), mode="bilinear")
        self.images = (255 * fine).round().byte().numpy()

    def read(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        image = self.images[int(key)]
        return image.astype(np.float32) / 255, (image[0] > 140).astype(np.int64)

    def content_digest(self, key: str) -> str:
        return key


def ours(data: Noise, crop: int, strong: bool) -> Draw:
    statistics_of = Normalization((MEAN,) * data.info.channels, (STD,) * data.info.channels)
    augment = "strong" if strong else "flips"
    crops = TrainingCrops(data, statistics_of, crop=crop, seed=0, length=10**9, augment=augment)
    index = iter(range(10**9))
    return lambda: crops[next(index)]


def with_torchvision(data: Noise, crop: int, strong: bool) -> Draw:
    turns = [v2.Identity(), *(v2.RandomRotation((angle, angle)) for angle in (90, 180, 270))]
    steps: list[Any] = [v2.RandomHorizontalFlip(), v2.RandomVerticalFlip(), v2.RandomChoice(turns)]
    steps += [v2.ToDtype({tv_tensors.Image: torch.float32, "others": None}, scale=True), v2.ColorJitter(0.25, 0.25)]
    warp: list[Any] = []
    if strong:
        gamma = v2.Lambda(
            lambda x: v2.functional.adjust_gamma(x, float(torch.empty(()).uniform_(0.7, 1.5))), tv_tensors.Image
        )
        steps += [v2.RandomApply([gamma], 0.3), v2.RandomApply([v2.GaussianBlur(7, (0.5, 1.5))], 0.2)]
        steps += [v2.RandomApply([v2.GaussianNoise(sigma=0.07)], 0.2)]
        warp = [v2.RandomApply([v2.RandomAffine(180, scale=(0.7, 1.4)), v2.ElasticTransform(50.0, 8.0)], 0.5)]
    channels = data.info.channels
    transform = v2.Compose(
        [v2.RandomCrop(crop), *warp, *steps, v2.Normalize([MEAN] * channels, [STD] * channels), v2.ToPureTensor()]
    )
    pairs = [
        (tv_tensors.Image(torch.from_numpy(image)), tv_tensors.Mask(torch.from_numpy(image[0] > 140).long()))
        for image in data.images
    ]
    index = iter(range(10**9))
    return lambda: transform(*pairs[next(index) % len(pairs)])


def with_albumentations(data: Noise, crop: int, strong: bool) -> Draw | None:
    try:
        import albumentations as alb
        import cv2
        from albumentations.pytorch import ToTensorV2
    except ImportError:
        return None
    cv2.setNumThreads(1)
    steps: list[Any] = [alb.HorizontalFlip(), alb.VerticalFlip(), alb.RandomRotate90(p=0.75)]
    steps += [alb.RandomBrightnessContrast(0.25, 0.25, p=1.0)]
    warp: list[Any] = []
    if strong:
        steps += [alb.RandomGamma((70, 150), p=0.3), alb.GaussianBlur(7, (0.5, 1.5), p=0.2), alb.GaussNoise(p=0.2)]
        turned = alb.Affine(scale=(0.7, 1.4), rotate=(-180, 180), border_mode=cv2.BORDER_REFLECT_101, p=1.0)
        warp = [alb.Sequential([turned, alb.ElasticTransform(50, 8, p=1.0)], p=0.5)]
    transform = alb.Compose([alb.RandomCrop(crop, crop), *warp, *steps, alb.Normalize(MEAN, STD), ToTensorV2()])
    pairs = [(np.ascontiguousarray(i.transpose(1, 2, 0)), (i[0] > 140).astype(np.int64)) for i in data.images]
    index = iter(range(10**9))

    def draw() -> Any:
        image, mask = pairs[next(index) % len(pairs)]
        return transform(image=image, mask=mask.astype(np.uint8))

    return draw


def interleaved(draws: dict[str, Draw], rounds: int, crops: int) -> dict[str, list[float]]:
    """Return the processor seconds of one crop in each round, by name."""
    taken: dict[str, list[float]] = {name: [] for name in draws}
    for number in range(rounds + 1):
        for name, draw in draws.items():
            begun = time.process_time()
            for _ in range(crops):
                draw()
            if number:  # the first round warms up
                taken[name].append((time.process_time() - begun) / crops)
    return taken


def compare(rounds: int, crops: int, side: int = 256) -> list[dict[str, Any]]:
    rows = []
    for channels in (1, 3):
        data = Noise(channels, 2 * side)
        for strong in (False, True):
            made = {
                "unetzoo": ours(data, side, strong),
                "albumentations": with_albumentations(data, side, strong),
                "torchvision": with_torchvision(data, side, strong),
            }
            taken = interleaved({name: draw for name, draw in made.items() if draw}, rounds, crops)
            for name, times in taken.items():
                ratios = sorted(a / b for a, b in zip(times, taken["unetzoo"], strict=True))
                rows.append(
                    {
                        "library": name,
                        "augmentation": "strong" if strong else "flips",
                        "channels": channels,
                        "crop": side,
                        "crops_per_second_per_core": round(1 / statistics.median(times), 1),
                        "our_rate_over_theirs": round(statistics.median(ratios), 3),
                        "spread": [round(ratios[len(ratios) // 10], 3), round(ratios[-1 - len(ratios) // 10], 3)],
                    }
                )
                print(rows[-1], flush=True)
    return rows


def share(rounds: int, width: int = 16, batch: int = 4, side: int = 256) -> list[dict[str, Any]]:
    """Return the share that loading has in a training step of a narrow `unet`, for which it is largest."""
    data = Noise(1, 2 * side)
    config = resolve_model("unet", in_channels=1, num_classes=2, options={"width": width})
    work = Rehearsal(config, 2, precision="bfloat16", fake=False)
    rows = []
    for strong in (False, True):
        draw = ours(data, side, strong)
        shares = []
        for number in range(rounds + 1):
            begun = time.process_time()
            images, masks = (torch.stack(x) for x in zip(*(draw() for _ in range(batch)), strict=True))
            images = images.contiguous(memory_format=torch.channels_last)
            loaded = time.process_time()
            work.step(images, masks)
            if number:
                shares.append((loaded - begun) / (time.process_time() - begun))
        shares.sort()
        rows.append(
            {
                "augmentation": "strong" if strong else "flips",
                "step": f"unet width {width}, {batch}x1x{side}x{side}, bfloat16",
                "share_of_loading": round(statistics.median(shares), 4),
                "spread": [round(shares[len(shares) // 10], 4), round(shares[-1 - len(shares) // 10], 4)],
            }
        )
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Compare, measure the share, and write one JSON file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--crops", type=int, default=10, help="crops of each library in a round")
    parser.add_argument("--out", type=Path, default=Path("loader.json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = {
        "clock": "processor seconds of one thread, interleaved; median and 10 % to 90 % of paired ratios",
        "environment": environment("cpu", "bfloat16"),
        "crops": compare(options.rounds, options.crops),
        "share": share(options.rounds // 2),
    }
    options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
