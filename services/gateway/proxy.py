"""Forwarding: one request to one replica, and, where that failed before the first byte, to another. ★ Read first.

    hold a small body -> pick a replica -> ask it -> pass its answer on, unchanged and piece by piece
                                            | not reached, broken off, 502, not ready
                                            `-> within the budget: pick another -> ask it -> pass that on
    the caller leaves -> the request to the service is cancelled in the same moment

Bodies are never parsed. What a service answers, its errors included, passes as it is.
"""

import asyncio
import time

import aiohttp
from yarl import URL

from services.gateway import attempt
from services.gateway.answer import Answer, receive_answer
from services.gateway.call import Call
from services.gateway.replica import Replica
from services.gateway.settings import GatewaySettings
from services.gateway.upstreams import Outcome, Upstream
from shared.errors import BadUpstream, DeadlineExceeded, RequestTimeout, Unavailable
from shared.serving.middleware import Send


def open_session(settings: GatewaySettings) -> aiohttp.ClientSession:
    """The one client session: connections without limit and kept for a minute, and nothing added to a request."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=settings.connect_s, sock_read=settings.idle_s),
        cookie_jar=aiohttp.DummyCookieJar(),  # a cookie for one caller must not be sent for the next
        skip_auto_headers=("accept", "accept-encoding", "content-type", "user-agent"),
        auto_decompress=False,
    )


class Proxy:
    """The way to the services."""

    def __init__(self, session: aiohttp.ClientSession, *, hold_bytes: int) -> None:
        """Answers up to `hold_bytes` are read as a whole."""
        self.session = session
        self.hold_bytes = hold_bytes

    async def forward(self, upstream: Upstream, call: Call, send: Send) -> None:
        """Answer `call` from `upstream`. Raises the gateway's own errors, `CallerLeft`, and what the body may raise."""
        await call.body.hold()
        upstream.budget.count(time.monotonic())
        replica = upstream.pick()
        answer = await self._try(upstream, replica, call, send)
        if answer.again:
            second = self._second(upstream, replica, call)
            if second is not None:
                upstream.retries.inc()
                answer = await self._try(upstream, second, call, send, resent=True)
            if answer.again:
                await answer.pass_on(send)

    def _second(self, upstream: Upstream, first: Replica, call: Call) -> Replica | None:
        """The replica for another try, if there may be one."""
        try:
            second = upstream.pick(other_than=first)
        except Unavailable:
            return None
        return second if call.body.replayable and upstream.budget.take() else None

    async def _try(
        self, upstream: Upstream, replica: Replica, call: Call, send: Send, *, resent: bool = False
    ) -> Answer:
        """Ask one replica, and pass its answer on unless another may do better."""
        began, span = time.perf_counter(), attempt.begin(call, upstream.name)
        replica.in_flight += 1
        replica.breaker.begin()
        answer = Answer(Outcome.CANCELLED)
        try:
            answer = await self._ask(replica, call)
            if not answer.again:
                await answer.pass_on(send)
            return answer
        finally:
            replica.in_flight -= 1
            upstream.record(replica, answer.outcome, time.perf_counter() - began)
            if span is not None:
                attempt.end(span, call, replica, answer, resent=resent)

    async def _ask(self, replica: Replica, call: Call) -> Answer:
        now = time.monotonic()
        call.fields["host"] = replica.host
        call.fields["x-request-deadline-ms"] = str(max(1, int((call.deadline - now) * 1000)))
        try:
            async with asyncio.timeout(min(call.deadline - now, call.patience)):
                response = await self._send(replica, call)
                try:
                    return await receive_answer(response, hold_bytes=self.hold_bytes)
                except aiohttp.ClientError:
                    return Answer(Outcome.BROKEN, error=BadUpstream())  # it has begun to answer: no second try
        except (aiohttp.ClientError, TimeoutError) as error:
            if call.body.failure is not None:
                raise call.body.failure from None
            return _failure(call, error)

    async def _send(self, replica: Replica, call: Call) -> aiohttp.ClientResponse:
        """Send the request; the head of the answer."""
        body = call.body
        return await self.session.request(
            call.method,
            URL(replica.address + call.target, encoded=True),
            data=body.pieces() if body.large else body.data or None,
            headers=call.fields,
            allow_redirects=False,
            timeout=self._timeout(call),
        )

    def _timeout(self, call: Call) -> aiohttp.ClientTimeout:
        """The session's, but a head that may take longer than two pieces may lie apart has its time."""
        usual = self.session.timeout
        if usual.sock_read is None or call.patience <= usual.sock_read:
            return usual
        return aiohttp.ClientTimeout(total=None, sock_connect=usual.sock_connect, sock_read=call.patience)

    async def fetch(self, upstream: Upstream, path: str, *, seconds: float) -> bytes:
        """GET `path` from a replica for the gateway itself. Raises `Unavailable` and `BadUpstream`."""
        replica = upstream.pick()
        try:
            async with (
                asyncio.timeout(seconds),
                self.session.get(replica.address + path, headers={"host": replica.host}) as response,
            ):
                data = await response.read()
        except (aiohttp.ClientError, TimeoutError):
            raise upstream.unavailable() from None
        if response.status != 200:
            raise BadUpstream
        return data


def _failure(call: Call, error: Exception) -> Answer:
    """What it means that no answer came."""
    if isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)):
        refused = Unavailable("The service cannot be reached. Retry the request.", code="upstream_unavailable")
        return Answer(Outcome.UNREACHABLE, again=True, error=refused)
    if not isinstance(error, TimeoutError):
        return Answer(Outcome.BROKEN, again=True, error=BadUpstream())
    if call.body.large and not call.body.complete:
        return Answer(Outcome.CANCELLED, error=RequestTimeout())
    in_a_hurry = call.hurried and time.monotonic() >= call.deadline
    return Answer(Outcome.CANCELLED if in_a_hurry else Outcome.TIMEOUT, error=DeadlineExceeded())
