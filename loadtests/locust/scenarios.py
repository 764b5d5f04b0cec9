"""Scenarios: who asks what, in which shares. Every picture is another one, so that no answer comes from memory.

scenario -> kinds of questions, by weight -> the next question of a kind, with the next picture
"""

import base64
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from random import Random

from loadtests.conversations import TEXTS
from loadtests.pictures import photograph, shapes

PICTURES = 200  # drawn before the run; `cache_salt` keeps chats about the same one apart
PHOTOGRAPHS = 32
JPEG, PNG, JSON = ({"content-type": kind} for kind in ("image/jpeg", "image/png", "application/json"))
WORDS = "labels=red+circle,blue+square,yellow+triangle"
PROMPTS = ("a photo of a circle", "a photo of a blue star", "a photo of two hearts")
TOKENS = 24  # the most of a chat's answer


@dataclass(frozen=True, slots=True)
class Ask:
    """One request; `proof` is in every true answer. Chats are streamed."""

    service: str
    name: str
    path: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)
    proof: bytes = b'"data"'
    streamed: bool = False


class Pictures:
    """What is sent: shapes that the shipped models know, and photographs of the usual size."""

    def __init__(self) -> None:
        self._shapes = [shapes(seed) for seed in range(PICTURES)]
        self._photographs = [photograph(seed) for seed in range(PHOTOGRAPHS)]

    def shape(self, number: int) -> bytes:
        """A PNG of a few hundred pixels on a side."""
        return self._shapes[number % PICTURES]

    def photograph(self, number: int) -> bytes:
        """A JPEG of 640x480."""
        return self._photographs[number % PHOTOGRAPHS]


def detect(pictures: Pictures, *, number: int, model: str) -> Ask:
    """A photograph for a detector."""
    return Ask("detection", model, f"/v1/detect?model={model}", pictures.photograph(number), JPEG)


def embed_picture(pictures: Pictures, *, number: int) -> Ask:
    """The vector of a photograph."""
    return Ask("clip", "embed picture", "/v1/embeddings", pictures.photograph(number), JPEG, b'"embedding"')


def embed_text(pictures: Pictures, *, number: int) -> Ask:
    """The vectors of one phrase of three."""
    body = json.dumps({"input": PROMPTS[number % len(PROMPTS)]}).encode()
    return Ask("clip", "embed text", "/v1/embeddings", body, proof=b'"embedding"')


def classify(pictures: Pictures, *, number: int) -> Ask:
    """Which of the shapes a picture shows."""
    return Ask("clip", "classify", "/v1/classify?label_set=shapes", pictures.shape(number), PNG)


def find(pictures: Pictures, *, number: int) -> Ask:
    """Things in a picture, by their names."""
    return Ask("owlvit", "detect open", f"/v1/detect/open?{WORDS}", pictures.shape(number), PNG)


def chat(pictures: Pictures, *, number: int) -> Ask:
    """A question about a new picture, streamed."""
    url = f"data:image/png;base64,{base64.b64encode(pictures.shape(number)).decode()}"
    parts = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": TEXTS[number % len(TEXTS)]}]
    body = {
        "messages": [{"role": "user", "content": parts}],
        "stream": True,
        "temperature": 0,
        "max_tokens": TOKENS,
        "cache_salt": str(number),
    }
    return Ask("llava", "chat", "/v1/chat/completions", json.dumps(body).encode(), streamed=True)


Kind = Callable[..., Ask]  # of the pictures and the number of the question
ssd, faster_rcnn = (partial(detect, model=model) for model in ("ssd", "faster-rcnn"))
SCENARIOS: Mapping[str, Mapping[Kind, int]] = {
    "detection": {faster_rcnn: 1, ssd: 1},
    "ssd": {ssd: 1},
    "clip": {embed_picture: 3, classify: 2, embed_text: 1},
    "clip-pictures": {embed_picture: 1},
    "owlvit": {find: 1},
    "llava": {chat: 1},
    "mixed": {ssd: 3, faster_rcnn: 1, embed_picture: 3, classify: 1, find: 2, chat: 1},
}


def asks(scenario: str, seed: int = 0) -> Iterator[Ask]:
    """The questions of a scenario, without an end; which kind comes next is drawn by weight."""
    kinds, pictures, random = SCENARIOS[scenario], Pictures(), Random(seed)
    for number in itertools.count():
        (kind,) = random.choices(list(kinds), list(kinds.values()))
        yield kind(pictures, number=number)
