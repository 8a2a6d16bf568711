"""The published elastic augmentation: one field for image and masks, its statistics and its borders."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage
from torchvision import tv_tensors

from unetzoo import UnetzooError
from unetzoo.data.augmentation import paper_augmentation
from unetzoo.data.transforms import ElasticDeformation


def smooth(height: int, width: int) -> torch.Tensor:
    rows, columns = torch.meshgrid(torch.arange(height) / 9.0, torch.arange(width) / 7.0, indexing="ij")
    return (torch.sin(rows) + torch.cos(columns))[None]


def still(height: int, width: int) -> torch.Tensor:
    return torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")).float()


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (33, 47)])
def test_no_displacement_changes_nothing(size: tuple[int, int], interpolation: str) -> None:
    image, mask = tv_tensors.Image(torch.rand(3, *size)), tv_tensors.Mask(torch.randint(5, size))
    moved, moved_mask = ElasticDeformation(0.0, interpolation=interpolation)(image, mask)
    torch.testing.assert_close(moved, image, rtol=0, atol=1e-4)
    assert torch.equal(moved_mask, mask)
    assert (type(moved), type(moved_mask)) == (tv_tensors.Image, tv_tensors.Mask)


def test_image_labels_and_weights_go_with_one_field() -> None:
    torch.manual_seed(0)
    image = smooth(90, 110)
    weights, labels = image[0].clone(), torch.arange(90 * 110).reshape(90, 110) + 2**40
    for transform in (ElasticDeformation(), ElasticDeformation(degrees=180, shift=0.2, interpolation="bicubic")):
        moved, moved_weights, moved_labels = transform(
            tv_tensors.Image(image), tv_tensors.Mask(weights), tv_tensors.Mask(labels)
        )
        assert moved_labels.dtype == torch.int64
        source = (moved_labels - 2**40).flatten()
        assert torch.equal(moved_weights.flatten(), weights.flatten()[source])
        # Nearest is at most 0.71 px from where the image is sampled; the slope is at most 0.18 a pixel.
        assert (moved[0] - moved_weights).abs().max() < 0.71 * 0.18 + 1e-3
        assert (moved[0] - moved_weights).abs().mean() > 1e-3
        assert (moved - image).abs().max() > 0.5


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_values_are_those_of_scipy(mode: str) -> None:
    torch.manual_seed(1)
    transform = ElasticDeformation(15.0, degrees=30, shift=0.3, interpolation=mode)
    image = smooth(60, 71)
    field = transform.positions(60, 71)
    moved = transform.transform(tv_tensors.Image(image), {"positions": field})
    expected = ndimage.map_coordinates(
        image[0].numpy(), field.numpy(), order=1 if mode == "bilinear" else 3, mode="mirror"
    )
    np.testing.assert_allclose(moved[0], expected, atol=1e-4 if mode == "bilinear" else 0.02)
    nearest = transform.transform(tv_tensors.Mask(image), {"positions": field})
    same = ndimage.map_coordinates(image[0].numpy(), field.numpy(), order=0, mode="mirror")
    assert (nearest[0].numpy() == same).mean() > 0.999  # except for ties


def test_displacements_are_gaussian_on_the_coarse_grid() -> None:
    torch.manual_seed(2)
    fields = torch.stack([ElasticDeformation().positions(41, 61) - still(41, 61) for _ in range(1500)])
    nodes = fields[:, :, ::20, ::30]
    assert nodes.shape[2:] == (3, 3)
    torch.testing.assert_close(nodes.std(dim=0), torch.full((2, 3, 3), 10.0), rtol=0, atol=0.8)
    torch.testing.assert_close(nodes.mean(dim=0), torch.zeros(2, 3, 3), rtol=0, atol=1.1)
    correlation = torch.corrcoef(nodes.flatten(1).T) - torch.eye(18)
    assert correlation.abs().max() < 0.12  # all vectors and both directions are independent
    kurtosis = ((nodes / nodes.std()) ** 4).mean()
    assert float(kurtosis) == pytest.approx(3, abs=0.15)


def test_displacements_between_the_nodes_are_bicubic() -> None:
    torch.manual_seed(3)
    field = (ElasticDeformation().positions(201, 201) - still(201, 201))[0]
    bends = field[0] - 2 * field[100] + field[200]
    assert bends.abs().max() / 100 > 0.1  # the kink that bilinear interpolation would leave in row 100
    assert field.diff(n=2, dim=0).abs().max() < 0.05
    nodes = field[::100, 50]  # halfway between columns: Keys' cubic with a = -0.75, border repeated
    left, middle, right = field[::100, 0], field[::100, 100], field[::100, 200]
    torch.testing.assert_close(nodes, (-0.09375 * (left + right) + 0.59375 * (left + middle)), rtol=0, atol=1e-3)


def test_rotation_and_shift() -> None:
    torch.manual_seed(4)
    centres, angles = [], []
    for _ in range(300):
        field = ElasticDeformation(0.0, degrees=40, shift=0.25).positions(41, 81)
        centres.append((field - still(41, 81))[:, 20, 40])
        down, right = field[:, 21, 40] - field[:, 20, 40]
        assert float(down**2 + right**2) == pytest.approx(1, abs=1e-3)  # rigid
        angles.append(float(torch.rad2deg(torch.atan2(-right, down))))
    largest = torch.stack(centres).abs().amax(dim=0)
    assert largest.tolist() == pytest.approx([0.25 * 41, 0.25 * 81], rel=0.05)
    assert (largest < torch.tensor([0.25 * 41, 0.25 * 81]) + 1e-3).all()
    assert (min(angles), max(angles)) == (pytest.approx(-40, abs=2), pytest.approx(40, abs=2))
    assert np.std(angles) == pytest.approx(80 / np.sqrt(12), rel=0.1)


def test_it_is_deterministic_and_new_each_time() -> None:
    transform = paper_augmentation()
    image, mask = tv_tensors.Image(smooth(50, 40)), tv_tensors.Mask(torch.randint(3, (50, 40)))
    torch.manual_seed(5)
    first, second = transform(image, mask), transform(image, mask)
    torch.manual_seed(5)
    again = transform(image, mask)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], second[0])
    assert not torch.equal(first[1], second[1])
    assert set(first[1].unique().tolist()) <= {0, 1, 2}


def test_integers_batches_and_plain_tensors() -> None:
    transform = ElasticDeformation(4.0, interpolation="bicubic")
    image = (torch.rand(2, 3, 30, 30) > 0.5).to(torch.uint8) * 255  # bicubic overshoots both ends
    moved = transform(tv_tensors.Image(image))
    assert (moved.dtype, moved.shape) == (torch.uint8, image.shape)
    torch.manual_seed(6)
    batch = transform(tv_tensors.Image(image))
    torch.manual_seed(6)
    plain = transform(image[1].float())
    assert type(plain) is torch.Tensor
    torch.testing.assert_close(batch[1].float(), plain.clamp(0, 255).round(), rtol=0, atol=0)
    box = torch.tensor([1, 2, 3])  # as everywhere in v2, plain tensors beside an image are left alone
    kept, text, same = transform(tv_tensors.Image(image), "a name", box)
    assert (kept.shape, text) == (image.shape, "a name")
    assert torch.equal(same, box)


def test_what_it_cannot_move_is_one_line() -> None:
    image = tv_tensors.Image(torch.rand(1, 20, 20))
    boxes = tv_tensors.BoundingBoxes([[1, 2, 3, 4]], format="XYXY", canvas_size=(20, 20))
    with pytest.raises(UnetzooError, match="not BoundingBoxes"):
        ElasticDeformation()(image, boxes)
    with pytest.raises(UnetzooError, match="not Image"):
        ElasticDeformation()(Image.new("L", (20, 20)))
    with pytest.raises(UnetzooError, match=r"differ in size: \(1, 20, 20\), \(20, 21\)"):
        ElasticDeformation()(image, tv_tensors.Mask(torch.zeros(20, 21)))
    with pytest.raises(UnetzooError, match="grid = 1 must be at least 2"):
        ElasticDeformation(grid=1)
    with pytest.raises(UnetzooError, match="interpolation = 'cubic' is not a choice"):
        ElasticDeformation(interpolation="cubic")
