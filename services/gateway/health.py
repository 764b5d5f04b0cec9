"""In the background, for each service: its name is looked up, and its replicas are asked whether they are ready.

    resolve every few seconds -> replicas      probe every other second (one that is away: more often) -> replica.ready

Both are bounded in time and run for themselves: a replica that hangs, or a name server that does, delays nobody else.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Sequence

import aiohttp
from yarl import URL

from services.gateway.replica import Replica
from services.gateway.upstreams import Upstream
from shared import logs

IMPATIENT_S = 0.25  # between two probes while a replica is away: callers wait for its return

log = logs.get(__name__)


class Health:
    """The two loops around the replicas of one service."""

    def __init__(self, upstream: Upstream, addresses: Sequence[str], *, probe_s: float, resolve_s: float) -> None:
        self.upstream = upstream
        self.probe_s, self.resolve_s = probe_s, resolve_s
        self._name = URL(addresses[0]) if len(addresses) == 1 and _is_name(addresses[0]) else None
        self._tasks: list[asyncio.Task[None]] = []
        if self._name is None:
            upstream.set_addresses((address, _authority(URL(address))) for address in addresses)

    def start(self, session: aiohttp.ClientSession) -> None:
        """Begin, without waiting for anybody."""
        self._tasks.append(asyncio.create_task(self._probe_forever(session)))
        if self._name is not None:
            self._tasks.append(asyncio.create_task(self._resolve_forever(self._name)))

    async def close(self) -> None:
        """End both loops."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _resolve_forever(self, name: URL) -> None:
        while True:
            await self._resolve(name)
            await asyncio.sleep(self.resolve_s)

    async def _resolve(self, name: URL) -> None:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(name.host, name.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            log.warning("name_not_resolved", upstream=self.upstream.name, reason=str(error))
            return  # the replicas of before may still be there
        addresses = sorted({str(name.with_host(str(entry[4][0]))).rstrip("/") for entry in found})
        self.upstream.set_addresses((address, _authority(name)) for address in addresses)

    async def _probe_forever(self, session: aiohttp.ClientSession) -> None:
        while True:
            began = asyncio.get_running_loop().time()
            await asyncio.gather(*(self._probe(session, replica) for replica in self.upstream.replicas))
            all_ready = all(replica.ready for replica in self.upstream.replicas)
            pause = self.probe_s if all_ready else min(self.probe_s, IMPATIENT_S)
            await asyncio.sleep(began + pause - asyncio.get_running_loop().time())

    async def _probe(self, session: aiohttp.ClientSession, replica: Replica) -> None:
        """Ask one replica, for at most half of the time between two probes."""
        before = replica.ready
        try:
            async with (
                asyncio.timeout(min(1.0, self.probe_s / 2)),
                session.get(f"{replica.address}/readyz", headers={"host": replica.host}) as answer,
            ):
                replica.tell(ready=answer.status == 200)
        except TimeoutError:
            replica.doubt()
        except (OSError, ValueError, aiohttp.ClientError):
            replica.tell(ready=False)
        if replica.ready != before:
            log.info(
                "replica", upstream=self.upstream.name, address=replica.address,
                ready=replica.ready, in_doubt=replica.in_doubt,
            )  # fmt: skip


def _is_name(address: str) -> bool:
    host = URL(address).host or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return True
    return False


def _authority(url: URL) -> str:
    return url.authority
