"""Whatever the logits say, an answer under a grammar is JSON of its schema; what no grammar can keep is refused."""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import torch
from pydantic import BaseModel, Field, TypeAdapter
from torch import Tensor

from services.llava import grammar
from services.llava.grammar import Constraint, compile_grammar
from services.llava.prompt import Prompt
from services.llava.sampling import Sampling, choose
from services.llava.sequence import Sequence
from services.llava.telling import Telling
from services.llava.words import Words
from shared.errors import InvalidRequest
from tests.services.llava import small_words
from tests.services.llava.small_words import KINDS

VOCABULARY = 600  # of the network, which is more than any tokenizer here has


class Colour(Enum):
    """Of a shape."""

    RED = "red"
    BLUE = "blue"


class Shape(BaseModel):
    """What a picture shows."""

    kind: Literal["circle", "square"]
    colour: Colour
    count: int = Field(ge=0, le=99)
    where: tuple[float, float] | None = None
    inside: list["Shape"] = Field(default_factory=list, max_length=2)


SCHEMAS: dict[str, Mapping[str, Any]] = {
    "shape": Shape.model_json_schema(),
    "date": {
        "type": "object",
        "properties": {"on": {"type": "string", "format": "date"}},
        "required": ["on"],
        "additionalProperties": False,
    },
    "pattern": {"type": "string", "pattern": "^[a-c]{2,4}$"},
    "either": {"anyOf": [{"const": 1}, {"enum": ["one", None]}]},
}
CHECKS: dict[str, TypeAdapter[Any]] = {
    "shape": TypeAdapter(Shape),
    "date": TypeAdapter(dict[Literal["on"], Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$")]]),
    "pattern": TypeAdapter(Annotated[str, Field(pattern="^[a-c]{2,4}$")]),
    "either": TypeAdapter(Literal[1, "one", None]),
}


@pytest.fixture(scope="module", params=list(KINDS))
def words(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Words:
    return small_words.read(KINDS[request.param](), tmp_path_factory.mktemp("words"))


@pytest.fixture(scope="module")
def letters(tmp_path_factory: pytest.TempPathFactory) -> Words:
    return small_words.read(small_words.byte_level(), tmp_path_factory.mktemp("letters"))


def noise(seed: int) -> Tensor:
    """Logits of nobody in particular, in which brackets and quotes that close are likely enough to come."""
    return torch.randn(VOCABULARY, generator=torch.Generator().manual_seed(seed)) * 3


def closing(words: Words) -> Tensor:
    """What to add to the logits so that an answer ends some day."""
    closes = [words.raw(token) in (b'"', b"]", b"}") or token in words.ends for token in range(words.size)]
    return torch.tensor(closes + [False] * (VOCABULARY - words.size)).float()


def said(words: Words, constraint: Constraint, *, seed: int, limit: int = 400) -> str:
    """An answer by the engine's own sampling, from logits that are random at each step."""
    row = Sequence(Prompt((1,)), limit, words.ends, sampling=Sampling(seed=seed, constraint=constraint))
    telling, close = Telling(words), closing(words)
    row.tokens = [1]
    text = ""
    while row.end is None:
        token = choose((noise(seed * 1000 + row.said) + close * row.said / 5)[None], [row])[0].token
        row.tokens.append(token)
        text += telling.feed(token)
    assert row.end == "stop"
    return text + telling.finish()


def spell(words: Words, constraint: Constraint, text: str) -> Tensor:
    """What may come after `text`, which is told letter by letter, with the masks that the engine would ask for."""
    for letter in text:
        constraint.mask(VOCABULARY)
        constraint.advance(next(token for token in range(words.size) if words.text(token) == letter))
    return constraint.mask(VOCABULARY)


@pytest.mark.parametrize("name", list(SCHEMAS))
def test_any_logits_give_a_value_of_the_schema(name: str, words: Words) -> None:
    compiled = compile_grammar(SCHEMAS[name], words)
    for seed in range(6):
        CHECKS[name].validate_json(said(words, compiled.start(), seed=seed))


def test_without_a_schema_any_logits_give_a_json_object(words: Words) -> None:
    compiled = compile_grammar({}, words)
    for seed in range(6):
        assert isinstance(json.loads(said(words, compiled.start(), seed=seed)), dict)


def test_logits_that_want_only_spaces_get_one(letters: Words) -> None:
    spaces = [not letters.raw(token).strip() for token in range(letters.size)]
    constraint = compile_grammar({"const": {"a": [1, 2]}}, letters).start()
    text = ""
    while True:
        allowed = constraint.mask(letters.size)
        wanted = allowed & torch.tensor(spaces)
        token = int((wanted if wanted.any() else allowed).int().argmax())
        if token in letters.ends:
            break
        constraint.advance(token)
        text += letters.text(token)
    assert json.loads(text) == {"a": [1, 2]}
    assert "  " not in text
    assert "\n" not in text


def test_after_a_complete_value_only_an_end_mark_may_come(letters: Words) -> None:
    compiled = compile_grammar({"enum": ["a"]}, letters)
    assert not any(spell(letters, compiled.start(), '"a')[end] for end in letters.ends)
    assert set(spell(letters, compiled.start(), '"a"').nonzero()[:, 0].tolist()) == letters.ends


def test_no_mark_is_part_of_a_value_and_no_token_beyond_the_tokenizer(words: Words) -> None:
    allowed = set(spell(words, compile_grammar({"type": "string"}, words).start(), '"').nonzero()[:, 0].tolist())
    assert len(allowed) > 50
    assert allowed.isdisjoint(words.control)
    assert max(allowed) < words.size


def test_every_spelling_of_what_must_come_may_come(words: Words) -> None:
    allowed = spell(words, compile_grammar({"const": {"circle": 1}}, words).start(), '{"')
    spelt = {words.text(token) for token in allowed.nonzero()[:, 0].tolist()}
    assert spelt == {text for text in map(words.text, range(words.size)) if text and "circle".startswith(text)}
    assert len(spelt) > 1


def test_answers_of_one_grammar_do_not_disturb_each_other(letters: Words) -> None:
    compiled = compile_grammar({"enum": ["a", "b"]}, letters)
    first, second = compiled.start(), compiled.start()
    before = second.mask(VOCABULARY)
    first.advance(int(first.mask(VOCABULARY).int().argmax()))
    assert second.mask(VOCABULARY).equal(before)
    assert compiled.start().mask(VOCABULARY).equal(before)


def test_grammars_are_compiled_on_several_threads_at_once(letters: Words) -> None:
    with ThreadPoolExecutor(4) as pool:
        compiled = list(pool.map(lambda n: compile_grammar({"const": n}, letters), range(100, 132)))
    assert [json.loads(said(letters, one.start(), seed=1)) for one in compiled] == list(range(100, 132))


DEEP: dict[str, Any] = {}
for _ in range(grammar.MAX_DEPTH):
    DEEP = {"items": DEEP}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "foo"},
        {"type": "string", "pattern": "a(("},
        {"type": "string", "pattern": "(?=a)b"},
        {"type": "string", "format": "nothing that exists"},
        {"not": {"type": "string"}},
        {"type": "array", "uniqueItems": True},
        {"$ref": "https://example.com/schema.json"},
        {"$ref": "file:///etc/hostname"},
        {"$ref": "#/$defs/missing"},
        {"type": "object", "properties": {"a": False}, "required": ["a"]},
        {"type": "string", "const": 1},
        {"const": "\ud800"},
        {"const": float("nan")},
        {"enum": ["a" * grammar.MAX_BYTES]},
        {"allOf": [{"anyOf": [{"properties": {f"{a}{b}": {}}} for a in range(8)]} for b in range(8)]},
        DEEP,
    ],
)
def test_a_schema_that_cannot_be_kept_is_refused_in_our_own_words(schema: dict[str, Any], letters: Words) -> None:
    with pytest.raises(InvalidRequest) as refused:
        compile_grammar(schema, letters)
    assert refused.value.param == grammar.FIELD
    assert refused.value.message.startswith(f"'{grammar.FIELD}' ")
    assert "example.com" not in refused.value.message


def test_a_schema_cannot_switch_the_rules_of_the_grammar(letters: Words) -> None:
    lenient = {"not": {"type": "string"}, "x-guidance": {"lenient": True, "whitespace_pattern": "[ ]*"}}
    with pytest.raises(InvalidRequest):
        compile_grammar(lenient, letters)


def test_a_value_that_takes_too_much_work_is_refused_and_not_cut_short(letters: Words) -> None:
    ways = {f"p{n}": {"type": "string", "pattern": f"a{n}.*b{{5,50}}"} for n in range(1000)}
    constraint = compile_grammar({"type": "object", "properties": ways}, letters).start()
    with pytest.raises(InvalidRequest, match="too complex"):
        spell(letters, constraint, '{"p')


def test_a_schema_that_only_refers_to_itself_is_refused(letters: Words) -> None:
    with pytest.raises(InvalidRequest, match="no value"):
        said(
            letters,
            compile_grammar({"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}, letters).start(),
            seed=0,
        )


def test_a_token_that_was_not_allowed_shows_at_the_next_mask(letters: Words) -> None:
    with pytest.raises(InvalidRequest):
        spell(letters, compile_grammar({}, letters).start(), "]")


def test_a_value_that_the_vocabulary_cannot_spell_is_refused(tmp_path: Path) -> None:
    words = small_words.read(small_words.metaspace(), tmp_path)
    with pytest.raises(InvalidRequest, match="no value"):
        spell(words, compile_grammar({"const": "漢"}, words).start(), '"')
