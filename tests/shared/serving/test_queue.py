"""The queue of one model: order, budget, patience, and what it remembers."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from shared.serving.queue import RECOVERY, BatchQueue
from shared.serving.ticket import Ticket
from shared.serving.times import BatchTimes


def queue_of(costs: list[int], *, loop: asyncio.AbstractEventLoop, deadline: float = 100, **budget: int) -> BatchQueue:
    queue = BatchQueue(**{"limit": 1000, "max_items": 8, "max_cost": 100, **budget})
    for cost in costs:
        queue.put(Ticket(deadline, loop.create_future(), cost, cost))
    return queue


@given(st.lists(st.integers(1, 150), max_size=40), st.integers(1, 9), st.integers(1, 200))
def test_batches_keep_order_and_budget_and_lose_nobody(costs: list[int], items: int, cost: int) -> None:
    loop = asyncio.new_event_loop()
    queue = queue_of(costs, loop=loop, max_items=items, max_cost=cost)
    batches = []
    while queue:
        batches.append([ticket.cost for ticket in queue.next_batch(0)])
    loop.close()
    assert [c for batch in batches for c in batch] == costs
    assert all(len(batch) <= items and (sum(batch) <= cost or len(batch) == 1) for batch in batches)


def test_late_and_left_callers_are_passed_over() -> None:
    loop = asyncio.new_event_loop()
    queue = queue_of([1, 2, 3], loop=loop)
    queue._waiting[0].future.cancel()
    queue._waiting[1].deadline = 5
    assert [ticket.cost for ticket in queue.next_batch(now=6)] == [3]
    loop.close()


def test_patience_is_a_tenth_of_a_batch_and_at_most_a_millisecond() -> None:
    loop = asyncio.new_event_loop()
    queue = queue_of([1] * 8, loop=loop)
    assert queue.patience() == 0  # as many as the last batch had, and more
    queue.next_batch(0)
    queue.remember_success(8, 0.004)
    queue.put(Ticket(100, loop.create_future(), 1, 1))
    assert queue.patience() == 0.0004
    queue.remember_success(8, 4.0)
    assert queue.patience() == 0.001
    loop.close()


def test_out_of_memory_is_remembered_and_slowly_forgotten() -> None:
    queue = BatchQueue(limit=64, max_items=8, max_cost=100)
    queue.remember_overflow(8)
    assert queue.batch_limit == 4
    for _ in range(RECOVERY):
        queue.remember_success(4, 0.01)
    assert queue.batch_limit == 5


def test_reserved_places_count_as_taken() -> None:
    queue = BatchQueue(limit=2, max_items=8, max_cost=100)
    queue.reserved = 2
    assert queue.full


def test_times_follow_what_is_observed_and_guess_in_proportion_elsewhere() -> None:
    times = BatchTimes(8)
    assert times.estimate(8) == 0
    times.observe(4, 0.4)
    assert times.estimate(4) == 0.4
    assert times.estimate(8) == 0.8
    assert abs(times.estimate(3) - 0.3) < 1e-9
    for _ in range(50):
        times.observe(4, 0.2)
    assert abs(times.estimate(4) - 0.2) < 0.01
