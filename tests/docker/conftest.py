"""The stack for the tests with a Docker engine: one for all of them."""

from collections.abc import Iterator

import pytest

from tests.docker.stack import Stack, running_stack


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The whole house in containers."""
    with running_stack() as running:
        yield running
