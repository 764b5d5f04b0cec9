"""Grafana's classic dashboard JSON from short declarations: panels in rows, from left to right, on a grid of 24."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH, HEIGHT = 24, 8


@dataclass(frozen=True)
class Panel:
    """A graph, or a table of the newest values, of expressions by their legends."""

    title: str
    unit: str
    queries: Mapping[str, str]
    text: str = ""
    kind: str = "timeseries"
    width: int = 8

    def render(self, number: int, x: int, y: int) -> dict[str, Any]:
        """The panel at a place of the grid."""
        instant = self.kind != "timeseries"
        targets = [
            {"refId": chr(ord("A") + index), "datasource": SOURCE, "expr": expr, "legendFormat": legend}
            | ({"instant": True, "range": False} if instant else {})
            | ({"format": "table"} if self.kind == "table" else {})
            for index, (legend, expr) in enumerate(self.queries.items())
        ]
        custom = {"custom": {"fillOpacity": 8, "showPoints": "never"}} if self.kind == "timeseries" else {}
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.text,
            "datasource": SOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": HEIGHT},
            "fieldConfig": {"defaults": {"unit": self.unit, "min": 0, **custom}, "overrides": []},
            "options": {"tooltip": {"mode": "multi", "sort": "desc"}} if self.kind == "timeseries" else {},
            "targets": targets,
        }


@dataclass(frozen=True)
class Row:
    """A heading, and the panels under it."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True)
class Dashboard:
    """One page; `variables` are names and the queries that list their values."""

    uid: str
    title: str
    variables: Mapping[str, str]
    rows: Sequence[Row]

    def render(self) -> dict[str, Any]:
        """The page as Grafana reads it."""
        source = {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"}
        return {
            "uid": self.uid,
            "title": self.title,
            "tags": ["ocelli"],
            "schemaVersion": 39,
            "editable": False,
            "refresh": "30s",
            "time": {"from": "now-1h", "to": "now"},
            "templating": {"list": [source, *(_variable(name, query) for name, query in self.variables.items())]},
            "links": [{"type": "dashboards", "title": "Ocelli", "tags": ["ocelli"], "keepTime": True}],
            "panels": list(self._panels()),
        }

    def _panels(self) -> Iterator[dict[str, Any]]:
        number, y = 0, 0
        for row in self.rows:
            number += 1
            place = {"x": 0, "y": y, "w": WIDTH, "h": 1}
            yield {"id": number, "type": "row", "title": row.title, "collapsed": False, "gridPos": place, "panels": []}
            x, y = 0, y + 1
            for panel in row.panels:
                if x + panel.width > WIDTH:
                    x, y = 0, y + HEIGHT
                number += 1
                yield panel.render(number, x, y)
                x += panel.width
            y += HEIGHT


def _variable(name: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }
