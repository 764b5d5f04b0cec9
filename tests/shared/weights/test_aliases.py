"""Aliases move by compare-and-swap: every move is kept, and nobody overwrites a move that he has not seen."""

import multiprocessing
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest

from shared.weights.errors import AliasMoved, BadName, NotInStore, StoreError
from shared.weights.store import Store

Move = tuple[str | None, str]
VERSIONS = ("v1", "v2", "v3")


def test_champion_moves_and_previous_follows(store: Store, publish: Callable[..., str]) -> None:
    publish("v1"), publish("v2")
    store.move_alias("clip", "champion", "v1", expected=None)
    assert "previous" not in store.aliases("clip")
    store.move_alias("clip", "champion", "v2", expected="v1", by="anna")
    aliases = store.aliases("clip")
    assert (aliases["champion"].version, aliases["champion"].by) == ("v2", "anna")
    assert (aliases["previous"].version, store.resolve("clip@previous").version) == ("v1", "v1")


def test_a_rollback_is_a_move_like_any_other(store: Store, publish: Callable[..., str]) -> None:
    publish("v1"), publish("v2")
    for version, expected in [("v1", None), ("v2", "v1"), ("v1", "v2")]:
        store.move_alias("clip", "champion", version, expected=expected)
    assert [pointer.version for pointer in store.history("clip", "champion")] == ["v1", "v2", "v1"]
    assert store.resolve("clip@previous").version == "v2"


def test_a_move_from_where_the_alias_is_not_is_refused(store: Store, publish: Callable[..., str]) -> None:
    publish("v1"), publish("v2")
    store.move_alias("clip", "champion", "v1", expected=None)
    for expected in (None, "v2"):
        with pytest.raises(AliasMoved, match="clip@champion points at v1"):
            store.move_alias("clip", "champion", "v2", expected=expected)
    assert store.resolve("clip").version == "v1"


def test_a_move_to_where_it_is_leaves_no_trace(store: Store, publish: Callable[..., str]) -> None:
    publish("v1")
    store.move_alias("clip", "candidate", "v1", expected=None)
    store.move_alias("clip", "candidate", "v1", expected="v1")
    assert len(store.history("clip", "candidate")) == 1


@pytest.mark.parametrize("alias", ["previous", "latest", "../champion", ""])
def test_only_champion_candidate_and_kept_can_be_moved(store: Store, publish: Callable[..., str], alias: str) -> None:
    publish("v1")
    with pytest.raises(BadName):
        store.move_alias("clip", alias, "v1", expected=None)


def test_an_alias_cannot_point_at_what_is_not_there(store: Store, publish: Callable[..., str]) -> None:
    publish("v1")
    with pytest.raises(NotInStore, match="it has v1"):
        store.move_alias("clip", "champion", "v9", expected=None)
    assert store.aliases("clip") == {}


def test_a_pointer_that_was_overwritten_is_told(store: Store, publish: Callable[..., str], tmp_path: Path) -> None:
    publish("v1")
    store.move_alias("clip", "champion", "v1", expected=None)
    (tmp_path / "store/aliases/clip/champion/000001.json").write_text("v1")
    with pytest.raises(StoreError, match=r"000001\.json is not a pointer"):
        store.resolve("clip")


def _race(url: str, seed: int) -> tuple[list[Move], int]:
    """Move champion again and again to some other version: the moves that succeeded, and how many were too late."""
    store, chance, won, late = Store(url), random.Random(seed), [], 0
    for _ in range(30):
        champion = store.aliases("clip").get("champion")
        expected = champion.version if champion else None
        target = chance.choice([name for name in VERSIONS if name != expected])
        try:
            store.move_alias("clip", "champion", target, expected=expected)
            won.append((expected, target))
        except AliasMoved:
            late += 1
    return won, late


def _check(store: Store, results: list[tuple[list[Move], int]]) -> None:
    """The history is exactly the moves that succeeded, each from where the one before had led."""
    history = [None, *(pointer.version for pointer in store.history("clip", "champion"))]
    moves = [move for won, _ in results for move in won]
    assert sorted(moves, key=str) == sorted(pairwise(history), key=str)
    assert sum(late for _, late in results) > 0, "nobody was ever too late: the race shows nothing"


def test_threads_that_race_leave_one_linear_history(store: Store, publish: Callable[..., str]) -> None:
    for name in VERSIONS:
        publish(name)
    with ThreadPoolExecutor(4) as pool:
        _check(store, list(pool.map(lambda seed: _race(store.url, seed), range(4))))


def test_processes_that_race_leave_one_linear_history(store: Store, publish: Callable[..., str]) -> None:
    for name in VERSIONS:
        publish(name)
    with multiprocessing.get_context("fork").Pool(4) as pool:
        _check(store, pool.starmap(_race, [(store.url, seed) for seed in range(4)]))


def test_an_alias_that_is_retired_points_nowhere_and_its_past_is_kept(
    store: Store, publish: Callable[..., str]
) -> None:
    publish("v1"), publish("v2")
    first = store.move_alias("clip", "kept", "v1", expected=None)
    store.retire_alias("clip", "kept", expected=first, by="anna")
    assert (store.pointer("clip", "kept"), store.aliases("clip")) == (None, {})
    with pytest.raises(AliasMoved, match="points at nothing, not at v1"):
        store.retire_alias("clip", "kept", expected=first)
    store.move_alias("clip", "kept", "v1", expected=None)
    assert store.resolve("clip@kept").version == "v1"
    moves = [(move.version, move.by, move.retired) for move in store.history("clip", "kept")]
    assert moves == [("v1", "operator", False), ("v1", "anna", True), ("v1", "operator", False)]
