"""Ejecting a failing replica, and the budget for second tries, on a clock that the tests turn."""

from services.gateway.breaker import Breaker, RetryBudget


def opened(at: float = 4.0) -> Breaker:
    breaker = Breaker(failures=5, window_s=10, open_s=5)
    for second in range(5):
        breaker.begin()
        breaker.fail(at - 4 + second, may_open=True)
    return breaker


def test_five_failures_within_ten_seconds_open_it() -> None:
    breaker = Breaker(failures=5, window_s=10, open_s=5)
    for second in range(4):
        breaker.fail(second, may_open=True)
        assert breaker.admits(second)
    breaker.fail(4, may_open=True)
    assert not breaker.closed and not breaker.admits(4)


def test_failures_that_are_far_apart_do_not_open_it() -> None:
    breaker = Breaker(failures=5, window_s=10, open_s=5)
    for number in range(100):
        breaker.fail(number * 3, may_open=True)
    assert breaker.closed


def test_a_replica_that_cannot_be_spared_stays() -> None:
    breaker = Breaker(failures=5, window_s=10, open_s=5)
    for _ in range(100):
        breaker.fail(1, may_open=False)
    assert breaker.closed and breaker.admits(1)


def test_after_the_pause_one_request_is_the_trial() -> None:
    breaker = opened(at=4)
    assert not breaker.admits(8.9)
    assert breaker.admits(9)
    breaker.begin()
    assert not breaker.admits(9)
    breaker.succeed()
    assert breaker.closed and breaker.admits(9)


def test_a_failed_trial_opens_it_again() -> None:
    breaker = opened(at=4)
    breaker.begin()
    breaker.fail(9, may_open=False)
    assert not breaker.closed and not breaker.admits(13.9) and breaker.admits(14)


def test_a_trial_that_its_caller_left_is_followed_by_another() -> None:
    breaker = opened(at=4)
    breaker.begin()
    breaker.abandon()
    assert not breaker.closed and breaker.admits(9)


def test_the_budget_is_a_share_of_the_requests_and_a_few_in_any_case() -> None:
    budget = RetryBudget(share=0.1, floor=3)
    budget.count(100)
    assert [budget.take() for _ in range(5)] == [True, True, True, False, False]
    for _ in range(99):
        budget.count(101)
    assert sum(budget.take() for _ in range(100)) == 7


def test_the_budget_starts_anew_every_ten_seconds() -> None:
    budget = RetryBudget(share=0, floor=1)
    budget.count(100)
    assert budget.take() and not budget.take()
    budget.count(109)
    assert not budget.take()
    budget.count(110)
    assert budget.take()
