"""The text of an answer is told as it becomes certain, whole characters only, and ends before a stop string."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from services.llava.telling import Telling
from services.llava.words import Words
from tests.services.llava import small_words
from tests.services.llava.small_words import CORPUS, END, KINDS


class Letters(Words):
    """Tokens that are spelt by the test itself: what they say is the only thing that matters here."""

    def __init__(self, *spelt: bytes) -> None:
        self._raw = spelt

    @property
    def control(self) -> frozenset[int]:
        """None."""
        return frozenset()


def told(parts: list[bytes], *stops: str) -> tuple[list[str], bool]:
    """What each part brings, and what the end brings; and whether a stop string was met."""
    telling = Telling(Letters(*parts), stops)
    texts = [telling.feed(token) for token in range(len(parts))]
    return [*texts, telling.finish()], telling.stopped


def expected(text: str, stops: list[str]) -> str:
    """The text before the stop string that is complete first, read letter by letter."""
    for end in range(len(text) + 1):
        met = [stop for stop in stops if text[:end].endswith(stop)]
        if met:
            return text[: end - max(map(len, met))]
    return text


LETTERS = st.text(alphabet="ab\n é🙂", max_size=40)
STOPS = st.lists(st.text(alphabet="ab\n é🙂", min_size=1, max_size=5), max_size=4)


@given(text=LETTERS, stops=STOPS, data=st.data())
def test_however_the_tokens_cut_it_the_text_ends_before_the_first_stop_string(
    text: str, stops: list[str], data: st.DataObject
) -> None:
    spelt = text.encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(spelt)), max_size=12)))
    parts = [spelt[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(spelt)], strict=True)]
    texts, stopped = told(parts, *stops)
    answer = text.lstrip()
    assert "".join(texts) == expected(answer, stops)
    assert stopped == any(stop in answer for stop in stops)


@given(text=LETTERS, stop=st.text(alphabet="ab\n", min_size=1, max_size=5))
def test_with_one_stop_string_it_is_what_a_split_gives(text: str, stop: str) -> None:
    texts, _ = told([letter.encode() for letter in text], stop)
    assert "".join(texts) == text.lstrip().split(stop)[0]


def test_what_may_begin_a_stop_string_is_held_back_and_nothing_else() -> None:
    assert told([b"red", b" US", b"ER", b" x"], "USER:") == (["red", " ", "", "USER x", ""], False)
    assert told([b"red", b" US", b"ER:", b" x"], "USER:") == (["red", " ", "", "", ""], True)
    assert told([b"red", b" US"], "USER:") == (["red", " ", "US"], False)


def test_two_stop_strings_that_are_complete_at_once_count_as_the_longer() -> None:
    assert told([b"one\n", b"\n", b"two"], "\n\n", "e\n\n")[0] == ["on", "", "", ""]


def test_a_character_is_told_when_it_is_whole_and_never_in_part() -> None:
    face = "🙂".encode()
    assert told([b"a", face[:1], face[1:3], face[3:], b"b"])[0] == ["a", "", "", "🙂", "b", ""]
    assert told([b"a", face[:3]])[0] == ["a", "", ""]
    assert told([b"a", face[:3], b"b"])[0] == ["a", "", "\ufffdb", ""]


def test_white_space_is_left_out_before_the_answer_and_kept_in_it() -> None:
    assert told([b" ", b"\n", b" red ", b" ", b"\n"])[0] == ["", "", "red ", " ", "\n", ""]


@pytest.mark.parametrize("kind", list(KINDS))
def test_tokens_of_every_kind_tell_the_text_and_marks_tell_nothing(kind: str, tmp_path: Path) -> None:
    tokenizer: Tokenizer = KINDS[kind]()
    words = small_words.read(tokenizer, tmp_path)
    for text in CORPUS:
        telling = Telling(words)
        ids = tokenizer.encode(f" {text}{END}").ids
        assert words.control >= {ids[0], ids[-1]}
        assert "".join(map(telling.feed, ids)) + telling.finish() == text


def test_no_bytes_that_a_model_may_say_raise(tmp_path: Path) -> None:
    words = small_words.read(small_words.llama(), tmp_path)
    telling = Telling(words, ["never"])
    text = "".join(telling.feed(token) for token in range(words.size))
    assert re.search("[ -~]{90}", text)
    assert text.encode()
