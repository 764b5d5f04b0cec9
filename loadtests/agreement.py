"""A batched answer equals the solo answer: each shipped network asked through HTTP, alone and in company.

two processes, max_batch 1 and 8 -> the same questions, one by one and all at once -> the largest difference

Two processes, because one would remember the texts and labels that it has read, and answer them from memory.
"""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import starmap
from typing import NamedTuple
from urllib.parse import urlencode

import aiohttp

from loadtests import answers
from loadtests.load import WrongAnswer
from loadtests.pictures import shapes
from loadtests.processes import Bench, Child
from loadtests.report import Figure, Goal

BATCH, QUESTIONS = 8, 32
PIXELS, SCORE, COSINE = Goal(0.1, most=True), Goal(0.001, most=True), Goal(1e-5, most=True)
KINDS = ("circle", "square", "triangle", "star", "diamond", "hexagon", "cross", "heart")
THINGS = [f"{colour} {shape}" for shape in KINDS for colour in ("red", "green", "blue", "yellow")]


@dataclass(frozen=True, slots=True)
class Subject:
    """A network, and where and what it is asked; `texts` says that it gets texts instead of pictures."""

    name: str
    model: str
    path: str
    texts: bool = False

    @property
    def questions(self) -> tuple[list[bytes], str]:
        """The bodies of the requests and their type."""
        if self.texts:
            return [json.dumps({"input": f"a photo of a {thing}"}).encode() for thing in THINGS], "application/json"
        return [shapes(seed) for seed in range(QUESTIONS)], "image/png"


SUBJECTS: Mapping[str, Sequence[Subject]] = {
    "clip": (
        Subject("clip, pictures", "clip", "/v1/embeddings"),
        Subject("clip, texts", "clip", "/v1/embeddings", texts=True),
    ),
    "detection": tuple(
        Subject(model, model, f"/v1/detect?model={model}&threshold=0.3")
        for model in ("ssd", "faster-rcnn", "mask-rcnn")
    ),
    "owlvit": (Subject("owlvit", "owlvit", f"/v1/detect/open?{urlencode({'labels': ','.join(THINGS)})}"),),
}


class Pair(NamedTuple):
    """A service that takes one question at a time, and the same with batches."""

    alone: Child
    together: Child


class Answers(NamedTuple):
    """Those of one network to the same questions, and the mean batch of those in company."""

    alone: list[bytes]
    together: list[bytes]
    batch: float


def measure(bench: Bench) -> Iterator[Figure]:
    """The largest differences of each network; a quick run asks CLIP alone."""
    for service in ["clip"] if bench.quick else SUBJECTS:
        pair = Pair(*(bench.launch(f"services.{service}", max_batch=most, dtype="float32") for most in (1, BATCH)))
        for child in pair:
            child.wait(child.ready)
        for subject in SUBJECTS[service]:
            yield from _figures(subject, _ask(subject, pair))


def _figures(subject: Subject, given: Answers) -> Iterator[Figure]:
    both = list(zip(given.alone, given.together, strict=True))
    name, note = f"{subject.name}, batched - solo", f"mean batch {given.batch:.1f}"
    if subject.path == "/v1/embeddings":
        yield Figure(f"{name}, 1 - cosine", "", [max(starmap(answers.embeddings, both))], COSINE, note)
        return
    apart = list(starmap(answers.detections, both))
    note += f", {sum(map(answers.count, given.alone))} objects"
    yield Figure(f"{name}, boxes", "px", [max(one.pixels for one in apart)], PIXELS, note)
    yield Figure(f"{name}, scores", "", [max(one.score for one in apart)], SCORE, note)


def _ask(subject: Subject, pair: Pair) -> Answers:
    alone = asyncio.run(_answers(pair.alone, subject, at_once=1))
    before = _batches(pair.together, subject.model)
    together = asyncio.run(_answers(pair.together, subject, at_once=QUESTIONS))
    items, batches = (
        after - since for after, since in zip(_batches(pair.together, subject.model), before, strict=True)
    )
    return Answers(alone, together, items / batches)


async def _answers(child: Child, subject: Subject, *, at_once: int) -> list[bytes]:
    bodies, kind = subject.questions
    turn = asyncio.Semaphore(at_once)
    async with aiohttp.ClientSession(child.url, headers={"content-type": kind}) as session:

        async def answer(body: bytes) -> bytes:
            async with turn, session.post(subject.path, data=body) as response:
                text = await response.read()
            if response.status != 200:
                raise WrongAnswer(f"{subject.name} answered {response.status}: {text[:300].decode(errors='replace')}")
            return text

        return await asyncio.gather(*map(answer, bodies))


def _batches(child: Child, model: str) -> tuple[float, float]:
    """Items and batches of `model` until now, as the service counts them."""
    counted = dict(line.rsplit(" ", 1) for line in child.get("/metrics").decode().splitlines() if line[:1] != "#")
    label = f'{{model="{model}"}}'
    sums = (float(counted.get(f"ocelli_inference_batch_size_{name}{label}", 0)) for name in ("sum", "count"))
    return next(sums), next(sums)
