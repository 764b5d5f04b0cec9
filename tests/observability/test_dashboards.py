"""Dashboards of Grafana: as their scripts write them, well built, and asking only for what there is."""

import itertools

import pytest
import yaml

from tests.observability import shipped
from tests.observability.shipped import BOARDS, GRAFANA
from tests.processes import ROOT

UNITS = {
    "none", "s", "reqps", "percentunit", "percent", "bytes", "decmbytes", "celsius", "watt", "hertz",
}  # fmt: skip
EACH = pytest.mark.parametrize("name", [path.name for path in BOARDS])


def test_the_files_are_what_the_scripts_write() -> None:
    written = shipped.generated(GRAFANA / "dashboards.py", "{p.name: t for p, t in it.files().items()}")
    assert {path.name: path.read_text() for path in BOARDS} == written


def test_there_are_four_with_an_address_of_their_own() -> None:
    assert [board["uid"] for board in shipped.boards().values()] == [
        "ocelli-gpu", "ocelli-models", "ocelli-overview", "ocelli-rollout",
    ]  # fmt: skip


@EACH
def test_panels_have_an_id_a_title_a_unit_and_the_source_that_the_reader_chose(name: str) -> None:
    board = shipped.boards()[name]
    assert board["templating"]["list"][0] == {
        "name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source",
    }  # fmt: skip
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids) and None not in ids
    for panel in shipped.panels(board):
        assert panel["title"] and panel["fieldConfig"]["defaults"]["unit"] in UNITS
        sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources)
        references = [target["refId"] for target in panel["targets"]]
        assert references and len(set(references)) == len(references)


@EACH
def test_panels_lie_on_the_grid_and_not_on_each_other(name: str) -> None:
    taken = set[tuple[int, int]]()
    for panel in shipped.boards()[name]["panels"]:
        place = panel["gridPos"]
        cells = set(
            itertools.product(range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"]))
        )
        assert place["x"] + place["w"] <= 24 and not taken & cells
        taken |= cells


@pytest.mark.parametrize(("place", "expr"), shipped.shown() + shipped.scaled())
def test_every_expression_asks_for_metrics_that_exist(place: str, expr: str) -> None:
    known = shipped.exported() | shipped.DCGM | {rule["record"] for rule in shipped.rules("record")}
    asked = shipped.names(expr)
    assert asked and asked <= known, place


def test_every_metric_of_ours_is_shown_or_watched() -> None:
    """A metric that nobody looks at is a cost; the names of others are there for others' dashboards."""
    rules = [rule["expr"] for rule in shipped.rules("record") + shipped.rules("alert")]
    asked = set().union(*(shipped.names(expr) for expr in [*rules, *(expr for _, expr in shipped.shown())]))
    bases = {name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum") for name in asked}
    ours = {name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum") for name in shipped.exported()}
    assert ours - bases == {"ocelli_ready"}  # told by up, by the gateway's own view, and by the probes


def test_the_folder_and_the_source_that_grafana_is_given_are_there() -> None:
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/ocelli.yml").read_text())["providers"]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    assert provider["type"] == "file" and provider["allowUiUpdates"] is False
    assert (ROOT / "docker/grafana/dashboards").is_dir()
