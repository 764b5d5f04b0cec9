"""The model card: what a version says of itself, to people and to machines."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from services.finetune.card import USES, card, metrics, readme
from services.finetune.gate import Verdict
from shared.settings import SERVICES
from shared.weights.manifest import Card
from shared.weights.store import Store
from tests.services.finetune.runs import HOSTILE, SHA, base, report


def test_the_manifest_tells_where_the_version_comes_from_and_how_good_it_is(tmp_path: Path) -> None:
    told = card(report(tmp_path / "run-7"))
    assert (told.model, told.version) == ("ssd", "arrows-1")
    assert told.base == f"ssd@shapes-1 {base().digest}"
    assert told.processor == base().manifest.processor
    assert told.adapter == "LoRA of rank 16, merged into the base"
    assert told.data is not None
    assert told.data.sha256 == SHA
    assert told.data.description.endswith("211 train, 100 validation, 1009 replay, 12 old")
    assert told.metrics["new/ap50"] == 0.9876
    assert told.made.recipe == "ocelli finetune detection"
    assert "secret" not in told.model_dump_json()
    parameters = told.made.parameters
    assert (parameters["run"], parameters["seed"], parameters["steps"], parameters["gate"]) == (
        "run-7",
        7,
        40,
        "passed",
    )


def test_metrics_are_flat_and_tell_before_and_after(tmp_path: Path) -> None:
    told = metrics(report(tmp_path / "run"))
    assert told["new_before/ap50"] == 0.1234
    assert told["old_before/ap50/circle"] == 0.9612
    assert told["old/ap50/circle"] == 0.9321
    assert "new_before/ap50/arrow" not in told  # a class that the base does not know
    assert (told["latency_before"], told["latency"]) == (0.0213, 0.0224)


@pytest.mark.parametrize(
    ("force", "gate"), [(None, "failed"), ("the old one is worse", "forced: the old one is worse, by ana")]
)
def test_a_version_that_the_gate_refused_says_so_for_ever(tmp_path: Path, force: str | None, gate: str) -> None:
    one = report(tmp_path / "run", by="ana")
    refused = Verdict(tuple(check._replace(passed=False) for check in one.verdict.checks))
    one = replace(one, verdict=refused, settings=one.settings.model_copy(update={"force": force}))
    assert card(one).made.parameters["gate"] == gate
    assert f"Gate: **{gate}**" in readme(one)


def test_the_readme_begins_with_what_a_hub_reads(tmp_path: Path) -> None:
    _, front, rest = readme(report(tmp_path / "run")).split("---\n", 2)
    assert yaml.safe_load(front) == {
        "base_model": "ssd@shapes-1",
        "pipeline_tag": "object-detection",
        "datasets": [f"pictures/{HOSTILE}"],
        "metrics": ["ap50", "loss"],
    }
    assert rest.startswith("\n# ssd@arrows-1\n")


def test_the_readme_tells_figures_limits_and_use(tmp_path: Path) -> None:
    text = readme(report(tmp_path / "run"))
    assert "| ap50 | 0.1234 | 0.9876 | +0.8642 |" in text
    assert "| ap50/arrow | – | 0.7654 | – |" in text
    assert SHA in text
    assert "* Weakest class of the new data: arrow, ap50 0.7654." in text
    assert "* The old data has 12 examples to judge by; scores on fewer than 20 say little." in text
    assert "ocelli models push ssd@arrows-1" in text


def test_texts_of_the_data_are_neither_html_nor_markdown(tmp_path: Path) -> None:
    one = report(tmp_path / "run", by="ana\n\n# Heading | `code` [link](x) <b>")
    prose = readme(one).split("---\n", 2)[2]
    lines = [line for line in prose.splitlines() if not line.startswith("    ")]  # an indented block is shown as it is
    assert not any(mark in line for line in lines for mark in ("<script", "<b>", "[link]", "`code`"))
    assert sum(line.startswith("# ") for line in lines) == 1


def test_a_version_can_be_published_with_its_card_and_its_report(tmp_path: Path) -> None:
    one = report(tmp_path / "run")
    files = tmp_path / "files"
    files.mkdir()
    (files / "README.md").write_text(readme(one))
    store = Store(str(tmp_path / "store"))
    store.publish(files, card(one))
    told = store.manifest("ssd", "arrows-1")
    assert Card(**told.model_dump(exclude={"files", "format"})) == card(one).model_copy(update={"made": told.made})


def test_every_task_of_the_job_has_its_words() -> None:
    assert USES.keys() == set(SERVICES) - {"gateway", "finetune"}
