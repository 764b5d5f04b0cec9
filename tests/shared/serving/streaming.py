"""A process that streams: `python -m tests.shared.serving.streaming`; the path says what its source of frames does."""

import asyncio
from collections.abc import AsyncGenerator

from shared import logs
from shared.errors import DeadlineExceeded, InvalidRequest
from shared.serving.middleware import Receive, Scope, Send
from shared.serving.probes import Probes
from shared.serving.process import serve
from shared.serving.sse import EventStream
from shared.settings import ProcessSettings
from tests.shared.serving.echo import EchoLife

CHUNK = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m",'
    b'"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}\n\n'
)
DONE = b"data: [DONE]\n\n"
BIG = b"data: %b\n\n" % (b"x" * 1_000_000)

log = logs.get("streaming")


async def frames(path: str) -> AsyncGenerator[bytes, None]:
    """The frames of a path, and a line in the log when their source has been closed."""
    try:
        if path == "/refused":
            raise InvalidRequest("Send a better one.", param="thing")
        yield CHUNK
        await _goes_on(path)
        while path == "/endless":
            await asyncio.sleep(0.01)
            yield CHUNK
        while path == "/flood":
            yield BIG
            await asyncio.sleep(0)
        yield CHUNK + DONE
    finally:
        log.info("closed", path=path)


async def _goes_on(path: str) -> None:
    if path == "/late/chat/completions":
        raise DeadlineExceeded
    if path == "/broken/chat/completions":
        raise RuntimeError("internal /secret/path 0xdeadbeef")
    if path == "/pause":
        await asyncio.sleep(0.75)
    if path == "/silent":
        await asyncio.sleep(3600)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    stream = await EventStream.open(frames(scope["path"]), headers=lambda: {"x-model-version": "v1"}, ping_s=0.2)
    await stream(scope, receive, send)


if __name__ == "__main__":
    settings = ProcessSettings.load()
    serve(settings, app, life=EchoLife(), probes=Probes("streaming"), route_of=lambda scope: "streaming")
