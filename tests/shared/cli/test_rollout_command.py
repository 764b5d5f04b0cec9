"""`ocelli models retire` and what `history` tells of a space that was kept."""

import json
from pathlib import Path

import pytest

from shared.cli import main
from shared.weights.manifest import Card, Made
from shared.weights.store import Store


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store whose champion moved from one space into another, with nobody there to serve it."""
    store, source = Store(str(tmp_path / "store")), tmp_path / "files"
    monkeypatch.setenv("OCELLI_STORE", store.url)
    monkeypatch.setenv("OCELLI_STATE", str(tmp_path))
    (tmp_path / "admin.key").write_text("k" * 40)
    source.mkdir()
    (source / "config.json").write_text("{}")
    for version in ("v1", "v2"):
        store.publish(source, Card(model="clip", version=version, made=Made(by="a test")))
    store.move_alias("clip", "champion", "v1", expected=None, by="ada")
    store.move_alias("clip", "kept", "v1", expected=None, by="ada")
    store.move_alias("clip", "champion", "v2", expected="v1", by="ada")
    return store


@pytest.mark.parametrize("arguments", [("clip",), ("clip@v1", "--space", "space:1")])
def test_a_space_is_named_once(store: Store, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "retire", *arguments]) == 1
    assert "Say which space ends: clip@<version>, or clip --space <id>." in capsys.readouterr().err
    assert store.pointer("clip", "kept") is not None


@pytest.mark.parametrize("arguments", [("clip@v2",), ("clip", "--space", "space:1")])
def test_what_is_not_kept_is_told_beside_what_is(
    store: Store, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "retire", *arguments, "--replicas", "127.0.0.1:1"]) == 1
    assert "What is kept of clip is clip@v1" in capsys.readouterr().err
    assert store.pointer("clip", "kept") is not None


def test_a_retirement_holds_though_nobody_is_there_and_the_past_tells_of_it(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "retire", "clip@v1", "--replicas", "127.0.0.1:1", "--by", "bob"]) == 0
    assert "127.0.0.1:1 has yet to follow: cannot be reached" in capsys.readouterr().out
    assert store.pointer("clip", "kept") is None
    assert main(["models", "history", "clip"]) == 0
    lines = [line.split("  ", 1)[1] for line in capsys.readouterr().out.splitlines() if line.startswith("20")]
    one, two = (store.resolve(f"clip@{version}").digest for version in ("v1", "v2"))
    assert sorted(lines) == sorted(
        [
            f"clip@v1  {one}  by ada",
            f"clip@v1  {one}  kept beside by ada",
            f"clip@v2  {two}  by ada",
            f"clip@v1  {one}  retired by bob",
        ]
    )
    assert main(["models", "history", "clip", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert sorted((move["alias"], move["retired"]) for move in told) == [
        ("champion", False), ("champion", False), ("kept", False), ("kept", True),
    ]  # fmt: skip
