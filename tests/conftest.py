"""What every test has: one thread for torch, no settings from outside, and the house or an S3 server where it asks."""

import os
from collections.abc import Iterator

import pytest

from tests.buckets import ENVIRONMENT, make_bucket, s3_server
from tests.house import house

__all__ = ["bucket", "house", "s3"]

os.environ.update(OMP_NUM_THREADS="1", OMP_WAIT_POLICY="PASSIVE")
for variable in [name for name in os.environ if name.startswith("OCELLI_")]:
    del os.environ[variable]


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
