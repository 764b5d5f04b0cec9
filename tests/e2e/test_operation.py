"""What operators see: metrics that promtool accepts and that do not grow, cheap bombs, README lines that run."""

import re
import shlex
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from tests.e2e import pictures
from tests.house import House
from tests.processes import ROOT, Running

JPEG = {"content-type": "image/jpeg"}
NAMES = ("gateway", "detection", "clip", "owlvit", "llava")


def resident(process: Running) -> int:
    """Bytes of memory that a process holds."""
    fields = Path(f"/proc/{process.process.pid}/status").read_text()
    match = re.search(r"VmRSS:\s+(\d+) kB", fields)
    assert match
    return int(match[1]) * 1024


def series(process: Running) -> set[str]:
    lines = httpx.get(f"{process.management}/metrics").text.splitlines()
    return {line.rsplit(" ", 1)[0] for line in lines if not line.startswith("#")}


def processes(house: House) -> dict[str, Running]:
    return {name: getattr(house, name) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_promtool_accepts_the_metrics_after_traffic(house: House, name: str) -> None:
    house.client.post("/v1/detect", content=pictures.encoded("JPEG"), headers=JPEG)
    exposition = httpx.get(f"{processes(house)[name].management}/metrics").text
    command = [str(ROOT / ".venv/bin/promtool"), "check", "metrics"]
    ours = "".join(line for line in exposition.splitlines(keepends=True) if "vllm:" not in line)  # no names of our own
    checked = subprocess.run(command, input=ours, text=True, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_requests_cannot_add_series(house: House) -> None:
    def visit(n: int) -> None:
        house.client.request(f"M{n}", f"/p{n}", headers={"host": f"h{n}"})
        house.client.get(f"/v1/models/m{n}")
        house.client.post(f"/v1/detect?model=m{n}", content=b"x", headers={**JPEG, "x-request-id": f"r{n}"})
        house.client.get(f"/v1/models/m{n}/labels", headers={"authorization": f"Bearer k{n}"})

    visit(0)
    before = {name: series(process) for name, process in processes(house).items()}
    for n in range(1, 30):
        visit(n)
    assert {name: series(process) for name, process in processes(house).items()} == before


def test_a_bomb_of_three_kilobytes_is_refused_at_once_and_takes_no_memory(house: House) -> None:
    bomb = pictures.webp_bomb()
    assert len(bomb) < 8_000
    for _ in range(3):
        house.client.post("/v1/detect", content=bomb, headers={"content-type": "image/webp"})
    before, times = resident(house.detection), []
    for _ in range(50):
        began = time.perf_counter()
        answer = house.client.post("/v1/detect", content=bomb, headers={"content-type": "image/webp"})
        times.append(time.perf_counter() - began)
        assert answer.status_code == 413
    assert sorted(times)[25] < 0.010  # the whole way through HTTP, at the median
    assert resident(house.detection) - before < 8_000_000


def test_the_weights_in_use_are_a_metric(house: House) -> None:
    for model in house.client.get("/v1/models").json()["data"]:
        info = httpx.get(f"{getattr(house, model['service']).management}/metrics").text
        labels = f'device="cpu",digest="{model["digest"]}",dtype="float32",model="{model["id"]}"'
        assert all(part in info for part in labels.split(","))


README = (ROOT / "README.md").read_text()
LINES = [line for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("curl")])
def test_the_curl_lines_of_the_readme_run(house: House, line: str) -> None:
    line = line.replace("localhost:8000", f"127.0.0.1:{house.gateway.port}").replace("curl ", "curl -sS --fail ", 1)
    done = subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert any(key in done.stdout for key in ('"label"', '"object"', '"tokens"'))
    assert shlex.split(line)


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", README, re.DOTALL))
def test_the_python_lines_of_the_readme_run(house: House, capsys: pytest.CaptureFixture[str], code: str) -> None:
    exec(code.replace("localhost:8000", f"127.0.0.1:{house.gateway.port}"), {})
    assert capsys.readouterr().out.strip()
