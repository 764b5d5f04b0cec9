"""Which token ids of a version are marks, not text: its files say it, in more than one place.

generation_config.json · config.json · tokenizer_config.json · added tokens of tokenizer.json -> ids
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from shared.accel.pretrained import read_json
from shared.serving.model import RefusedWeights

# How a mark is written that its tokenizer does not flag as special: <image>, [INST], <|user|>; not the byte <0x0A>.
SPELT = re.compile(r"(?!<0x[0-9A-Fa-f]{2}>)(<\S+>|\[\S+\])")


@dataclass(frozen=True, slots=True)
class Marks:
    """Ids: of a picture's place, of the end of an answer in a prompt, of all that end one, of every mark."""

    image: int
    end: int
    ends: frozenset[int]
    control: frozenset[int]


def read_marks(version: Path, fields: Mapping[str, Any], pipeline: Tokenizer) -> Marks:
    """The marks of a version directory with `fields` in its config.json.

    Raises `RefusedWeights` where none stands for a picture or for the end, or an id cannot be one.
    """
    named = {name: id_ for name, id_ in _named(version, pipeline).items() if id_ is not None}
    images = _first(fields, "image_token_index", "image_token_id")
    if len(images) != 1:
        raise RefusedWeights("config.json has no image_token_index: nothing stands for a picture.")
    ends = _ends(version, fields) or ([named["eos_token"]] if "eos_token" in named else [])
    if not ends:
        raise RefusedWeights("The version does not say which token ends an answer: set eos_token_id in config.json.")
    end = named.get("eos_token", ends[0])
    control = {*images, *ends, *named.values(), *_written(fields, pipeline)}
    control |= {id_ for id_, added in pipeline.get_added_tokens_decoder().items() if added.special}
    return Marks(images[0], end, frozenset({*ends, end}), frozenset(control))


def _named(version: Path, pipeline: Tokenizer) -> dict[str, int | None]:
    """Marks by the names of tokenizer_config.json, which may be left out."""
    file = version / "tokenizer_config.json"
    settings = read_json(file) if file.exists() else {}
    found = {}
    for name in ("bos_token", "eos_token", "pad_token", "unk_token"):
        told = settings.get(name)
        text = told.get("content") if isinstance(told, dict) else told
        found[name] = pipeline.token_to_id(text) if isinstance(text, str) else None
    return found


def _ends(version: Path, fields: Mapping[str, Any]) -> list[int]:
    file = version / "generation_config.json"
    return _first(read_json(file) if file.exists() else {}, "eos_token_id") or _of_text(fields, "eos_token_id")


def _written(fields: Mapping[str, Any], pipeline: Tokenizer) -> Iterator[int]:
    """Begin and padding as config.json has them, where the token looks it: transformers writes defaults there."""
    for id_ in (*_of_text(fields, "bos_token_id"), *_of_text(fields, "pad_token_id")):
        if SPELT.fullmatch(pipeline.id_to_token(id_) or ""):
            yield id_


def _of_text(fields: Mapping[str, Any], name: str) -> list[int]:
    text = fields.get("text_config")
    return (_first(text, name) if isinstance(text, dict) else []) or _first(fields, name)


def _first(fields: Mapping[str, Any], *names: str) -> list[int]:
    """The ids of the first of the fields `names` that is set: one id, or a list of them."""
    value: Any = next((fields[name] for name in names if fields.get(name) is not None), [])
    ids = value if isinstance(value, list) else [value]
    if not all(type(id_) is int and 0 <= id_ < 2**31 for id_ in ids):
        raise RefusedWeights(f"{names[0]} must be a token id, or a list of them.")
    return ids
