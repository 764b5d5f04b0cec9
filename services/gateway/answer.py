"""How one try ended, and how the caller is told: the service's own answer, unchanged, or an error of the gateway's."""

from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp
import orjson

from services.gateway.headers import Field, answer_fields
from services.gateway.upstreams import Outcome
from shared.errors import BadUpstream, OcelliError, error_body
from shared.serving.answers import title
from shared.serving.middleware import Send

EVENTS = "text/event-stream"
AWAY = frozenset({"not_ready", "draining"})  # the replica takes nothing now, and another may
# The request's own doing: whoever sends it again and again must not take a replica from the others.
CALLERS_OWN = frozenset({"deadline_exceeded", "model_failed", "out_of_memory"})


@dataclass(slots=True)
class Answer:
    """The end of one try. Nothing has reached the caller until `pass_on`."""

    outcome: Outcome
    again: bool = False  # another try may do better
    error: OcelliError | None = None
    status: int = 0
    fields: Sequence[Field] = ()
    data: bytes = b""
    rest: aiohttp.ClientResponse | None = None  # an answer whose body is still to come

    async def pass_on(self, send: Send) -> None:
        """Tell the caller. Raises the gateway's own error, where there was no answer."""
        if self.error is not None:
            raise self.error
        await send({"type": "http.response.start", "status": self.status, "headers": self.fields})
        if self.rest is not None:
            await self._stream(self.rest, send)
        await send({"type": "http.response.body", "body": self.data})

    async def _stream(self, rest: aiohttp.ClientResponse, send: Send) -> None:
        events, held = rest.content_type == EVENTS, b""
        try:
            async for piece in rest.content.iter_any():
                whole, held = _whole(held + piece) if events else (piece, b"")
                await send({"type": "http.response.body", "body": whole, "more_body": True})
        except (aiohttp.ClientError, TimeoutError) as error:
            self.outcome = Outcome.BROKEN
            if not events:
                raise BadUpstream from error  # the head is gone: the server ends the connection, which tells the caller
            await send({"type": "http.response.body", "body": _told(BadUpstream()), "more_body": True})
        finally:
            rest.release()  # closes the connection, unless the answer is complete


async def receive_answer(response: aiohttp.ClientResponse, *, hold_bytes: int) -> Answer:
    """The answer that has begun with `response`, held if it is small. Raises aiohttp's errors."""
    fields = answer_fields(response.raw_headers)
    length = response.content_length
    if length is None or length > hold_bytes:
        outcome = Outcome.OK if response.status < 500 else Outcome.ERROR
        return Answer(outcome, status=response.status, fields=fields, rest=response)
    data = await response.read()
    outcome = judge(response.status, data)
    again = outcome is Outcome.NOT_READY or response.status == 502
    return Answer(outcome, again=again, status=response.status, fields=fields, data=data)


def _whole(data: bytes) -> tuple[bytes, bytes]:
    """The events that are complete, and the beginning of one, which nobody could read if the stream broke off."""
    end = data.rfind(b"\n\n") + 2 if not data.endswith(b"\n\n") else len(data)
    return (data[:end], data[end:]) if end > 1 else (b"", data)


def _told(error: OcelliError) -> bytes:
    """An error as an event of a stream that has begun."""
    body = error_body(error, title=title(error.status), instance="", request_id="")
    return b"data: %b\n\n" % orjson.dumps({"error": body["error"]})


def judge(status: int, data: bytes) -> Outcome:
    """What a complete answer tells of the replica that gave it."""
    if status < 500:
        return Outcome.OK
    code = _code(data)
    if status == 503:
        return Outcome.NOT_READY if code in AWAY else Outcome.OVERLOAD
    return Outcome.OK if code in CALLERS_OWN else Outcome.ERROR


def _code(data: bytes) -> str:
    """The code in one of our own error bodies; empty for any other body."""
    try:
        return str(orjson.loads(data)["error"]["code"])
    except (orjson.JSONDecodeError, KeyError, TypeError, IndexError):
        return ""
