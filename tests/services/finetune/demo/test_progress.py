import io

import pytest

from services.finetune.demo import progress
from services.finetune.demo.progress import Progress


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_nothing_is_said_of_work_that_takes_less_than_two_seconds(clock: Clock) -> None:
    out = io.StringIO()
    line = Progress("train", 10, out=out)
    for step in range(10):
        clock.now += 0.19
        line.tell(step + 1)
    assert out.getvalue() == ""


def test_the_time_left_follows_from_the_time_spent(clock: Clock) -> None:
    out = io.StringIO()
    line = Progress("train", 10, out=out)
    clock.now = 6.0
    line.tell(3, "loss 0.5")
    clock.now = 7.0
    line.tell(4)
    assert out.getvalue() == "train 3/10, 14 s left loss 0.5\n"
