"""How well the served LLaVA answers: through HTTP, about scenes that it never saw, right to the last character.

python -m tests.e2e.chat_accuracy --url http://127.0.0.1:8000 --questions 400
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from random import Random
from typing import Any

import httpx
from PIL import Image

from services.finetune.demo import llava_metrics
from services.finetune.demo.facts import KINDS
from services.finetune.demo.llava_chat import Chat, said
from services.finetune.demo.llava_metrics import HARDER, Exam, apart, plain
from tests.e2e import command
from tests.e2e.held_out import SEED
from tests.e2e.pictures import text

AT_ONCE = 12  # requests: the service speaks with all of them together
EXAMS: dict[str, Exam] = {kind: partial(plain, kind=kind) for kind in KINDS} | {"pair, both there": apart, **HARDER}


def share(client: httpx.Client, exam: Exam, *, name: str, count: int) -> float:
    """Share of right answers to `count` questions of one kind."""
    exams = [exam(Random(f"{SEED}/{name}/{number}")) for number in range(count)]
    return _right(client, [chat for chat, _ in exams], [answer for _, answer in exams])


def second_turn(client: httpx.Client, count: int) -> float:
    """Share of right answers to a question that follows another one and the model's own answer to it."""
    exams = [llava_metrics.second(Random(f"{SEED}/second/{number}")) for number in range(count)]
    first = _answers(client, [Chat(chat.messages[:1], chat.pictures) for chat, _ in exams])
    chats = [
        Chat([chat.messages[0], said(told), chat.messages[2]], chat.pictures)
        for (chat, _), told in zip(exams, first, strict=True)
    ]
    return _right(client, chats, [answer for _, answer in exams])


def ask(client: httpx.Client, chat: Chat) -> str:
    """The greedy answer to a chat."""
    fields = {"messages": list(_messages(chat)), "temperature": 0, "max_tokens": 64}
    answer = client.post("/v1/chat/completions", json=fields).raise_for_status().json()
    told: str = answer["choices"][0]["message"]["content"]
    return told


def _right(client: httpx.Client, chats: Sequence[Chat], right: Sequence[str]) -> float:
    told = _answers(client, chats)
    return sum(a == b for a, b in zip(told, right, strict=True)) / len(chats)


def _answers(client: httpx.Client, chats: Sequence[Chat]) -> list[str]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(partial(ask, client), chats))


def _messages(chat: Chat) -> Iterator[dict[str, Any]]:
    """The messages in OpenAI's form."""
    pictures = iter(chat.pictures)
    for message in chat.messages:
        parts = [_shown(next(pictures)) if part["type"] == "image" else part for part in message["content"]]
        yield {"role": message["role"], "content": parts}


def _shown(picture: Image.Image) -> dict[str, Any]:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{text(buffer.getvalue())}"}}


def report(client: httpx.Client, count: int) -> Iterable[str]:
    """One line per figure."""
    for name, exam in EXAMS.items():
        yield f"llava   {name:<20} {share(client, exam, name=name, count=count):.3f}"
    yield f"llava   {'second turn':<20} {second_turn(client, count):.3f}"


if __name__ == "__main__":
    command.run(__doc__, report, unit="questions", count=400)
