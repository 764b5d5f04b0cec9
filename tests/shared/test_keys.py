"""Making, keeping and recognising keys, and the command for it."""

import stat
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from shared import keys
from shared.cli import main
from shared.cli.keys import lifetime


def test_a_key_is_recognised_and_nothing_near_it_is() -> None:
    text, entry = keys.create(name="me", scopes=("detect",))
    known = {entry.id: entry}
    assert keys.recognise(known, text) is entry
    head, key_id, secret = text.split("_")
    for near in (
        text[:-1],
        text + "0",
        f"{head}_{key_id}",
        f"{head}_{'0' * 12}_{secret}",
        secret,
        "",
        f"x_{key_id}_{secret}",
    ):
        assert keys.recognise(known, near) is None


def test_two_keys_have_nothing_in_common() -> None:
    assert len({keys.create(name="", scopes=("*",))[0] for _ in range(100)}) == 100


@pytest.mark.parametrize("change", [{"scopes": ("root",)}, {"rate": "fast"}, {"name": "x" * 65}])
def test_a_key_that_makes_no_sense_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        keys.create(**({"name": "", "scopes": ("*",)} | change))  # type: ignore[arg-type]


def test_the_file_is_replaced_in_one_step_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "state" / "keys.json"
    _, first = keys.create(name="", scopes=("*",))
    keys.write(path, [first])
    keys.write(path, [])
    assert keys.read(path) == {}
    assert [file.name for file in path.parent.iterdir()] == ["keys.json"]


def test_a_file_that_is_no_file_of_keys_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    assert keys.read(path) == {}
    for text in ("", "[]", '{"keys": [{}]}', '{"other": 1}'):
        path.write_text(text)
        with pytest.raises(keys.UnreadableKeys, match=r"keys\.json is not a file of keys"):
            keys.read(path)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OCELLI_STATE", str(tmp_path))
    return tmp_path / "keys.json"


def test_the_command_makes_lists_and_revokes(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["keys", "create", "--name", "me", "--scopes", "detect,embed", "--rate", "5/second", "--expires", "90d"])
        == 0
    )
    text = capsys.readouterr().out.strip()
    entry = keys.recognise(keys.read(file), text)
    assert entry is not None and entry.expires is not None
    assert (entry.name, entry.scopes, entry.rate) == ("me", ("detect", "embed"), "5/second")
    assert abs(entry.expires - entry.created - timedelta(days=90)) < timedelta(seconds=2)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert main(["keys", "list"]) == 0
    listed = capsys.readouterr().out
    assert entry.id in listed and "active" in listed and text.split("_")[2] not in listed
    assert main(["keys", "revoke", entry.id]) == 0
    assert main(["keys", "list"]) == 0
    assert "revoked" in capsys.readouterr().out
    assert main(["keys", "revoke", "0" * 12]) == 1


@pytest.mark.parametrize(
    "wrong", [["--scopes", "root"], ["--rate", "fast"], ["--expires", "soon"], ["--expires", "0d"]]
)
def test_the_command_says_what_a_value_must_look_like(
    file: Path, capsys: pytest.CaptureFixture[str], wrong: list[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["keys", "create", *wrong])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert any(hint in said for hint in ("a scope is", "a rate is", "a lifetime is"))
    assert not file.exists()


def test_lifetimes_are_hours_days_and_weeks() -> None:
    assert [lifetime(text).total_seconds() / 3600 for text in ("12h", "90d", "4w")] == [12, 2160, 672]
