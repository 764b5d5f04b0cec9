"""Who hears of an alert: routes and inhibitions of Alertmanager, asked from its own tool."""

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.observability import shipped
from tests.processes import ROOT

FOLDER = ROOT / "docker/alertmanager"
CONFIG = FOLDER / "alertmanager.yml"
AMTOOL = str(ROOT / ".venv/bin/amtool")


def amtool(*arguments: str) -> str:
    return subprocess.run([AMTOOL, *arguments], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize(("severity", "receiver"), [("page", "pages"), ("ticket", "tickets"), ("none", "watchdog")])
def test_a_severity_goes_to_its_receiver(severity: str, receiver: str) -> None:
    labels = (f"severity={severity}", "alertname=Any", "service=clip")
    assert amtool("config", "routes", "test", f"--config.file={CONFIG}", *labels) == receiver


def test_the_example_of_receivers_fits_the_routes(tmp_path: Path) -> None:
    shipped_config = yaml.safe_load(CONFIG.read_text())
    example = yaml.safe_load((FOLDER / "receivers.example.yml").read_text())["receivers"]
    assert [each["name"] for each in example] == [each["name"] for each in shipped_config["receivers"]]
    assert all(len(each) > 1 for each in example)
    (tmp_path / "alertmanager.yml").write_text(yaml.safe_dump(shipped_config | {"receivers": example}))
    assert "SUCCESS" in amtool("check-config", str(tmp_path / "alertmanager.yml"))


def test_the_alerts_that_silence_and_are_silenced_exist() -> None:
    known = {rule["alert"] for rule in shipped.rules("alert")}
    for rule in yaml.safe_load(CONFIG.read_text())["inhibit_rules"]:
        for matcher in rule["source_matchers"] + rule["target_matchers"]:
            if matcher.startswith("alertname"):
                assert set(matcher.split('"')[1].split("|")) <= known
