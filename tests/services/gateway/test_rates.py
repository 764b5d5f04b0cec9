"""Moving windows, on the real clock."""

import time

import pytest

from services.gateway.rates import Windows


def test_a_window_takes_its_amount_and_no_more() -> None:
    windows = Windows()
    hits = [windows.hit("a", "3/minute") for _ in range(5)]
    assert [hit.within for hit in hits] == [True, True, True, False, False]
    assert [hit.remaining for hit in hits] == [2, 1, 0, 0, 0]
    assert all(59 < hit.reset_s <= 60 for hit in hits)


def test_names_do_not_share_a_window() -> None:
    windows = Windows()
    assert windows.hit("a", "1/hour").within and windows.hit("b", "1/hour").within


def test_the_window_moves_and_has_no_edge_at_which_twice_the_amount_passes() -> None:
    windows = Windows()
    passed = []
    end = time.monotonic() + 2.5
    while time.monotonic() < end:
        if windows.hit("a", "20/second").within:
            passed.append(time.monotonic())
        time.sleep(0.002)
    assert 40 <= len(passed) <= 60
    assert all(later - earlier >= 0.99 for earlier, later in zip(passed, passed[20:], strict=False))


def test_a_refused_hit_does_not_prolong_the_wait() -> None:
    windows = Windows()
    began = time.monotonic()
    assert windows.hit("a", "1/second").within
    while not windows.hit("a", "1/second").within:
        time.sleep(0.02)
    assert 0.99 < time.monotonic() - began < 1.5


def test_a_rate_that_is_changed_counts_at_once() -> None:
    windows = Windows()
    for _ in range(5):
        windows.hit("a", "10/minute")
    assert not windows.hit("a", "3/minute").within
    assert windows.hit("a", "7/minute").remaining == 1


@pytest.mark.parametrize("names", [1, 100])
def test_only_so_many_names_are_kept(names: int) -> None:
    windows = Windows(names=names)
    for number in range(1000):
        windows.hit(str(number), "1/hour")
    assert len(windows._hits) == names
    assert not windows.hit("999", "1/hour").within
