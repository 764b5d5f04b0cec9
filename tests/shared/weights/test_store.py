"""References, and stores that are not on this machine."""

import uuid
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest

from shared.weights.errors import NotInStore, RefusedVersion, StoreError, VersionExists
from shared.weights.store import Store
from tests.shared.weights.samples import card


@pytest.fixture(params=["file", "memory", "s3"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "s3":
        return Store(request.getfixturevalue("bucket"))
    return Store(f"file://{tmp_path}/any" if request.param == "file" else f"memory://{uuid.uuid4().hex}/weights")


def test_a_store_begins_empty(any_store: Store) -> None:
    assert (any_store.models(), any_store.versions("clip"), any_store.aliases("clip")) == ([], [], {})


def test_every_kind_of_reference_finds_its_version(any_store: Store, source: Path) -> None:
    first, second = any_store.publish(source, card("v1")), any_store.publish(source, card("v2"))
    any_store.publish(source, card("v1", "ssd"))
    any_store.move_alias("clip", "champion", "v1", expected=None)
    any_store.move_alias("clip", "candidate", "v2", expected=None)
    assert (any_store.models(), any_store.versions("clip")) == (["clip", "ssd"], ["v1", "v2"])
    for reference in ("clip", "clip@champion", "clip@v1", f"clip@{first.digest}", f"clip@{first.digest[:19]}"):
        assert any_store.resolve(reference) == first
    assert any_store.resolve("clip@candidate") == second


@pytest.mark.parametrize("reference", ["owlvit", "clip@v9", "clip@candidate", "clip@previous", "clip@sha256:000000"])
def test_what_is_not_there_is_told_with_what_is(any_store: Store, source: Path, reference: str) -> None:
    any_store.publish(source, card("v1"))
    with pytest.raises(NotInStore, match=r"it has v1|its models are clip"):
        any_store.resolve(reference)


def test_what_is_fetched_is_what_was_published(any_store: Store, source: Path, tmp_path: Path) -> None:
    identity = any_store.publish(source, card())
    version = any_store.fetch("clip@v1", tmp_path / "cache")
    assert version.identity == identity
    assert version.manifest.metrics == {"mAP50": 0.9}
    for file in version.manifest.files:
        assert (version.path / file).read_bytes() == (source / file).read_bytes()


def test_both_kinds_of_store_give_one_digest(source: Path, tmp_path: Path) -> None:
    made = card()
    stores = (Store(str(tmp_path / "plain")), Store(f"memory://{uuid.uuid4().hex}"))
    assert len({store.publish(source, made).digest for store in stores}) == 1


def test_a_version_of_a_remote_store_never_changes(source: Path) -> None:
    store = Store(f"memory://{uuid.uuid4().hex}")
    store.publish(source, card())
    with pytest.raises(VersionExists):
        store.publish(source, card())


@pytest.fixture
def remote(source: Path) -> Store:
    store = Store(f"memory://{uuid.uuid4().hex}")
    store.publish(source, card())
    return store


def _overwrite(store: Store, path: str, data: bytes) -> None:
    fs, root = fsspec.core.url_to_fs(store.url)
    fs.pipe_file(f"{root}/models/clip/v1/{path}", data)


@pytest.mark.parametrize("path", ["config.json", "model.safetensors"])
def test_a_remote_version_that_was_tampered_with_never_enters_the_cache(
    remote: Store, tmp_path: Path, path: str
) -> None:
    _overwrite(remote, path, b"tampered")
    with pytest.raises(RefusedVersion):
        remote.fetch("clip@v1", tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*"))


def test_a_remote_file_that_is_not_in_the_manifest_is_never_fetched(remote: Store, tmp_path: Path) -> None:
    _overwrite(remote, "run.py", b"tampered")
    version = remote.fetch("clip@v1", tmp_path / "cache")
    assert not (version.path / "run.py").exists()


def test_what_a_dead_publisher_left_is_invisible_and_taken_over_with_the_same_bytes(
    source: Path, tmp_path: Path
) -> None:
    store = Store(f"memory://{uuid.uuid4().hex}")
    _overwrite(store, "config.json", (source / "config.json").read_bytes())
    assert store.models() == []
    store.publish(source, card())
    assert store.fetch("clip@v1", tmp_path / "cache").manifest.version == "v1"


def test_what_a_dead_publisher_left_is_refused_to_other_bytes(source: Path) -> None:
    store = Store(f"memory://{uuid.uuid4().hex}")
    _overwrite(store, "config.json", b"another's")
    with pytest.raises(VersionExists, match="clip@v1 exists"):
        store.publish(source, card())
    assert store.models() == []


def test_the_cache_serves_again_without_the_remote_files(remote: Store, tmp_path: Path) -> None:
    first = remote.fetch("clip@v1", tmp_path / "cache")
    _overwrite(remote, "config.json", b"tampered")
    assert remote.fetch("clip@v1", tmp_path / "cache").path == first.path


def test_a_damaged_copy_in_the_cache_is_replaced(remote: Store, source: Path, tmp_path: Path) -> None:
    version = remote.fetch("clip@v1", tmp_path / "cache")
    (version.path / "config.json").write_text("damaged")
    again = remote.fetch("clip@v1", tmp_path / "cache")
    assert (again.path / "config.json").read_bytes() == (source / "config.json").read_bytes()


def test_a_local_store_is_read_in_place(store: Store, publish: Callable[..., str], tmp_path: Path) -> None:
    publish()
    assert store.fetch("clip@v1", tmp_path / "cache").path == tmp_path / "store/models/clip/v1"
    assert not (tmp_path / "cache").exists()


def test_a_url_that_nothing_opens_is_refused_with_a_sentence() -> None:
    with pytest.raises(StoreError, match=r"opens nosuch:// stores"):
        Store("nosuch://bucket/weights")
