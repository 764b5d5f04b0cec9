"""Text becomes the ids that transformers gives, and never a mark; ids become the bytes that they write."""

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers
from transformers import PreTrainedTokenizerFast

from services.llava.chat import Message, Picture
from services.llava.template import Piece, Quoted, pieces
from services.llava.words import Words
from shared.errors import InvalidRequest
from shared.serving.model import RefusedWeights
from tests.services.llava import small_words
from tests.services.llava.small_words import CORPUS, END, IMAGE, KINDS, MARKS, START, written

PICTURE = Picture(b"a")
LETTERS = [*"abc ABC .,!?\n09{}<>/|", *CORPUS[0].split()]
RARE = [*"éß漢🙂\u200d\u0301\u2028\ufeff▁Ġ", *map(chr, range(1, 32)), "\ud83d", "\ude42", "\0"]


@pytest.fixture(params=list(KINDS))
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return KINDS[request.param]()


def id_of(tokenizer: Tokenizer, token: str) -> int:
    id_ = tokenizer.token_to_id(token)
    assert id_ is not None
    return id_


def quoted(text: str, field: str = "messages[0]") -> list[Piece]:
    return ["USER: ", Quoted(text, field), " ASSISTANT:"]


def conversation(chance: random.Random) -> list[Message]:
    """One to four turns about pictures, in plain words of the corpus."""

    def text() -> str:
        return " ".join(chance.choices(" ".join(CORPUS).split(), k=chance.randrange(1, 9)))

    turns = [Message("system", (text(),))] if chance.random() < 0.5 else []
    for _ in range(chance.randrange(4)):
        turns += [Message("user", (PICTURE, text())), Message("assistant", (text(),))]
    asked: list[str | Picture] = [PICTURE, text()]
    return [*turns, Message("user", (text(), *asked * chance.randrange(3)))]


def test_ordinary_text_gets_the_ids_that_transformers_gives_the_whole_prompt(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    words = small_words.read(tokenizer, tmp_path)
    theirs = PreTrainedTokenizerFast(tokenizer_object=tokenizer)  # type: ignore[no-untyped-call]
    chance = random.Random(0)
    for _ in range(200):
        prompt = pieces(conversation(chance))
        ids, places = words.tokens(prompt, 3)
        assert ids == theirs(written(prompt).replace(IMAGE, IMAGE * 3)).input_ids
        assert [start for start, _ in places] == [n for n, id_ in enumerate(ids) if theirs.decode(id_) == IMAGE][::3]


@pytest.mark.parametrize("flags", [{"normalized": True}, {"rstrip": True}, {"special": False}, {}])
def test_marks_cut_what_follows_as_their_flags_say(flags: dict[str, bool], tmp_path: Path) -> None:
    tokenizer = small_words.llama()
    tokenizer.add_tokens([AddedToken("<image>", **{"normalized": False, "special": True, **flags})])
    words = small_words.read(tokenizer, tmp_path)
    theirs = PreTrainedTokenizerFast(tokenizer_object=tokenizer)  # type: ignore[no-untyped-call]
    prompt = pieces([Message("user", (PICTURE, "What is it?"))])
    ids, expected, image = words.tokens(prompt, 1)[0], theirs(written(prompt)).input_ids, id_of(tokenizer, IMAGE)
    assert ids[ids.index(image) :] == expected[expected.index(image) :]


def test_a_prompt_begins_as_the_tokenizer_begins_a_text(tokenizer: Tokenizer, tmp_path: Path) -> None:
    assert small_words.read(tokenizer, tmp_path).tokens(["USER:"], 1)[0][0] == id_of(tokenizer, START)
    tokenizer.post_processor = None
    bare = small_words.read(tokenizer, tmp_path).tokens(["USER:"], 1)[0]
    assert bare == tokenizer.encode("USER:").ids


def test_a_picture_takes_its_tokens_and_tells_where_they_begin(tokenizer: Tokenizer, tmp_path: Path) -> None:
    words, other = small_words.read(tokenizer, tmp_path), Picture(b"b")
    ids, places = words.tokens(["USER: ", PICTURE, "\n", other, "\nASSISTANT:"], 5)
    image = id_of(tokenizer, IMAGE)
    assert ids.count(image) == 10
    assert [picture for _, picture in places] == [PICTURE, other]
    assert all(ids[start : start + 5] == [image] * 5 and ids[start - 1] != image for start, _ in places)


def test_marks_in_the_text_of_a_caller_are_letters(tokenizer: Tokenizer, tmp_path: Path) -> None:
    words = small_words.read(tokenizer, tmp_path)
    for mark in MARKS:
        ids, _ = words.tokens(["USER: ", PICTURE, "\n", Quoted(f"say {mark} now", "messages[0]"), "ASSISTANT:"], 1)
        said = b"".join(words.raw(id_) for id_ in ids[ids.index(id_of(tokenizer, IMAGE)) + 1 :]).decode()
        assert said.lstrip() == f"say {mark} nowASSISTANT:"
        assert words.control.isdisjoint(ids[ids.index(id_of(tokenizer, IMAGE)) + 1 :])


def test_a_mark_that_is_not_flagged_as_special_is_letters_too_and_an_added_word_is_a_word(tmp_path: Path) -> None:
    tokenizer = small_words.byte_level()
    tokenizer.add_tokens(["<|user|>", "[INST]", "hexagon"])
    words = small_words.read(tokenizer, tmp_path)
    ids, _ = words.tokens(quoted("<|user|> [INST] hexagon"), 1)
    assert {"<|user|>", "[INST]"}.isdisjoint(words.text(id_) for id_ in ids)
    assert id_of(tokenizer, "hexagon") in ids
    assert words.control >= {id_of(tokenizer, "<|user|>"), id_of(tokenizer, "[INST]")}


def test_text_that_the_vocabulary_can_only_read_as_a_mark_is_refused(tmp_path: Path) -> None:
    letters = sorted(set("USER: ASSISTANT:\nabc</s>").union(MARKS) - {" "} | {"▁"})
    merges = [("<", "/"), ("</", "s"), ("</s", ">")]
    names = [*letters, *("".join(pair) for pair in merges if "".join(pair) not in letters)]
    tokenizer = Tokenizer(models.BPE({name: id_ for id_, name in enumerate(names)}, merges, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="never")
    words = small_words.read(tokenizer, tmp_path)
    with pytest.raises(InvalidRequest) as refused:
        words.tokens([Quoted("a b", "messages[0]"), "USER: ", Quoted("a</s>b", "messages[1]")], 1)
    assert refused.value.param == "messages[1]"


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "a\0b", "\x004\0"])
def test_text_that_is_not_unicode_or_has_a_nul_is_refused_by_its_field(
    text: str, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        small_words.read(tokenizer, tmp_path).tokens(quoted(text, "messages[7]"), 1)
    assert refused.value.param == "messages[7]"
    assert "messages[7]" in refused.value.message


def test_no_text_of_a_caller_becomes_a_mark_or_an_unexpected_error(tokenizer: Tokenizer, tmp_path: Path) -> None:
    words, image = small_words.read(tokenizer, tmp_path), id_of(tokenizer, IMAGE)
    tricks = [*MARKS, "USER:", "ASSISTANT:", "<im", "age>", "</", "s>", "<<s>>", "<image>\n", "<0x0A>"]
    parts = LETTERS * 100 + tricks * 400 + RARE + [f"\0{image}\0"]
    chance = random.Random(1)
    refused = Counter[bool]()

    def read(texts: list[str]) -> None:
        """All in one prompt, or apart where one of them is refused."""
        try:
            ids, places = words.tokens([p for text in texts for p in (Quoted(text, "messages[0]"), PICTURE)], 1)
        except InvalidRequest as error:
            assert error.param == "messages[0]"
            if len(texts) > 1:
                read(texts[: len(texts) // 2])
                read(texts[len(texts) // 2 :])
                return
            refused[True] += 1
            return
        refused[False] += len(texts)
        assert [n for n, id_ in enumerate(ids) if id_ in words.control] == [0, *(start for start, _ in places)]

    for _ in range(34_000 // 16):  # of three kinds: 100,000 texts
        read(["".join(chance.choices(parts, k=5)) for _ in range(16)])
    assert refused[True] > 20
    assert refused[False] > 30_000


def test_the_bytes_of_tokens_are_the_text(tokenizer: Tokenizer, tmp_path: Path) -> None:
    words = small_words.read(tokenizer, tmp_path)
    for text in CORPUS:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        assert b"".join(map(words.raw, ids)).decode().lstrip() == text.lstrip()
        assert "".join(map(words.text, ids)).lstrip() == text.lstrip()


def test_a_part_of_a_character_has_its_bytes_and_a_mark_has_its_name(tmp_path: Path) -> None:
    tokenizer = small_words.llama()
    words = small_words.read(tokenizer, tmp_path)
    part = id_of(tokenizer, "<0xF0>")
    assert (words.raw(part), words.text(part)) == (b"\xf0", "\ufffd")
    assert words.text(id_of(tokenizer, END)) == END
    assert words.raw(words.size) == b""


def test_answers_end_with_what_the_generation_config_says_and_with_the_mark_of_prompts(tmp_path: Path) -> None:
    tokenizer = small_words.byte_level()
    config = small_words.write(tokenizer, tmp_path, eos_token_id=[7, 9])
    assert Words.read(tmp_path, config).ends == {7, 9, id_of(tokenizer, END)}
    assert Words.read(tmp_path, config).control >= {7, 9}


def test_a_picture_mark_that_the_tokenizer_does_not_know_is_an_id_all_the_same(tmp_path: Path) -> None:
    tokenizer = small_words.byte_level()
    config = small_words.write(tokenizer, tmp_path) | {"image_token_index": tokenizer.get_vocab_size()}
    words = Words.read(tmp_path, config)
    ids, _ = words.tokens([*quoted("a"), PICTURE, "\nb"], 1)
    assert ids[-3] == words.size - 1 == tokenizer.get_vocab_size()


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ({"image_token_index": None}, "image_token_index"),
        ({"image_token_index": "3"}, "token id"),
        ({"image_token_index": -200}, "token id"),
        ({"text_config": {"eos_token_id": True}}, "token id"),
    ],
)
def test_a_version_whose_config_tells_no_usable_mark_is_refused(
    damage: dict[str, Any], told: str, tmp_path: Path
) -> None:
    config = small_words.write(small_words.byte_level(), tmp_path)
    with pytest.raises(RefusedWeights, match=told):
        Words.read(tmp_path, config | damage)


def test_a_version_that_does_not_say_what_ends_an_answer_is_refused(tmp_path: Path) -> None:
    config = small_words.write(small_words.byte_level(), tmp_path) | {"text_config": {}}
    (tmp_path / "tokenizer_config.json").unlink()
    with pytest.raises(RefusedWeights, match="ends an answer"):
        Words.read(tmp_path, config)


@pytest.mark.parametrize("content", ["", "[]", "{}", json.dumps({"model": {"type": "BPE"}, "added_tokens": [1]})])
def test_a_tokenizer_that_cannot_be_read_is_refused(content: str, tmp_path: Path) -> None:
    config = small_words.write(small_words.byte_level(), tmp_path)
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(RefusedWeights, match=r"tokenizer\.json"):
        Words.read(tmp_path, config)


def test_a_decoder_that_does_more_than_is_known_here_is_refused(tmp_path: Path) -> None:
    tokenizer = small_words.byte_level()
    tokenizer.decoder = decoders.WordPiece()
    with pytest.raises(RefusedWeights, match="decoder"):
        small_words.read(tokenizer, tmp_path)
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Replace("a", "e")])
    with pytest.raises(RefusedWeights, match="read and write"):
        small_words.read(tokenizer, tmp_path)
