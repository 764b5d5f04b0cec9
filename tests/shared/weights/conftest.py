"""A small version to publish: two tensors, a config and a picture of a golden case."""

from collections.abc import Callable
from pathlib import Path

import pytest

from shared.weights.store import Store
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
