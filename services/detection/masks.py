"""Mask probabilities of a box -> a mask of the whole picture, as torchvision's `paste_masks_in_image` does it."""

import numpy as np
from torch import Tensor
from torch.nn import functional as F
from torchvision.models.detection.roi_heads import expand_boxes, expand_masks

from services.detection.pictures import Size
from shared.images.detections import Mask

THRESHOLD = 0.5


def paste(probabilities: Tensor, box: Tensor, picture: Size) -> Mask:
    """The pixels of `picture` (height, width) that belong to the object in `box` [4], x0, y0, x1, y1 on the host.

    `probabilities` [m, m] lie in 0-1. Only the box is ever written to: the other zeros stay memory that the system has
    promised and not given.
    """
    padded, scale = expand_masks(probabilities[None, None], 1)
    x0, y0, x1, y1 = expand_boxes(box[None], scale)[0].long().tolist()
    size = (max(y1 - y0 + 1, 1), max(x1 - x0 + 1, 1))
    inside = F.interpolate(padded, size=size, mode="bilinear", align_corners=False)[0, 0] > THRESHOLD
    mask = np.zeros(picture, dtype=np.bool_)
    top, left, bottom, right = max(y0, 0), max(x0, 0), min(y1 + 1, picture[0]), min(x1 + 1, picture[1])
    mask[top:bottom, left:right] = inside[top - y0 : bottom - y0, left - x0 : right - x0].numpy()
    return mask
