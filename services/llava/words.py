"""Pieces of a prompt -> token ids, and token ids -> text, with the tokenizer that a version directory holds.

text between two marks, behind an anchor that stands for the mark before it -> ids, those of the whole prompt

No mark is read from text (`encode_special_tokens`), and an anchor holds a NUL, which no text may have: what a caller
writes is letters, whatever it spells.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from llguidance import LLTokenizer, TokenizerWrapper
from tokenizers import AddedToken, Tokenizer

from services.llava.chat import Picture
from services.llava.marks import SPELT, Marks, read_marks
from services.llava.spelling import spellings
from services.llava.template import Piece, Quoted
from shared.accel.pretrained import read_json
from shared.errors import InvalidRequest
from shared.serving.model import RefusedWeights

PROBE = "USER: a b\nASSISTANT:"


class Words:
    """The words of one version; any number of threads may use it at once."""

    def __init__(self, fields: Mapping[str, Any], version: Path, config: Mapping[str, Any]) -> None:
        """`fields` are those of tokenizer.json, `config` those of config.json."""
        self._pipeline = _pipeline(fields)
        self._marks: Marks = read_marks(version, config, self._pipeline)
        self._raw = spellings(self._pipeline, fields.get("decoder") or {})
        self._anchors = {mark: self._anchor(mark) for mark in (self._marks.image, self._marks.end)}
        self._opening = self._begin()
        self._check()

    @classmethod
    def read(cls, version: Path, config: Mapping[str, Any]) -> Self:
        """The tokenizer and the marks of a version directory. Raises `RefusedWeights` where they cannot serve."""
        fields = read_json(version / "tokenizer.json")
        try:
            for added in fields.get("added_tokens") or []:
                added["special"] = bool(added["special"] or SPELT.fullmatch(added["content"]))
            return cls(fields, version, config)
        except RefusedWeights:
            raise
        except Exception as error:
            raise RefusedWeights("tokenizer.json cannot be read.") from error

    @property
    def control(self) -> frozenset[int]:
        """Ids of all marks, whose spelling is never text of an answer."""
        return self._marks.control

    @property
    def ends(self) -> frozenset[int]:
        """Ids that end an answer."""
        return self._marks.ends

    @property
    def size(self) -> int:
        """One more than the largest id."""
        return max(len(self._raw), max(self.control) + 1)

    def raw(self, token: int) -> bytes:
        """The bytes that a token writes, which need not be whole characters; those of a mark spell its name."""
        return self._raw[token] if token < len(self._raw) else b""

    def text(self, token: int) -> str:
        """A token as text, with U+FFFD for bytes that are not whole characters."""
        return self.raw(token).decode(errors="replace")

    def tokens(self, pieces: Iterable[Piece], picture_tokens: int) -> tuple[list[int], list[tuple[int, Picture]]]:
        """The ids of a prompt, `picture_tokens` of them for each picture, and where each picture starts.

        Raises `InvalidRequest` for text that is not Unicode, or that the tokenizer can only read as a mark.
        """
        ids, places = list(self._opening), list[tuple[int, Picture]]()
        run, before = list[str | Quoted](), None
        for piece in pieces:
            if isinstance(piece, str | Quoted):
                run.append(piece)
                continue
            ids += self._between(run, before)
            if isinstance(piece, Picture):
                places.append((len(ids), piece))
                ids += [self._marks.image] * picture_tokens
            else:
                ids.append(self._marks.end)
            run, before = [], ids[-1]
        return ids + self._between(run, before), places

    @cached_property
    def lexicon(self) -> LLTokenizer:
        """The tokens as a grammar reads them."""
        return LLTokenizer(TokenizerWrapper(_Lexicon(self)), eos_token=sorted(self.ends))

    def _between(self, run: Sequence[str | Quoted], before: int | None) -> list[int]:
        """The ids of text that follows the mark `before`, or begins the prompt."""
        text = "".join(piece if isinstance(piece, str) else _unicode(piece) for piece in run)
        ids = self._ids(text) if before is None else self._ids(self._anchors[before] + text)[1:]
        if not self.control.isdisjoint(ids):
            raise self._refused([piece for piece in run if isinstance(piece, Quoted)])
        return ids

    def _ids(self, text: str) -> list[int]:
        return self._pipeline.encode(text, add_special_tokens=False).ids

    def _anchor(self, mark: int) -> str:
        """A text that cuts and strips what follows as the mark does; where that is no added token, as most marks do."""
        like = self._pipeline.get_added_tokens_decoder().get(mark) or AddedToken("-", normalized=False)
        anchor = AddedToken(f"\0{mark}\0", normalized=like.normalized, rstrip=like.rstrip, single_word=like.single_word)
        self._pipeline.add_tokens([anchor])
        return str(anchor.content)

    def _refused(self, quoted: Sequence[Quoted]) -> InvalidRequest:
        guilty = [each for each in quoted if not self.control.isdisjoint(self._ids(each.text))]
        field = (guilty or quoted)[0].field
        return InvalidRequest(
            f"'{field}' has a character or a mark that this model cannot read. Remove it.", param=field
        )

    def _begin(self) -> list[int]:
        """What the tokenizer itself puts before a text."""
        whole, bare = self._pipeline.encode("a").ids, self._ids("a")
        return whole[: whole.index(bare[0])]

    def _check(self) -> None:
        """Refuse a tokenizer that cannot spell the roles, or whose decoder does more than is known here."""
        ids = self._ids(PROBE)
        told = b"".join(map(self.raw, ids)).decode(errors="replace").lstrip()
        behind = [self._ids(anchor + PROBE) for anchor in self._anchors.values()]
        cut = all(each[0] >= len(self._raw) and self.control.isdisjoint(each[1:]) for each in behind)
        if not cut or told != self._pipeline.decode(ids).lstrip():
            raise RefusedWeights(f"The tokenizer does not read and write {PROBE!r} as one of a Llama does.")


class _Lexicon:
    """What llguidance asks of a tokenizer."""

    bos_token_id = None

    def __init__(self, words: Words) -> None:
        self.eos_token_id = min(words.ends)
        self.special_token_ids = sorted(words.control)
        self.tokens = [words.raw(token) for token in range(words.size)]
        self._words = words

    def __call__(self, text: str) -> list[int]:
        return self._words._ids(text)


def _pipeline(fields: Mapping[str, Any]) -> Tokenizer:
    pipeline = Tokenizer.from_str(json.dumps(fields))
    pipeline.encode_special_tokens = True  # as letters
    pipeline.no_truncation()  # a prompt that is too long is refused by name, not cut in silence
    pipeline.no_padding()
    return pipeline


def _unicode(quoted: Quoted) -> str:
    """The text of a caller, if it is Unicode. Raises `InvalidRequest`."""
    try:
        quoted.text.encode()
    except UnicodeEncodeError:
        message = f"'{quoted.field}' has half a surrogate pair in its text. Send valid Unicode."
        raise InvalidRequest(message, param=quoted.field) from None
    if "\0" in quoted.text:
        raise InvalidRequest(f"'{quoted.field}' has a NUL character in its text. Remove it.", param=quoted.field)
    return quoted.text
