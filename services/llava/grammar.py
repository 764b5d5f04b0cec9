"""Answers that are JSON: a schema -> a grammar, compiled once per request -> which tokens may come next.

compile_grammar   CPU pool, limits on size, depth and work; a schema that cannot be kept -> 400
start             one constraint per answer
mask, advance     device thread, each constraint on its own; past the limit of one step -> 400, this answer alone

White space is one space at most wherever JSON allows it, so that no answer can be spaces for ever. A grammar belongs to
the words that it was compiled for.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from llguidance import LLMatcher, LLParserLimits
from torch import Tensor

from services.llava.words import Words
from shared.errors import InvalidRequest

FIELD = "response_format.json_schema.schema"
MAX_BYTES = 65_536
MAX_DEPTH = 32
# A tenth of a second for a grammar and a few milliseconds for a step, as measured; real schemas need a tenth of that.
LIMITS = LLParserLimits(
    initial_lexer_fuel=500_000,
    step_lexer_fuel=50_000,
    step_max_items=20_000,
    max_lexer_states=20_000,
    max_grammar_size=100_000,
    verbose_errors=False,
)
FORM = {
    "whitespace_pattern": " ?",
    "item_separator": ",",
    "key_separator": ":",
    "coerce_one_of": False,
    "lenient": False,
}
# The space before the value is the one after `ASSISTANT:` in all that the model was trained on. Nothing is forced, for
# forced text would be spelt by the tokenizer, which puts a space before it in SentencePiece's form.
SYNTAX = '%llguidance {"no_forcing": true}\nstart: " "? value\nvalue: %json '


class Constraint:
    """What one answer may still say."""

    def __init__(self, matcher: LLMatcher) -> None:
        self._matcher = matcher

    def mask(self, size: int) -> Tensor:
        """Which of `size` tokens may come next, as booleans; only an end mark once the value is complete.

        Raises `InvalidRequest` where the grammar leads to no value, or needs more work than one step may take.
        """
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        told = np.unpackbits(bits, count=min(size, 8 * len(bits)), bitorder="little")
        stuck = self._matcher.is_stopped() and not self._matcher.is_accepting()
        if stuck or self._matcher.is_error() or not told.any():
            raise _refused("leads to no value that this model can write, or is too complex. Simplify it.")
        allowed = np.zeros(size, dtype=bool)
        allowed[: len(told)] = told
        return torch.from_numpy(allowed)

    def advance(self, token: int) -> None:
        """Tell which token came. One that was not allowed shows at the next `mask`."""
        self._matcher.consume_token(token)


class Grammar:
    """A compiled schema, for any number of answers."""

    def __init__(self, matcher: LLMatcher) -> None:
        self._matcher = matcher

    def start(self) -> Constraint:
        """The constraint of a new answer."""
        return Constraint(self._matcher.deep_copy())


def compile_grammar(schema: Mapping[str, Any], words: Words) -> Grammar:
    """The grammar of a JSON schema, `{}` meaning any JSON object. Raises `InvalidRequest`."""
    wanted = {**(schema or {"type": "object"}), "x-guidance": FORM}
    matcher = LLMatcher(
        words.lexicon, LLMatcher.grammar_from_lark(SYNTAX + _checked(wanted)), log_level=0, limits=LIMITS
    )
    if matcher.is_error():
        raise _refused(
            "is not a valid JSON schema, or has what is not supported here, such as 'not', 'uniqueItems', look-around "
            "in a pattern, an unknown format or a reference to elsewhere. Simplify it."
        )
    grammar = Grammar(matcher)
    grammar.start().mask(words.size)  # what leads to no value shows here already
    return grammar


def _checked(schema: Mapping[str, Any]) -> str:
    """The schema as text, within the limits. Raises `InvalidRequest`."""
    if _deeper(schema, MAX_DEPTH):
        raise _refused(f"is nested deeper than {MAX_DEPTH}. Flatten it.")
    try:
        text = json.dumps(schema, allow_nan=False)
    except (TypeError, ValueError):
        raise _refused("has a value that JSON does not have.") from None
    if len(text) > MAX_BYTES:
        raise _refused(f"has more than {MAX_BYTES:,} bytes. Shorten it.")
    return text


def _deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_deeper(each, levels - 1) for each in inner)


def _refused(what: str) -> InvalidRequest:
    return InvalidRequest(f"'{FIELD}' {what}", param=FIELD)
