"""A small version to publish: two tensors, a config and a picture of a golden case."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shared.weights.store import Store
from tests.buckets import ENVIRONMENT, make_bucket, s3_server
from tests.shared.weights.samples import HEADER, card, encode


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "golden").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(encode(HEADER, bytes(range(28))))
    (folder / "config.json").write_text('{"labels": ["square"]}')
    (folder / "golden" / "0.png").write_bytes(b"not looked into")
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(f"file://{tmp_path}/store")


@pytest.fixture
def publish(store: Store, source: Path) -> Callable[..., str]:
    """Publish the source as a version and return its digest."""

    def one(version: str = "v1", model: str = "clip") -> str:
        return store.publish(source, card(version, model)).digest

    return one


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    with s3_server() as url:
        yield url


@pytest.fixture
def bucket(s3: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty store in a bucket of its own, and the variables that lead there."""
    for variable, value in (ENVIRONMENT | {"AWS_ENDPOINT_URL": s3}).items():
        monkeypatch.setenv(variable, value)
    return f"s3://{make_bucket(s3)}/weights"
