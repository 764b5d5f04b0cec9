"""Scenes of shapes world, in units of the picture's shorter side: what stands where, told before any pixel is drawn.

    World (the distribution) + seed -> Scene -> Things

A scene depends on nothing but its world and its seed, so that a data set is two numbers. Some things are pushed
against a neighbour: they touch it, and the later one may cover a sliver of the earlier one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import cos, pi, sin
from random import Random

from services.finetune.demo.shapes import NEW_OUTLINES, OUTLINES, SHAPES, Outline, Point, turned

Colour = tuple[int, int, int]
Box = tuple[float, float, float, float]

COLOURS: Mapping[str, Colour] = {
    "red": (220, 40, 40),
    "green": (40, 160, 60),
    "blue": (45, 75, 220),
    "yellow": (240, 215, 40),
    "purple": (140, 50, 170),
    "orange": (245, 140, 30),
    "cyan": (50, 205, 215),
    "pink": (250, 130, 185),
}
NEW_COLOURS: Mapping[str, Colour] = {"brown": (120, 72, 35), "white": (245, 245, 245)}  # no shipped recipe draws them
_PAINTS = {**COLOURS, **NEW_COLOURS}
_SHAPED = {**OUTLINES, **NEW_OUTLINES}
TRIES = 40  # places tried for one thing before the scene goes without it
TINT = 18  # how far a thing's colour may lie from the pure one, per channel
GREY = 14  # how far a background may lie from grey, per channel


@dataclass(frozen=True, slots=True)
class World:
    """The distribution that scenes are drawn from; the default is the whole, hard range."""

    things: tuple[int, int] = (1, 6)
    radius: tuple[float, float] = (0.075, 0.22)  # of the shorter side: things span 15 to 44 % of it
    aspect: float = 1.0  # width by height
    dark: float = 0.5  # share of scenes on a dark background
    touching: float = 0.3  # share of things that are pushed against another
    noise: int = 8  # largest deviation of a pixel, of 255
    colours: tuple[str, ...] = tuple(COLOURS)
    shapes: tuple[str, ...] = SHAPES
    exclude: frozenset[tuple[str, str]] = field(default_factory=frozenset)  # (colour, shape) that never occur

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Every (colour, shape) that may occur."""
        return [(c, s) for c in self.colours for s in self.shapes if (c, s) not in self.exclude]

    @property
    def extent(self) -> tuple[float, float]:
        """Width and height of a scene; the smaller is 1."""
        return max(1.0, self.aspect), max(1.0, 1 / self.aspect)


@dataclass(frozen=True, slots=True)
class Thing:
    """One coloured shape at its place."""

    colour: str
    shape: str
    x: float
    y: float
    radius: float
    angle: float  # radians
    rgb: Colour

    @property
    def outline(self) -> Outline:
        """The corners, in scene units."""
        corners = turned(_SHAPED[self.shape], self.angle)
        return tuple((self.x + self.radius * x, self.y + self.radius * y) for x, y in corners)

    @property
    def box(self) -> Box:
        """The outline's extent as x0, y0, x1, y1, in scene units."""
        xs, ys = zip(*self.outline, strict=True)
        return min(xs), min(ys), max(xs), max(ys)

    def reach(self, direction: Point) -> float:
        """How far the outline extends from the centre in `direction`, a unit vector."""
        return max((x - self.x) * direction[0] + (y - self.y) * direction[1] for x, y in self.outline)


@dataclass(frozen=True, slots=True)
class Scene:
    """What one picture shows; later things lie on top of earlier ones."""

    things: tuple[Thing, ...]
    extent: tuple[float, float]
    background: Colour
    noise: int
    noise_seed: int


def scene(world: World, *, seed: int, index: int = 0) -> Scene:
    """Number `index` of the scenes that `seed` stands for."""
    rng = Random(f"{seed}/{index}")
    things: list[Thing] = []
    for _ in range(rng.randint(*world.things)):
        thing = _place(world, things, rng)
        if thing:
            things.append(thing)
    grey = rng.uniform(10, 70) if rng.random() < world.dark else rng.uniform(110, 250)
    background = _near((grey, grey, grey), GREY, rng)
    return Scene(tuple(things), world.extent, background, rng.randint(0, world.noise), rng.getrandbits(32))


def scenes(world: World, *, seed: int, count: int) -> Iterator[Scene]:
    """The first `count` scenes that `seed` stands for."""
    return (scene(world, seed=seed, index=index) for index in range(count))


def _place(world: World, others: Sequence[Thing], rng: Random) -> Thing | None:
    """A new thing that covers no other one (a touched one excepted, and that only by a sliver), or None."""
    for _ in range(TRIES):
        thing = _thing(world, rng)
        neighbour = rng.choice(others) if others and rng.random() < world.touching else None
        if neighbour:
            thing = _against(neighbour, thing, rng)
        strangers = [other for other in others if other is not neighbour]
        if _inside(thing.box, world.extent) and not any(_overlap(thing.box, other.box) for other in strangers):
            return thing
    return None


def _thing(world: World, rng: Random) -> Thing:
    colour, shape = rng.choice(world.pairs)
    width, height = world.extent
    return Thing(
        colour=colour,
        shape=shape,
        x=rng.uniform(0, width),
        y=rng.uniform(0, height),
        radius=rng.uniform(*world.radius),
        angle=rng.uniform(-0.25, 0.25),
        rgb=_near(_PAINTS[colour], TINT, rng),
    )


def _against(neighbour: Thing, thing: Thing, rng: Random) -> Thing:
    """Move `thing` to where the two outlines meet, or a little closer."""
    angle = rng.uniform(-pi, pi)
    towards, back = (cos(angle), sin(angle)), (-cos(angle), -sin(angle))
    distance = (neighbour.reach(towards) + thing.reach(back)) * rng.uniform(0.88, 1.0)
    return replace(thing, x=neighbour.x + distance * towards[0], y=neighbour.y + distance * towards[1])


def _inside(box: Box, extent: tuple[float, float]) -> bool:
    return box[0] >= 0 and box[1] >= 0 and box[2] <= extent[0] and box[3] <= extent[1]


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _near(colour: tuple[float, float, float], deviation: float, rng: Random) -> Colour:
    red, green, blue = (int(min(255, max(0, c + rng.uniform(-deviation, deviation)))) for c in colour)
    return red, green, blue
