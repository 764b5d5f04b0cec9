"""Sizes and pixels of the network's input, against torchvision's own transform."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from services.detection.pictures import geometry, normalise, pad, stack_sizes
from shared.errors import InvalidImage

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
RCNN: Any = GeneralizedRCNNTransform(160, 256, MEAN, STD).eval()
SSD: Any = GeneralizedRCNNTransform(96, 96, MEAN, STD, size_divisible=1, fixed_size=(96, 96)).eval()
sides = st.integers(2, 300)


@given(height=sides, width=sides, transform=st.sampled_from([RCNN, SSD]))
@settings(deadline=None, max_examples=60)
def test_the_input_is_torchvisions_to_the_last_bit(height: int, width: int, transform: Any) -> None:
    pixels = torch.randint(0, 256, (height, width, 3), dtype=torch.uint8)
    expected, _ = transform([pixels.permute(2, 0, 1).float() / 255])
    sizes = geometry((height, width), transform)
    assert expected.image_sizes == [sizes.resized]
    assert torch.equal(pad([normalise(pixels, transform)], [sizes]), expected.tensors)


@pytest.mark.parametrize("picture", [(1, 2000), (3000, 2)])
def test_a_picture_that_would_shrink_to_nothing_is_refused(picture: tuple[int, int]) -> None:
    with pytest.raises(InvalidImage, match="too narrow") as raised:
        geometry(picture, RCNN, field="images[1]")
    assert raised.value.param == "images[1]"
    assert raised.value.code == "image_too_narrow"


def test_no_picture_is_too_narrow_for_a_network_of_fixed_size() -> None:
    assert geometry((1, 2000), SSD).padded == (96, 96)


def test_factors_bring_boxes_back_to_the_uploaded_picture() -> None:
    sizes = geometry((100, 400), RCNN)
    resized, factors = stack_sizes([sizes], torch.device("cpu"))
    height, width = resized[0].tolist()
    whole = torch.tensor([0.0, 0.0, width, height]) * factors[0]
    assert whole.tolist() == pytest.approx([0, 0, 400, 100])
