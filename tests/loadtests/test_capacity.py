"""The capacity model: against the theory of queues, its invariants, measured times, and its command."""

from pathlib import Path

import pytest

from loadtests import capacity
from loadtests.capacity_queue import Service, simulate
from loadtests.capacity_times import Counts, Point, Target, measure, read, spread, write
from loadtests.processes import ROOT
from loadtests.slo import Promise
from tests.house import House

PROMISE = Promise("detection", 0.999, 0.99, 1.0)
BATCHES = Service([0.02, 0.025, 0.03, 0.035, 0.04, 0.045, 0.05, 0.055], delay=0.01)


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_batches_of_one_wait_as_the_formula_for_one_server_and_fixed_times_says(load: float) -> None:
    outcome = simulate(Service([0.1], places=10**9, deadline=1e9), 1, load / 0.1, number=60_000)
    mean = sum(outcome.waits) / len(outcome.waits)
    assert mean == pytest.approx(0.1 + load * 0.1 / (2 * (1 - load)), rel=0.05)  # Pollaczek and Khinchine
    assert outcome.utilisation == pytest.approx(load, rel=0.02)


def test_an_idle_replica_answers_in_the_time_of_one_request() -> None:
    outcome = simulate(BATCHES, 1, 0.01, number=100)
    assert outcome.waits == pytest.approx([0.03] * 90)
    assert (outcome.refused, outcome.asked) == (0, 90)


def test_everybody_is_answered_or_refused_once() -> None:
    for rate in (20, 140, 500):
        assert simulate(BATCHES, 1, rate, number=2_000).asked == 1_800


def test_no_more_is_answered_than_full_batches_allow() -> None:
    outcome = simulate(BATCHES, 2, 1_000, number=20_000)
    assert outcome.utilisation == pytest.approx(1, abs=0.02)
    answered = len(outcome.waits) / outcome.asked * 1_000
    assert answered == pytest.approx(2 * BATCHES.most, rel=0.03)


def test_nobody_waits_longer_than_a_full_queue_and_the_batch_before_it() -> None:
    outcome = simulate(BATCHES, 1, 1_000)
    assert max(outcome.waits) <= BATCHES.delay + 9 * BATCHES.seconds[-1] + BATCHES.delay


def test_what_cannot_be_answered_by_its_deadline_is_refused_at_once() -> None:
    patient, hasty = (simulate(Service([0.1], deadline=deadline), 1, 20) for deadline in (30, 0.5))
    assert hasty.refused > 0
    assert max(hasty.waits) <= 0.5 < max(patient.waits)


def test_replicas_that_share_a_queue_of_arrivals_wait_less_than_each_for_itself() -> None:
    assert simulate(BATCHES, 10, 900).quantile(0.99) < simulate(BATCHES, 1, 90).quantile(0.99)


@pytest.mark.parametrize("rate", [100, 1_000])
def test_one_replica_less_than_planned_breaks_the_promise_or_leaves_no_reserve(rate: float) -> None:
    enough = capacity.replicas_for(BATCHES, rate, PROMISE)
    assert capacity.row(BATCHES, enough, rate, PROMISE)[-1] == "kept"
    assert enough == 1 or capacity.row(BATCHES, enough - 1, rate, PROMISE)[-1] in {"broken", "no reserve"}


def test_hundreds_of_replicas_are_planned() -> None:
    enough = capacity.replicas_for(BATCHES, 25_000, PROMISE)
    assert 25_000 / BATCHES.most <= enough <= 25_000 / BATCHES.most * 1.1


def test_a_promise_that_no_number_of_replicas_keeps_is_told() -> None:
    with pytest.raises(ValueError, match="however many"):
        capacity.replicas_for(Service([2.0]), 1, PROMISE)


def test_the_limit_lies_just_below_the_rate_that_breaks_the_promise() -> None:
    found = capacity.limit(BATCHES, 1, PROMISE)
    assert simulate(BATCHES, 1, found).keeps(PROMISE)
    assert 0.9 * BATCHES.most < found <= BATCHES.most


def test_times_between_measured_sizes_lie_on_a_line() -> None:
    assert spread([Point(1, 0.1), Point(3, 0.3), Point(4.1, 0.41)]) == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert spread([Point(1, 0.1)]) == [0.1]


def test_a_running_service_is_measured(house: House, tmp_path: Path) -> None:
    target = Target("detection", "ssd", "/v1/detect?model=ssd")
    service = measure(house.gateway.url, house.detection.management, target, 0.3)
    assert 4 <= len(service.seconds) <= 8
    assert 0 < service.seconds[0] < service.seconds[-1] < 2
    assert 0 < service.delay < 1
    assert Counts.of(house.detection.management, "ssd").items > 50
    write(tmp_path / "ssd.json", "ssd", service)
    name, again = read(tmp_path / "ssd.json")
    assert name == "detection"
    assert again.seconds == pytest.approx(service.seconds, abs=1e-5)


def test_a_file_that_is_no_measurement_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_text('{"service": "detection", "seconds": {"2": 0.1}}')
    assert capacity.main(["plan", str(wrong), "10"]) == 2
    assert "batch of 1" in capsys.readouterr().err


def test_the_page_shows_what_the_command_prints(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    page = (ROOT / "docs/capacity.md").read_text()
    commands = [line for line in page.splitlines() if line.startswith("$ python -m loadtests.capacity")]
    commands = [command for command in commands if command.split()[4] != "measure"]
    assert len(commands) >= 3
    for command in commands:
        assert capacity.main(command.split()[4:]) == 0
        assert f"{command}\n{capsys.readouterr().out}" in page
