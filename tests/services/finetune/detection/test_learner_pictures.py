from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from services.detection.model import Detector, Item
from services.finetune.data.examples import DetectionExample, Place, Source
from services.finetune.demo.novel import familiar
from services.finetune.detection.network import Learner
from services.finetune.detection.pictures import Prepared, Reader, collate
from services.finetune.detection.version import Draft
from tests.services.detection.random_networks import config, random_network
from tests.services.finetune.detection.pictures_on_disk import examples, shipped

BOX = (30.0, 10.0, 70.0, 40.0)


def block(folder: Path) -> DetectionExample:
    """A picture of 120 x 80, black but for one bright block at BOX."""
    pixels = np.zeros((80, 120, 3), dtype=np.uint8)
    pixels[10:40, 30:70] = (250, 60, 120)
    Image.fromarray(pixels).save(folder / "block.png")
    ring = [30, 10, 70, 10, 70, 40, 30, 40]
    return DetectionExample(
        Source(folder / "block.png"), (120, 80), (BOX,), ("class 2",), ([ring],), Place(folder / "block.png")
    )


def reader(name: str, *, masks: bool = False, augment: tuple[str, ...] = ("mirror", "colours")) -> Reader:
    own = config(name)
    ids = {label: number for number, label in enumerate(own.labels, start=1)}
    return Reader(random_network(own).transform, ids, masks=masks, augment=augment)


def drawn(read: Reader, example: DetectionExample, seed: int) -> Prepared:
    torch.manual_seed(seed)
    return read(example, Random(seed))


def extent(bright: Tensor) -> list[float]:
    """x0, y0, x1, y1 of what is set in [height, width]."""
    rows, columns = bright.any(1).nonzero(), bright.any(0).nonzero()
    return [columns[0].item(), rows[0].item(), columns[-1].item() + 1, rows[-1].item() + 1]


@pytest.mark.parametrize("model", ["ssd", "faster-rcnn"])
def test_a_picture_that_is_not_augmented_is_what_the_service_makes_of_it_to_the_last_bit(
    model: str, tmp_path: Path
) -> None:
    (example,) = examples(tmp_path, familiar, 1)
    version = shipped(model, tmp_path)
    served = Detector(torch.device("cpu"))
    served.use(served.read(version.path))
    expected = served.preprocess(Item(example.picture.read())).pixels
    draft = Draft.of(version.path, ())
    read = Reader(draft.learner.transform, draft.ids, masks=False, augment=("mirror",))

    # One of two is not mirrored.
    assert any(torch.equal(drawn(read, example, seed).picture, expected) for seed in range(20))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", ["tiny-ssd", "tiny-mask-rcnn"])
def test_boxes_and_masks_follow_their_pictures(name: str, seed: int, tmp_path: Path) -> None:
    read = reader(name, masks=True)
    picture, target = drawn(read, block(tmp_path), seed)
    bright = picture.amax(0) > (picture.min() + picture.max()) / 2

    assert target["boxes"][0].tolist() == pytest.approx(extent(bright), abs=1.5)
    assert target["masks"].shape[1:] == picture.shape[1:]
    assert extent(target["masks"][0] > 0) == pytest.approx(target["boxes"][0].tolist(), abs=2)
    assert target["labels"].tolist() == [2]


def test_pictures_are_mirrored_and_their_channels_shuffled_and_never_turned_upside_down(tmp_path: Path) -> None:
    read, example = reader("tiny-ssd"), block(tmp_path)
    prepared = [drawn(read, example, seed) for seed in range(60)]

    assert len({round(target["boxes"][0, 0].item()) for _, target in prepared}) == 2
    assert len({round(target["boxes"][0, 1].item()) for _, target in prepared}) == 1
    assert len({tuple(picture[:, 50, 80].argsort().tolist()) for picture, _ in prepared}) == 6


def test_colours_stay_as_they_are_unless_asked_for(tmp_path: Path) -> None:
    read, example = reader("tiny-ssd", augment=("mirror",)), block(tmp_path)
    assert len({tuple(drawn(read, example, seed).picture[:, 50, 80].tolist()) for seed in range(20)}) == 1


def test_nothing_is_changed_where_nothing_is_to_be(tmp_path: Path) -> None:
    read, example = reader("tiny-ssd", augment=("none",)), block(tmp_path)
    assert all(torch.equal(drawn(read, example, seed).picture, drawn(read, example, 0).picture) for seed in range(20))


def test_a_picture_of_nothing_is_an_example_too(tmp_path: Path) -> None:
    read = reader("tiny-mask-rcnn", masks=True)
    empty = DetectionExample(block(tmp_path).picture, (120, 80), (), (), None, Place(tmp_path))
    _, target = drawn(read, empty, 0)

    assert target["boxes"].shape == (0, 4)
    assert target["labels"].shape == (0,)
    assert target["masks"].shape[0] == 0


@pytest.mark.parametrize("name", ["tiny-ssd", "tiny-faster-rcnn", "tiny-mask-rcnn"])
def test_the_loss_is_torchvisions_own_and_the_norms_keep_their_statistics(name: str, tmp_path: Path) -> None:
    read = reader(name, masks=name == "tiny-mask-rcnn")
    prepared = [drawn(read, block(tmp_path), seed) for seed in range(2)]
    learner = Learner(random_network(config(name))).train()
    learner.requires_grad_()
    before = {part: value.clone() for part, value in learner.named_buffers()}
    torch.manual_seed(0)
    loss = learner(**collate(prepared))["loss"]
    loss.backward()

    reference = Learner(random_network(config(name))).train()
    own = reference.network.transform = reference.transform  # normalises again what is brought back to pixels here
    mean, spread = (torch.tensor(side)[:, None, None] for side in (own.image_mean, own.image_std))
    torch.manual_seed(0)
    again = reference([one.picture * spread + mean for one in prepared], [one.target for one in prepared])["loss"]

    assert loss.item() == pytest.approx(again.item(), rel=1e-3)
    assert all(torch.equal(value, before[part]) for part, value in learner.named_buffers())
    assert all(parameter.grad is not None for parameter in learner.parameters())
