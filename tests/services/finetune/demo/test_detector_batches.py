import numpy as np
import torch

from services.finetune.demo.detector_batches import QUALITIES, batch, jpeg, tensor
from services.finetune.demo.scenes import World
from services.finetune.demo.shapes import SHAPES

WORLD = World()


def test_a_batch_is_told_by_seed_and_number_and_has_one_size() -> None:
    first, again, other = (batch(WORLD, seed=1, number=number, count=4) for number in (3, 3, 4))

    assert all(torch.equal(a, b) for a, b in zip(first.pictures, again.pictures, strict=True))
    assert len({picture.shape for picture in first.pictures}) == 1
    assert first.targets[0]["boxes"].tolist() != other.targets[0]["boxes"].tolist()


def test_pictures_and_targets_are_what_torchvision_takes() -> None:
    drawn = batch(WORLD, seed=1, number=0, count=6)
    for picture, target in zip(drawn.pictures, drawn.targets, strict=True):
        count = len(target["labels"])
        assert picture.dtype == torch.float32
        assert picture.min() >= 0
        assert picture.max() <= 1
        assert target["boxes"].shape == (count, 4)
        assert (target["boxes"][:, 2:] > target["boxes"][:, :2]).all()
        assert target["masks"].shape == (count, *picture.shape[1:])
        assert target["labels"].min() >= 1
        assert target["labels"].max() <= len(SHAPES)


def test_sizes_and_aspects_vary_between_batches() -> None:
    shapes = {tuple(batch(WORLD, seed=1, number=number, count=1).pictures[0].shape) for number in range(40)}
    assert len(shapes) > 10
    assert any(height > width for _, height, width in shapes)
    assert any(height < width for _, height, width in shapes)


def test_jpeg_changes_a_picture_a_little() -> None:
    pixels = (batch(WORLD, seed=1, number=0, count=1).pictures[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    sent = jpeg(pixels, QUALITIES[0])

    assert sent.shape == pixels.shape
    assert 0 < np.abs(sent.astype(int) - pixels).mean() < 12
    assert tensor(sent).shape == (3, *pixels.shape[:2])
