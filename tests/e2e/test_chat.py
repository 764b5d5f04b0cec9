"""Chat through the gateway with the shipped weights, as the stock `openai` client asks; and what it must survive."""

import asyncio
import os
import random
import time
from functools import partial
from typing import Any

import httpx
import openai
import pytest

from services.finetune.demo.llava_metrics import apart, plain
from tests.e2e.chat_accuracy import second_turn, share
from tests.e2e.load import metric
from tests.house import House

DEPARTURES = int(os.environ.get("STRESS_DEPARTURES", "1000"))  # 10,000 for the figures in the README
HELLO: list[Any] = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def stock(house: House) -> openai.OpenAI:
    """The stock client of the gateway."""
    return openai.OpenAI(base_url=f"{house.gateway.url}/v1", api_key="none", max_retries=0)


@pytest.mark.parametrize(("kind", "least"), [("count", 0.85), ("colour", 0.92), ("shape", 0.92), ("where", 0.88)])
def test_questions_about_unseen_scenes_get_their_answer(house: House, kind: str, least: float) -> None:
    assert share(house.client, partial(plain, kind=kind), name=kind, count=60) >= least


def test_yes_and_no_are_told_apart_and_a_second_turn_is_as_good(house: House) -> None:
    assert share(house.client, apart, name="pair", count=60) >= 0.9
    assert second_turn(house.client, 60) >= 0.88


def test_a_stream_comes_in_pieces_through_the_gateway(stock: openai.OpenAI) -> None:
    chunks = list(stock.chat.completions.create(model="llava", messages=HELLO, temperature=0, stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    whole = stock.chat.completions.create(model="llava", messages=HELLO, temperature=0)
    assert text == whole.choices[0].message.content
    assert len(chunks) > 3


@pytest.mark.timeout(120 + DEPARTURES // 20)
def test_random_departures_leave_nothing_behind(house: House) -> None:
    async def one(client: httpx.AsyncClient, chance: random.Random) -> None:
        fields = {"messages": HELLO, "max_tokens": 200, "stream": chance.random() < 0.7, "logit_bias": {"2": -100}}
        request = client.build_request("POST", "/v1/chat/completions", json=fields)
        try:
            async with asyncio.timeout(chance.choice((0.001, 0.02, 0.1, 0.3))):
                answer = await client.send(request, stream=True)
                try:
                    async for _ in answer.aiter_raw():
                        pass
                finally:
                    await answer.aclose()
        except TimeoutError:
            pass

    async def storm() -> None:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=house.gateway.url, timeout=30, trust_env=False, limits=limits) as client:
            for turn in range(DEPARTURES // 25):
                chance = random.Random(turn)
                await asyncio.gather(*(one(client, chance) for _ in range(25)))

    asyncio.run(storm())
    until = time.monotonic() + 5
    names = ("ocelli_num_requests_running", "ocelli_num_requests_waiting", "ocelli_inference_in_flight")
    while any(metric(house.llava.management, name) for name in names) and time.monotonic() < until:
        time.sleep(0.1)
    assert [metric(house.llava.management, name) for name in names] == [0, 0, 0]
    assert metric(house.llava.management, "ocelli_inference_queue_depth") == 0
    assert house.client.post("/v1/chat/completions", json={"messages": HELLO}).status_code == 200
