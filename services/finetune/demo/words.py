"""What is said of shapes world: queries, their wordings, and captions of whole pictures.

Eight (colour, shape) pairs are withheld: no training picture shows one and no training text names one, so that a model
that finds them has learnt what colours and shapes are, not a list of pairs. Each colour and each shape is one of them.
"""

from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from services.finetune.demo.scenes import COLOURS, Thing
from services.finetune.demo.shapes import SHAPES


class Query(NamedTuple):
    """A colour, a shape, or both."""

    colour: str | None
    shape: str | None

    @property
    def names(self) -> tuple[str, str]:
        """Colour and shape of a query that has both."""
        assert self.colour and self.shape
        return self.colour, self.shape

    @property
    def words(self) -> list[str]:
        """The names that the query is made of."""
        return [word for word in self if word]

    def phrase(self, noun: str = "shape") -> str:
        """`red circle`, `circle`, or `red shape`, where `noun` stands for any shape."""
        return " ".join(self.words if self.shape else [*self.words, noun])

    def fits(self, thing: "Thing | Query") -> bool:
        """Whether the query asks for `thing`."""
        return self.colour in {None, thing.colour} and self.shape in {None, thing.shape}


PAIRS = tuple(Query(colour, shape) for colour in COLOURS for shape in SHAPES)  # by colour id, then shape id
WITHHELD = tuple(Query(colour, SHAPES[(3 * number + 1) % len(SHAPES)]) for number, colour in enumerate(COLOURS))
SEEN = tuple(pair for pair in PAIRS if pair not in WITHHELD)
QUERIES = (*SEEN, *(Query(None, shape) for shape in SHAPES), *(Query(colour, None) for colour in COLOURS))

# Words that are never drawn: with them the text tower meets many more pairs, and learns the rule instead of a list.
TEXT_COLOURS = ("gray", "black", "gold", "silver", "teal", "olive", "navy", "lime")
TEXT_SHAPES = ("ring", "moon", "leaf", "cloud", "key", "drop", "house", "fish")

TEMPLATES = (
    "{}",
    "a photo of {}",
    "a photo of {}",  # the wording that most callers use, hence twice
    "an image of {}",
    "a picture of {}",
    "a drawing of {}",
    "there is {}",
    "this is {}",
)
NUMBERS = ("no", "one", "two", "three", "four", "five", "six")
SIZES = {"small": 0.12, "medium": 0.17, "large": 1.0}  # up to which radius, in units of the picture's side


def article(phrase: str) -> str:
    """The phrase with `a` or `an` before it."""
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def plural(shape: str) -> str:
    """More than one of a shape."""
    return f"{shape}es" if shape.endswith("s") else f"{shape}s"


def prompt(query: Query) -> str:
    """The wording that evaluation and examples use: `a photo of a red circle`."""
    return f"a photo of {article(query.phrase())}"


def wording(query: Query, rng: Random) -> str:
    """One of the ways to ask for `query`; a service's template says `a` whatever follows."""
    phrase = query.phrase(rng.choice(("shape", "object")))
    said = rng.choice((phrase, f"a {phrase}", article(phrase), article(phrase), article(phrase)))
    return rng.choice(TEMPLATES).format(said)


def text_only(count: int, rng: Random) -> list[Query]:
    """Queries with at least one word that is never drawn."""
    return [_text_only(rng) for _ in range(count)]


def _text_only(rng: Random) -> Query:
    colour, shape = rng.choice(TEXT_COLOURS), rng.choice(TEXT_SHAPES)
    return rng.choice(
        (
            Query(colour, shape),
            Query(colour, shape),
            Query(colour, rng.choice(SHAPES)),
            Query(rng.choice(tuple(COLOURS)), shape),
            Query(None, shape),
        )
    )


def listing(things: Sequence[Thing], rng: Random | None = None) -> str:
    """`a blue star and two red circles`: by name, or with `rng` sometimes in another order."""
    counts = sorted(Counter((thing.colour, thing.shape) for thing in things).items())
    if rng and rng.random() < 0.3:
        rng.shuffle(counts)
    parts = [
        article(f"{colour} {shape}") if count == 1 else f"{NUMBERS[count]} {colour} {plural(shape)}"
        for (colour, shape), count in counts
    ]
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def size(thing: Thing) -> str:
    """`small`, `medium` or `large`."""
    return next(word for word, limit in SIZES.items() if thing.radius <= limit)


def caption(things: Sequence[Thing], rng: Random) -> str:
    """One of the ways to describe a picture of `things`; a thing that is alone may be told with its size."""
    if len(things) == 1 and rng.random() < 0.2:
        said = article(f"{size(things[0])} {things[0].colour} {things[0].shape}")
    else:
        said = listing(things, rng)
    return (rng.choice(TEMPLATES) if rng.random() < 0.7 else "{}").format(said)
