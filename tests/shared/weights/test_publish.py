"""Publishing is atomic: of two that race one wins, and a publisher that dies leaves nothing that a reader sees."""

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from shared.weights.errors import RefusedVersion, StoreError, VersionExists
from shared.weights.manifest import MANIFEST
from shared.weights.store import Store
from tests.shared.weights.samples import card, encode

FORK = multiprocessing.get_context("fork")


def test_a_version_never_changes(store: Store, publish: Callable[..., str], source: Path) -> None:
    digest = publish("v1")
    (source / "config.json").write_text("{}")
    with pytest.raises(VersionExists, match="clip@v1 exists"):
        publish("v1")
    assert store.resolve("clip@v1").digest == digest


@pytest.mark.parametrize("name", ["model.pth", "model.bin", "code.py", "chat.jinja", MANIFEST, ".env"])
def test_a_source_with_a_file_that_is_never_loaded_is_refused(store: Store, source: Path, name: str) -> None:
    (source / name).write_bytes(b"")
    with pytest.raises(RefusedVersion, match=name):
        store.publish(source, card())
    assert store.models() == []


def test_a_link_in_the_source_is_refused(store: Store, source: Path) -> None:
    (source / "secret.txt").symlink_to("/etc/hostname")
    with pytest.raises(RefusedVersion, match=r"secret\.txt is a link"):
        store.publish(source, card())


def test_weights_whose_header_lies_are_refused(store: Store, source: Path) -> None:
    (source / "model.safetensors").write_bytes(
        encode({"x": {"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}}, b"")
    )
    with pytest.raises(RefusedVersion, match=r"model\.safetensors"):
        store.publish(source, card())


def test_an_empty_source_is_refused(store: Store, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RefusedVersion, match="1 to 1000 files"):
        store.publish(tmp_path / "empty", card())


def test_publishing_leaves_nothing_beside_the_version(
    store: Store, publish: Callable[..., str], tmp_path: Path
) -> None:
    publish()
    assert [path.name for path in (tmp_path / "store/models/clip").iterdir()] == ["v1"]


def _publish_own(url: str, source: Path, barrier: Barrier, number: int) -> None:
    (source / "config.json").write_text(f'{{"number": {number}}}')
    barrier.wait()
    try:
        Store(url).publish(source, card("raced"))
    except VersionExists:
        os._exit(17)
    os._exit(0)


def test_of_publishers_that_race_for_one_id_exactly_one_wins(store: Store, source: Path, tmp_path: Path) -> None:
    for round_ in range(5):
        barrier = FORK.Barrier(4)
        url = f"file://{tmp_path}/race-{round_}"
        publishers = []
        for number in range(4):
            own = tmp_path / f"source-{round_}-{number}"
            own.mkdir()
            (own / "model.safetensors").write_bytes((source / "model.safetensors").read_bytes())
            publishers.append(FORK.Process(target=_publish_own, args=(url, own, barrier, number)))
        for publisher in publishers:
            publisher.start()
        for publisher in publishers:
            publisher.join()
        assert sorted(publisher.exitcode or 0 for publisher in publishers) == [0, 17, 17, 17]
        won = Store(url).fetch("clip@raced", tmp_path / "cache")
        winner = next(number for number, publisher in enumerate(publishers) if publisher.exitcode == 0)
        assert (won.path / "config.json").read_text() == f'{{"number": {winner}}}'


def _publish_for_ever(url: str, source: Path, start: int) -> None:
    for number in range(start, start + 1000):
        Store(url).publish(source, card(f"v{number}"))


def test_a_publisher_killed_at_any_moment_leaves_whole_versions_only(
    store: Store, source: Path, tmp_path: Path
) -> None:
    for number in range(12):
        (source / f"part-{number}.txt").write_bytes(os.urandom(20_000))
    chance, cut_short, whole = random.Random(3), 0, set[str]()
    for attempt in range(20):
        process = FORK.Process(target=_publish_for_ever, args=(store.url, source, attempt * 1000))
        process.start()
        time.sleep(chance.uniform(0.002, 0.08))
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        cut_short += bool(list((tmp_path / "store/models").glob("clip/.incoming-*")))
        for version in set(store.versions("clip")) - whole:
            whole.add(version)
            store.fetch(f"clip@{version}", tmp_path / "cache")
        store.publish(source, card(f"after-{attempt}"))
        assert not list((tmp_path / "store/models/clip").glob(".*"))
    assert cut_short >= 3, "the kills never hit a publisher at work: the test shows nothing"


def test_a_version_that_another_tool_left_without_manifest_is_invisible_and_kept(
    store: Store, publish: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "store/models/clip/v1").mkdir(parents=True)
    (tmp_path / "store/models/clip/v1/config.json").write_text("{}")
    assert store.models() == []
    with pytest.raises(StoreError, match="clip@v1 exists"):
        publish("v1")
    assert (tmp_path / "store/models/clip/v1/config.json").exists()
