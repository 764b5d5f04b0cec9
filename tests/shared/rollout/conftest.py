"""A house of replicas for each test."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.shared.rollout.house import House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with contextlib.ExitStack() as stack:
        yield House(tmp_path, stack)
