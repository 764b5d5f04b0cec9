"""The benchmark itself: what it reads from /proc, how it compares and judges, and one real run with tiny rounds."""

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from loadtests import bench
from loadtests.load import NUMBER, Load, WrongAnswer
from loadtests.machine import TICKS, Others, cpu_of, machine_seconds, process_seconds
from loadtests.pictures import decoded, photograph
from loadtests.processes import Bench, ChildFailed, environment
from loadtests.report import Figure, Goal, Report, Section
from loadtests.rounds import differences, interleave, ratios


def test_the_cpu_time_of_a_process_is_found_behind_a_name_with_spaces_and_parentheses() -> None:
    before_times = "R 1 2 3 4 5 6 7 8 9 10"  # fields 3 to 13
    assert process_seconds(f"42 (a (b) c) {before_times} 250 50 999 999 0") == 300 / TICKS


def test_the_machine_is_busy_with_all_but_idle_and_waiting_for_disks() -> None:
    assert machine_seconds("cpu  1 2 4 1000 1000 8 16 32 5000 5000\ncpu0 9 9 9 9 9 9 9 9 9 9\n") == 63 / TICKS


def test_the_cpu_time_of_this_process_grows_with_its_work() -> None:
    before, until = cpu_of(os.getpid()), time.process_time() + 0.1
    while time.process_time() < until:
        pass
    assert 0.05 <= cpu_of(os.getpid()) - before <= 1


def test_the_work_of_our_own_children_is_not_the_load_of_others() -> None:
    others, began, before = Others(), time.monotonic(), machine_seconds(Path("/proc/stat").read_text())
    subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.5: pass"], check=True)
    load = others.load()
    busy = machine_seconds(Path("/proc/stat").read_text()) - before
    assert load * (time.monotonic() - began) <= busy - 0.4


def test_contenders_take_turns_and_every_other_round_runs_backwards() -> None:
    order: list[str] = []

    def contender(name: str) -> float:
        order.append(name)
        return float(len(order))

    values = interleave({"a": lambda: contender("a"), "b": lambda: contender("b")}, 2)
    assert "".join(order) == "ab" + "ab" + "ba"
    assert values == {"a": [3.0, 6.0], "b": [4.0, 5.0]}


def test_a_ratio_and_a_difference_compare_within_a_round() -> None:
    assert ratios([1, 20], [2, 10]) == [0.5, 2]
    assert differences([1, 20], [2, 10]) == [-1, 10]


@pytest.mark.parametrize(
    ("goal", "rounds", "verdict"),
    [
        (Goal(0.25, most=True), [0.2, 0.25, 9], "pass"),
        (Goal(0.25, most=True), [0.2, 0.26, 9], "miss"),
        (Goal(0.92), [0.1, 0.92, 1.1], "pass"),
        (Goal(0.92), [0.1, 0.91, 1.1], "miss"),
        (Goal(0.92), [], "skipped"),
        (None, [1.0], "info"),
    ],
)
def test_the_median_is_held_against_the_goal(goal: Goal | None, rounds: list[float], verdict: str) -> None:
    assert Figure("figure", "x", rounds, goal).verdict == verdict


def test_a_missed_goal_fails_the_run_only_on_a_quiet_machine() -> None:
    missed = [Figure("figure", "x", [0.5], Goal(0.9))]
    assert Report([Section("quiet", missed, others=0.1)]).failed
    assert not Report([Section("busy", missed, others=0.9)]).failed
    assert "VOID" in str(Section("busy", missed, others=0.9))
    assert "VOID" not in str(Section("quiet", missed, others=0.1))


def test_photographs_are_repeatable_and_as_large_as_photographs_are() -> None:
    assert photograph(1) == photograph(1) != photograph(2)
    assert 70_000 < len(photograph(1)) < 100_000
    assert decoded(photograph(1)).shape == (3, 480, 640)


def test_processes_get_our_settings_and_none_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCELLI_MAX_BATCH", "3")
    made = environment({"step_ms": 0})
    assert [(name, made[name]) for name in made if name.startswith("OCELLI_")] == [("OCELLI_STEP_MS", "0")]


def test_a_process_that_cannot_start_ends_the_run_with_its_own_words(tmp_path: Path) -> None:
    with ExitStack() as stack, pytest.raises(ChildFailed, match="OCELLI_RETRY_SHARE"):
        Bench(tmp_path, stack, rounds=1, quick=True).start("services.gateway", retry_share=7)


def test_a_worker_that_has_ended_ends_the_run(tmp_path: Path) -> None:
    with ExitStack() as stack, pytest.raises(ChildFailed, match="no answer"):
        Bench(tmp_path, stack, rounds=1, quick=True).work("loadtests.machine").ask("a line that nobody reads")


def test_a_wrong_answer_ends_the_run(tmp_path: Path) -> None:
    with ExitStack() as stack:
        floor = Bench(tmp_path, stack, rounds=1, quick=True).start("loadtests.floor")
        done = Load(clients=2, seconds=0.05, bodies=[NUMBER]).on(floor.url)
        assert done.answered == len(done.waits) >= 2
        assert 0 < max(done.waits) <= done.seconds
        with pytest.raises(WrongAnswer, match="200: 42"):
            Load(clients=2, seconds=0.05, answer=b"43").on(floor.url)


def test_a_quick_run_of_the_front_measures_real_processes_and_writes_every_round(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    code = bench.main(["front", "--quick", "--rounds", "2", "--json", str(path)])
    report = json.loads(path.read_text())
    (section,) = report["sections"]
    front, floor, ratio = section["figures"]
    assert report["machine"]["cores"] == os.cpu_count()
    assert front["goal"] == "≤ 0.35"
    assert front["verdict"] in {"pass", "miss"}
    assert code == (1 if front["verdict"] == "miss" and not section["void"] else 0)
    assert len(front["rounds"]) == len(floor["rounds"]) == 2
    assert ratio["rounds"] == [a / b for a, b in zip(front["rounds"], floor["rounds"], strict=True)]
    assert 0.01 < floor["value"] < 20
