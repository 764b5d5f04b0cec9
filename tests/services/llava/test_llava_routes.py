"""Chat with a real process that serves small random weights, through the stock `openai` client."""

import base64
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from PIL import Image

from shared.weights.manifest import Card, Made
from shared.weights.store import Store
from tests.processes import Running, running
from tests.services.llava import llavas

SCHEMA = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "blue"]}, "count": {"type": "integer", "minimum": 0, "maximum": 9}},
    "required": ["colour", "count"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The service with random weights of LLaVA-1.5's architecture."""
    folder, state = tmp_path_factory.mktemp("version"), tmp_path_factory.mktemp("state")
    llavas.version(folder)
    Store(str(state / "store")).publish(folder, Card(model="llava", version="random-1", made=Made(by="a test")))
    settings: dict[str, Any] = {"store": f"file://{state}/store", "models": "llava@random-1", "context": 512}
    with running("services.llava", state=state, **settings) as process:
        yield process


@pytest.fixture(scope="module")
def client(service: Running) -> Iterator[openai.OpenAI]:
    """The stock client."""
    with openai.OpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0) as stock:
        yield stock


def uri(number: int) -> str:
    """A picture as a data URI."""
    buffer = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def asked(*parts: str | int) -> list[Any]:
    """A user's message; numbers are pictures."""
    content = [
        {"type": "text", "text": part} if isinstance(part, str) else
        {"type": "image_url", "image_url": {"url": uri(part)}} for part in parts
    ]  # fmt: skip
    return [{"role": "user", "content": content}]


def metric(management: str, name: str, label: str) -> float:
    lines = httpx.get(f"{management}/metrics").text.splitlines()
    return sum(float(line.split()[1]) for line in lines if line.startswith(f"{name}{{") and label in line)


def say(client: openai.OpenAI, messages: list[Any], **options: Any) -> Any:
    return client.chat.completions.create(
        model="llava", messages=messages, **{"temperature": 0, "max_tokens": 12, **options}
    )


def test_an_answer_has_openais_shape_and_names_its_weights(client: openai.OpenAI, service: Running) -> None:
    answer = say(client, asked("What is this?", 1))
    (choice,) = answer.choices
    assert (answer.object, answer.model, choice.index) == ("chat.completion", "llava", 0)
    assert choice.message.role == "assistant" and choice.finish_reason in {"stop", "length"}
    model = httpx.get(f"{service.url}/v1/models/llava").json()
    assert answer.system_fingerprint == model["digest"]
    assert answer.usage.prompt_tokens_details.image_tokens == 16
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer._request_id


def test_a_stream_says_what_the_whole_answer_says_and_counts_at_its_end(client: openai.OpenAI) -> None:
    for options in ({}, {"n": 3, "temperature": 1.0, "seed": 7}):
        whole = say(client, asked("Hello", 2), **options)
        chunks = list(say(client, asked("Hello", 2), stream=True, stream_options={"include_usage": True}, **options))
        for index, choice in enumerate(whole.choices):
            mine = [each for chunk in chunks for each in chunk.choices if each.index == index]
            assert "".join(each.delta.content or "" for each in mine) == choice.message.content
            assert mine[0].delta.role == "assistant"
            assert [each.finish_reason for each in mine if each.finish_reason] == [choice.finish_reason]
        assert chunks[-1].choices == []
        assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
        assert len({(chunk.id, chunk.created, chunk.system_fingerprint) for chunk in chunks}) == 1


def test_the_same_seed_gives_the_same_answer_among_others_and_another_seed_another(client: openai.OpenAI) -> None:
    def drawn(seed: int) -> str:
        return str(say(client, asked("Tell", 3), temperature=1.5, seed=seed, max_tokens=20).choices[0].message.content)

    first = drawn(1)
    others = [say(client, asked(f"Noise {n}"), stream=True, max_tokens=60, temperature=1) for n in range(4)]
    assert drawn(1) == first != drawn(2)
    for other in others:
        other.close()


def test_several_turns_and_pictures_among_the_words_are_read(client: openai.OpenAI) -> None:
    first = say(client, asked("One:", 1, "Two:", 2, "Which?"))
    reply = {"role": "assistant", "content": first.choices[0].message.content or "x"}
    system = {"role": "system", "content": "Be short."}
    second = say(client, [system, *asked("One:", 1, "Two:", 2, "Which?"), reply, *asked("And this?", 4)])
    assert second.usage.prompt_tokens_details.image_tokens == 48
    assert second.usage.prompt_tokens > first.usage.prompt_tokens


def test_what_was_read_before_is_not_read_again(client: openai.OpenAI) -> None:
    question = asked("A question that is long enough to fill more than one block of memory", 9)
    before = say(client, question).usage.prompt_tokens_details.cached_tokens
    again = say(client, question).usage.prompt_tokens_details.cached_tokens
    apart = say(client, question, extra_body={"cache_salt": "mine"}).usage.prompt_tokens_details.cached_tokens
    assert (before, apart) == (0, 0) and again >= 32


def test_log_probabilities_are_those_of_the_tokens_that_were_said(client: openai.OpenAI) -> None:
    answer = say(client, asked("Hm", 1), logprobs=True, top_logprobs=3)
    told = answer.choices[0].logprobs.content
    assert told and all(each.logprob <= 0 and len(each.top_logprobs) == 3 for each in told)
    assert all(each.token == each.top_logprobs[0].token for each in told)  # greedy
    assert b"".join(bytes(each.bytes) for each in told).decode(errors="replace").strip()[:5] in (
        answer.choices[0].message.content + "?????"
    )


def test_an_answer_fits_its_schema_or_is_at_least_json(client: openai.OpenAI) -> None:
    shaped = {"type": "json_schema", "json_schema": {"name": "seen", "schema": SCHEMA}}
    for seed in range(3):
        answer = say(client, asked("Which?", 1), response_format=shaped, max_tokens=200, temperature=1, seed=seed)
        value = json.loads(answer.choices[0].message.content)
        assert value["colour"] in {"red", "blue"} and 0 <= value["count"] <= 9 and len(value) == 2
        assert answer.choices[0].finish_reason == "stop"


def test_a_stop_string_ends_the_answer_before_it(client: openai.OpenAI, service: Running) -> None:
    free = say(client, asked("Go on", 5), max_tokens=30).choices[0].message.content
    middle = free[len(free) // 2 :][:3]
    answered = metric(service.management, "ocelli_inference_requests_total", 'outcome="ok"')
    stopped = say(client, asked("Go on", 5), max_tokens=30, stop=[middle]).choices[0]
    assert stopped.message.content == free.split(middle)[0]
    assert stopped.finish_reason == "stop"
    assert metric(service.management, "ocelli_inference_requests_total", 'outcome="ok"') == answered + 1


def test_a_bias_forbids_a_token_and_penalties_change_the_answer(client: openai.OpenAI) -> None:
    first = say(client, asked("Hm", 6), logprobs=True, top_logprobs=1).choices[0]
    ids = httpx.post(f"{client.base_url}tokenize", json={"prompt": first.logprobs.content[0].token}).json()["tokens"]
    other = say(client, asked("Hm", 6), logprobs=True, logit_bias={str(ids[-1]): -100}).choices[0]
    assert other.logprobs.content[0].token != first.logprobs.content[0].token


def test_wrong_requests_raise_the_stock_clients_own_exceptions(client: openai.OpenAI) -> None:
    cases: list[tuple[dict[str, Any], type[openai.APIStatusError], str]] = [
        ({"messages": []}, openai.BadRequestError, "messages"),
        ({"messages": asked("x " * 600)}, openai.BadRequestError, "messages"),
        ({"messages": asked("x"), "max_tokens": 5000}, openai.BadRequestError, "max_tokens"),
        ({"messages": asked("x"), "model": "gpt"}, openai.NotFoundError, "model"),
        ({"messages": asked("x"), "logit_bias": {"99999": 1}}, openai.BadRequestError, "logit_bias"),
        ({"messages": asked("x"), "functions": [{"name": "f"}]}, openai.BadRequestError, "functions"),
    ]
    for fields, kind, param in cases:
        for stream in (False, True):
            with pytest.raises(kind) as refused:
                client.chat.completions.create(**{"model": "llava", "stream": stream, **fields})
            assert refused.value.param == param
            assert refused.value.request_id


def test_closing_a_stream_ends_its_answer(client: openai.OpenAI, service: Running) -> None:
    for _ in range(3):
        stream = say(client, asked("Go on and on"), stream=True, max_tokens=400, logit_bias={"2": -100})
        next(iter(stream))
        stream.close()
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        exposition = httpx.get(f"{service.management}/metrics").text
        if 'ocelli_num_requests_running{model="llava"} 0.0' in exposition:
            break
        time.sleep(0.05)
    assert 'ocelli_num_requests_running{model="llava"} 0.0' in exposition
    assert 'ocelli_inference_in_flight{model="llava"} 0.0' in exposition


def test_tokens_are_counted_as_the_chat_counts_them(client: openai.OpenAI, service: Running) -> None:
    messages = asked("What is this?", 1)
    counted = httpx.post(f"{service.url}/v1/tokenize", json={"messages": messages}).json()
    assert counted["count"] == say(client, messages).usage.prompt_tokens == len(counted["tokens"])
    assert counted["max_model_len"] == 512


def test_metrics_tell_of_tokens_under_vllms_names_as_well(client: openai.OpenAI, service: Running) -> None:
    say(client, asked("Count me"))
    exposition = httpx.get(f"{service.management}/metrics").text
    for name in ("time_to_first_token_seconds_count", "generation_tokens_total", "prompt_tokens_total"):
        ours = [line for line in exposition.splitlines() if line.startswith(f'ocelli_{name}{{model="llava"}}')]
        theirs = [line for line in exposition.splitlines() if line.startswith(f'vllm:{name}{{model_name="llava"}}')]
        assert ours[0].split()[1] == theirs[0].split()[1] != "0.0"


def test_the_page_of_the_api_describes_the_request(service: Running) -> None:
    document = httpx.get(f"{service.url}/openapi.json").json()
    body = document["paths"]["/v1/chat/completions"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert {"messages", "stream", "response_format"} <= body["properties"].keys()
    assert "$ref" not in json.dumps(body)


def test_the_shipped_files_are_read_by_any_reader(tmp_path: Path) -> None:
    assert llavas.version(tmp_path).config.model_type == "llava"
