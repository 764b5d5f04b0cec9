import json
from typing import Any

import pytest

from services.finetune.demo import llava_network, llava_tokenizer
from services.finetune.demo.dialogues import HELP, NO_PICTURE
from services.finetune.demo.llava_tokenizer import stem
from services.finetune.demo.pictures import PATCHES
from services.finetune.demo.scenes import COLOURS
from services.finetune.demo.shapes import SHAPES

TOKENIZER = llava_tokenizer.build()


def tokens(text: str) -> list[str]:
    return TOKENIZER.tokenize(text)


@pytest.mark.parametrize("word", [*COLOURS, *SHAPES, "circles", "crosses", "how", "many", "two", "brown", "ASSISTANT"])
def test_a_word_of_the_world_is_one_token_however_it_is_written(word: str) -> None:
    for form in (word, f" {word}", word.capitalize() if word.islower() else word):
        assert len(tokens(form)) == 1


def test_a_sentence_has_a_token_for_each_word_and_mark() -> None:
    assert len(tokens("How many red circles are there?")) == 7
    assert len(tokens(" " + NO_PICTURE)) == 9
    assert len(tokens(" " + HELP)) == 19


@pytest.mark.parametrize("text", ["Zebra naïve 日本 🙂", "a\nb\t c  d", "<s", "USER:"])
def test_any_text_comes_back_as_it_was(text: str) -> None:
    assert TOKENIZER.decode(TOKENIZER(text, add_special_tokens=False).input_ids) == text


def test_two_tokenizers_are_the_same() -> None:
    assert TOKENIZER.get_vocab() == llava_tokenizer.build().get_vocab()


def test_forms_of_a_word_have_one_stem() -> None:
    assert {stem(token) for token in tokens("Circles circles circle Circle") + tokens("circle")} == {"circle"}
    assert stem("Ġcross") == stem("ĠCrosses") != stem("Ġcircle")


def test_a_chat_is_written_as_llava_learnt_it() -> None:
    chat: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "How many?"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "Two."}]},
        {"role": "user", "content": [{"type": "text", "text": "And here?"}, {"type": "image"}]},
    ]
    written = llava_network.processor(TOKENIZER).apply_chat_template(chat, add_generation_prompt=True)
    assert written == ("Be brief. USER: <image>\nHow many? ASSISTANT: Two.</s>USER: And here? <image>\nASSISTANT:")


def test_a_text_begins_with_the_start_and_a_picture_has_a_token_for_each_patch() -> None:
    processor = llava_network.processor(TOKENIZER)
    ids = processor(text="USER: Hello ASSISTANT:", return_tensors="pt").input_ids[0].tolist()
    assert TOKENIZER.convert_ids_to_tokens(ids) == ["<s>", "USER", ":", "ĠHello", "ĠASSISTANT", ":"]
    assert llava_tokenizer.image_id(TOKENIZER) == 3
    assert json.loads(TOKENIZER.backend_tokenizer.to_str())["added_tokens"][3]["content"] == "<image>"
    assert processor.num_additional_image_tokens == 1
    assert (128 // processor.patch_size) ** 2 == PATCHES
