"""The whole job against a running service: two steps of training are enough to see data become an answer."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from services.finetune.demo.novel import familiar, novel
from services.finetune.detection.demo import write
from services.finetune.main import main
from shared import logs
from tests.processes import Running, ocelli, running

OCELLI = str(Path(sys.executable).with_name("ocelli"))
LENIENT = (
    "--gate.least",
    "0",
    "--gate.gain",
    "-1",
    "--gate.loss",
    "1",
    "--gate.class-loss",
    "1",
    "--gate.latency",
    "9",
)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def detection(state: Path) -> Iterator[Running]:
    with running("services.detection", state=state, models="ssd") as service:
        yield service


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    parts = {"data": (novel, 16, 1), "validation": (novel, 6, 2), "replay": (familiar, 16, 3), "old": (familiar, 6, 4)}
    return write(tmp_path_factory.mktemp("data"), parts)


def finetune(state: Path, data: Mapping[str, Path], *more: str) -> "subprocess.CompletedProcess[str]":
    given = [word for name, path in data.items() for word in (f"--{name}", str(path))]
    base = ("--base", "ssd@shapes-1", "--steps", "2", "--batch", "4", "--evaluations", "1", "--threads", "1")
    return ocelli(state, "finetune", "detection", *given, *base, *more)


def served(service: Running) -> tuple[str, str]:
    (model,) = httpx.get(f"{service.url}/v1/models", trust_env=False).json()["data"]
    return model["version"], model["digest"]


@pytest.mark.timeout(300)  # a service, the job and three commands begin one after another, each with torch to load
def test_what_was_taught_serves_and_the_way_back_is_one_command(
    state: Path, detection: Running, data: Mapping[str, Path]
) -> None:
    before, replicas = served(detection), f"127.0.0.1:{detection.management_port}"
    done = finetune(state, data, *LENIENT, "--version", "taught", "--replicas", replicas, "--by", "ada")
    assert done.returncode == 0, done.stdout + done.stderr
    version, digest = served(detection)
    assert version == "taught" and digest != before[1]
    folder = state / "store/models/ssd/taught"
    manifest = json.loads((folder / "manifest.json").read_bytes())
    assert manifest["base"].startswith("ssd@shapes-1 sha256:")
    assert {"new/ap50", "new_before/ap50", "old/ap50", "old_before/ap50"} <= set(manifest["metrics"])
    assert "crescent" in (folder / "report.html").read_text() and "ssd" in (folder / "README.md").read_text()
    back = ocelli(state, "models", "rollback", "detection", "--replicas", replicas)
    assert back.returncode == 0, back.stderr
    assert served(detection) == before
    history = ocelli(state, "models", "history", "ssd").stdout
    assert history.count("ssd@shapes-1") >= 2 and "by ada" in history


def test_what_the_gate_refuses_is_published_for_a_look_and_not_pushed(
    state: Path, detection: Running, data: Mapping[str, Path]
) -> None:
    before = served(detection)
    done = finetune(state, data, "--gate.least", "1", "--version", "refused")
    assert done.returncode == 1
    assert "The gate refused ssd@refused: it is published, and not pushed." in done.stderr
    assert served(detection) == before
    assert (state / "store/models/ssd/refused/report.html").exists()


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """The job's log, set up once a process, would go on writing to this test's captured output."""
    monkeypatch.setattr(logs, "configure", lambda *_, **__: None)


@pytest.mark.usefixtures("quiet")
def test_a_dry_run_tells_what_would_happen_and_does_nothing(
    tmp_path: Path, data: Mapping[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    given = [word for name, path in data.items() for word in (f"--{name}", str(path))]
    base = ("--state", str(tmp_path), "--base", "ssd@shapes-1", "--steps", "2", "--batch", "4", "--threads", "1")
    assert main("detection", [*given, *base, "--dry-run", "--version", "never"]) == 0
    told = capsys.readouterr().out
    assert "would publish ssd@never" in told and "nothing was trained" in told
    assert not (tmp_path / "store/models/ssd/never").exists()


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "Say what to learn from with --data, or try --demo."),
        (("--data", "nowhere"), "--data: there is no nowhere."),
        (("--demo", "--data", "x"), "--demo makes its own data; leave out --data, or --demo."),
        (("--demo", "--base", "ssd@never"), "There is no ssd@never"),
        (("--demo", "--version", "No good"), "No good"),
        (("--demo", "--augment", "mirror,upside"), "--augment upside: detection has mirror, colours, none."),
        (("--resume", "nowhere"), "--resume: nowhere is not the folder of a run"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    arguments: tuple[str, ...], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main("detection", ["--state", str(tmp_path), *arguments]) == 1
    assert sentence in capsys.readouterr().err
