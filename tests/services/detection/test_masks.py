"""Pasting masks, against torchvision's own function."""

import numpy as np
import pytest
import torch
from torchvision.models.detection.roi_heads import paste_masks_in_image

from services.detection.masks import paste

BOXES = {
    "inside": (10.2, 20.7, 60.1, 70.9),
    "whole picture": (0.0, 0.0, 120.0, 90.0),
    "at the corner": (110.4, 80.3, 120.0, 90.0),
    "thinner than a pixel": (50.2, 3.0, 50.4, 80.0),
    "over every border": (-40.0, -30.0, 170.0, 140.0),
    "of one point": (119.99, 89.99, 120.0, 90.0),
}


@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES)
def test_a_pasted_mask_is_torchvisions_at_one_half(box: tuple[float, ...]) -> None:
    probabilities = torch.rand(28, 28, generator=torch.Generator().manual_seed(0))
    expected = paste_masks_in_image(probabilities[None, None], torch.tensor([box]), (90, 120))[0, 0] > 0.5
    mask = paste(probabilities, torch.tensor(box), (90, 120))
    assert mask.dtype == np.bool_
    assert np.array_equal(mask, expected.numpy())
