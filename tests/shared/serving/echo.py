"""A process of the smallest kind: `python -m tests.shared.serving.echo` answers bodies with their length."""

import asyncio
from typing import Any

from shared import logs
from shared.errors import InvalidRequest
from shared.serving.middleware import Receive, Scope, Send
from shared.serving.probes import Probes
from shared.serving.process import serve
from shared.settings import ProcessSettings

log = logs.get("echo")


class EchoLife:
    async def start(self) -> None:
        await asyncio.sleep(0.1)

    async def close(self) -> None:
        log.info("life_closed")


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["path"] == "/broken":
        raise RuntimeError("internal /secret/path 0xdeadbeef")
    if scope["path"] == "/refused":
        raise InvalidRequest("Send a better one.", param="thing")
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    if scope["path"] == "/slow":
        try:
            await asyncio.sleep(0.7)
        except asyncio.CancelledError:
            log.info("cancelled")
            raise
    body = str(size).encode()
    headers: list[Any] = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    settings = ProcessSettings.load()
    serve(settings, app, life=EchoLife(), probes=Probes("echo"), route_of=lambda scope: "echo")
