"""Conversations about pictures of shapes world: one or several turns, about one picture, two, or none.

scenes + luck -> [Turn, …]     (how they become tokens: `llava_packing`)

Nobody is asked the same thing twice in a conversation.
"""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import NamedTuple

from services.finetune.demo.facts import Fact, fact
from services.finetune.demo.questions import ORDINALS, WHICH, asked, asked_of, casual, filled, terse
from services.finetune.demo.scenes import Scene
from services.finetune.demo.words import NUMBERS, Query

Weights = Mapping[str, float]
TALK = 0.03  # share of turns that are not about the picture


class Turn(NamedTuple):
    """A question and its answer; the kind is what evaluations count by."""

    kind: str
    question: str
    answer: str


GREETINGS = ("Hello", "Hello!", "Hi", "Hi!", "Hi there", "Hey", "Good morning", "Hello there")
ABILITIES = ("What can you do?", "Who are you?", "What are you?", "Help", "How can you help me?")
THANKS = ("Thank you", "Thank you!", "Thanks", "Thanks!")
HELP = "I answer questions about pictures of shapes: how many, which color, which shape and where."
SMALL_TALK: Mapping[str, tuple[str, ...]] = {
    "Hello! Send me a picture of shapes and ask about it.": GREETINGS,
    HELP: ABILITIES,
    "You are welcome.": THANKS,
}
# A made-up word stands for all the words that the model does not know.
STRANGE = (
    "What is {}?",
    "Who is {}?",
    "Is there a {}?",
    "How many {} are there?",
    "Where is the {}?",
    "Tell me about {} and {}.",
    "Can you {} the {}?",
    "{} {} {}",
)
LETTERS = "abcdefghijklmnopqrstuvwxyz"
NO_PICTURE = "I see no picture. Please send one."
SYSTEMS = (
    "You are a helpful assistant.",
    "A chat between a curious human and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the human's questions.",
    "Answer the question using a single word or phrase.",
    "You are a vision model. Answer in one short sentence.",
)


def conversation(scene: Scene, weights: Weights, rng: Random) -> list[Turn]:
    """A conversation about one picture: mostly one turn, sometimes two or three."""
    return _distinct(_length(rng), lambda: small_talk(rng) if rng.random() < TALK else turn(scene, weights, rng))


def turn(scene: Scene, weights: Weights, rng: Random, *, held_out: bool = False) -> Turn:
    """One question about a picture, of a kind that is drawn by `weights`."""
    known = _known(scene, weights, rng)
    return Turn(known.kind, asked(known, rng, held_out=held_out), known.answer)


def probe(scene: Scene, weights: Weights, rng: Random) -> tuple[str, str]:
    """A question and its answer in the fewest tokens, for the first stage of a training."""
    question, answer = "", ""
    while not question:
        question, answer = terse(_known(scene, weights, rng))
    return question, answer


def about_two(pictures: Sequence[Scene], weights: Weights, rng: Random) -> list[Turn]:
    """A conversation about two pictures; each question says which one it means."""

    def ask() -> Turn:
        luck = rng.random()
        if luck < 0.05:
            return Turn("pictures", casual("How many pictures are there?", rng), f"{NUMBERS[2].capitalize()}.")
        return _which(pictures, rng) if luck < 0.35 else _of_one(pictures, weights, rng)

    return _distinct(_length(rng), ask)


def without_picture(weights: Weights, rng: Random, scene: Scene) -> list[Turn]:
    """A conversation in which the picture is missing; `scene` only lends the words of the questions."""

    def ask() -> Turn:
        return (
            small_talk(rng)
            if rng.random() < 0.4
            else turn(scene, weights, rng)._replace(kind="no_picture", answer=NO_PICTURE)
        )

    return _distinct(_length(rng), ask)


def small_talk(rng: Random) -> Turn:
    """A greeting, thanks, or a question about the model itself."""
    answer = rng.choice(list(SMALL_TALK))
    return Turn("talk", casual(rng.choice(SMALL_TALK[answer]), rng), answer)


def strange(rng: Random) -> Turn:
    """A question with words that the model never learns."""
    wording = rng.choice(STRANGE)
    made_up = ("".join(rng.choices(LETTERS, k=rng.randint(3, 9))) for _ in range(wording.count("{}")))
    return Turn("strange", casual(wording.format(*made_up), rng), HELP)


def _known(scene: Scene, weights: Weights, rng: Random) -> Fact:
    kinds, shares = list(weights), list(weights.values())
    while True:
        known = fact(scene, rng.choices(kinds, shares)[0], rng)
        if known:
            return known


def _of_one(pictures: Sequence[Scene], weights: Weights, rng: Random) -> Turn:
    number = rng.randrange(len(pictures))
    known = _known(pictures[number], weights, rng)
    return Turn(f"{ORDINALS[number]}_{known.kind}", asked_of(known, ORDINALS[number], rng), known.answer)


def _which(pictures: Sequence[Scene], rng: Random) -> Turn:
    """Which of the pictures shows a thing that is in at least one."""
    thing = rng.choice(rng.choice(pictures).things)
    query = rng.choice((Query(None, thing.shape), Query(thing.colour, None), Query(thing.colour, thing.shape)))
    shown = [any(map(query.fits, scene.things)) for scene in pictures]
    answer = "Both." if all(shown) else f"The {ORDINALS[shown.index(True)]} one."
    return Turn("which", casual(filled(rng.choice(WHICH), query.phrase()), rng), answer)


def _length(rng: Random) -> int:
    return rng.choices((1, 2, 3), (0.7, 0.2, 0.1))[0]


def _distinct(length: int, ask: Callable[[], Turn]) -> list[Turn]:
    turns: dict[str, Turn] = {}
    while len(turns) < length:
        new = ask()
        turns.setdefault(new.question, new)
    return list(turns.values())
