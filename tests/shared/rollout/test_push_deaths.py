"""A push during which somebody dies: all replicas come to serve the old version, or all the new."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from shared.weights.store import Store
from tests.processes import ROOT, environment
from tests.shared.rollout.house import House, states, until
from tests.shared.serving.factors import NAME

KILLS = int(os.environ.get("STRESS_KILLS", "10"))
DEATHS = int(os.environ.get("STRESS_DEATHS", "1"))


@pytest.mark.parametrize("turn", range(DEATHS))
def test_replicas_differ_for_less_than_five_seconds_when_one_dies_between_the_phases(house: House, turn: int) -> None:
    doomed = house.start()
    house.start()
    house.start()

    class Assassin(Store):
        def move_alias(self, *arguments: object, **options: object) -> object:  # type: ignore[override]
            doomed.process.kill()
            doomed.process.wait()
            return super().move_alias(*arguments, **options)  # type: ignore[arg-type]

    house.store = Assassin(house.store.url)
    outcome = house.push("v3")
    assert [str(reply.replica.port) for reply in outcome.late] == [str(doomed.management_port)]
    house.processes.remove(doomed)
    assert house.answers() == {"v3"}
    house.start()
    until(lambda: house.answers() == {"v3"})


def test_whenever_the_pusher_is_killed_all_replicas_come_to_serve_the_champion(house: House) -> None:
    house.start()
    house.start()
    chance, moves = random.Random(5), 0
    for turn in range(KILLS):
        before, target = house.champion, ("v3", "v5", "v2")[turn % 3]
        addresses = ",".join(map(str, house.replicas))
        pusher = subprocess.Popen(
            [sys.executable, "-m", "shared.cli", "models", "push", f"{NAME}@{target}", "--replicas", addresses],
            cwd=ROOT, env=environment({"store": house.store.url, "state": house.folder / "state"}),
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert pusher.stdout is not None
        if turn % 4:
            pusher.stdout.readline()  # a replica is prepared; the rest takes some milliseconds
            time.sleep(chance.random() * 0.02)
        else:
            time.sleep(chance.random())  # wherever it is by then, most likely between its start and its end
        pusher.send_signal(signal.SIGKILL)
        pusher.communicate()
        assert house.champion in {before, target}
        until(lambda: house.answers() == {house.champion})
        until(lambda: all(state["prepared"] is None for state in states(house)))
        moves += house.champion != before
    assert len(house.store.history(NAME, "champion")) == 1 + moves
