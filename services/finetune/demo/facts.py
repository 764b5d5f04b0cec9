"""What is true of one scene and can be asked: how many, which colour, which shape, whether, where, and all of it.

scene + kind + luck -> Fact: what is asked about, and the one right answer

A fact that a person could dispute is not asked: the colour of one of two stars, or the place of a thing near a border
between two places.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from random import Random
from typing import NamedTuple

from services.finetune.demo.pictures import centred
from services.finetune.demo.scenes import COLOURS, Scene, Thing
from services.finetune.demo.shapes import SHAPES
from services.finetune.demo.words import NUMBERS, Query, listing

CUTS = (0.36, 0.64)  # things keep off the border, so that thirds of equal width would leave the corners empty
MARGIN = 0.03  # how far from a cut a centre must lie
ABSENT, HARD = 0.2, 0.85  # shares: of counts of what may not be there; of "no" where both words are there, but apart
ROWS, COLUMNS = ("top", "", "bottom"), ("left", "", "right")


class Fact(NamedTuple):
    """A question without its wording: its kind, its form, the thing that it names, and the answer."""

    kind: str
    form: str  # which wordings fit: count, colour, shape, whether, where or caption
    one: str  # "red circle"
    answer: str


def fact(scene: Scene, kind: str, rng: Random) -> Fact | None:
    """Something of this kind (see `KINDS`) that is true of the scene, or None where it has nothing of the kind."""
    return KINDS[kind](scene.things, scene, rng)


def place(thing: Thing, scene: Scene) -> str | None:
    """`at the top left`, `in the center`, or None near a cut."""
    x, y = centred(thing, scene)[:2]
    if any(abs(value - cut) < MARGIN for value in (x, y) for cut in CUTS):
        return None
    row, column = (ROWS[sum(y > cut for cut in CUTS)], COLUMNS[sum(x > cut for cut in CUTS)])
    return f"at the {' '.join(filter(None, (row, column)))}" if row or column else "in the center"


Things = tuple[Thing, ...]


def _noun(rng: Random) -> str:
    return rng.choice(("shape", "object"))


def _counted(kind: str, query: Query, things: Things, rng: Random) -> Fact:
    number = sum(map(query.fits, things))
    return Fact(kind, "count", query.phrase(_noun(rng)), f"{NUMBERS[number].capitalize() if number else 'None'}.")


def _count(things: Things, _: Scene, rng: Random) -> Fact:
    shape = rng.choice(SHAPES) if rng.random() < ABSENT else rng.choice(sorted({thing.shape for thing in things}))
    return _counted("count", Query(None, shape), things, rng)


def _colour_count(things: Things, _: Scene, rng: Random) -> Fact:
    colours = tuple(COLOURS) if rng.random() < ABSENT else sorted({thing.colour for thing in things})
    return _counted("colour_count", Query(rng.choice(colours), None), things, rng)


def _pair_count(things: Things, _: Scene, rng: Random) -> Fact:
    one, other = rng.choice(things), rng.choice(things)
    query = Query(one.colour, one.shape if rng.random() < 0.5 else other.shape)
    return _counted("pair_count", query, things, rng)


def _total(things: Things, _: Scene, rng: Random) -> Fact:
    return _counted("total", Query(None, None), things, rng)


def _colour(things: Things, _: Scene, rng: Random) -> Fact | None:
    thing = _only(things, lambda thing: thing.shape, rng)
    return None if thing is None else Fact("colour", "colour", thing.shape, f"{thing.colour.capitalize()}.")


def _shape(things: Things, _: Scene, rng: Random) -> Fact | None:
    thing = _only(things, lambda thing: thing.colour, rng)
    return None if thing is None else Fact("shape", "shape", f"{thing.colour} {_noun(rng)}", f"A {thing.shape}.")


def _pair(things: Things, _: Scene, rng: Random) -> Fact | None:
    shown = sorted({(thing.colour, thing.shape) for thing in things})
    if rng.random() < 0.5:
        return _whether("pair", Query(*rng.choice(shown)), things, rng)
    colours, shapes = zip(*shown, strict=True)
    apart = [(c, s) for c in sorted(set(colours)) for s in sorted(set(shapes)) if (c, s) not in shown]
    if apart and rng.random() < HARD:
        return _whether("pair", Query(*rng.choice(apart)), things, rng)
    half = rng.choice(((rng.choice(colours), rng.choice(SHAPES)), (rng.choice(tuple(COLOURS)), rng.choice(shapes))))
    return None if half in shown else _whether("pair", Query(*half), things, rng)


def _single(things: Things, _: Scene, rng: Random) -> Fact | None:
    thing, there = rng.choice(things), rng.random() < 0.5
    if rng.random() < 0.5:
        query = Query(None, thing.shape if there else rng.choice(SHAPES))
    else:
        query = Query(thing.colour if there else rng.choice(tuple(COLOURS)), None)
    return _whether("single", query, things, rng) if there or not any(map(query.fits, things)) else None


def _whether(kind: str, query: Query, things: Things, rng: Random) -> Fact:
    return Fact(kind, "whether", query.phrase(_noun(rng)), "Yes." if any(map(query.fits, things)) else "No.")


def _where(things: Things, scene: Scene, rng: Random) -> Fact | None:
    thing = _only(things, lambda thing: (thing.colour, thing.shape), rng)
    return None if thing is None else _placed("where", f"{thing.colour} {thing.shape}", thing, scene)


def _where_one(things: Things, scene: Scene, rng: Random) -> Fact | None:
    if rng.random() < 0.5:
        thing = _only(things, lambda thing: thing.shape, rng)
        return None if thing is None else _placed("where_one", thing.shape, thing, scene)
    thing = _only(things, lambda thing: thing.colour, rng)
    return None if thing is None else _placed("where_one", f"{thing.colour} {_noun(rng)}", thing, scene)


def _placed(kind: str, one: str, thing: Thing, scene: Scene) -> Fact | None:
    told = place(thing, scene)
    return Fact(kind, "where", one, f"{told.capitalize()}.") if told else None


def _absent(things: Things, _: Scene, rng: Random) -> Fact | None:
    """A question that takes for granted what is not there."""
    form = rng.choice(("colour", "shape", "where"))
    shape, colour = rng.choice(SHAPES), rng.choice(tuple(COLOURS))
    query = Query(colour, None) if form == "shape" else Query(None if form == "colour" else colour, shape)
    if any(map(query.fits, things)):
        return None
    one = query.phrase(_noun(rng))
    return Fact("absent", form, one, f"There is no {one}.")


def _caption(things: Things, _: Scene, __: Random) -> Fact:
    return Fact("caption", "caption", "", f"The picture shows {listing(things)}.")


def _only(things: Things, key: Callable[[Thing], object], rng: Random) -> Thing | None:
    """One of the things that share their `key` with no other, or None."""
    seen = Counter(map(key, things))
    alone = [thing for thing in things if seen[key(thing)] == 1]
    return rng.choice(alone) if alone else None


KINDS: Mapping[str, Callable[[Things, Scene, Random], Fact | None]] = {
    "count": _count,
    "colour_count": _colour_count,
    "pair_count": _pair_count,
    "total": _total,
    "colour": _colour,
    "shape": _shape,
    "pair": _pair,
    "single": _single,
    "where": _where,
    "where_one": _where_one,
    "absent": _absent,
    "caption": _caption,
}
