"""All replicas of a push, asked at once.

every(action) -> one order to each, in parallel, each within its time -> a reply of each, told as it comes
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import aiohttp
import orjson

from shared.rollout.replicas import Replica

CONNECT_S, SWAP_S, PREPARE_S = 2.0, 10.0, 600.0
ANSWER_BYTES = 1 << 20
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Reply:
    """What one replica said: its state, or why it did not do what it was asked for."""

    replica: Replica
    state: Mapping[str, Any] | None
    code: str = ""
    reason: str = ""

    @property
    def ok(self) -> bool:
        """Whether it did."""
        return self.state is not None

    @property
    def missing(self) -> bool:
        """Whether it could not be reached."""
        return self.code == "unreachable"


class Fleet:
    """The replicas of one push, and the key that lets in; to be entered before it is used."""

    def __init__(self, replicas: Sequence[Replica], *, key: str, by: str, say: Say = lambda line: None) -> None:
        """`by` is who answers for what is done here; `say` is told each reply, as a line."""
        self.replicas, self.by, self._key, self._say = tuple(replicas), by, key, say

    async def __aenter__(self) -> Self:
        headers = {"authorization": f"Bearer {self._key}"}
        self._session = aiohttp.ClientSession(headers=headers, auto_decompress=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def serving(self, model: str) -> list[Replica]:
        """Those of the replicas that can be reached and serve `model`."""
        return [reply.replica for reply in await self.states(model)]

    async def states(self, model: str) -> list[Reply]:
        """What those of the replicas that can be reached say of `model`, where they serve it."""
        replies = await asyncio.gather(*(self._ask(each, "GET", "", None, SWAP_S) for each in self.replicas))
        told = ((reply.replica, _models(reply.state or {}).get(model)) for reply in replies)
        return [Reply(replica, state) for replica, state in told if state is not None]

    async def every(
        self, action: str, model: str, what: Mapping[str, str], *, among: Sequence[Replica] | None = None
    ) -> list[Reply]:
        """Order `action` of all replicas, or of those `among` them; `what` is a version or a digest."""
        asked = self.replicas if among is None else among
        return list(await asyncio.gather(*(self._order(each, action, model, what) for each in asked)))

    async def _order(self, replica: Replica, action: str, model: str, what: Mapping[str, str]) -> Reply:
        began, limit = time.monotonic(), PREPARE_S if action == "prepare" else SWAP_S
        reply = await self._ask(replica, "POST", f"/{model}/{action}", {**what, "by": self.by}, limit)
        self._say(f"{action:<8}  {replica}  {time.monotonic() - began:6.2f} s  {reply.reason or 'ok'}")
        return reply

    async def _ask(
        self, replica: Replica, method: str, path: str, fields: Mapping[str, str] | None, seconds: float
    ) -> Reply:
        timeout = aiohttp.ClientTimeout(total=seconds, connect=CONNECT_S)
        url, body = f"{replica.url}/admin/weights{path}", None if fields is None else orjson.dumps(fields)
        try:
            async with self._session.request(method, url, data=body, timeout=timeout, allow_redirects=False) as answer:
                return _reply(replica, answer.status, await answer.content.read(ANSWER_BYTES))
        except (aiohttp.ClientError, TimeoutError, OSError):
            return Reply(replica, None, "unreachable", "cannot be reached, or did not answer in time")


def _reply(replica: Replica, status: int, body: bytes) -> Reply:
    try:
        fields = orjson.loads(body)
        if status == 200:
            return Reply(replica, dict(fields))
        return Reply(replica, None, str(fields["error"]["code"]), str(fields["detail"]))
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return Reply(replica, None, "no_admin", f"answers {status}: it has no admin surface, or is still starting")


def _models(overview: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {str(one.get("model")): one for one in overview.get("models", ())}
