"""A local store begins with the shipped models and follows the releases, until the operator decides otherwise."""

import multiprocessing
from pathlib import Path

import pytest

from shared.weights.seed import seed
from shared.weights.store import Store
from tests.shared.weights.samples import card


class Release:
    """A folder of shipped models, as a release carries it."""

    def __init__(self, folder: Path, source: Path) -> None:
        self.folder, self.source, self.store = folder, source, Store(str(folder))

    def ship(self, version: str, expected: str | None) -> None:
        self.store.publish(self.source, card(version))
        self.store.move_alias("clip", "champion", version, expected=expected)


@pytest.fixture
def first(tmp_path: Path, source: Path) -> Release:
    release = Release(tmp_path / "first", source)
    release.ship("shapes-1", None)
    return release


@pytest.fixture
def second(tmp_path: Path, source: Path, first: Release) -> Release:
    release = Release(tmp_path / "second", source)
    release.store.adopt(first.store.fetch("clip@shapes-1", tmp_path))
    release.ship("shapes-2", None)
    return release


def test_the_first_start_copies_versions_and_champion_byte_for_byte(
    first: Release, store: Store, tmp_path: Path
) -> None:
    seed(first.folder, store)
    assert store.resolve("clip") == first.store.resolve("clip")
    assert store.fetch("clip", tmp_path).path.is_relative_to(tmp_path / "store")


def test_a_second_start_changes_nothing(first: Release, store: Store) -> None:
    seed(first.folder, store)
    before = store.history("clip", "champion")
    seed(first.folder, store)
    assert store.history("clip", "champion") == before


def test_a_later_release_moves_the_champion_that_the_earlier_one_set(
    first: Release, second: Release, store: Store
) -> None:
    seed(first.folder, store)
    seed(second.folder, store)
    assert store.versions("clip") == ["shapes-1", "shapes-2"]
    assert (store.resolve("clip").version, store.resolve("clip@previous").version) == ("shapes-2", "shapes-1")


def test_an_earlier_release_started_again_takes_nothing_back(first: Release, second: Release, store: Store) -> None:
    for release in (first, second, first):
        seed(release.folder, store)
    assert store.resolve("clip").version == "shapes-2"


def test_a_champion_that_the_operator_set_stays(first: Release, second: Release, store: Store, source: Path) -> None:
    seed(first.folder, store)
    store.publish(source, card("mine"))
    store.move_alias("clip", "champion", "mine", expected="shapes-1")
    seed(second.folder, store)
    assert store.versions("clip") == ["mine", "shapes-1", "shapes-2"]
    assert store.resolve("clip").version == "mine"


def test_a_rollback_by_the_operator_to_a_shipped_version_stays(
    first: Release, second: Release, store: Store, source: Path, tmp_path: Path
) -> None:
    seed(first.folder, store)
    seed(second.folder, store)
    store.move_alias("clip", "champion", "shapes-1", expected="shapes-2")
    third = Release(tmp_path / "third", source)
    third.ship("shapes-3", None)
    seed(third.folder, store)
    assert store.resolve("clip").version == "shapes-1"


def test_nothing_shipped_is_nothing_done(store: Store, tmp_path: Path) -> None:
    seed(tmp_path / "absent", store)
    assert store.models() == []


def _seed(folder: Path, url: str) -> None:
    seed(folder, Store(url))


def test_all_processes_of_a_machine_may_seed_at_once(first: Release, store: Store, tmp_path: Path) -> None:
    with multiprocessing.get_context("fork").Pool(4) as pool:
        pool.starmap(_seed, [(first.folder, store.url)] * 8)
    assert store.fetch("clip", tmp_path).version == "shapes-1"
    assert len(store.history("clip", "champion")) == 1
