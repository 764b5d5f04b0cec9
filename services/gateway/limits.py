"""Who may come in: a key of ours, with the scope of the route, within its rate.

    no key -> 401   wrong key -> 401, and 429 for an address that goes on guessing   other scope -> 403
    over the rate -> 429      all well -> the quota, which every answer tells

Where no keys are required (on this machine alone), nobody is counted.
"""

import ipaddress
import math
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from services.gateway.keyring import Keyring
from services.gateway.rates import Windows
from shared.errors import Forbidden, OcelliError, RateLimited, Unauthorized
from shared.keys import Key
from shared.serving.answers import Headers
from shared.serving.metrics import RATE_LIMITED
from shared.serving.middleware import Scope


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
        self.rate, self.wrong_keys = rate, wrong_keys
        self._requests, self._guesses = Windows(), Windows()
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
        guess = self._guesses.hit(network(scope["client"]), self.wrong_keys)
        if guess.within:
            return Unauthorized()
        self._refused["wrong_keys"].inc()
        sentence = "Too many wrong API keys came from this address. Wait, then send a valid one."
        return RateLimited(sentence, retry_after=guess.reset_s)

    def _count(self, key: Key) -> Quota:
        hit = self._requests.hit(key.id, key.rate or self.rate)
        headers = [
            (b"x-ratelimit-limit-requests", b"%d" % hit.amount),
            (b"x-ratelimit-remaining-requests", b"%d" % hit.remaining),
            (b"x-ratelimit-reset-requests", b"%ds" % math.ceil(hit.reset_s)),
        ]
        if hit.within:
            return Quota(headers)
        self._refused["key"].inc()
        return Quota(headers, RateLimited(retry_after=hit.reset_s))


def network(client: tuple[str, int] | None) -> str:
    """The part of a client's address that one person holds: the IPv4 address, or the first 64 bits of IPv6."""
    if client is None:
        return "unknown"
    try:
        address = ipaddress.ip_address(client[0])
    except ValueError:
        return client[0]
    return str(ipaddress.ip_network((address, 64), strict=False)) if address.version == 6 else client[0]
