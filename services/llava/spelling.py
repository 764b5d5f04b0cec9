"""The bytes that each token writes, by the decoder of its tokenizer: byte-level, or SentencePiece in either form."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from tokenizers import Tokenizer
from tokenizers.pre_tokenizers import ByteLevel

from shared.serving.model import RefusedWeights

SPACE = "▁"  # how SentencePiece writes a space
BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def spellings(pipeline: Tokenizer, decoder: Mapping[str, Any]) -> tuple[bytes, ...]:
    """The bytes of every token by id, nothing for an id that no token has; added ones are written as they are.

    `decoder` is that of tokenizer.json. Raises `RefusedWeights` for a kind that Llama never had.
    """
    spell = _speller({each.get("type") for each in decoder.get("decoders", [decoder])})
    added = pipeline.get_added_tokens_decoder()
    vocabulary = pipeline.get_vocab(with_added_tokens=True)
    written = [b""] * (max(vocabulary.values(), default=-1) + 1)
    for token, id_ in vocabulary.items():
        written[id_] = token.encode() if id_ in added else spell(token)
    return tuple(written)


def _speller(kinds: set[Any]) -> Callable[[str], bytes]:
    if "ByteLevel" in kinds:
        table = _bytes_by_letter()
        return lambda token: b"".join(table.get(letter, letter.encode()) for letter in token)
    if not kinds & {"Metaspace", "Replace"}:
        raise RefusedWeights("tokenizer.json: the decoder must be byte-level or SentencePiece's.")
    return _sentencepiece if "ByteFallback" in kinds else _plain


def _bytes_by_letter() -> dict[str, bytes]:
    """GPT-2's letters: printable bytes of Latin-1 stand for themselves, the others follow from 256 on, in order."""
    letters = set(ByteLevel.alphabet())
    hidden = [byte for byte in range(256) if chr(byte) not in letters]
    names = {chr(byte): bytes([byte]) for byte in range(256) if chr(byte) in letters}
    return names | {chr(256 + number): bytes([byte]) for number, byte in enumerate(hidden)}


def _sentencepiece(token: str) -> bytes:
    byte = BYTE.fullmatch(token)
    return bytes([int(byte[1], 16)]) if byte else _plain(token)


def _plain(token: str) -> bytes:
    return token.replace(SPACE, " ").encode()
