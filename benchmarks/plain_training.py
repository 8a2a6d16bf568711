"""The training script that most people write, to compare `unetzoo bench` with: float32, DataLoader, one process.

    python benchmarks/plain_training.py --data isbi2012 --models unet,unet_d2 --set width=16 --out plain.json

It has the same networks, crops, steps, optimizer, loss and evaluations as a suite with recipe = "modern", and keeps
the weights that do best on validation. It does nothing to be slow: images are decoded once, ``--workers`` processes
load the data (both 0 and 2 are worth a try), and torch uses all cores. The file has the Dice of every test image.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

import unetzoo
from unetzoo._util.plugins import import_plugins


class Crops(Dataset):
    """Random crops with flips and right-angle rotations, ``length`` of them an epoch."""

    def __init__(self, items: list[tuple[Tensor, Tensor]], crop: int, length: int) -> None:
        self.items, self.crop, self.length = items, crop, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image, mask = self.items[index % len(self.items)]
        top, left = (int(torch.randint(max(1, side - self.crop + 1), ())) for side in mask.shape)
        rows, columns = slice(top, top + self.crop), slice(left, left + self.crop)
        image, mask = image[:, rows, columns], mask[rows, columns]
        for axis in (-1, -2):
            if torch.rand(()) < 0.5:
                image, mask = image.flip(axis), mask.flip(axis)
        turns = int(torch.randint(4, ()))
        return image.rot90(turns, (-2, -1)).contiguous(), mask.rot90(turns, (-2, -1)).contiguous()


def dice_loss(logits: Tensor, mask: Tensor) -> Tensor:
    """Return 1 - the mean soft Dice over classes."""
    p = logits.softmax(dim=1)
    truth = F.one_hot(mask, logits.shape[1]).movedim(-1, 1)
    overlap, total = (p * truth).sum(dim=(0, 2, 3)), (p + truth).sum(dim=(0, 2, 3))
    return 1 - ((2 * overlap + 1) / (total + 1)).mean()


@torch.no_grad()
def dice_of_images(model: nn.Module, items: dict[str, tuple[Tensor, Tensor]]) -> dict[str, float]:
    """Return each image's Dice of class 1, with its padding to a multiple of 32 cut off again."""
    model.eval()
    scores = {}
    for key, (image, mask) in items.items():
        prediction = model(image[None]).argmax(dim=1)[0]
        hit, total = float(((prediction == 1) & (mask == 1)).sum()), float((prediction == 1).sum() + (mask == 1).sum())
        scores[key] = 2 * hit / total if total else math.nan
    return scores


def train(name: str, options: dict[str, object], seed: int, args: argparse.Namespace) -> dict[str, object]:
    """Train one network and return its Dice on every test image, and its seconds."""
    begun = time.perf_counter()
    torch.manual_seed(seed)
    data = unetzoo.create_dataset(args.data)
    parts = {split: {key: data.read(key) for key in data.splits[split]} for split in ("train", "val", "test")}
    items = {
        split: {
            key: (torch.from_numpy(image).float(), torch.from_numpy(mask).long()) for key, (image, mask) in p.items()
        }
        for split, p in parts.items()
    }
    pixels = torch.cat([image.flatten(1) for image, _ in items["train"].values()], dim=1)
    mean, std = pixels.mean(dim=1)[:, None, None], pixels.std(dim=1)[:, None, None]
    items = {split: {key: ((x - mean) / std, y) for key, (x, y) in part.items()} for split, part in items.items()}

    crops = Crops(list(items["train"].values()), args.crop, args.steps * args.batch)
    loader = DataLoader(crops, batch_size=args.batch, shuffle=True, num_workers=args.workers)
    model = unetzoo.create_model(name, in_channels=data.info.channels, num_classes=data.info.classes, **options)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, args.steps)
    best, weights = -1.0, model.state_dict()
    model.train()
    for step, (images, masks) in enumerate(loader, start=1):
        logits = model(images)
        loss = F.cross_entropy(logits, masks) + dice_loss(logits, masks)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % args.validate_every == 0 or step == args.steps:
            score = float(np.nanmean(list(dice_of_images(model, items["val"]).values())))
            if score > best:
                best, weights = score, copy.deepcopy(model.state_dict())
            model.train()
    model.load_state_dict(weights)
    dice = dice_of_images(model, items["test"])
    return {"model": name, "seed": seed, "dice": dice, "seconds": time.perf_counter() - begun}


def main() -> None:
    """Train every network with every seed and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="isbi2012")
    parser.add_argument("--models", default="unet")
    parser.add_argument("--set", action="append", default=[], metavar="OPTION=NUMBER")
    parser.add_argument("--imports", action="append", default=[])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    for option, default in (("steps", 100), ("batch", 4), ("crop", 256), ("validate-every", 50)):
        parser.add_argument(f"--{option}", type=int, default=default)
    parser.add_argument("--lr", type=float, default=2e-3)
    args = parser.parse_args()
    import_plugins(args.imports)
    options = {name: int(value) for name, value in (text.split("=") for text in args.set)}
    found = []
    for seed in range(args.seeds):
        for name in args.models.split(","):
            found.append(train(name, options, seed, args))
            print(f"{name} seed {seed}: {found[-1]['seconds']:.1f} s", flush=True)
    args.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
