"""Scenes that no recipe ever drew, as the services get them, and what is true of them."""

import io

import torch
from PIL import Image
from torch import Tensor

from services.finetune.demo import render
from services.finetune.demo.render import Pixels
from services.finetune.demo.scenes import Scene

SEED = 20_261_124  # unseen: the recipes' seeds are in their manifests
SIDE = 320


def png(pixels: Pixels) -> bytes:
    """The file of a picture."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def picture(scene: Scene) -> bytes:
    """The file of a scene."""
    return png(render.picture(scene, SIDE))


def masks(scene: Scene) -> Pixels:
    """Which pixels each thing covers: `[things, height, width]`."""
    return render.masks(render.instances(scene, SIDE), len(scene.things))


def boxes(scene: Scene) -> Tensor:
    """The box of each thing in pixels: `[things, 4]`."""
    return torch.from_numpy(render.boxes(masks(scene))).float()
