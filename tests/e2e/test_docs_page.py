"""The API page in a real browser: it lists the routes, asks nobody else, and its form gets a true answer."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.house import House
from tests.processes import ROOT

QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@pytest.fixture
def page() -> Iterator[Page]:
    """A page in Debian's Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=QUIET)
        yield browser.new_page()
        browser.close()


def test_the_page_lists_the_routes_and_asks_nobody_else(house: House, page: Page) -> None:
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto(f"{house.gateway.url}/docs")
    expect(page.locator("#index a", has_text="/v1/detect").first).to_be_visible()
    expect(page.get_by_text("Find objects of known classes")).to_be_visible()
    assert asked and all(url.startswith(house.gateway.url) for url in asked)
    assert not said


def test_its_form_gets_a_true_answer(house: House, page: Page) -> None:
    page.goto(f"{house.gateway.url}/docs")
    operation = page.locator("#post-v1-detect")
    operation.get_by_text("Try it").click()
    operation.locator("input[type=file]").set_input_files(ROOT / "examples/scene.jpg")
    operation.get_by_role("button", name="Send").click()
    expect(operation.get_by_text('"triangle"').first).to_be_visible(timeout=20_000)
