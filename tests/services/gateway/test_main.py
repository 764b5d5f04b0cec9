"""The gateway as a process: what it starts with, what it refuses to start with, and what it tells of keys."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from shared import keys
from tests.processes import ROOT, environment, running
from tests.services.gateway.upstream import echo

GATEWAY = "services.gateway"


def start(**settings: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", GATEWAY], cwd=ROOT, env=environment(settings),
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "gateway"])
def test_a_public_address_without_a_key_is_refused(tmp_path: Path, host: str) -> None:
    done = start(host=host, state=tmp_path)
    assert done.returncode == 78
    assert "ocelli keys create" in done.stderr and "Traceback" not in done.stderr


def test_a_container_that_is_published_to_others_without_a_key_is_refused(tmp_path: Path) -> None:
    assert start(host="127.0.0.1", published="0.0.0.0", state=tmp_path).returncode == 78


def test_a_container_that_is_published_on_this_machine_alone_needs_no_key(tmp_path: Path) -> None:
    with running(GATEWAY, host="0.0.0.0", published="127.0.0.1", state=tmp_path) as gateway:
        assert httpx.get(f"{gateway.url}/v1/models").status_code == 200


def test_a_public_address_with_only_revoked_keys_is_refused(tmp_path: Path) -> None:
    _, entry = keys.create(name="", scopes=("*",))
    keys.write(tmp_path / "keys.json", [entry.model_copy(update={"revoked": entry.created})])
    assert start(host="0.0.0.0", state=tmp_path).returncode == 78


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"gateway__detection": "https://a:1"}, "http://host:port"),
        ({"gateway__detection": "http://a:1/path"}, "http://host:port"),
        ({"gateway__rate": "many"}, "600/minute"),
        ({"gateway__retry_share": "2"}, "OCELLI_RETRY_SHARE"),
    ],
)
def test_a_wrong_setting_is_refused_with_a_sentence(tmp_path: Path, settings: dict[str, object], sentence: str) -> None:
    done = start(state=tmp_path, **settings)
    assert done.returncode == 78 and sentence in done.stderr


def test_a_broken_file_of_keys_is_refused(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text("[]")
    done = start(state=tmp_path)
    assert done.returncode == 78 and "keys.json" in done.stderr


def test_a_process_serves_with_keys_and_logs_ids_but_no_secrets(tmp_path: Path) -> None:
    key, entry = keys.create(name="me", scopes=("detect",))
    keys.write(tmp_path / "keys.json", [entry])
    with echo() as service, running(GATEWAY, host="0.0.0.0", gateway__detection=service.url, state=tmp_path) as gateway:
        answer = httpx.post(f"{gateway.url}/v1/detect", content=b"x", headers={"authorization": f"Bearer {key}"})
        assert answer.status_code == 200
        line = gateway.wait_for("request")
        assert (line["key"], line["route"], line["status"]) == (entry.id, "/v1/detect", 200)
        metrics = httpx.get(f"{gateway.management}/metrics").text
        assert 'ocelli_upstream_request_duration_seconds_count{outcome="ok",upstream="detection"} 1.0' in metrics
        assert 'ocelli_upstream_ready_replicas{upstream="detection"} 1.0' in metrics
        gateway.terminate()
        assert gateway.wait() == 0
        assert key.split("_")[2] not in str(gateway.lines) + metrics


def test_the_process_loads_neither_torch_nor_numpy() -> None:
    code = "import sys, services.gateway.main; sys.exit(bool({'torch', 'numpy', 'PIL', 'fastapi'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
