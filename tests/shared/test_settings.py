"""Settings: where a value comes from, and what a wrong one says."""

from typing import ClassVar

import pytest
from pydantic import Field

from shared.settings import Port, ServiceSettings, unknown_variables


class ClipSettings(ServiceSettings):
    service: ClassVar[str] = "clip"

    port: Port = Field(8002)


def test_the_command_line_beats_the_services_variable_which_beats_the_variable_of_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert ClipSettings.load([]).port == 8002
    monkeypatch.setenv("OCELLI_PORT", "1")
    assert ClipSettings.load([]).port == 1
    monkeypatch.setenv("OCELLI_CLIP__PORT", "2")
    assert ClipSettings.load([]).port == 2
    assert ClipSettings.load(["--port", "3"]).port == 3


def test_nested_fields_are_set_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCELLI_LIMITS__IMAGES", "3")
    monkeypatch.setenv("OCELLI_CLIP__LIMITS__BODY_BYTES", "5000")
    limits = ClipSettings.load(["--limits.json-depth", "9"]).limits
    assert (limits.images, limits.body_bytes, limits.json_depth, limits.headers) == (3, 5000, 9, 64)


@pytest.mark.parametrize("text", ["a,b@v1", '["a", "b@v1"]', " a , b@v1 "])
def test_lists_are_written_with_commas_or_as_json(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("OCELLI_MODELS", text)
    assert ClipSettings.load([]).models == ("a", "b@v1")


def test_lists_on_the_command_line() -> None:
    assert ClipSettings.load(["--models", "a,b@v1"]).models == ("a", "b@v1")


def test_management_is_a_thousand_above_unless_set() -> None:
    assert ClipSettings.load([]).management == 9002
    assert ClipSettings.load(["--management-port", "7"]).management == 7


def test_unknown_variables_are_refused_and_those_of_other_services_are_not() -> None:
    environment = {"OCELLI_CLIP__PROT": "1", "OCELLI_DETECTION__PORT": "1", "OCELLI_DEVISE": "cpu", "PATH": "/"}
    assert unknown_variables(ClipSettings, environment) == [
        "OCELLI_CLIP__PROT: the clip process has no such setting. Did you mean OCELLI_PORT?",
        "OCELLI_DEVISE: the clip process has no such setting. Did you mean OCELLI_DEVICE?",
    ]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PORT", "70000"),
        ("DEVICE", "gpu"),
        ("DEADLINE_S", "nan"),
        ("QUEUE", "0"),
        ("DTYPE", "int8"),
        ("THREADS", "two"),
    ],
)
def test_a_bad_value_exits_with_78_and_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, value: str
) -> None:
    monkeypatch.setenv(f"OCELLI_{variable}", value)
    with pytest.raises(SystemExit) as caught:
        ClipSettings.load([])
    assert caught.value.code == 78
    assert f"OCELLI_{variable}" in capsys.readouterr().err
