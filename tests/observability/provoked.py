"""Things go wrong for real, and Alertmanager hears of it: `pytest -s tests/observability/provoked.py`, about a minute.

A flood fills the queue, and what it costs burns the budget; champion moves to weights that a service must refuse; a
service is stopped. Windows and patience of the rules are of a test's size (`hastened`), all else is as shipped.
"""

import asyncio
import shutil
import time
from pathlib import Path

import aiohttp
import pytest
from safetensors.torch import load_file, save_file

from shared.weights.manifest import MANIFEST, Card, Made
from shared.weights.store import Store
from tests.e2e.versions import store_with
from tests.observability.watching import Watch, hastened, until, watching
from tests.processes import running

WITHIN_S = 120.0
PICTURE = {"content-type": "image/jpeg"}


@pytest.mark.timeout(500)
def test_alerts_reach_alertmanager_within_two_minutes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = store_with(tmp_path, "clip")
    with (
        running("tests.e2e.identity", state=tmp_path / "numbers", step_ms=200, max_batch=1, queue=8) as detection,
        running("services.clip", state=tmp_path / "clip", store=store.url) as clip,
        running("services.gateway", state=tmp_path, detection=detection.url, clip=clip.url) as gateway,
        watching(tmp_path, {"gateway": gateway, "detection": detection, "clip": clip}, hasten=hastened) as watch,
    ):
        until(lambda: set(watch.targets().values()) == {"up"} and "Watchdog" in watch.alerts(), "all is well")
        assert watch.alerts() == {"Watchdog"}
        took = asyncio.run(flooded(gateway.url, watch, {"QueueSaturated", "AvailabilityBurn"}))
        assert not watch.alerts("clip")
        store.move_alias("clip", "champion", publish_damaged(store, tmp_path), expected="shapes-2")
        took |= seen(watch, "clip", {"ReloadFailed", "WeightsBehind"})
        clip.terminate()
        took |= seen(watch, "clip", {"TargetDown", "NoReadyReplica"})
    with capsys.disabled():
        print({name: round(seconds) for name, seconds in took.items()})


def seen(watch: Watch, service: str, names: set[str]) -> dict[str, float]:
    """Seconds from now until Alertmanager has each, about this service."""
    began, took = time.monotonic(), dict[str, float]()

    def all_are_there() -> bool:
        for name in names & watch.alerts(service):
            took.setdefault(name, time.monotonic() - began)
        return took.keys() == names

    until(all_are_there, f"all of {sorted(names)} in Alertmanager", WITHIN_S)
    return took


async def flooded(url: str, watch: Watch, names: set[str]) -> dict[str, float]:
    """Ask for more than a service can do, until these alerts are there."""
    async with aiohttp.ClientSession() as session:

        async def ask() -> None:
            while True:
                async with session.post(f"{url}/v1/detect", data=b"number:1", headers=PICTURE) as answer:
                    await answer.read()
                await asyncio.sleep(0.05)

        callers = [asyncio.create_task(ask()) for _ in range(24)]
        try:
            return await asyncio.to_thread(seen, watch, "detection", names)
        finally:
            for caller in callers:
                caller.cancel()
            await asyncio.gather(*callers, return_exceptions=True)


def publish_damaged(store: Store, folder: Path) -> str:
    """Publish the champion with one tensor turned round, and the golden cases of before; returns its version."""
    source = folder / "damaged"
    shutil.copytree(store.fetch("clip", folder / "copy").path, source)
    (source / MANIFEST).unlink()
    tensors = load_file(source / "model.safetensors")
    name = next(name for name in tensors if name.startswith("visual_projection"))
    save_file(tensors | {name: -tensors[name]}, source / "model.safetensors")
    store.publish(source, Card(model="clip", version="damaged", made=Made(by="a test")))
    return "damaged"
