"""The store at a server that checks keys: Ceph's object gateway, in a container of its own."""

import subprocess
import threading
import time
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from pytest import MonkeyPatch

from shared.weights.errors import AliasMoved, StoreError, VersionExists
from shared.weights.store import Store
from tests.buckets import ENVIRONMENT, Line, make_bucket
from tests.shared.weights.samples import HEADER, card, encode

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]
IMAGE = "ocelli-test-ceph"
KEYS = {"AWS_ACCESS_KEY_ID": "test-key", "AWS_SECRET_ACCESS_KEY": "test-secret", "AWS_REGION": "us-east-1"}


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def ceph() -> Iterator[str]:
    docker("build", "--quiet", "--tag", IMAGE, str(Path(__file__).with_name("ceph")))
    keys = ("--env", "ACCESS_KEY=test-key", "--env", "SECRET_KEY=test-secret")
    container = docker("run", "--detach", "--rm", "--publish", "127.0.0.1::8000", *keys, IMAGE)
    try:
        url = f"http://{docker('port', container, '8000')}"
        _wait(url)
        yield url
    finally:
        docker("kill", container)


def _wait(url: str) -> None:
    for _ in range(240):
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.5)
    raise AssertionError("the gateway did not start within two minutes")


@pytest.fixture
def store(ceph: str, monkeypatch: MonkeyPatch) -> Store:
    for variable, value in (ENVIRONMENT | KEYS | {"AWS_ENDPOINT_URL": ceph}).items():
        monkeypatch.setenv(variable, value)
    return Store(f"s3://{make_bucket(ceph)}/weights")


def version(folder: Path, number: int) -> Path:
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(encode(HEADER, bytes(range(28))))
    (folder / ("a.json" if number % 2 else "z.json")).write_text(f'{{"number": {number}}}')
    return folder


def test_what_is_published_is_fetched_and_an_alias_moves(store: Store, tmp_path: Path) -> None:
    identity = store.publish(version(tmp_path / "v1", 1), card("v1"))
    store.move_alias("clip", "champion", "v1", expected=None)
    assert store.fetch("clip", tmp_path / "cache").identity == identity
    with pytest.raises(AliasMoved):
        store.move_alias("clip", "champion", "v1", expected="v0")


def test_of_publishers_that_race_one_wins_and_the_others_are_told(store: Store, tmp_path: Path) -> None:
    for round_ in range(5):
        folders = [version(tmp_path / f"{round_}-{number}", number) for number in range(4)]
        won: list[int] = []
        barrier = threading.Barrier(4)

        def publish(number: int, round_: int, folder: Path, won: list[int], barrier: threading.Barrier) -> None:
            barrier.wait()
            try:
                Store(store.url).publish(folder, card(f"raced-{round_}"))
            except VersionExists:
                return
            won.append(number)

        threads = [
            threading.Thread(target=publish, args=(number, round_, folders[number], won, barrier))
            for number in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (winner,) = won
        (config,) = store.fetch(f"clip@raced-{round_}", tmp_path / "cache").path.glob("[az].json")
        assert config.read_text() == f'{{"number": {winner}}}'


def test_a_file_that_goes_in_parts_is_not_overwritten_either(store: Store, tmp_path: Path) -> None:
    for name in ("one", "two"):
        folder = version(tmp_path / name, 1)
        shape = [27 << 20]
        header = {name: {"dtype": "F32", "shape": shape, "data_offsets": [0, 4 * shape[0]]}}
        (folder / "model.safetensors").write_bytes(encode(header, bytes(4 * shape[0])))
    outcomes: list[str] = []

    def publish(name: str) -> None:
        try:
            Store(store.url).publish(tmp_path / name, card("large"))
        except VersionExists:
            return
        outcomes.append(name)

    threads = [threading.Thread(target=publish, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = outcomes
    won = store.fetch("clip@large", tmp_path / "cache").path
    assert (won / "model.safetensors").read_bytes() == (tmp_path / winner / "model.safetensors").read_bytes()


def test_a_download_that_breaks_off_is_taken_up_again(
    store: Store, ceph: str, tmp_path: Path, monkeypatch: MonkeyPatch
) -> None:
    folder = version(tmp_path / "v1", 1)
    (folder / "large.txt").write_bytes(bytes(range(256)) * 4000)
    store.publish(folder, card())
    line = Line(ceph)
    monkeypatch.setenv("AWS_ENDPOINT_URL", line.url)
    line.breaks = [500_000, 300_000, 200_000]
    fetched = Store(store.url).fetch("clip@v1", tmp_path / "cache")
    line.close()
    assert (fetched.path / "large.txt").read_bytes() == (folder / "large.txt").read_bytes()
    assert line.broken >= 1


@pytest.mark.parametrize("variable", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_a_wrong_key_is_refused_in_a_sentence_that_does_not_tell_it(
    store: Store, monkeypatch: MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "not-this-one")
    monkeypatch.setenv("AWS_REGION", f"eu-{uuid.uuid4().hex[:6]}")  # no file system is shared with the right key
    with pytest.raises(StoreError, match=r"refuses the key\. Check AWS_ACCESS_KEY_ID and AWS_SECRET") as refused:
        Store(store.url).resolve("clip")
    assert "not-this-one" not in str(refused.value)


def test_a_bucket_that_is_not_there_is_told(store: Store) -> None:
    with pytest.raises(StoreError, match="There is no bucket 'no-such-bucket'"):
        Store("s3://no-such-bucket/weights").resolve("clip")


def test_a_name_with_a_line_break_is_not_seen(store: Store, ceph: str, tmp_path: Path) -> None:
    store.publish(version(tmp_path / "v1", 1), card("v1"))
    bucket = store.url.split("/")[2]
    client = boto3.client("s3", endpoint_url=ceph)
    client.put_object(Bucket=bucket, Key="weights/models/clip/v2\n/manifest.json", Body=b"{}")
    assert store.versions("clip") == ["v1"]


def test_it_is_found_out_that_a_bucket_with_versions_grants_a_name_twice(store: Store, ceph: str) -> None:
    assert store.grants_once()
    client = boto3.client("s3", endpoint_url=ceph)
    client.put_bucket_versioning(Bucket=store.url.split("/")[2], VersioningConfiguration={"Status": "Enabled"})
    assert not store.grants_once()
