"""The body of a request on its way through: held where it is small, passed on piece by piece where it is not.

A held body can be sent twice. A streamed one cannot, as soon as a piece of it is gone.
"""

from collections.abc import AsyncIterator

from shared.errors import OcelliError
from shared.serving.middleware import Receive


class CallerLeft(Exception):
    """The caller closed the connection before the request was complete; nobody waits for an answer."""


class Body:
    """The body of one request. Nothing of it is ever parsed."""

    __slots__ = ("_receive", "_size", "complete", "data", "failure", "large", "taken")

    def __init__(self, receive: Receive, *, size: bytes | None, chunked: bool, buffer_bytes: int) -> None:
        """`size` is the Content-Length as it came; the server has checked it."""
        self._receive = receive
        self._size = size
        self.large = chunked or (size is not None and int(size) > buffer_bytes)
        self.complete = False
        self.taken = False
        self.data = b""
        self.failure: Exception | None = None

    @property
    def replayable(self) -> bool:
        """Whether the body can be sent (again) from its start."""
        return not self.large or not self.taken

    @property
    def length(self) -> str | None:
        """The Content-Length to send; None where the body is chunked or absent."""
        return None if self._size is None else self._size.decode()

    async def hold(self) -> None:
        """Read the whole of a small body into `data`; a large one is left to `pieces`. Raises `CallerLeft`."""
        if self.large or self.complete:
            return
        first = await self._next()
        if self.complete:  # the usual case copies nothing
            self.data = first
            return
        parts = [first]
        while not self.complete:
            parts.append(await self._next())
        self.data = b"".join(parts)

    async def pieces(self) -> AsyncIterator[bytes]:
        """The pieces of a large body as they arrive. What ends them early is kept in `failure`."""
        try:
            while not self.complete:
                piece = await self._next()
                self.taken = True
                yield piece
        except (OcelliError, CallerLeft) as error:
            # The client library raises an error of its own for whatever is raised here.
            self.failure = error
            raise

    async def _next(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise CallerLeft
        self.complete = not message.get("more_body", False)
        piece: bytes = message.get("body", b"")
        return piece
