"""`ocelli up` as a person sees it: starts, answers, stops; and ends when one of its processes does."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parent.parent.parent.parent
SCENE = ROOT / "examples/scene.jpg"


def free_ports(count: int) -> list[int]:
    """Ports that are free now."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@contextmanager
def up(state: Path, *arguments: str) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """`ocelli up` on free ports, and the gateway's port."""
    detection, gateway, *management = free_ports(4)
    environment = {
        **os.environ,
        "OCELLI_STATE": str(state),
        "OCELLI_DETECTION__PORT": str(detection),
        "OCELLI_DETECTION__MANAGEMENT_PORT": str(management[0]),
        "OCELLI_DETECTION__MODELS": "ssd",
        "OCELLI_GATEWAY__PORT": str(gateway),
        "OCELLI_GATEWAY__MANAGEMENT_PORT": str(management[1]),
        "OCELLI_GATEWAY__DETECTION": f"http://127.0.0.1:{detection}",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "shared.cli", "up", "--only", "detection,gateway", *arguments],
        cwd=ROOT, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        yield process, gateway
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        assert process.stdout is not None
        process.stdout.close()


def read_until(process: "subprocess.Popen[str]", text: str) -> str:
    """The output up to and with a line that has `text`."""
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if text in line:
            return seen
    raise AssertionError(f"it ended without {text!r}:\n{seen}")


def test_it_says_where_it_is_answers_and_stops_in_order(tmp_path: Path) -> None:
    with up(tmp_path) as (process, port):
        seen = read_until(process, "curl --data-binary")
        assert f"http://127.0.0.1:{port}" in seen
        url = f"http://127.0.0.1:{port}/v1/detect"
        answer = httpx.post(url, content=SCENE.read_bytes(), headers={"content-type": "image/jpeg"})
        assert answer.status_code == 200 and len(answer.json()["data"]) >= 4
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        rest = process.stdout.read()
        assert process.wait(60) == 0
    stops = re.findall(r"^(\w+) +\|.* stopped", rest, re.MULTILINE)
    assert stops == ["gateway", "detection"]
    assert '"event":"ready"' in (tmp_path / "logs/detection.log").read_text()


def test_when_one_process_ends_all_end_and_the_exit_code_tells(tmp_path: Path) -> None:
    with up(tmp_path, "--quiet") as (process, port):
        read_until(process, "curl --data-binary")
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        detection = next(c for c in children if "services.detection" in Path(f"/proc/{c}/cmdline").read_text())
        os.kill(int(detection), signal.SIGKILL)
        seen = read_until(process, "ended with exit code")
        assert process.wait(60) == 9
    assert "detection" in seen
    time.sleep(0.1)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_an_unknown_service_is_named() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "shared.cli", "up", "--only", "detecton"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "detecton" in done.stderr and "detection" in done.stderr
