"""The API page: it is served whole, needs nothing from elsewhere, and its policy lets nothing else in."""

import re
from collections.abc import Iterator

import pytest

from services.gateway.static import FILES, FOLDER
from tests.services.gateway.stand import Stand


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with Stand(tmp_path_factory.mktemp("state")) as stand:
        yield stand


@pytest.mark.parametrize("path", FILES)
def test_each_file_is_served_with_its_type_and_the_policy(gateway: Stand, path: str) -> None:
    name, kind = FILES[path]
    answer = gateway.client.get(gateway.url + path)
    assert answer.content == (FOLDER / name).read_bytes() and answer.content
    assert answer.headers["content-type"] == kind.decode()
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy and "http" not in policy
    assert answer.headers["referrer-policy"] == "no-referrer"


def test_the_root_leads_to_the_page(gateway: Stand) -> None:
    answer = gateway.client.get(f"{gateway.url}/")
    assert (answer.status_code, answer.headers["location"]) == (307, "/docs")


def test_the_page_needs_nothing_from_elsewhere_and_nothing_inline() -> None:
    html = (FOLDER / "docs.html").read_text()
    assert set(re.findall(r'(?:src|href)="([^"#]+)"', html)) == {
        "data:,",
        "/docs/docs.css",
        "/docs/docs.js",
        "/openapi.json",
    }
    assert not re.search(r"<style|style=|\son\w+=|<script(?![^>]*src)", html)
    assert not re.search(r"https?://|@import|url\(", (FOLDER / "docs.css").read_text())
    script = (FOLDER / "docs.js").read_text()
    assert not re.search(r"https?://|innerHTML|insertAdjacentHTML|document\.write|eval\(|localStorage|cookie", script)


def test_no_service_at_all_is_still_a_description(gateway: Stand) -> None:
    document = gateway.client.get(f"{gateway.url}/openapi.json").json()
    assert (document["info"]["title"], document["paths"]) == ("Ocelli", {})


def test_every_input_of_the_page_has_a_name_for_those_who_do_not_see_it() -> None:
    html = (FOLDER / "docs.html").read_text()
    for field in re.findall(r'<input id="(\w+)"', html):
        assert f'<label for="{field}">' in html
    assert '<html lang="en">' in html and 'class="skip"' in html
