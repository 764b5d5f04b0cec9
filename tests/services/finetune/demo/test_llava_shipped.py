"""What the shipped LLaVA answers about pictures that neither its training nor the evaluation of its manifest saw."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
from PIL import Image
from transformers import LlavaForConditionalGeneration, LlavaProcessor

from services.finetune.demo import llava, llava_metrics
from services.finetune.demo.dialogues import HELP, NO_PICTURE, SMALL_TALK
from services.finetune.demo.llava_chat import Chat, asked, replies
from services.finetune.demo.llava_metrics import apart, plain, share, two_pictures
from services.finetune.demo.llava_training import FEW, MANY
from shared.weights.store import Store, Version

ROOT = Path(__file__).resolve().parents[4]
SEED = 9_100_001
Loaded = tuple[LlavaForConditionalGeneration, LlavaProcessor]


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    return Store(str(ROOT / "models")).fetch("llava", tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def shipped(version: Version) -> Loaded:
    return llava.load(version.path)


def right(shipped: Loaded, exam: llava_metrics.Exam, questions: int = 40) -> float:
    return share(*shipped, [exam(Random(f"{SEED}/{number}")) for number in range(questions)])


def said(shipped: Loaded, question: str, *pictures: Image.Image) -> str:
    (reply,) = replies(*shipped, [Chat([asked(question, pictures=len(pictures))], list(pictures))])
    return reply.text


def test_the_shipped_files_are_small(version: Version) -> None:
    assert version.manifest.size < 10_000_000


@pytest.mark.parametrize(("kind", "least"), [("count", 0.85), ("colour", 0.95), ("shape", 0.95), ("where", 0.85)])
def test_it_answers_questions_about_fresh_pictures(shipped: Loaded, kind: str, least: float) -> None:
    assert right(shipped, partial(plain, kind=kind)) >= least


def test_it_knows_a_red_circle_from_a_red_thing_and_a_circle(shipped: Loaded) -> None:
    assert right(shipped, apart) >= 0.9


@pytest.mark.parametrize(
    ("exam", "least"),
    [
        (partial(plain, held_out=True), 0.8),
        (partial(plain, world=replace(FEW, dark=1.0)), 0.85),
        (partial(plain, kind="caption"), 0.7),
        (partial(plain, kind="count", world=MANY), 0.7),
        (two_pictures, 0.5),
    ],
    ids=["other wordings", "dark", "caption", "many things", "two pictures"],
)
def test_it_answers_harder_questions(shipped: Loaded, exam: llava_metrics.Exam, least: float) -> None:
    assert right(shipped, exam) >= least


def test_a_second_turn_is_as_good_as_a_first_one(shipped: Loaded) -> None:
    assert llava_metrics.second_turn(*shipped, seed=SEED, questions=40) >= 0.85


@pytest.mark.parametrize("question", ["Hello", "hello!", "What can you do?"])
def test_it_greets_and_says_what_it_can_do_without_a_picture(shipped: Loaded, question: str) -> None:
    assert said(shipped, question) in SMALL_TALK


def test_it_asks_for_a_picture_that_is_missing(shipped: Loaded) -> None:
    assert said(shipped, "How many red circles are there?") == NO_PICTURE


def test_it_says_what_can_be_asked_to_words_that_it_does_not_know(shipped: Loaded) -> None:
    assert said(shipped, "Who is Napoleon?") == HELP


def test_it_answers_its_golden_cases(version: Version, shipped: Loaded) -> None:
    cases = json.loads((version.path / "golden.json").read_text())

    assert len(cases) == 8
    chats = [Chat(case["messages"], list(map(picture, _pictures(case, version)))) for case in cases]
    assert [reply.tokens for reply in replies(*shipped, chats)] == [case["tokens"] for case in cases]


def _pictures(case: dict[str, Any], version: Version) -> list[Path]:
    parts = [part for message in case["messages"] for part in message["content"]]
    return [version.path / part["image"] for part in parts if part["type"] == "image"]


def picture(path: Path) -> Image.Image:
    with Image.open(path) as file:
        return file.convert("RGB")
