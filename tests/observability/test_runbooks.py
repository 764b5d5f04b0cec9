"""Alerts, runbooks and dashboards belong together: none leads nowhere."""

import re
from typing import Any

import pytest

from tests.observability import shipped
from tests.processes import ROOT

FOLDER = ROOT / "docs/runbooks"
ALERTS = shipped.rules("alert")
NAMES = sorted({rule["alert"] for rule in ALERTS})
HEADINGS = ["What users feel", "See it", "Likely causes", "What to do", "Over when"]
UIDS = {board["uid"] for board in shipped.boards().values()}


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_what_is_wrong_and_where_to_read_on(rule: dict[str, Any]) -> None:
    told = rule["annotations"]
    assert rule["labels"]["severity"] in {"page", "ticket", "none"}
    is_a_state = re.search(r"== [01]\)?$", rule["expr"])  # of which there is no figure to tell
    assert told["summary"] and ("$value" in told["description"] or is_a_state)
    assert told["runbook_url"] == f"docs/runbooks/{rule['alert']}.md"
    assert re.fullmatch(r"/d/([a-z-]+)(\?var-service=\{\{ \$labels.service \}\})?", told["dashboard_url"])
    assert told["dashboard_url"].removeprefix("/d/").split("?")[0] in UIDS


def test_each_alert_has_a_runbook_and_each_runbook_an_alert() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.md")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_runbook_answers_five_questions_with_queries_that_work(name: str) -> None:
    text = (FOLDER / f"{name}.md").read_text()
    assert text.startswith(f"# {name}\n")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == HEADINGS
    known = shipped.exported() | shipped.DCGM | {rule["record"] for rule in shipped.rules("record")}
    queries = re.findall(r"^```promql\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[0].splitlines()
    assert queries and all(shipped.names(query) <= known for query in queries)


@pytest.mark.parametrize("name", NAMES)
def test_a_runbook_names_settings_commands_and_alerts_that_exist(name: str) -> None:
    from shared.cli.settings import tables

    text = (FOLDER / f"{name}.md").read_text()
    assert [each for each in re.findall(r"\bOCELLI_[A-Z_]+", text) if f"`{each}`" not in tables()] == []
    assert [each for each in re.findall(r"[Ss]ee ([A-Z]\w+)", text) if each not in NAMES] == []
