"""`ocelli models`, run as an operator runs it: what it prints, where, and its exit code."""

import json
from pathlib import Path

import pytest
import torch

import shared.weights.seed
from services.detection.architectures import DetectorConfig, build
from shared.cli import main
from shared.weights.manifest import Card, Data, Made
from shared.weights.seed import shipped
from shared.weights.store import Store


def publish(store: Store, folder: Path, version: str) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text("{}")
    data = Data(description="rendered scenes", sha256="0" * 64)
    made = Made(by="a test", recipe="demo", parameters={"seed": 7})
    card = Card(model="ssd", version=version, data=data, metrics={"mAP50": 0.9512}, made=made)
    return store.publish(folder, card).digest


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("OCELLI_STORE", f"file://{tmp_path}/store")
    store = Store(f"file://{tmp_path}/store")
    publish(store, tmp_path / "source", "v1")
    publish(store, tmp_path / "source", "version-2")
    store.move_alias("ssd", "champion", "v1", expected=None)
    return store


def test_list_aligns_one_line_per_version(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "list"]) == 0
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split() == ["MODEL", "VERSION", "ALIASES", "SIZE", "MADE", "(UTC)", "DIGEST"]
    assert first.split()[:5] == ["ssd", "v1", "champion", "2", "B"]
    assert second.split()[:5] == ["ssd", "version-2", "-", "2", "B"]
    assert head.index("ALIASES") == first.index("champion") == second.index(" - ") + 1
    assert store.resolve("ssd@v1").digest.startswith(first.split()[-1])


def test_list_as_json_is_for_programs(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["version"], row["aliases"]) for row in rows] == [("v1", ["champion"]), ("version-2", [])]
    assert rows[0]["digest"] == store.resolve("ssd").digest
    assert rows[0]["metrics"] == {"mAP50": 0.9512}


def test_list_shows_the_sound_versions_when_a_manifest_is_damaged(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "store/models/ssd/v1/manifest.json").write_text("{}")
    assert main(["models", "list"]) == 1
    output = capsys.readouterr()
    assert "version-2" in output.out
    assert "Not a manifest" in output.err


def test_show_tells_origin_figures_and_files(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "show", "ssd"]) == 0
    output = capsys.readouterr().out
    for expected in (store.resolve("ssd").digest, "rendered scenes", "seed  7", "mAP50  0.9512", "config.json  2 B"):
        assert expected in output
    assert "adapter" not in output, "what was not said is left out"


def test_show_as_json_is_the_manifest_with_its_digest(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "show", "ssd@version-2", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["version"], shown["digest"]) == ("version-2", store.resolve("ssd@version-2").digest)
    assert shown["files"]["config.json"]["bytes"] == 2


def test_verify_reads_every_version(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "verify", "--all"]) == 0
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()] == [
        ["ok", "ssd@v1"],
        ["ok", "ssd@version-2"],
    ]


def test_verify_names_the_damaged_one_and_checks_the_others(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "store/models/ssd/v1/config.json").write_text("[]")
    assert main(["models", "verify", "--all"]) == 1
    output = capsys.readouterr()
    assert output.out.startswith("ok  ssd@version-2")
    assert "ssd@v1 is REFUSED: ssd@v1: the bytes of config.json" in output.err


def test_verify_finds_an_alias_whose_version_was_replaced(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tmp_path / "store/models/ssd/v1/manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b"a test", b"others"))
    assert main(["models", "verify", "--all"]) == 1
    assert "ssd@champion is REFUSED" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["show", "clip"], "its models are ssd"),
        (["show", "ssd@v9"], "it has v1, version-2"),
        (["show", "../ssd"], "cannot name a model"),
        (["verify"], "say --all"),
        (["list", "--store", "nosuch://x"], "opens nosuch:// stores"),
        (
            ["import", "absent.pth", "--as", "ssd", "--architecture", "tiny-ssd"],
            "No such file or directory: absent.pth",
        ),
        (["import", "x.pth", "--as", "ssd", "--architecture", "resnet"], "architecture must be one of tiny-"),
        (["import", "x.pth", "--as", "SSD", "--architecture", "tiny-ssd"], "cannot name a model"),
    ],
)
@pytest.mark.usefixtures("store")
def test_what_cannot_be_done_is_one_sentence_and_exit_code_1(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", *arguments]) == 1
    output = capsys.readouterr()
    assert sentence in output.err
    assert len(output.err.splitlines()) == 1 and output.out == ""


def test_import_publishes_and_moves_the_champion(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "labels.txt").write_text("square\ncircle\n")
    state = build(DetectorConfig(architecture="tiny-ssd", labels=("square", "circle"))).state_dict()
    torch.save(state, tmp_path / "ssd.pth")
    command = ["models", "import", str(tmp_path / "ssd.pth"), "--as", "ssd", "--architecture", "tiny-ssd"]
    assert main([*command, "--labels", str(tmp_path / "labels.txt"), "--version", "mine", "--champion"]) == 0
    digest = store.resolve("ssd@mine").digest
    assert capsys.readouterr().out.splitlines() == [
        f"published ssd@mine  {digest}",
        "ssd@champion -> mine  (was v1)",
    ]
    assert store.resolve("ssd").digest == digest


def test_the_store_of_the_local_state_begins_with_the_shipped_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    release = Store(str(tmp_path / "shipped"))
    digest = publish(release, tmp_path / "source", "shapes-1")
    release.move_alias("ssd", "champion", "shapes-1", expected=None)
    monkeypatch.setattr(shared.weights.seed, "shipped", lambda: tmp_path / "shipped")
    monkeypatch.setenv("OCELLI_STATE", str(tmp_path / "state"))
    assert main(["models", "list", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["version"], row["aliases"], row["digest"]) == ("shapes-1", ["champion"], digest)
    assert (tmp_path / "state/store/models/ssd/shapes-1/config.json").exists()


def test_the_shipped_models_lie_beside_the_packages() -> None:
    assert shipped() == Path(shared.weights.seed.__file__).parents[2] / "models"


def test_help_shows_commands_to_copy(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["models", "--help"])
    assert "ocelli models verify --all" in capsys.readouterr().out
