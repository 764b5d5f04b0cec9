"""A real Prometheus watches the real house: what is asked of it, by dashboards, rules and autoscalers, has answers."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields

import httpx
import pytest

from tests.e2e import pictures
from tests.house import House
from tests.observability import shipped
from tests.observability.watching import Watch, until, watching
from tests.processes import Running

JPEG = {"content-type": "image/jpeg"}
WINDOW = "30s"
# What this stack has no data for, by the reason.
NEEDS_A_GPU = shipped.DCGM | {"ocelli_gpu_memory_allocated_bytes", "ocelli_gpu_memory_reserved_bytes"}
NEEDS_A_START_OR_A_PUSH = {"ocelli_model_load_duration_seconds_sum", "ocelli_model_swap_duration_seconds_sum"}


@pytest.fixture(scope="module")
def watch(house: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    """Prometheus on the whole house, after some traffic of every kind."""
    processes = {f.name: p for f in fields(house) if isinstance(p := getattr(house, f.name), Running)}
    with watching(tmp_path_factory.mktemp("watch"), processes) as found:
        until(lambda: set(found.targets().values()) == {"up"}, "all targets are up")
        until_over = time.monotonic() + 5
        with ThreadPoolExecutor(4) as pool:
            while time.monotonic() < until_over:
                list(pool.map(lambda ask: ask(house.client), TRAFFIC))
        time.sleep(3)
        yield found


def detect(client: httpx.Client) -> None:
    client.post("/v1/detect", content=pictures.encoded("JPEG"), headers=JPEG)


def detect_open(client: httpx.Client) -> None:
    client.post("/v1/detect/open?labels=star", content=pictures.encoded("JPEG"), headers=JPEG)


def embed(client: httpx.Client) -> None:
    client.post("/v1/embeddings", json={"input": ["a star", "a circle"]})


def chat(client: httpx.Client) -> None:
    client.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8})


def err(client: httpx.Client) -> None:
    client.post("/v1/detect", content=b"no picture", headers=JPEG)
    client.get("/v1/models")
    client.get("/nowhere")


TRAFFIC = (detect, detect_open, embed, chat, err)


def test_all_targets_are_up(watch: Watch) -> None:
    assert watch.targets() == dict.fromkeys(("gateway", "detection", "clip", "owlvit", "llava"), "up")


def test_every_expression_of_a_dashboard_returns_data(watch: Watch) -> None:
    empty = [
        (place, expr)
        for place, expr in shipped.shown()
        if not shipped.names(expr) & (NEEDS_A_GPU | NEEDS_A_START_OR_A_PUSH)
        and not watch.ask(shipped.plain(expr, WINDOW))
    ]
    assert empty == []


def test_every_recording_rule_has_recorded(watch: Watch) -> None:
    assert [rule["record"] for rule in shipped.rules("record") if not watch.ask(recorded(rule))] == []


def test_every_expression_by_which_services_are_scaled_returns_data(watch: Watch) -> None:
    """In a cluster Prometheus adds the namespace, which here nobody does."""
    scaled = [(place, expr.replace('namespace="ocelli",', "")) for place, expr in shipped.scaled()]
    assert [place for place, expr in scaled if not watch.ask(expr)] == []


def test_every_query_of_a_runbook_can_be_asked(watch: Watch) -> None:
    for rule in shipped.rules("alert"):
        watch.ask(rule["expr"])


def test_a_healthy_house_has_no_alert_but_the_watchdog(watch: Watch) -> None:
    until(lambda: "Watchdog" in watch.alerts(), "the watchdog is in Alertmanager")
    assert watch.alerts() == {"Watchdog"}


def recorded(rule: dict[str, object]) -> str:
    labels = rule.get("labels", {})
    assert isinstance(labels, dict)
    return f"{rule['record']}{{{','.join(f'{key}={chr(34)}{value}{chr(34)}' for key, value in labels.items())}}}"
