"""A request of the wire -> what the model is asked.

fields that ask for nothing here, or contradict each other -> refused
sampling, grammar, messages (`services.llava.messages`) -> `Talk`
"""

from collections.abc import Mapping
from typing import Any, NoReturn

from services.llava.chat import Message, Talk
from services.llava.messages import check_length, to_messages
from services.llava.sampling import Sampling
from services.llava.schemas import ChatRequest, ResponseFormat, TokenizeRequest
from shared.errors import InvalidRequest
from shared.settings import Limits

# What asks for something that this model cannot do, and the values that ask for nothing.
REFUSED: Mapping[str, tuple[Any, ...]] = {
    "tools": ([],),
    "tool_choice": ("none",),
    "functions": ([],),
    "function_call": ("none",),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "web_search_options": (),
    "moderation": (),
}


def to_talk(request: ChatRequest, limits: Limits, *, temperature: float = 1.0) -> Talk:
    """What `request` asks; `temperature` is the model's own. `stop` and the fields of streaming are not part of it.

    Raises `InvalidRequest`, `TooLarge` and `InvalidImage`, which name the field.
    """
    _refuse_foreign(request)
    _check_pairs(request)
    return Talk(
        messages=to_messages(request.messages, limits),
        sampling=_sampling(request, temperature),
        limit=request.max_completion_tokens or request.max_tokens,
        answers=request.n,
        grammar=_grammar(request.response_format),
        salt=request.cache_salt,
    )


def to_prompt(request: TokenizeRequest, limits: Limits) -> str | tuple[Message, ...]:
    """The text, or the conversation, whose tokens are asked. Raises as `to_talk` does."""
    if (request.messages is None) == (request.prompt is None):
        _refuse("Send either 'messages' or 'prompt'.", "prompt")
    if request.messages is not None:
        return to_messages(request.messages, limits)
    assert request.prompt is not None
    check_length([request.prompt], "prompt")
    return request.prompt


def _refuse_foreign(request: ChatRequest) -> None:
    """Refuse what asks for tools, sound, searches and the like."""
    for name, harmless in REFUSED.items():
        value = getattr(request, name)
        if value is not None and value not in harmless:
            message = f"'{name}' asks for what this model cannot do. Leave it out."
            _refuse(message, name, code="unsupported_parameter")


def _check_pairs(request: ChatRequest) -> None:
    """Refuse fields that do not go with each other."""
    limits = {request.max_tokens, request.max_completion_tokens} - {None}
    if len(limits) > 1:
        _refuse("'max_tokens' differs from 'max_completion_tokens'. Send only the latter.", "max_tokens")
    if request.top_logprobs is not None and not request.logprobs:
        _refuse("'top_logprobs' needs 'logprobs': true.", "top_logprobs")
    if request.stream_options is not None and not request.stream:
        _refuse("'stream_options' needs 'stream': true.", "stream_options")


def _sampling(request: ChatRequest, temperature: float) -> Sampling:
    return Sampling(
        temperature=temperature if request.temperature is None else request.temperature,
        top_p=request.top_p,
        top_k=request.top_k,
        repetition_penalty=request.repetition_penalty,
        frequency_penalty=request.frequency_penalty,
        presence_penalty=request.presence_penalty,
        logit_bias={_token(name): bias for name, bias in request.logit_bias.items()},
        logprobs=(request.top_logprobs or 0) if request.logprobs else None,
        seed=request.seed,
    )


def _token(name: str) -> int:
    if not (name.isascii() and name.isdigit() and len(name) <= 9):
        _refuse("'logit_bias' must name tokens by their numbers, like {\"42\": -100}.", "logit_bias")
    return int(name)


def _grammar(wanted: ResponseFormat | None) -> Mapping[str, Any] | None:
    """None for any text, `{}` for any JSON object, or the schema."""
    field = "response_format.json_schema"
    if wanted is None or wanted.type != "json_schema":
        if wanted is not None and wanted.json_schema is not None:
            _refuse(f"'{field}' needs the type 'json_schema' beside it.", field)
        return None if wanted is None or wanted.type == "text" else {}
    if wanted.json_schema is None:
        _refuse(f"'{field}' is required.", field, code="missing_field")
    return wanted.json_schema.definition


def _refuse(message: str, field: str, *, code: str | None = None) -> NoReturn:
    raise InvalidRequest(message, code=code, param=field)
