"""Scenes -> rows of training: what stands before the bins, and what is asked in them.

one       a picture, then questions; a few rows have a system text before it or no picture at all
two       two pictures in one message or in two turns, then questions that say which
last      a question, then its picture, as many clients send them; then the answer and further turns
talk      a greeting before the picture, and questions in words that nobody knows
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from services.finetune.demo.dialogues import (
    SYSTEMS,
    Turn,
    Weights,
    about_two,
    conversation,
    probe,
    small_talk,
    strange,
    turn,
    without_picture,
)
from services.finetune.demo.llava_packing import Row, fill
from services.finetune.demo.llava_script import Script, Tokens
from services.finetune.demo.scenes import Scene

BINS = 3
SYSTEM, MISSING = 0.1, 0.03  # shares of rows with a system text, and without a picture
NO_PROBES = ("caption",)  # kinds without a terse form


@dataclass(frozen=True, slots=True)
class Writer:
    """Makes rows about `scenes`, whose places in the sequence are the pictures' numbers."""

    scenes: Sequence[Scene]
    script: Script
    weights: Weights

    def one(self, number: int, rng: Random, *, probes: int = 0) -> Row:
        """Questions about one picture; the first `probes` bins ask in the fewest words."""
        scene, script = self.scenes[number], self.script
        if rng.random() < MISSING:
            return Row([], script.opening(0), fill(BINS, lambda _: self._missing(scene, rng)))

        def segment(bin_number: int) -> Tokens:
            if bin_number < probes:
                return script.probe(*probe(scene, terse, rng))
            return script.turns(conversation(scene, self.weights, rng))

        terse = {kind: share for kind, share in self.weights.items() if kind not in NO_PROBES}

        system = rng.choice(SYSTEMS) if rng.random() < SYSTEM else ""
        return Row([number], script.opening(1, system=system), fill(BINS, segment))

    def two(self, numbers: Sequence[int], rng: Random) -> Row:
        """Questions about two pictures that stand together, or one in each of two turns."""
        scenes, script = [self.scenes[number] for number in numbers], self.script
        if rng.random() < 0.5:
            together = fill(BINS - 1, lambda _: script.turns(about_two(scenes, self.weights, rng)))
            return Row([*numbers], script.opening(2), together)
        prefix = script.opening(1)
        prefix.join(script.turns([turn(scenes[0], self.weights, rng)]))
        prefix.add(script.text("USER:") + script.pictures(1))

        def segment(_: int) -> Tokens:
            about_last = rng.random() < 0.6
            said = conversation(scenes[1], self.weights, rng) if about_last else about_two(scenes, self.weights, rng)
            return script.turns(said)

        return Row([*numbers], prefix, fill(BINS - 1, segment))

    def last(self, number: int, rng: Random) -> Row:
        """A question before its picture; each segment answers it, and most go on."""
        scene, script = self.scenes[number], self.script
        first = turn(scene, self.weights, rng)
        prefix = Tokens()
        prefix.add([script.start, *script.text("USER:"), *script.text(f" {first.question}"), *script.pictures(1)])

        def segment(_: int) -> Tokens:
            others: list[Turn] = conversation(scene, self.weights, rng) if rng.random() < 0.8 else []
            return script.replies([first, *others])

        return Row([number], prefix, fill(1, segment))

    def talk(self, number: int, rng: Random) -> Row:
        """Questions with strange words among others, about a picture that follows a greeting, or about none."""
        scene, script = self.scenes[number], self.script
        shown = rng.random() < 0.7
        prefix = script.opening(0)
        if shown:
            prefix.join(script.turns([small_talk(rng)], after_picture=False))
            prefix.add(script.text("USER:") + script.pictures(1))

        def segment(_: int) -> Tokens:
            if rng.random() < 0.4:
                return script.turns([strange(rng)], after_picture=shown)
            return script.turns(conversation(scene, self.weights, rng)) if shown else self._missing(scene, rng)

        return Row([number] if shown else [], prefix, fill(BINS, segment))

    def _missing(self, scene: Scene, rng: Random) -> Tokens:
        return self.script.turns(without_picture(self.weights, rng, scene), after_picture=False)
