"""What the fine-tuning demo teaches: scenes with shapes and colours that no shipped weights have seen, beside the old.

NOVEL + seed -> scene -> darkened where something would not be seen on its background
"""

from dataclasses import replace
from random import Random

from services.finetune.demo.scenes import COLOURS, NEW_COLOURS, Colour, Scene, World, scene
from services.finetune.demo.shapes import NEW_SHAPES, SHAPES

# Names that stand several times are drawn as often: about six things of ten have a new shape or a new colour.
NOVEL = World(shapes=(*SHAPES, *NEW_SHAPES * 3), colours=(*COLOURS, *tuple(NEW_COLOURS) * 2))
ASPECTS = (1.0, 1.0, 4 / 3, 3 / 4, 3 / 2)  # width by height
CONTRAST = 60  # least difference of a thing from its background, in one channel at least


def novel(*, seed: int, index: int, world: World = NOVEL) -> Scene:
    """Scene `index` of those that `seed` stands for, every thing of it to be seen."""
    return _seen(scene(_framed(world, seed, index), seed=seed, index=index))


def familiar(*, seed: int, index: int, world: World | None = None) -> Scene:
    """Like `novel`, with nothing new in it: what the shipped weights know."""
    return scene(_framed(world or World(), seed, index), seed=seed, index=index)


def _framed(world: World, seed: int, index: int) -> World:
    return replace(world, aspect=Random(f"{seed}/{index}/aspect").choice(ASPECTS))


def _seen(drawn: Scene) -> Scene:
    """The scene, on a nearly black background if its own one hides something."""
    if all(_contrast(thing.rgb, drawn.background) >= CONTRAST for thing in drawn.things):
        return drawn
    red, green, blue = (channel // 6 for channel in drawn.background)
    return replace(drawn, background=(red, green, blue))


def _contrast(one: Colour, other: Colour) -> int:
    return max(abs(a - b) for a, b in zip(one, other, strict=True))
