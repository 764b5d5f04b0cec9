"""The data set of CLIP and OWL-ViT: square pictures, and what each of their patches shows.

    World + seed -> Dataset (rendered once) -> batch(indices) -> pixels, Truth

Half of the scenes have few colours and shapes, so that a picture often holds two things that differ in one of them.
Wide and tall scenes are squeezed into the square, as OWL-ViT's preprocessing does with the pictures it is sent.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers.utils.constants import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from services.finetune.demo import render
from services.finetune.demo.progress import Progress
from services.finetune.demo.render import Pixels
from services.finetune.demo.scenes import COLOURS, Scene, Thing, World, scene
from services.finetune.demo.shapes import SHAPES
from services.finetune.demo.words import SEEN, WITHHELD

SIDE, PATCH = 128, 16
GRID = SIDE // PATCH
PATCHES = GRID * GRID

# Trainings draw WORLD and CLOSE_UP alone.
WORLD = World(radius=(0.095, 0.22), touching=0.15, exclude=frozenset(pair.names for pair in WITHHELD))
WHOLE = replace(WORLD, exclude=frozenset())
WITHHELD_ONLY = replace(WORLD, exclude=frozenset(pair.names for pair in SEEN))
CLOSE_UP = replace(WORLD, things=(1, 1), radius=(0.22, 0.44))  # as people cut out one thing
ASPECTS = (1.0, 1.0, 1.0, 4 / 3, 3 / 4)  # width by height


@dataclass(frozen=True, slots=True)
class Truth:
    """What a batch of pictures shows; things are numbered through the whole batch."""

    pictures: Tensor  # [things] the picture it is in
    shapes: Tensor  # [things] ids
    colours: Tensor  # [things] ids
    boxes: Tensor  # [things, 4] centre x, centre y, width, height, in 0-1 of the picture
    centres: Tensor  # [things] the patch of its centre
    owners: Tensor  # [pictures, patches] the thing that a patch belongs to, -1 for background

    @property
    def pairs(self) -> Tensor:
        """`[things]` numbers in `words.PAIRS`."""
        return self.colours * len(SHAPES) + self.shapes

    @property
    def flags(self) -> Tensor:
        """`[pictures, patches, 2]`: whether a patch belongs to a thing, and whether it holds its centre."""
        centre = torch.zeros(self.owners.shape)
        centre[self.pictures, self.centres] = 1
        return torch.stack([(self.owners >= 0).float(), centre], dim=-1)


class Dataset:
    """Scenes, each drawn once."""

    def __init__(self, worlds: Sequence[World], *, seed: int, count: int) -> None:
        """`count` scenes, each of one of the `worlds`."""
        self.scenes: list[Scene] = []
        self._pixels = np.empty((count, SIDE, SIDE, 3), dtype=np.uint8)
        progress = Progress("draw", count)
        for index in range(count):
            self.scenes.append(draw(worlds, seed=seed, index=index))
            self._pixels[index] = square(self.scenes[-1])
            progress.tell(index + 1)

    def __len__(self) -> int:
        return len(self.scenes)

    def pixels(self, indices: Sequence[int]) -> Tensor:
        """The pictures as a processor hands them to a model: normalised, `[pictures, 3, 128, 128]`."""
        return normalised(self._pixels[list(indices)])

    def truth(self, indices: Sequence[int]) -> Truth:
        """What these pictures show."""
        return truth([self.scenes[index] for index in indices])


def draw(worlds: Sequence[World], *, seed: int, index: int) -> Scene:
    """Scene `index` of those that `seed` stands for."""
    rng = Random(f"{seed}/{index}/world")
    world = rng.choice(worlds)
    drawn = _themed(world, rng) if rng.random() < 0.5 else world
    found = scene(drawn, seed=seed, index=index)
    while not found.things:  # a large thing may find no place, and a picture of nothing has no caption
        index += 1_000_003
        found = scene(drawn, seed=seed, index=index)
    return found


def varied(world: World) -> list[World]:
    """The world in the aspects that pictures have."""
    return [replace(world, aspect=aspect) for aspect in ASPECTS]


def square(scene: Scene) -> Pixels:
    """The picture, squeezed into a square: `[128, 128, 3]`."""
    pixels = render.picture(scene, SIDE)
    if scene.extent == (1, 1):
        return pixels
    return np.array(Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def normalised(pixels: Pixels) -> Tensor:
    """`[…, height, width, 3]` of 0-255 -> `[…, 3, height, width]` with the mean and spread of CLIP's pictures."""
    mean, spread = torch.tensor(OPENAI_CLIP_MEAN), torch.tensor(OPENAI_CLIP_STD)
    return ((torch.from_numpy(pixels) / 255 - mean) / spread).movedim(-1, -3)


def truth(scenes: Sequence[Scene]) -> Truth:
    """What pictures of `scenes` show, in order."""
    things = [(number, scene, thing) for number, scene in enumerate(scenes) for thing in scene.things]
    boxes = torch.tensor([centred(thing, scene) for _, scene, thing in things])
    pictures = torch.tensor([number for number, _, _ in things])
    column, row = (boxes[:, :2] * GRID).long().clamp(0, GRID - 1).unbind(1)
    return Truth(
        pictures=pictures,
        shapes=torch.tensor([SHAPES.index(thing.shape) for _, _, thing in things]),
        colours=torch.tensor([list(COLOURS).index(thing.colour) for _, _, thing in things]),
        boxes=boxes,
        centres=row * GRID + column,
        owners=_owners(boxes, pictures, row * GRID + column, len(scenes)),
    )


def centred(thing: Thing, scene: Scene) -> tuple[float, float, float, float]:
    """The box as centre x, centre y, width, height, in 0-1 of the picture."""
    (x0, y0, x1, y1), (width, height) = thing.box, scene.extent
    return (x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height


def _owners(boxes: Tensor, pictures: Tensor, centres: Tensor, count: int) -> Tensor:
    """Each patch whose middle lies in a box belongs to that thing; a later one lies on top of an earlier one."""
    middles = (torch.arange(GRID) + 0.5) / GRID
    inside = [(middles - boxes[:, axis, None]).abs() <= boxes[:, axis + 2, None] / 2 for axis in (0, 1)]
    covers = (inside[1][:, :, None] & inside[0][:, None, :]).flatten(1)
    owners = torch.full((count, PATCHES), -1)
    for number, picture in enumerate(pictures.tolist()):
        owners[picture, covers[number]] = number
    owners[pictures, centres] = torch.arange(len(boxes))
    return owners


def _themed(world: World, rng: Random) -> World:
    """The world with few colours and shapes of which at least one pair may occur."""
    while True:
        colours = tuple(rng.sample(world.colours, rng.randint(1, 4)))
        shapes = tuple(rng.sample(world.shapes, rng.randint(1, 4)))
        themed = replace(world, colours=colours, shapes=shapes)
        if themed.pairs:
            return themed
