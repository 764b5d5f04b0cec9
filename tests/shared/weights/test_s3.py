"""A store in a bucket, at a server of S3's protocol: one of many wins, and what fails is told in our own words."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import fsspec
import pytest
from pytest import MonkeyPatch

from shared.weights.errors import AliasMoved, NotInStore, RefusedVersion, StoreAway, StoreError, VersionExists
from shared.weights.seed import seed
from shared.weights.store import Store
from tests.buckets import Line
from tests.shared.weights.samples import card


@pytest.fixture
def store(bucket: str) -> Store:
    return Store(bucket)


@pytest.fixture
def line(bucket: str, s3: str, monkeypatch: MonkeyPatch) -> Iterator[Line]:
    """A line to the server that can be cut; the environment names it as the endpoint."""
    line = Line(s3)
    monkeypatch.setenv("AWS_ENDPOINT_URL", line.url)
    yield line
    line.close()


def objects(store: Store, s3: str) -> tuple[fsspec.AbstractFileSystem, str]:
    fs, root = fsspec.core.url_to_fs(store.url, endpoint_url=s3, use_listings_cache=False)
    return fs, root


def together(count: int, work: Callable[[int], object]) -> None:
    """Run `work(0)` … at the same moment, in threads."""
    barrier = threading.Barrier(count)

    def begin(number: int) -> None:
        barrier.wait()
        work(number)

    threads = [threading.Thread(target=begin, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def copies(source: Path, tmp_path: Path, name: str) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "model.safetensors").write_bytes((source / "model.safetensors").read_bytes())
    return folder


def test_of_publishers_that_race_for_one_id_one_wins_and_the_others_are_told(
    store: Store, source: Path, tmp_path: Path
) -> None:
    for round_ in range(4):
        folders = [copies(source, tmp_path, f"{round_}-{number}") for number in range(4)]
        for number, folder in enumerate(folders):
            (folder / ("a.json" if number % 2 else "z.json")).write_text(f'{{"number": {number}}}')
        outcomes = Counter[str]()

        def publish(number: int, round_: int = round_, folders: list[Path] = folders) -> None:
            try:
                Store(store.url).publish(folders[number], card(f"raced-{round_}"))
            except VersionExists:
                outcomes["told"] += 1  # noqa: B023
            else:
                outcomes[str(number)] += 1  # noqa: B023

        together(4, publish)
        assert outcomes["told"] == 3, outcomes
        (winner,) = (int(name) for name in outcomes if name != "told")
        won = store.fetch(f"clip@raced-{round_}", tmp_path / "cache")
        (config,) = won.path.glob("[az].json")
        assert config.read_text() == f'{{"number": {winner}}}'


def test_of_those_who_move_an_alias_at_one_moment_one_does(store: Store, source: Path) -> None:
    for number in range(4):
        store.publish(source, card(f"v{number}"))
    moved: list[int] = []

    def move(number: int) -> None:
        try:
            store.move_alias("clip", "champion", f"v{number}", expected=None)
        except AliasMoved:
            return
        moved.append(number)

    together(4, move)
    assert [pointer.version for pointer in store.history("clip", "champion")] == [f"v{moved[0]}"]
    assert len(moved) == 1


def test_whoever_lists_while_others_publish_finds_whole_versions_only(
    store: Store, source: Path, tmp_path: Path
) -> None:
    done = threading.Event()
    seen: set[str] = set()

    def work(number: int) -> None:
        if number:
            try:
                for step in range(8):
                    store.publish(source, card(f"v{step}"))
            finally:
                done.set()
        while not done.is_set():
            for version in set(store.versions("clip")) - seen:
                seen.add(version)
                store.fetch(f"clip@{version}", tmp_path / "cache")

    together(2, work)
    assert seen


def test_a_put_whose_answer_was_lost_counts_once(line: Line, source: Path, bucket: str) -> None:
    store = Store(bucket)
    store.publish(source, card("v1"))
    for lost in range(6):
        line.breaks = [-1] * lost + [0]
        store.publish(source, card(f"lost-{lost}"))
        store.move_alias("clip", "champion", f"lost-{lost}", expected=f"lost-{lost - 1}" if lost else None)
    assert [pointer.version for pointer in store.history("clip", "champion")] == [f"lost-{lost}" for lost in range(6)]
    assert line.broken == 6


def test_a_download_that_breaks_off_is_taken_up_again(line: Line, store: Store, source: Path, tmp_path: Path) -> None:
    (source / "large.txt").write_bytes(bytes(range(256)) * 4000)
    store.publish(source, card())
    remote = Store(store.url)
    line.breaks = [-1] * 5 + [300_000, 200_000]
    version = remote.fetch("clip@v1", tmp_path / "cache")
    assert (version.path / "large.txt").read_bytes() == (source / "large.txt").read_bytes()
    assert line.broken >= 1


def test_a_version_whose_bytes_were_changed_in_the_bucket_is_refused(
    store: Store, source: Path, s3: str, tmp_path: Path
) -> None:
    store.publish(source, card())
    fs, root = objects(store, s3)
    fs.pipe_file(f"{root}/models/clip/v1/config.json", b'{"labels": ["squarf"]}')
    with pytest.raises(RefusedVersion, match=r"config\.json are not those that were published"):
        store.fetch("clip@v1", tmp_path / "cache")
    fs.rm_file(f"{root}/models/clip/v1/config.json")
    with pytest.raises(RefusedVersion, match=r"config\.json is missing"):
        store.fetch("clip@v1", tmp_path / "cache")


HOSTILE = (
    "models/../../etc/v1/manifest.json",
    "models/clip/../v2/manifest.json",
    "models/CLIP/v1/manifest.json",
    "models/clip/ v1/manifest.json",
    "models/clip/.hidden/manifest.json",
    "models//v1/manifest.json",
    "models/clip",
    "models/clip/",
    "aliases/clip/champion/../../../000009.json",
    "aliases/clip/champion/99.json",
)


def test_objects_with_hostile_names_are_not_seen(store: Store, source: Path, s3: str) -> None:
    store.publish(source, card())
    store.move_alias("clip", "champion", "v1", expected=None)
    fs, root = objects(store, s3)
    bucket, _, folder = root.partition("/")
    for name in HOSTILE:
        fs.call_s3("put_object", Bucket=bucket, Key=f"{folder}/{name}", Body=b"{}")
    assert (store.models(), store.versions("clip")) == (["clip"], ["v1"])
    assert store.resolve("clip").version == "v1"


def test_the_shipped_models_can_begin_a_bucket_and_many_may_do_so_at_once(
    store: Store, source: Path, tmp_path: Path
) -> None:
    release = Store(str(tmp_path / "release"))
    release.publish(source, card("shapes-1"))
    release.move_alias("clip", "champion", "shapes-1", expected=None)
    together(3, lambda _: seed(tmp_path / "release", Store(store.url)))
    assert store.resolve("clip") == release.resolve("clip")
    assert len(store.history("clip", "champion")) == 1
    assert store.fetch("clip", tmp_path / "cache").digest == release.resolve("clip").digest


def told(store: Store) -> str:
    with pytest.raises(StoreError) as failed:
        store.resolve("clip@v1")
    return str(failed.value)


def test_a_bucket_that_is_not_there_is_told_and_not_made(store: Store, source: Path, s3: str) -> None:
    missing = Store("s3://no-such-bucket/weights")
    assert told(missing) == "There is no bucket 'no-such-bucket' at this server. Make it, or correct OCELLI_STORE."
    with pytest.raises(StoreError, match="There is no bucket"):
        missing.publish(source, card())
    assert not objects(store, s3)[0].exists("no-such-bucket")


def test_a_name_that_no_bucket_can_have_is_told(bucket: str) -> None:
    assert "cannot name a bucket" in told(Store("s3://No Such!/weights"))


@pytest.mark.parametrize("url", ["s3://", "s3:///weights", "s3://key:secret@bucket/x", "s3://bucket/x?versionId=1"])
def test_a_url_that_is_more_or_less_than_a_bucket_is_refused(bucket: str, url: str) -> None:
    with pytest.raises(StoreError, match="The URL of an S3 store is s3://<bucket>/<folder>") as refused:
        Store(url)
    assert "secret" not in str(refused.value)


def test_without_a_key_it_says_which_variables_to_set(bucket: str, monkeypatch: MonkeyPatch) -> None:
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(variable)
    monkeypatch.setenv("AWS_REGION", "eu-west-3")  # another file system than those that have a key already
    assert "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY." in told(Store(bucket))


def test_an_endpoint_that_is_no_url_is_told(bucket: str, monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "nowhere")
    assert told(Store(bucket)) == "AWS_ENDPOINT_URL is not a URL. Write it as https://host:port."


def test_without_the_package_it_says_what_to_install(monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(StoreError, match=r"need the package s3fs: `pip install \.\[s3\]`"):
        Store("s3://bucket/weights")


def test_while_the_server_is_away_it_says_what_to_check(line: Line, bucket: str) -> None:
    line.up = False
    sentence = told(Store(bucket))
    assert "does not answer. Check AWS_ENDPOINT_URL" in sentence
    assert str(urlsplit(line.url).port) not in sentence


def test_a_service_begins_with_what_it_began_with_last_while_the_server_is_away(
    line: Line, store: Store, source: Path, tmp_path: Path
) -> None:
    store.publish(source, card())
    store.move_alias("clip", "champion", "v1", expected=None)
    remote, cache = Store(store.url), tmp_path / "cache"
    first = remote.begin("clip", cache)
    line.up = False
    again = remote.begin("clip", cache)
    assert again == first
    with pytest.raises(StoreAway):
        remote.begin("clip@v1", cache)
    (first.path / "config.json").write_text("damaged")
    with pytest.raises(StoreAway):
        remote.begin("clip", cache)


def test_what_the_store_lacks_is_no_reason_to_begin_with_a_copy(store: Store, source: Path, tmp_path: Path) -> None:
    store.publish(source, card())
    store.begin("clip@v1", tmp_path / "cache")
    with pytest.raises(NotInStore):
        store.begin("clip", tmp_path / "cache")


def test_what_the_libraries_log_tells_neither_secret_nor_token(
    store: Store, source: Path, monkeypatch: MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-token-of-tests")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")  # another session than those that have no token
    caplog.set_level("DEBUG")
    Store(store.url).publish(source, card())
    assert not any(secret in caplog.text for secret in ("a-secret-of-tests", "a-token-of-tests", "a-key-of-tests"))


def test_a_server_that_keeps_conditions_is_told_from_one_that_does_not(store: Store) -> None:
    assert store.grants_once()
    assert store.grants_once()
