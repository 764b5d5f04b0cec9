"""Scenes of shapes world with a shape and colours that the shipped LLaVA never saw, and what is said of them.

an old scene and its old words -> some words of it become new ones -> the things are drawn so, and all is told so

Everything that can be asked of old scenes can so be asked of new ones, what is not there included.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from services.finetune.demo.dialogues import Turn
from services.finetune.demo.scenes import COLOURS, NEW_COLOURS, Colour, Scene, Thing
from services.finetune.demo.shapes import SHAPES
from services.finetune.demo.words import listing, plural

NEW_SHAPES = ("crescent",)  # "an arrow" is left out: after "a", which all others have, no model comes to say it
NEW_WORDS = frozenset({*NEW_SHAPES, *map(plural, NEW_SHAPES), *NEW_COLOURS})
TINT = 9  # how far a thing's colour may lie from the pure one, per channel
CONTRAST = 60  # least difference of a thing from its background, in one channel at least


@dataclass(frozen=True, slots=True)
class Renamed:
    """A scene with new words, and the old words that they took the place of."""

    scene: Scene
    words: Mapping[str, str]

    def told(self, turn: Turn) -> Turn:
        """A turn about the old scene, as it is true of the new one."""
        question, answer = (_replaced(text, self.words) for text in (turn.question, turn.answer))
        if turn.kind == "caption":
            answer = f"The picture shows {listing(self.scene.things)}."
        return turn._replace(question=question, answer=answer)


def renamed(scene: Scene, rng: Random) -> Renamed:
    """The scene with new words for some of its own, at least for one thing's."""
    words: dict[str, str] = {}
    seen = {name for thing in scene.things for name in (thing.colour, thing.shape)}
    for new in rng.sample((*NEW_SHAPES, *NEW_COLOURS), len(NEW_SHAPES) + len(NEW_COLOURS)):
        known = SHAPES if new in NEW_SHAPES else tuple(COLOURS)
        others = [old for old in known if old not in words and old != "orange"]  # "an orange" would become "an brown"
        shown = [old for old in others if old in seen]
        words[rng.choice(shown if shown and (seen.isdisjoint(words) or rng.random() < 0.5) else others)] = new
    things = tuple(_renamed(thing, words, rng) for thing in scene.things)
    background = _darkened(scene.background, things)
    return Renamed(replace(scene, things=things, background=background), words | _plurals(words))


def names_new(turn: Turn) -> bool:
    """Whether the question or its answer has a new word."""
    return not NEW_WORDS.isdisjoint(re.findall(r"[a-z]+", f"{turn.question} {turn.answer}".lower()))


def _renamed(thing: Thing, words: Mapping[str, str], rng: Random) -> Thing:
    colour, rgb = words.get(thing.colour, thing.colour), thing.rgb
    if colour in NEW_COLOURS:
        red, green, blue = (min(255, channel + rng.randint(-TINT, TINT)) for channel in NEW_COLOURS[colour])
        rgb = red, green, blue
    return replace(thing, colour=colour, shape=words.get(thing.shape, thing.shape), rgb=rgb)


def _darkened(background: Colour, things: Sequence[Thing]) -> Colour:
    """The background, or a dark one where something would not be seen on it."""
    if all(max(abs(a - b) for a, b in zip(t.rgb, background, strict=True)) >= CONTRAST for t in things):
        return background
    red, green, blue = (channel // 4 for channel in background)
    return red, green, blue


def _plurals(words: Mapping[str, str]) -> dict[str, str]:
    return {plural(old): plural(new) for old, new in words.items() if new in NEW_SHAPES}


def _replaced(text: str, words: Mapping[str, str]) -> str:
    def new(match: re.Match[str]) -> str:
        word = match[0]
        found = words.get(word.lower(), word.lower())
        return found.capitalize() if word[0].isupper() else found

    return re.sub(r"[A-Za-z]+", new, text)
