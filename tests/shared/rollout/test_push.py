"""A push into several real replicas: all of them, or none; and the way back."""

import asyncio
import subprocess
import sys

import httpx
import pytest

from shared.rollout.errors import NoWayBack, Refused
from shared.rollout.fleet import Fleet
from shared.rollout.push import push
from shared.rollout.replicas import Replica
from shared.weights.errors import AliasMoved
from shared.weights.store import Store
from tests.processes import ROOT, environment
from tests.shared.rollout.house import House, states
from tests.shared.serving.factors import NAME, publish


def test_all_replicas_take_the_version_and_all_go_back_within_a_second(house: House) -> None:
    for _ in range(3):
        house.start(follow_s=0)  # the push alone must do it
    outcome = house.push("v3")
    assert (outcome.identity.version, outcome.before, outcome.late) == ("v3", "v2", [])
    assert (house.answers(), house.champion) == ({"v3"}, "v3")
    back = house.roll_back()
    assert (house.answers(), house.champion, back.late) == ({"v2"}, "v2", [])
    assert back.seconds < 1
    assert [(move.version, move.by) for move in house.store.history(NAME, "champion")][1:] == [
        ("v3", "ada"),
        ("v2", "ada"),
    ]


def test_one_refusal_is_enough_and_every_reason_is_told(house: House) -> None:
    for reference in (NAME, NAME, f"{NAME}@v2"):
        house.start(models=reference)
    publish(house.store, "bad", factor=7, golden=8)
    with pytest.raises(Refused) as refused:
        house.push("bad")
    first, second, third = refused.value.reasons
    assert f"{house.replicas[0]}: golden case 0 of factor: 14 is not 16" == first
    assert "golden case 0" in second and "The settings of this service keep factor@v2" in third

    with pytest.raises(Refused, match="OCELLI_MODELS"):
        house.push("v3")
    assert (house.answers(), house.champion) == ({"v2"}, "v2")
    prepared = [state["prepared"] for state in states(house)]
    assert prepared == [None, None, None], "who was ready was told to let go"


def test_a_replica_that_is_away_stops_a_push_unless_that_is_allowed(house: House) -> None:
    house.start()
    away = Replica("127.0.0.1", 1)
    with pytest.raises(Refused, match=r"127\.0\.0\.1:1: cannot be reached"):
        house.push("v3", *house.replicas, away)
    assert (house.answers(), house.champion) == ({"v2"}, "v2")
    outcome = house.push("v3", *house.replicas, away, allow_missing=True)
    assert [reply.replica for reply in outcome.late] == [away]
    assert (house.answers(), house.champion) == ({"v3"}, "v3")
    late = house.start()
    assert httpx.get(f"{late.url}/multiply/7").text == "21", "who starts later follows the alias"


def test_champion_that_moves_during_a_push_stops_it(house: House) -> None:
    class Moving(Store):
        def pointer(self, model: str, alias: str) -> None:
            found = super().pointer(model, alias)
            house.store.move_alias(NAME, "champion", "v5", expected="v2", by="bob")
            return found  # type: ignore[return-value]

    house.start(follow_s=0)
    house.store, plain = Moving(house.store.url), house.store
    with pytest.raises(AliasMoved):
        house.push("v3")
    house.store = plain
    assert states(house)[0]["prepared"] is None
    assert (house.answers(), house.champion) == ({"v2"}, "v5")


def test_there_is_no_way_back_from_the_first_version(house: House) -> None:
    house.start()
    with pytest.raises(NoWayBack, match="never served another version"):
        house.roll_back()


def test_a_way_back_reads_the_weights_again_where_they_are_not_warm(house: House) -> None:
    house.start(follow_s=0)
    house.push("v3")
    house.start(follow_s=0)
    outcome = house.roll_back()
    assert (outcome.late, house.answers(), house.champion) == ([], {"v2"}, "v2")


def test_a_wrong_key_changes_nothing(house: House) -> None:
    house.start()

    async def act() -> None:
        async with Fleet(house.replicas, key="x" * 40, by="ada") as fleet:
            await push(house.store, NAME, "v3", fleet=fleet)

    with pytest.raises(Refused, match="This is not the admin key"):
        asyncio.run(act())
    assert (house.answers(), house.champion) == ({"v2"}, "v2")


def test_the_command_pushes_goes_back_and_tells_the_past(house: House) -> None:
    process = house.start(follow_s=0)
    house.start(follow_s=0)

    def ocelli(*arguments: str) -> str:
        settings = {
            "store": house.store.url, "state": house.folder / "state",
            "detection__management_port": process.management_port,
            **{f"{service}__management_port": 1 for service in ("clip", "owlvit", "llava")},
        }  # fmt: skip
        command = [sys.executable, "-m", "shared.cli", "models", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=environment(settings), capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    pushed = ocelli("push", f"{NAME}@v3", "--by", "ada")
    assert f"prepare   127.0.0.1:{process.management_port}" in pushed, pushed
    assert "It serves on 1 of 1 replicas" in pushed, "this machine's own services are found by their settings"
    both = ocelli("promote", f"{NAME}@v5", "--replicas", ",".join(map(str, house.replicas)))
    assert "It serves on 2 of 2 replicas" in both
    assert house.answers() == {"v5"}
    assert f"{NAME}@champion -> v3  (was v5)" in ocelli("rollback", NAME)
    past = [line for line in ocelli("history", NAME).splitlines() if line and not line.startswith(" ")]
    assert [line.split()[2] for line in past] == [f"{NAME}@{version}" for version in ("v2", "v3", "v5", "v3")]
    digest = house.store.resolve(f"{NAME}@v5").digest
    assert ocelli("history", NAME, "--digest", digest[:20]).count(digest) == 1
    assert "never pointed at" in ocelli("history", NAME, "--digest", "000000")
    refused = ocelli("push", f"{NAME}@v5", "--replicas", f"127.0.0.1:{process.management_port},127.0.0.1:1")
    assert "was not pushed, and what served goes on" in refused and "127.0.0.1:1: cannot be reached" in refused
