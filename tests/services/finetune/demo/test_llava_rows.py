"""Rows are computed as the library computes each conversation alone, and say what its processor would have read."""

from collections.abc import Callable
from random import Random

import pytest
import torch
from PIL import Image

from services.finetune.demo import llava_network, llava_tokenizer, tower
from services.finetune.demo.dialogues import Turn
from services.finetune.demo.facts import KINDS
from services.finetune.demo.llava_chat import Message, asked, said
from services.finetune.demo.llava_packing import BIN, Row, collate, fill
from services.finetune.demo.llava_rows import Writer
from services.finetune.demo.llava_script import IGNORED, Script, Tokens
from services.finetune.demo.pictures import WHOLE, Dataset, square

TOKENIZER = llava_tokenizer.build()
SCRIPT = Script(TOKENIZER)
DATA = Dataset([WHOLE], seed=5, count=4)
WRITER = Writer(DATA.scenes, SCRIPT, dict.fromkeys(KINDS, 1.0))
QUESTION, ANSWER = "Where is the star?", "In the center."
MAKERS: dict[str, Callable[[int], Row]] = {
    "one": lambda n: WRITER.one(n, Random(n)),
    "probes": lambda n: WRITER.one(n, Random(n), probes=2),
    "two": lambda n: WRITER.two([n, 3 - n], Random(n)),
    "last": lambda n: WRITER.last(n, Random(n)),
    "talk": lambda n: WRITER.talk(n, Random(n)),
}


@pytest.mark.parametrize("maker", MAKERS)
def test_a_packed_conversation_is_computed_as_if_it_stood_alone(maker: str) -> None:
    torch.manual_seed(0)
    model = llava_network.build(tower.build(), TOKENIZER)
    rows = [MAKERS[maker](number) for number in (0, 3)]
    batch = collate(rows, SCRIPT)
    with torch.no_grad():
        seen = llava_network.features(model, DATA.pixels(batch.pictures))
        logits, right = llava_network.answers(model, batch, seen)
        alone = torch.cat([_alone(model, row) for row in rows])
    assert len(right) > 50
    assert torch.allclose(logits, alone, atol=1e-4)


def _alone(model: torch.nn.Module, row: Row) -> torch.Tensor:
    """The logits of a row's answers, by the library's own forward pass for each segment."""
    pixels = DATA.pixels(row.pictures) if row.pictures else None
    segments = [tokens for packed in row.bins for tokens in packed]
    found = []
    for number, segment in enumerate(segments):
        whole = Tokens()
        whole.join(row.prefix)
        whole.join(segment)
        told = torch.tensor(whole.labels[1:]) != IGNORED
        if number:
            told[: len(row.prefix.ids) - 1] = False  # the answers of the prefix count once
        found.append(model(input_ids=torch.tensor([whole.ids]), pixel_values=pixels).logits[0, :-1][told])
    return torch.cat(found)


@pytest.mark.parametrize("maker", MAKERS)
def test_bins_hold_whole_segments_and_most_of_their_tokens(maker: str) -> None:
    rows = [MAKERS[maker](number) for number in range(4)]
    lengths = [sum(len(tokens.ids) for tokens in packed) for row in rows for packed in row.bins]
    assert max(lengths) <= BIN
    assert sum(lengths) > 0.7 * BIN * len(lengths)


def test_the_tokens_of_a_conversation_are_those_of_its_processor() -> None:
    tokens = SCRIPT.opening(1, system="You are a helpful assistant.")
    tokens.join(SCRIPT.turns([Turn("", QUESTION, ANSWER), Turn("", "hello", "Hello!")]))
    system = {"role": "system", "content": "You are a helpful assistant."}
    chat = [system, asked(QUESTION, pictures=1), said(ANSWER), asked("hello"), said("Hello!")]
    assert tokens.ids == _read(chat, pictures=1)


def test_the_tokens_of_a_question_before_its_picture_are_those_of_its_processor() -> None:
    tokens = Tokens()
    tokens.add([SCRIPT.start, *SCRIPT.text("USER:"), *SCRIPT.text(f" {QUESTION}"), *SCRIPT.pictures(1)])
    tokens.join(SCRIPT.replies([Turn("", QUESTION, ANSWER), Turn("", QUESTION, ANSWER)]))
    chat = [asked(QUESTION, pictures=1, last=True), said(ANSWER), asked(QUESTION), said(ANSWER)]
    assert tokens.ids == _read(chat, pictures=1)


def test_the_tokens_of_two_pictures_and_of_none_are_those_of_the_processor() -> None:
    for count in (0, 2):
        tokens = SCRIPT.opening(count)
        tokens.join(SCRIPT.turns([Turn("", QUESTION, ANSWER)], after_picture=bool(count)))
        assert tokens.ids == _read([asked(QUESTION, pictures=count), said(ANSWER)], pictures=count)


def _read(chat: list[Message], *, pictures: int) -> list[int]:
    processor = llava_network.processor(TOKENIZER)
    images = [Image.fromarray(square(scene)) for scene in DATA.scenes[:pictures]]
    text = processor.apply_chat_template(chat)
    ids: list[int] = processor(images=images or None, text=text, return_tensors="pt").input_ids[0].tolist()
    return ids


def test_only_answers_are_learnt() -> None:
    tokens = SCRIPT.turns([Turn("", QUESTION, ANSWER)])
    learnt = [token for token, label in zip(tokens.ids, tokens.labels, strict=True) if label != IGNORED]
    assert TOKENIZER.decode(learnt) == f" {ANSWER}</s>"


def test_a_segment_that_is_too_long_gives_its_place_to_another_one() -> None:
    lengths = iter([40, BIN, 20, 1])
    bins = fill(1, lambda _: Tokens([7] * next(lengths)))
    assert [len(tokens.ids) for tokens in bins[0]] == [40, 20]
