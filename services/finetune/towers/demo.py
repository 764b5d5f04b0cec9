"""The pictures of the demos of CLIP and OWL-ViT: new things beside old ones to learn and to judge by, and old worlds.

seed -> scenes -> JPEG pictures
"""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import count, islice

from PIL import Image

from services.finetune.demo import render
from services.finetune.demo.novel import NOVEL, familiar, novel
from services.finetune.demo.pictures import WHOLE, WORLD
from services.finetune.demo.scenes import COLOURS, NEW_COLOURS, Scene, Thing, World
from services.finetune.demo.shapes import NEW_SHAPES, SHAPES

SIDE = 160
QUALITY = 92
# As the bases know pictures, but for what is new: things as large, seldom touching.
NEW = replace(NOVEL, radius=WORLD.radius, touching=WORLD.touching)
OLD_PAIRS = tuple((colour, shape) for colour in COLOURS for shape in SHAPES)
NEW_PAIRS = tuple(
    (colour, shape)
    for colour in (*COLOURS, *NEW_COLOURS)
    for shape in (*SHAPES, *NEW_SHAPES)
    if colour in NEW_COLOURS or shape in NEW_SHAPES
)


def new_scenes(things: tuple[int, int], *, seed: int, pictures: int) -> list[Scene]:
    """Scenes of so many things, at least one of which is new."""
    drawn = _all(partial(novel, seed=seed, world=replace(NEW, things=things)))
    return list(islice((scene for scene in drawn if any(map(is_new, scene.things))), pictures))


def old_scenes(things: tuple[int, int], *, seed: int, pictures: int) -> list[Scene]:
    """Scenes of so many things that the bases know, those included that they know without having seen them."""
    drawn = _all(partial(familiar, seed=seed, world=replace(WHOLE, things=things)))
    return list(islice((scene for scene in drawn if scene.things), pictures))


def single(pairs: Sequence[tuple[str, str]], *, seed: int, each: int) -> list[Scene]:
    """Scenes of one thing: `each` of every (colour, shape)."""
    worlds = (replace(WHOLE, things=(1, 1), colours=(colour,), shapes=(shape,)) for colour, shape in pairs)
    return [scene for number, world in enumerate(worlds) for scene in _alone(world, seed + number, each)]


def is_new(thing: Thing) -> bool:
    """Whether its shape or its colour is new."""
    return thing.shape in NEW_SHAPES or thing.colour in NEW_COLOURS


def name(thing: Thing) -> str:
    """`brown crescent`."""
    return f"{thing.colour} {thing.shape}"


def jpeg(scene: Scene) -> bytes:
    """The encoded picture of a scene."""
    file = io.BytesIO()
    Image.fromarray(render.picture(scene, SIDE)).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def _alone(world: World, seed: int, pictures: int) -> list[Scene]:
    drawn = _all(partial(novel, seed=seed, world=world))
    return list(islice((scene for scene in drawn if scene.things), pictures))


def _all(drawn: Callable[..., Scene]) -> Iterator[Scene]:
    return (drawn(index=index) for index in count())
