"""The page: everything that report.json says, readable with nothing else, and safe whatever the data is called."""

import json
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from services.finetune.comparison import Comparison
from services.finetune.data.examples import Place, Problem
from services.finetune.gate import Verdict
from services.finetune.report.page import render, write
from services.finetune.task import Evaluation
from tests.services.finetune.runs import HOSTILE, evaluation, learnt, report

VOID = {"meta", "img"}


class Page(HTMLParser):
    """The elements and texts of a page; complains about what is not closed in order."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return "\n".join(self.texts)


def numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from numbers(one)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


def test_every_figure_of_the_json_is_on_the_page(tmp_path: Path) -> None:
    page = write(report(tmp_path / "run"), tmp_path / "report")
    told = json.loads(page.with_name("report.json").read_text())
    text = Page(page.read_text()).text
    figures = set(numbers(told))
    assert {0.9876, 0.9321, 0.7654, 47, 389, 161.25, 0.0875, 1009, 0.0224} <= figures
    missing = {figure for figure in figures if f"{figure:.4f}" not in text and f"{figure:.6g}" not in text}
    assert missing == set()
    for sentence in (told["version"], told["base"], told["gate"], told["command"], *told["notes"]):
        assert sentence in text
    for check in told["checks"]:
        assert check["sentence"] in text


def test_the_page_needs_no_other_file_and_no_script(tmp_path: Path) -> None:
    source = render(report(tmp_path / "run"))
    page = Page(source)
    assert {name for name, _ in page.elements}.isdisjoint({"script", "link", "iframe", "object", "embed", "base"})
    targets = [
        value or "" for _, attributes in page.elements for key, value in attributes.items() if key in {"src", "href"}
    ]
    assert len(targets) == 4
    assert all(target.startswith("data:image/jpeg;base64,") for target in targets)
    assert "url(" not in source
    assert "@import" not in source


def test_hostile_texts_of_the_data_stay_texts(tmp_path: Path) -> None:
    source = render(report(tmp_path / "run"))
    assert "<script" not in source
    page = Page(source)
    assert page.text.count(HOSTILE) > 10  # as read by a person: the parser has undone the escapes
    assert any(HOSTILE in (image["alt"] or "") for image in page.all("img"))
    assert not any(key.startswith("on") for _, attributes in page.elements for key in attributes)


def test_passwords_of_urls_are_told_nowhere(tmp_path: Path) -> None:
    page = write(report(tmp_path / "run"), tmp_path / "report")
    assert "s3://***@bucket/store" in page.read_text()
    assert "secret" not in page.read_text() + page.with_name("report.json").read_text()


def test_tables_have_captions_and_charts_and_pictures_are_told_in_words(tmp_path: Path) -> None:
    page = Page(render(report(tmp_path / "run")))
    assert len(page.all("table")) == len(page.all("caption")) > 8
    assert len([svg for svg in page.all("svg") if svg.get("role") == "img"]) == len(page.all("desc")) == 7
    assert all(image["alt"] for image in page.all("img"))
    assert page.all("html") == [{"lang": "en"}]


def test_the_verdict_comes_first_and_the_worst_answers_before_the_better_ones(tmp_path: Path) -> None:
    text = Page(render(report(tmp_path / "run"))).text
    assert text.index("Gate: passed") < text.index("Before and after") < text.index("Training")
    assert text.index("picture of error 2.0") < text.index("picture of error 0.125")


@pytest.mark.parametrize(
    ("force", "told"), [(None, "failed"), ("a demo for the board", "forced: a demo for the board, by ")]
)
def test_a_refusal_is_told_as_such_and_so_is_who_overrode_it(tmp_path: Path, force: str | None, told: str) -> None:
    one = report(tmp_path / "run")
    checks = tuple(check._replace(passed=check.name != "loss") for check in one.verdict.checks)
    one = replace(one, verdict=Verdict(checks), settings=one.settings.model_copy(update={"force": force}))
    text = Page(render(one)).text
    assert f"Gate: {told}" in text
    assert text.count("FAIL") == 1


def test_a_run_without_old_data_metrics_charts_or_problems_has_a_page_as_well(tmp_path: Path) -> None:
    bare = Comparison(Evaluation({}), Evaluation({"ap50": 0.9}), None, None, new_examples=30, old_examples=0)
    one = report(tmp_path / "run", comparison=bare, data=replace(learnt(), statistics={}, problems=()))
    (tmp_path / "run" / "metrics.jsonl").unlink()
    page = Page(write(one, tmp_path / "report").read_text())
    assert "0.9000" in page.text
    assert page.all("svg") == []
    assert "Training" not in page.text


def test_texts_that_are_no_unicode_are_told_as_far_as_they_can_be(tmp_path: Path) -> None:
    broken = [Problem(Place(Path("a.json")), "label \ud800 is no text")]
    one = report(tmp_path / "run", data=replace(learnt(), problems=broken), command=["ocelli", "\udcff"])
    assert "label ? is no text" in write(one, tmp_path / "report").read_text(encoding="utf-8")


def test_a_page_of_many_classes_folds_its_long_tables(tmp_path: Path) -> None:
    many = evaluation(0.9, **{f"class{number}": 0.5 for number in range(80)})
    told = Comparison(many, many, None, None, new_examples=30, old_examples=0)
    page = Page(render(report(tmp_path / "run", comparison=told)))
    assert "ap50 by class, new data (80 rows)" in page.text
    assert "(the first 24 of 81 lines)" in page.text
