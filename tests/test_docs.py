"""The documentation is held to the tree: what it links to and names is there, and its commands are run or marked.

A block of shell in docs/ says in its first line who runs it: ```sh is run by this file, with a house beside it, in the
order of its document; ```sh needs=<what> needs what a test has not, of a closed list.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "k8s/README.md", ROOT / "loadtests/README.md"])
PAGES = [page for page in PAGES if page.exists()] + sorted((ROOT / "docs").rglob("*.md"))
NAMED = re.compile(r"`((?:services|shared|docker|k8s|tests|loadtests|docs|examples|models)/[\w./-]+)(?::[\w.]+)?`")
LINKED = re.compile(r"\]\(((?!https?:|mailto:|#)[^)#\s]+)[^)]*\)")
NEEDS = {"cluster", "gpu", "docker", "registry", "root"}


def outside_blocks(text: str) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def mentioned() -> Iterator[tuple[str, str]]:
    """(page, path) of everything that a page says is there."""
    for page in PAGES:
        text, name = outside_blocks(page.read_text()), str(page.relative_to(ROOT))
        yield from ((name, found.rstrip("/.")) for found in NAMED.findall(text))
        yield from ((name, str(_beside(page, found))) for found in LINKED.findall(text))


def _beside(page: Path, link: str) -> Path:
    return (page.parent / link).resolve().relative_to(ROOT)


@pytest.mark.parametrize("page", [str(page.relative_to(ROOT)) for page in PAGES])
def test_what_a_page_names_is_in_the_tree(page: str) -> None:
    missing = {path for name, path in mentioned() if name == page and not any(ROOT.glob(path))}
    assert not missing


def marks() -> Iterator[tuple[str, str]]:
    """(page, mark) of every block of shell in docs/ that is not run here."""
    for page in PAGES:
        for mark in re.findall(r"^```(?:sh|console|bash)[ ]+(.+)$", page.read_text(), re.MULTILINE):
            yield str(page.relative_to(ROOT)), mark


def test_a_block_that_is_not_run_says_what_it_needs() -> None:
    wrong = [(page, mark) for page, mark in marks() if not set(mark.removeprefix("needs=").split(",")) <= NEEDS]
    assert not wrong
