"""Figure 3 of the 2015 paper (arXiv 1505.04597), redrawn: the pixels that border weights emphasise in the loss.

    python benchmarks/border_weight_map.py

writes ``reports/paper-2015/weight_map.png`` from a generated image of crowded cells and, if ``UNETZOO_DATA`` is set,
``weight_map_nuclei.png`` from a microscope image (dsb2018_nuclei, BBBC038, CC0). Every run gives the same bytes.
"""

from __future__ import annotations

import os
from pathlib import Path

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure
from PIL import Image

import unetzoo
from unetzoo._util.atomic import write_atomic
from unetzoo.data.weight_map import border_weight_map
from unetzoo.report.style import RC, canvas, save

FOLDER = Path("reports/paper-2015")
NUCLEI = "f6863b83d75e5927b30e2e326405b588293283c25aaef2251b30c343296b9cb1.png"  # 92, many of them touching


def main() -> None:
    """Write both figures."""
    cells = unetzoo.create_dataset("cells", size=192, n_train=1, n_val=1, n_test=1)
    instances = cells.instances("train-000")
    assert instances is not None
    _write("weight_map.png", draw(cells.read("train-000")[0][0], instances))
    if root := os.environ.get("UNETZOO_DATA"):
        image, masks = (Path(root) / "dsb2018_nuclei" / part / NUCLEI for part in ("images", "masks"))
        with Image.open(image) as grey, Image.open(masks) as ids:
            _write("weight_map_nuclei.png", draw(np.asarray(grey.convert("L")) / 255, np.asarray(ids).astype(np.int32)))


def draw(image: np.ndarray, instances: np.ndarray) -> Figure:
    """Draw an image, its instances, the two terms of equation 2 and their sum.

    Args:
        image: Grey values (H, W).
        instances: Instance ids (H, W); 0 is background.
    """
    balance, weights = border_weight_map(instances, w0=0), border_weight_map(instances)
    with mpl.rc_context(RC):
        figure = canvas(13, 3.4)
        panels, bars = figure.subplots(2, 5, height_ratios=(1, 0.05))
        panels[0].imshow(image, cmap="gray")
        panels[1].imshow(_coloured(instances), interpolation="nearest")
        for panel, bar, values in zip(panels[2:], bars[2:], (balance, weights - balance, weights), strict=True):
            shown = panel.imshow(values, cmap="viridis", vmin=0, interpolation="nearest")
            figure.colorbar(shown, cax=bar, orientation="horizontal")
        count = len(np.unique(instances)) - 1
        border = r"border term $w_0\,\exp(-(d_1+d_2)^2/2\sigma^2)$"
        titles = ("image", f"{count} instances", "class balance $w_c$", border, "weight map: the sum of both")
        for panel, title in zip(panels, titles, strict=True):
            panel.set_title(title, fontsize=10, parse_math=True)
        for axes in (*panels, *bars[:2]):
            axes.set_axis_off()
    return figure


def _coloured(instances: np.ndarray) -> np.ndarray:
    """Return the instances in distinct colours (H, W, 3), the background black."""
    ids, where = np.unique(instances, return_inverse=True)
    colours = np.array(sns.color_palette("husl", len(ids)))[np.random.default_rng(0).permutation(len(ids))]
    colours[ids == 0] = 0
    return colours[where.reshape(instances.shape)]


def _write(name: str, figure: Figure) -> None:
    png = save(figure, ["png"])["png"]
    FOLDER.mkdir(parents=True, exist_ok=True)
    write_atomic(FOLDER / name, png)
    print(f"{FOLDER / name}: {len(png) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
