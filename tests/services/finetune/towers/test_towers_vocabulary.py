"""New words in a tokenizer of few words, as both readers of it see them, and in the rows of a text tower."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import CLIPTokenizer

from services.clip import weights
from services.finetune.towers.vocabulary import MARKS, Words, grow, new_words, widen
from shared.accel.tokenizer import Tokenizer, read_tokenizer

SHIPPED = Path(__file__).parents[4] / "models/models/clip/shapes-2"
TEXTS = ["a photo of a Zigzag", "two salamanders and a red circle", "a brown crescent"]
NEW = ["salamanders", "zigzag"]


@pytest.fixture(scope="module")
def known() -> Tokenizer:
    return read_tokenizer(SHIPPED)


@pytest.fixture
def grown(tmp_path: Path) -> Path:
    shutil.copy(SHIPPED / "tokenizer_config.json", tmp_path)
    grow(SHIPPED, NEW, tmp_path)
    return tmp_path


def test_words_without_a_token_are_new_and_spare_ones_are_not(known: Tokenizer) -> None:
    assert new_words(known, TEXTS) == NEW


def test_a_large_vocabulary_needs_no_new_words(known: Tokenizer) -> None:
    large = read_tokenizer(SHIPPED)
    large.size = 49_408
    assert new_words(large, TEXTS) == []


def test_a_new_word_is_one_token_however_it_is_written(known: Tokenizer, grown: Path) -> None:
    ids = read_tokenizer(grown).ids
    assert len(known.ids("zigzag")) > 1 + MARKS
    assert len(ids("zigzag")) == 1 + MARKS
    assert ids("a ZIGZAG.")[2] == ids("zigzag")[1]
    assert ids("zigzag")[1] not in ids("zigzags")  # another word


def test_other_words_keep_their_ids_and_the_marks_stay_highest(known: Tokenizer, grown: Path) -> None:
    tokenizer, text = read_tokenizer(grown), "a photo of a red circle"
    assert tokenizer.size == known.size + len(NEW)
    assert tokenizer.ids(text)[1:-1] == known.ids(text)[1:-1]
    assert (tokenizer.ids(text)[0], tokenizer.ids(text)[-1]) == (tokenizer.size - 2, tokenizer.size - 1)


def test_transformers_reads_the_same_ids(grown: Path) -> None:
    theirs = CLIPTokenizer.from_pretrained(grown)
    assert [tuple(ids) for ids in theirs(TEXTS).input_ids] == [read_tokenizer(grown).ids(text) for text in TEXTS]


def test_rows_of_known_words_stay_and_new_ones_are_no_two_alike() -> None:
    model = weights.read(SHIPPED, torch.float32).module
    assert isinstance(model, torch.nn.Module)
    text_model = model.get_submodule("text_model")
    before = text_model.get_parameter("embeddings.token_embedding.weight").detach().clone()
    widen(text_model, 2)
    after = text_model.get_parameter("embeddings.token_embedding.weight")
    assert torch.equal(after[:-4], before[:-MARKS])
    assert torch.equal(after[-MARKS:], before[-MARKS:])
    assert torch.cosine_similarity(after[-4], after[-3], dim=0) < 0.5
    assert after[-4:-2].std().item() == pytest.approx(before.std().item(), rel=0.2)


def test_without_new_words_a_version_keeps_its_files(known: Tokenizer, tmp_path: Path) -> None:
    words = Words(SHIPPED, known, ["a red circle"])
    words.write(tmp_path)
    words.widen(None)
    assert words.tokenizer is known
    assert list(tmp_path.iterdir()) == []


def test_a_version_tells_the_size_of_its_vocabulary(known: Tokenizer, tmp_path: Path) -> None:
    shutil.copy(SHIPPED / "config.json", tmp_path)
    Words(SHIPPED, known, TEXTS).write(tmp_path)
    text = json.loads((tmp_path / "config.json").read_text())["text_config"]
    assert (text["vocab_size"], text["bos_token_id"], text["eos_token_id"]) == (733, 731, 732)
