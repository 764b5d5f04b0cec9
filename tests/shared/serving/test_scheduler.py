"""The scheduler: several models on one device, and who is let in."""

import asyncio
import threading
import time

import pytest

from shared.errors import DeadlineExceeded, Unavailable
from shared.serving.queue import BatchQueue
from shared.serving.scheduler import Scheduler
from shared.serving.ticket import Ticket


def queue(limit: int = 64) -> BatchQueue:
    return BatchQueue(limit=limit, max_items=4, max_cost=1000)


def waiting(scheduler: Scheduler, name: str, *, seconds: float) -> Ticket:
    """A ticket that waits in the queue `name` until `seconds` from now."""
    loop = asyncio.new_event_loop()
    ticket = Ticket(time.monotonic() + seconds, loop.create_future())
    loop.close()
    scheduler.reserve(scheduler.queues[name], ticket.deadline)
    scheduler.put(scheduler.queues[name], ticket)
    return ticket


def test_the_model_with_the_earliest_deadline_goes_first() -> None:
    scheduler = Scheduler({"a": queue(), "b": queue()})
    later, sooner = waiting(scheduler, "a", seconds=20), waiting(scheduler, "b", seconds=10)
    assert scheduler.next_work(lambda: None) == (scheduler.queues["b"], [sooner])
    assert scheduler.next_work(lambda: None) == (scheduler.queues["a"], [later])


def test_jobs_run_before_the_next_batch() -> None:
    scheduler = Scheduler({"a": queue()})
    waiting(scheduler, "a", seconds=10)
    job = threading.Event().set
    scheduler.post(job)
    assert scheduler.next_work(lambda: None) is job


def test_work_of_one_model_makes_the_others_wait_too() -> None:
    scheduler = Scheduler({"a": queue(), "b": queue()})
    scheduler.queues["a"].times.observe(1, 2.0)
    waiting(scheduler, "a", seconds=60)
    with pytest.raises(Unavailable) as caught:
        scheduler.reserve(scheduler.queues["b"], time.monotonic() + 1)
    assert caught.value.retry_after == pytest.approx(2.0, abs=0.1)
    scheduler.reserve(scheduler.queues["b"], time.monotonic() + 10)


def test_a_deadline_that_has_passed_is_told_so() -> None:
    scheduler = Scheduler({"a": queue()})
    with pytest.raises(DeadlineExceeded):
        scheduler.reserve(scheduler.queues["a"], time.monotonic() - 1)


def test_a_released_place_can_be_taken_again() -> None:
    scheduler = Scheduler({"a": queue(limit=1)})
    a = scheduler.queues["a"]
    scheduler.reserve(a, time.monotonic() + 10)
    with pytest.raises(Unavailable):
        scheduler.reserve(a, time.monotonic() + 10)
    scheduler.release(a)
    scheduler.reserve(a, time.monotonic() + 10)


def test_idle_time_is_used_and_closing_ends_the_wait() -> None:
    scheduler = Scheduler({"a": queue()})
    idled = threading.Event()
    outcome: list[object] = []
    thread = threading.Thread(target=lambda: outcome.append(scheduler.next_work(idled.set)))
    thread.start()
    assert idled.wait(3)
    scheduler.close()
    thread.join(3)
    assert outcome == [None]


def test_closing_waits_for_what_was_accepted() -> None:
    scheduler = Scheduler({"a": queue()})
    ticket = waiting(scheduler, "a", seconds=10)
    scheduler.close()
    assert scheduler.next_work(lambda: None) == (scheduler.queues["a"], [ticket])
    assert scheduler.next_work(lambda: None) is None
