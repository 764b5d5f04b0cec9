"""Who may come in: a key of ours, with the scope of the route, within its rate.

    no key -> 401   wrong key -> 401, and 429 for an address that goes on guessing   other scope -> 403
    over the rate -> 429      all well -> the quota, which every answer tells

Where no keys are required (on this machine alone), nobody is counted.
"""

import functools
import ipaddress
import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime

import limits
import structlog
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from services.gateway.keyring import Keyring
from shared.errors import Forbidden, OcelliError, RateLimited, Unauthorized
from shared.keys import Key
from shared.serving.answers import Headers
from shared.serving.metrics import RATE_LIMITED
from shared.serving.middleware import Scope

parse_rate = functools.cache(limits.parse)


@dataclass(frozen=True, slots=True)
class Quota:
    """What is left to a key, and the refusal, if nothing was."""

    headers: Headers
    refusal: OcelliError | None = None


class Gate:
    """The check of every request to a keyed route. A count per process; it holds no request up."""

    def __init__(self, keyring: Keyring, *, rate: str, wrong_keys: str) -> None:
        """`rate` is for keys that have none of their own; `wrong_keys` is for one address."""
        self.keyring = keyring
        self.rate, self.wrong_keys = rate, parse_rate(wrong_keys)
        self._window = MovingWindowRateLimiter(MemoryStorage())
        self._refused = {limit: RATE_LIMITED.labels(limit) for limit in ("key", "wrong_keys")}

    def admit(self, scope: Scope, needed: str) -> Quota | None:
        """The quota of the caller, or None where keys are off. Raises `Unauthorized`, `Forbidden`, `RateLimited`."""
        self.keyring.refresh()
        if not self.keyring.required:
            return None
        key = self._identify(scope)
        structlog.contextvars.bind_contextvars(key=key.id)
        if not key.allows(needed):
            raise Forbidden(f"This API key does not have the scope '{needed}', which this route needs.")
        return self._count(key)

    def _identify(self, scope: Scope) -> Key:
        offered = dict(scope["headers"]).get(b"authorization")
        if offered is None:
            raise Unauthorized("Send your API key as 'Authorization: Bearer <key>'.", code="missing_api_key")
        scheme, _, text = offered.decode("latin-1").partition(" ")
        key = self.keyring.find(text.strip())
        if key is None or scheme.lower() != "bearer":
            raise self._wrong(scope)
        state = key.state(datetime.now(UTC))
        if state != "active":
            raise Unauthorized(f"This API key is {state}. Ask for a new one.")
        return key

    def _wrong(self, scope: Scope) -> OcelliError:
        address = network(scope["client"])
        if self._window.hit(self.wrong_keys, "wrong", address):
            return Unauthorized()
        self._refused["wrong_keys"].inc()
        wait = self._window.get_window_stats(self.wrong_keys, "wrong", address).reset_time - time.time()
        return RateLimited(
            "Too many wrong API keys came from this address. Wait, then send a valid one.", retry_after=wait
        )

    def _count(self, key: Key) -> Quota:
        rate = parse_rate(key.rate or self.rate)
        within = self._window.hit(rate, "key", key.id)
        window = self._window.get_window_stats(rate, "key", key.id)
        wait = max(0.0, window.reset_time - time.time())
        headers = [
            (b"x-ratelimit-limit-requests", b"%d" % rate.amount),
            (b"x-ratelimit-remaining-requests", b"%d" % window.remaining),
            (b"x-ratelimit-reset-requests", b"%ds" % math.ceil(wait)),
        ]
        if within:
            return Quota(headers)
        self._refused["key"].inc()
        return Quota(headers, RateLimited(retry_after=wait))


def network(client: tuple[str, int] | None) -> str:
    """The part of a client's address that one person holds: the IPv4 address, or the first 64 bits of IPv6."""
    if client is None:
        return "unknown"
    try:
        address = ipaddress.ip_address(client[0])
    except ValueError:
        return client[0]
    return str(ipaddress.ip_network((address, 64), strict=False)) if address.version == 6 else client[0]
