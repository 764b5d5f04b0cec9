"""Where replicas are: by address, by name, and on this machine."""

import pytest

from shared.rollout.errors import RolloutError
from shared.rollout.replicas import Replica, local, named


def test_a_name_stands_for_all_of_its_addresses() -> None:
    assert Replica("127.0.0.1", 9002) in named("localhost:9002")
    assert named("http://127.0.0.1:9001/, 127.0.0.1:9001,127.0.0.1:9002") == [
        Replica("127.0.0.1", 9001),
        Replica("127.0.0.1", 9002),
    ]
    assert str(Replica("::1", 9002)) == "[::1]:9002"


@pytest.mark.parametrize("address", ["", "clip", "https://clip:9002", "clip:port", "http://clip:9002/x", "clip:99999"])
def test_what_is_no_address_is_told(address: str) -> None:
    with pytest.raises(RolloutError, match=r"host:port"):
        named(address)


def test_the_services_of_this_machine_are_where_their_settings_say() -> None:
    assert [replica.port for replica in local({})] == [9001, 9002, 9003, 9004]
    moved = {"OCELLI_CLIP__PORT": "8102", "OCELLI_LLAVA__MANAGEMENT_PORT": "7000"}
    assert [replica.port for replica in local(moved)] == [9001, 9102, 9003, 7000]
