"""Where the replicas are: management addresses, a host name standing for all of its addresses.

named    "http://10.0.0.7:9002, clip:9002" -> one replica per address
local    the management ports of this machine's services, as their settings say
"""

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from shared.rollout.errors import RolloutError
from shared.settings import SERVICES

FIRST_PORT = 8000  # of the gateway; the services follow in their order, and management is a thousand above
MODEL_SERVICES = tuple(name for name in SERVICES if name not in {"gateway", "finetune"})


@dataclass(frozen=True, slots=True)
class Replica:
    """A process of a model service, by the address of its management port."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """Where its admin surface is."""
        return f"http://{self}"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def named(addresses: str) -> list[Replica]:
    """The replicas that an operator names, `host:port` with commas between. Raises `RolloutError`."""
    parts = [part.strip() for part in addresses.split(",") if part.strip()]
    found = [replica for part in parts for replica in _resolve(part)]
    if not found:
        raise RolloutError("No replica is named. Write --replicas host:port, the port being that of management.")
    return list(dict.fromkeys(found))


def local(environment: Mapping[str, str] = os.environ) -> list[Replica]:
    """The replicas that `ocelli up` starts on this machine, whether they run or not."""
    return [Replica("127.0.0.1", _management_port(service, environment)) for service in MODEL_SERVICES]


def _resolve(address: str) -> Sequence[Replica]:
    url = urlsplit(address if "://" in address else f"http://{address}")
    try:
        host, port = url.hostname, url.port
    except ValueError:
        host = port = None
    if url.scheme != "http" or not host or not port or url.path.strip("/") or url.query:
        raise RolloutError(f"{address[:200]!r} is not the management address of a replica. Write host:port.")
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise RolloutError(f"{host} has no address. Mend the name, or write the address itself.") from error
    return [Replica(str(answer[4][0]), port) for answer in answers]


def _management_port(service: str, environment: Mapping[str, str]) -> int:
    own = f"OCELLI_{service.upper()}__"
    default = str(FIRST_PORT + SERVICES.index(service))
    data = environment.get(f"{own}PORT", default)
    port = environment.get(f"{own}MANAGEMENT_PORT") or str(int(data) + 1000 if data.isdigit() else default)
    if not port.isdigit():
        raise RolloutError(f"{own}MANAGEMENT_PORT is {port!r}, which is no port.")
    return int(port)
