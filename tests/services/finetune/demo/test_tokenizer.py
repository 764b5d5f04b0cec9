import subprocess
import sys
from pathlib import Path

import pytest
from transformers import CLIPTokenizer

from services.finetune.demo import tokenizer


@pytest.fixture(scope="module")
def clip() -> CLIPTokenizer:
    return tokenizer.build(16)


def ids(clip: CLIPTokenizer, text: str) -> list[int]:
    return list(clip(text).input_ids)


def test_the_ids_are_laid_out_as_in_openais_vocabulary(clip: CLIPTokenizer) -> None:
    assert clip.convert_ids_to_tokens([0, 1, 256, 257]) == ["!", '"', "!</w>", '"</w>']
    assert (clip.bos_token_id, clip.eos_token_id) == (len(clip) - 2, len(clip) - 1)
    assert clip.pad_token_id == 0
    assert sorted(clip.get_vocab().values()) == list(range(len(clip)))


def test_each_word_of_shapes_world_is_one_token(clip: CLIPTokenizer) -> None:
    assert all(len(ids(clip, word)) == 3 for word in tokenizer.WORDS)


def test_no_token_joins_two_words(clip: CLIPTokenizer) -> None:
    words = set(tokenizer.WORDS)
    ends = [token.removesuffix("</w>") for token in clip.get_vocab() if token.endswith("</w>")]
    assert all(any(word.endswith(end) for word in words) for end in ends if len(end) > 1)


@pytest.mark.parametrize("text", ["a photo of two red circles", "zebra", "an orange star and a blue heart"])
def test_texts_come_back_from_their_ids(clip: CLIPTokenizer, text: str) -> None:
    assert clip.decode(ids(clip, text), skip_special_tokens=True) == text


def test_any_text_can_be_spelt_and_case_does_not_count(clip: CLIPTokenizer) -> None:
    assert ids(clip, "RED  Circle") == ids(clip, "red circle")
    assert len(ids(clip, "日本 é 🙂")) > 5


def test_the_end_has_the_highest_id_even_in_a_text_that_is_cut(clip: CLIPTokenizer) -> None:
    cut = clip("red circle " * 20, truncation=True).input_ids
    assert len(cut) == 16
    assert max(cut) == cut[-1] == clip.eos_token_id


def test_the_saved_files_give_the_same_ids(clip: CLIPTokenizer, tmp_path: Path) -> None:
    clip.save_pretrained(tmp_path)
    read = CLIPTokenizer.from_pretrained(tmp_path, local_files_only=True)
    assert ids(read, "a photo of two red circles, zebra!") == ids(clip, "a photo of two red circles, zebra!")
    assert read.model_max_length == 16


def test_the_tokenizer_is_the_same_in_every_process() -> None:
    code = "from services.finetune.demo import tokenizer; print(sorted(tokenizer.build(16).get_vocab().items()))"
    told = {subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout for _ in range(3)}
    assert len(told) == 1
