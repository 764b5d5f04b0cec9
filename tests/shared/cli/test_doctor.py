"""`ocelli doctor` looks at a store in a bucket as services will, and says which setting to change."""

from pathlib import Path

import pytest
from pytest import MonkeyPatch

from shared.cli import doctor
from shared.weights.manifest import Card, Made
from shared.weights.store import Store


@pytest.fixture
def store(bucket: str, tmp_path: Path, monkeypatch: MonkeyPatch) -> Store:
    monkeypatch.setenv("OCELLI_STORE", bucket)
    monkeypatch.setenv("OCELLI_STATE", str(tmp_path / "state"))
    (tmp_path / "source").mkdir()
    (tmp_path / "source/config.json").write_text("{}")
    store = Store(bucket)
    store.publish(tmp_path / "source", Card(model="clip", version="v1", made=Made(by="a test")))
    return store


def test_a_sound_store_in_a_bucket_is_good(store: Store) -> None:
    findings = [*doctor.store(), *doctor.bucket()]
    assert all(finding.good for finding in findings), findings
    assert findings[0].what.startswith("weights store: ok  clip@v1")
    assert findings[1].what == "the store refuses a name that is taken"


def test_a_bucket_that_is_not_there_is_bad_and_the_setting_is_named(store: Store, monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setenv("OCELLI_STORE", "s3://no-such-bucket/weights")
    findings = [*doctor.store(), *doctor.bucket()]
    assert [finding.good for finding in findings] == [False, False]
    assert all("correct OCELLI_STORE" in finding.what for finding in findings)


def test_a_store_on_a_disk_is_not_asked_for_conditions(monkeypatch: MonkeyPatch, tmp_path: Path) -> None:
    for url in (str(tmp_path), f"file://{tmp_path}"):
        monkeypatch.setenv("OCELLI_STORE", url)
        assert not list(doctor.bucket())
