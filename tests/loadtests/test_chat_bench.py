"""Chat in the benchmark: what is asked, what `generate` answers beside it, how streams are read, and a quick run."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch

from loadtests import bench, pretrained
from loadtests.conversations import LONGEST, SHORTEST, Question, letter, mixed, spelt
from loadtests.generation import Generator, Round
from loadtests.load import WrongAnswer
from loadtests.processes import Bench
from loadtests.streams import Told, answered
from shared.cli import main

torch.set_num_threads(1)

SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
NARROW = {
    "vision_config": {**SMALL, "image_size": 28, "patch_size": 14},
    "text_config": {**SMALL, "model_type": "llama", "vocab_size": 512, "initializer_range": 0.5},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random LLaVA that answers at once."""
    return pretrained.llava(tmp_path_factory.mktemp("llava"), **NARROW)


def test_our_command_imports_the_random_llava(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCELLI_STORE", f"file://{tmp_path}/store")
    assert main(["models", "import", str(folder), "--as", "llava"]) == 0
    assert list((tmp_path / "store/models/llava").glob("*/manifest.json"))


def test_every_turn_asks_for_the_same_lengths_about_new_pictures() -> None:
    first, second = (mixed(12, turn=turn, end=2) for turn in (0, 1))
    assert [each.tokens for each in first] == [each.tokens for each in second]
    assert all(SHORTEST <= each.tokens <= LONGEST for each in first)
    assert [len(each.pictures) for each in first[:4]] == [0, 1, 2, 0]
    pictures = [picture for each in (*first, *second) for picture in each.pictures]
    assert len(set(pictures)) == len(pictures)
    assert len({each.salt for each in (*first, *second)}) == 24


def test_a_request_says_what_the_prompt_says() -> None:
    question = Question("What is this?", 5, [b"one", b"two"], bias={2: -100})
    body = json.loads(question.body)
    (message,) = body["messages"]
    assert [part["type"] for part in message["content"]] == ["image_url", "image_url", "text"]
    assert (body["max_tokens"], body["logit_bias"], body["temperature"]) == (5, {"2": -100}, 0)
    assert question.prompt == "USER: <image>\n<image>\nWhat is this? ASSISTANT:"


def test_generate_answers_alike_alone_and_left_padded(folder: Path) -> None:
    generator = Generator(folder)
    questions = mixed(6, turn=0, end=generator.end)
    alone = [answer for each in questions for answer in generator.answer([each])]
    assert generator.answer(questions) == alone
    assert len(set(alone)) > 3


def test_a_round_counts_the_tokens_that_were_asked_for_and_no_padding(folder: Path) -> None:
    done = Generator(folder).round(Round(count=3, turn=0, batch=3))
    assert done["tokens"] == sum(each.tokens for each in mixed(3, turn=0, end=2))
    assert done["seconds"] > 0


def test_a_letter_is_one_token(folder: Path) -> None:
    tokenizer: Any = Generator(folder)._processor.tokenizer
    assert tokenizer.decode([letter(folder)] * 3) == "aaa"


def test_gaps_lie_within_the_time_that_is_looked_at() -> None:
    told = Told(0.0, [1.0, 2.0, 4.0, 4.5, 9.0])
    assert told.first == 1
    assert list(told.gaps(1.5, 8.0)) == [2.0, 0.5]


def test_what_is_no_stream_of_tokens_ends_the_run(tmp_path: Path) -> None:
    with ExitStack() as stack:
        floor = Bench(tmp_path, stack, rounds=1, quick=True).start("loadtests.floor")
        with pytest.raises(WrongAnswer, match="404"):
            answered(floor.url, [spelt(68, 4)], clients=1)


def test_a_quick_run_of_chat_measures_every_goal_through_the_gateway() -> None:
    figures = {figure.name: figure for figure in bench.run("chat", rounds=1, quick=True).figures}
    values = {name: figure.value or 0.0 for name, figure in figures.items()}
    assert min(values.values()) > 0
    assert sum(figure.goal is not None for figure in figures.values()) == 5
    served = values["LLaVA, 8 streams"]
    assert values["LLaVA, 8 streams / generate, one by one"] == served / values["LLaVA, generate, one by one"]
    assert values["LLaVA's front, CPU per chunk of a stream"] <= values["LLaVA, CPU per chunk of a stream"]
