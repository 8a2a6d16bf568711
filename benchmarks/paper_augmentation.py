"""The 2015 paper's augmentation (arXiv 1505.04597, section 3.1), shown on an image and its mask.

    python benchmarks/paper_augmentation.py

writes ``reports/paper-2015/augmentation.png``. The grid over both is not painted in: it shows where rows and columns of
the original went, since their coordinates are transformed along as a mask. Every run gives the same bytes.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

import unetzoo
from unetzoo._util.atomic import write_atomic
from unetzoo.data.augmentation import paper_augmentation
from unetzoo.data.transforms import ElasticDeformation
from unetzoo.report.style import RC, canvas, save

FOLDER = Path("reports/paper-2015")
SIZE, MESH = 192, 32  # px
SHOWN: tuple[tuple[str, v2.Transform], ...] = (
    ("as it is", v2.Identity()),
    ("elastic, SD 10 px on 3 x 3", ElasticDeformation()),
    ("elastic, drawn again", ElasticDeformation()),
    ("and rotation, shift, grey values", paper_augmentation()),
    ("all of it, drawn again", paper_augmentation()),
)


def main() -> None:
    """Write the figure."""
    cells = unetzoo.create_dataset("cells", size=SIZE, difficulty=0.0, n_train=1, n_val=1, n_test=1)
    image, mask = cells["train-000"]
    mean, deviation = image.mean(), image.std()  # augmentation takes normalised images
    coordinates = torch.stack(torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij"))
    inputs = tv_tensors.Image((image - mean) / deviation), tv_tensors.Mask(mask), tv_tensors.Mask(coordinates)
    torch.manual_seed(1)
    with mpl.rc_context(RC):
        figure = canvas(8.6, 3.8)
        for (title, transform), (above, below) in zip(SHOWN, figure.subplots(2, len(SHOWN)).T, strict=True):
            moved, moved_mask, came_from = (x.numpy() for x in transform(*inputs))
            above.imshow(moved[0], cmap="gray", vmin=-2.5, vmax=4)
            below.imshow(moved_mask, cmap="gray", interpolation="nearest")
            above.set_title(title, fontsize=7.5)
            for panel in (above, below):
                for axis in came_from:
                    panel.contour(axis, np.arange(MESH / 2, SIZE, MESH), colors="#e8a33d", linewidths=0.7)
                panel.set_axis_off()
    png = save(figure, ["png"], dpi=100)["png"]
    FOLDER.mkdir(parents=True, exist_ok=True)
    write_atomic(FOLDER / "augmentation.png", png)
    print(f"{FOLDER / 'augmentation.png'}: {len(png) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
