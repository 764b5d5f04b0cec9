"""Under load: no answer swapped, none lost, batches well filled; an ordered end; and goodput where too much is asked.

The real gateway, the real serving core and real sockets around a model that reads numbers from pixels.
"""

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.load import arrivals, metric, storm
from tests.processes import Running, running

SECONDS = float(os.environ.get("STRESS_SECONDS", "8"))  # 60 for the figures in the README
IDENTITY = "tests.e2e.identity"


@contextmanager
def house(state: Path, **settings: Any) -> Iterator[tuple[Running, Running]]:
    """The number-reading service and the gateway in front of it."""
    with (
        running(IDENTITY, state=state, **settings) as service,
        running("services.gateway", state=state, detection=service.url) as gateway,
    ):
        yield service, gateway


def test_64_clients_with_cancels_and_poison_get_each_their_own_answer(tmp_path: Path) -> None:
    with house(tmp_path, step_ms=60, queue=128) as (service, gateway):
        fates = asyncio.run(storm(gateway.url, clients=64, seconds=SECONDS, cancels=0.05, running=lambda: True))
        answered = {"ok", "poison", "cancelled"}
        assert set(fates.counts) <= answered, fates.counts
        assert fates.counts["ok"] > 10 * SECONDS
        assert fates.counts["poison"] and fates.counts["cancelled"]
        batches = metric(service.management, "ocelli_inference_batch_size_count")
        items = metric(service.management, "ocelli_inference_batch_size_sum")
        assert items / batches >= 0.7 * 8, (items, batches)
        time.sleep(0.5)
        assert metric(service.management, "ocelli_inference_in_flight") == 0
        assert metric(service.management, "ocelli_inference_queue_depth") == 0


def test_sigterm_under_load_answers_everything_and_exits_with_0(tmp_path: Path) -> None:
    with running(IDENTITY, state=tmp_path, step_ms=40, drain_delay_s=1) as service:
        ready = threading.Event()
        ready.set()
        noticed: list[float] = []

        def end() -> None:
            time.sleep(2)
            service.terminate()
            began = time.monotonic()
            while httpx.get(f"{service.management}/readyz").status_code == 200:
                time.sleep(0.02)
            noticed.append(time.monotonic() - began)
            ready.clear()

        ending = threading.Thread(target=end)
        ending.start()
        fates = asyncio.run(storm(service.url, clients=32, seconds=20, cancels=0, running=ready.is_set))
        ending.join()
        assert service.wait() == 0
    assert set(fates.counts) <= {"ok", "poison"}, fates.counts
    assert fates.counts["ok"] > 50
    assert noticed[0] < 0.5


def test_twice_the_load_that_fits_still_gets_what_fits(tmp_path: Path) -> None:
    capacity = 8 / 0.1
    with house(tmp_path, step_ms=100) as (_, gateway):
        asyncio.run(arrivals(gateway.url, rate=capacity / 2, seconds=2, deadline_ms=1000))
        full = asyncio.run(arrivals(gateway.url, rate=capacity, seconds=5, deadline_ms=1000))
        double = asyncio.run(arrivals(gateway.url, rate=2 * capacity, seconds=5, deadline_ms=1000))
    assert set(double.counts) <= {"ok", "refused"}, double.counts
    assert double.counts["refused"] > 0.3 * sum(double.counts.values())
    assert double.counts["ok"] >= 0.9 * full.counts["ok"], (full.counts, double.counts)
    assert double.percentile("refused", 0.9) < 0.05, double.percentile("refused", 0.9)
    assert double.percentile("ok", 0.99) < 1.1
