"""What chat is asked: a question about new pictures, answered with a number of tokens that is fixed beforehand.

The prompts are those of LLaVA-1.5 with Vicuna, so that a script and the service read the same tokens.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from loadtests.pictures import shapes

TEXTS = (
    "How many circles are there?",
    "What color is the heart?",
    "Is there a red square in the picture, or is there none?",
    "Describe the picture.",
    "Where is the blue star?",
)
SHORTEST, LONGEST = 4, 64  # tokens of an answer
MOST_PICTURES = 2
MARK = "<image>\n"  # of a picture in a prompt
SEEDS_APART = 10_000  # pictures between those of two rounds


@dataclass(frozen=True, slots=True)
class Question:
    """Pictures and a text; the answer has exactly `tokens`. `salt` keeps what is remembered apart from others'."""

    text: str
    tokens: int
    pictures: Sequence[bytes] = ()
    salt: str = ""
    bias: Mapping[int, float] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        """The request: a stream, whose tokens are counted at its end."""
        shown = [f"data:image/png;base64,{base64.b64encode(each).decode()}" for each in self.pictures]
        parts = [{"type": "image_url", "image_url": {"url": url}} for url in shown]
        fields = {
            "messages": [{"role": "user", "content": [*parts, {"type": "text", "text": self.text}]}],
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": 0,
            "max_tokens": self.tokens,
            "logit_bias": {str(token): value for token, value in self.bias.items()},
            "cache_salt": self.salt,
        }
        return json.dumps(fields).encode()

    @property
    def prompt(self) -> str:
        """The same as text, with a mark for each picture."""
        return f"USER: {MARK * len(self.pictures)}{self.text} ASSISTANT:"


def spelt(token: int, length: int, *pictures: bytes, text: str = TEXTS[0]) -> Question:
    """A question whose answer repeats one token."""
    return Question(text, length, pictures, bias={token: 100})


def mixed(count: int, *, turn: int, end: int, tokens: int = 0) -> list[Question]:
    """`count` questions with none to two pictures and answers of all lengths, which the mark `end` does not cut short;
    `tokens` is the length of all of them, unless it is 0.

    Every turn has the same texts and lengths. Its pictures are new, and no question reuses what another one left.
    """
    random = Random(0)
    seeds = iter(range(turn * SEEDS_APART, (turn + 1) * SEEDS_APART))
    return [
        Question(
            TEXTS[number % len(TEXTS)],
            tokens or random.randint(SHORTEST, LONGEST),
            [shapes(next(seeds)) for _ in range(number % (MOST_PICTURES + 1))],
            salt=f"{turn}-{number}",
            bias={end: -100},
        )
        for number in range(count)
    ]


def end_mark(folder: Path) -> int:
    """The token that ends an answer of the LLaVA in `folder`."""
    end: int = json.loads((folder / "generation_config.json").read_bytes())["eos_token_id"]
    return end


def letter(folder: Path) -> int:
    """The token of the letter a: an answer of nothing else has a piece of text for each token."""
    token: int = json.loads((folder / "tokenizer.json").read_bytes())["model"]["vocab"]["a"]
    return token
