"""Laps: who asks is told how long each part took, and nobody else pays or hears."""

import threading
import time

import pytest

from shared.laps import lap, timed


def test_parts_are_told_by_name_and_those_of_one_name_are_added_up() -> None:
    with timed() as laps:
        for _ in range(2):
            with lap("decode"):
                time.sleep(0.002)
        with lap("resize"):
            pass
    assert laps.keys() == {"decode", "resize"}
    assert laps["decode"] >= 0.004 > laps["resize"]


def test_a_part_counts_even_if_it_raises() -> None:
    with timed() as laps, pytest.raises(ZeroDivisionError), lap("decode"):
        _ = 1 // 0
    assert "decode" in laps


def test_nobody_needs_to_ask() -> None:
    with lap("decode"):
        pass


def test_threads_do_not_hear_of_each_other() -> None:
    def other() -> None:
        with lap("decode"):
            pass

    with timed() as laps:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert laps == {}
