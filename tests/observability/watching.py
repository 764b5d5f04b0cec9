"""A real Prometheus and a real Alertmanager on the shipped rules, for as long as a test needs them."""

import contextlib
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.observability.shipped import PROMETHEUS, RULES
from tests.processes import ROOT, Running

BINARIES = ROOT / ".venv/bin"


@dataclass(frozen=True)
class Watch:
    """The two servers, as their clients."""

    prometheus: httpx.Client
    alertmanager: httpx.Client

    def ask(self, expr: str) -> list[dict[str, Any]]:
        """What an expression returns now."""
        answer = self.prometheus.get("/api/v1/query", params={"query": expr}).json()
        assert answer["status"] == "success", (expr, answer)
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def targets(self) -> dict[str, str]:
        """The health of each job's target."""
        active = self.prometheus.get("/api/v1/targets").json()["data"]["activeTargets"]
        return {target["labels"]["job"]: target["health"] for target in active}

    def alerts(self, service: str = ".*") -> set[str]:
        """The names of the alerts that Alertmanager has about a service, those that others silence included."""
        found = self.alertmanager.get("/api/v2/alerts", params={"filter": f'service=~"{service}"'}).json()
        return {alert["labels"]["alertname"] for alert in found}


@contextlib.contextmanager
def watching(folder: Path, processes: Mapping[str, Running], *, hasten: Callable[[str], str] = str) -> Iterator[Watch]:
    """Watch `processes`, by their jobs, every second; `hasten` may shorten the times in the rules."""
    for path in RULES:
        (folder / path.name).write_text(hasten(path.read_text()))
    prometheus, alertmanager = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(folder / path.name) for path in RULES]
    config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [alertmanager]
    config["scrape_configs"] = [
        {"job_name": job, "static_configs": [{"targets": [process.management.removeprefix("http://")]}]}
        for job, process in processes.items()
    ]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    manager = [
        f"--config.file={ROOT}/docker/alertmanager/alertmanager.yml", f"--storage.path={folder}/alerts",
        f"--web.listen-address={alertmanager}", "--cluster.listen-address=",
    ]  # fmt: skip
    # Prometheus finds Alertmanager some seconds late: what fired before is lost until it is sent again (else a minute).
    server = [
        f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address={prometheus}", "--log.level=warn", "--rules.alert.resend-delay=2s",
    ]  # fmt: skip
    with (
        started("alertmanager", manager, folder, f"http://{alertmanager}") as its_client,
        started("prometheus", server, folder, f"http://{prometheus}") as client,
    ):
        yield Watch(client, its_client)


@contextlib.contextmanager
def started(name: str, arguments: list[str], folder: Path, url: str) -> Iterator[httpx.Client]:
    """A client of a server, from the moment that this is ready; its log is in `folder`."""
    with (folder / f"{name}.log").open("w") as log, httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
        process = subprocess.Popen([str(BINARIES / name), *arguments], stdout=log, stderr=subprocess.STDOUT)
        try:
            until(lambda: ready(client), f"{name} is ready: {folder}/{name}.log")
            yield client
        finally:
            process.terminate()
            process.wait(20)


def ready(client: httpx.Client) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return client.get("/-/ready").status_code == 200
    return False


def until(happens: Callable[[], bool], what: str, seconds: float = 60) -> float:
    """Wait for something, and tell how long it took."""
    began = time.monotonic()
    while not happens():
        assert time.monotonic() - began < seconds, f"not within {seconds} s: {what}"
        time.sleep(0.2)
    return time.monotonic() - began


def hastened(text: str) -> str:
    """Rules whose windows and patience are of a test's size: an hour is 20 s, five minutes are 10."""
    windows = {"5m": "10s", "10m": "10s", "15m": "15s", "30m": "15s", "1h": "20s", "2h": "20s"}
    text = re.sub(r"\[(\w+)\]", lambda match: f"[{windows.get(match[1], '30s')}]", text)
    return re.sub(r"for: \w+", "for: 2s", text)


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
