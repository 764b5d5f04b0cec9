"""Settings of the gateway: where the services are, how long to wait for them, and what a key may do."""

import ipaddress
from pathlib import Path
from typing import ClassVar

from pydantic import Field, field_validator

from shared.keys import Rate
from shared.settings import Port, ProcessSettings, Seconds

UPSTREAMS = ("detection", "clip", "owlvit", "llava")
WHERE = "http://host:port; several with commas between, or one DNS name that stands for all; empty: not deployed"


class GatewaySettings(ProcessSettings):
    """What the gateway has on top of every process."""

    service: ClassVar[str] = "gateway"
    trusting: ClassVar[bool] = False

    port: Port = Field(8000, description="data port")
    published: str | None = Field(
        None, description="address at which others find the data port, where it is not the host: a container's"
    )
    detection: str = Field("http://127.0.0.1:8001", description=WHERE)
    clip: str = Field("http://127.0.0.1:8002", description=WHERE)
    owlvit: str = Field("http://127.0.0.1:8003", description=WHERE)
    llava: str = Field("http://127.0.0.1:8004", description=WHERE)

    keys: Path | None = Field(None, description="file of API keys; <state>/keys.json unless set")
    rate: Rate = Field("600/minute", description="requests of one key, where the key itself says nothing else")
    wrong_keys: Rate = Field("20/minute", description="wrong keys from one address before it is told to wait")

    chat_s: Seconds = Field(
        300, description="longest time for one chat answer, where deadline_s and try_s are for all else"
    )
    connect_s: Seconds = Field(1, description="time for a connection to a replica")
    try_s: Seconds = Field(30, description="time for the head of the answer of one try")
    idle_s: Seconds = Field(30, description="time between two pieces of an answer")
    buffer_bytes: int = Field(
        1_000_000, ge=0, le=1_048_576, description="bodies up to this size are held; larger ones are streamed"
    )
    retry_share: float = Field(0.1, ge=0, le=1, description="second tries, as a share of the requests to a service")
    retry_floor: int = Field(3, ge=0, description="second tries in ten seconds that are allowed in any case")
    probe_s: Seconds = Field(2, description="time between two readiness probes of a replica")
    resolve_s: Seconds = Field(5, description="time between two look-ups of a DNS name")
    eject_failures: int = Field(5, ge=1, description="failures of a replica within eject_window_s that eject it")
    eject_window_s: Seconds = Field(10, description="time in which failures are counted together")
    eject_s: Seconds = Field(5, description="time for which an ejected replica gets nothing")

    @field_validator(*UPSTREAMS)
    @classmethod
    def _check_addresses(cls, value: str) -> str:
        for address in split_addresses(value):
            scheme, _, rest = address.partition("://")
            if scheme != "http" or not rest or set(rest) & set("/?#@ "):
                raise ValueError("an address of a service is http://host:port, without a path")
        return value

    @property
    def keys_file(self) -> Path:
        """The file of API keys in force."""
        return self.keys or self.state / "keys.json"

    @property
    def upstreams(self) -> dict[str, list[str]]:
        """The addresses per service; none for one that is not deployed."""
        return {name: split_addresses(getattr(self, name)) for name in UPSTREAMS}

    def times(self, *, spoken: bool) -> tuple[float, float]:
        """Seconds for a request in all, and for the head of the answer of one try."""
        return (self.chat_s, self.chat_s) if spoken else (self.deadline_s, self.try_s)

    @property
    def public(self) -> bool:
        """Whether others than this machine can reach the data port."""
        address = self.published or self.host
        try:
            return not ipaddress.ip_address(address).is_loopback
        except ValueError:
            return address != "localhost"


def split_addresses(value: str) -> list[str]:
    """`a, b` as `[a, b]`, without trailing slashes."""
    return [address.strip().rstrip("/") for address in value.split(",") if address.strip()]
